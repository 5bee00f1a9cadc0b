"""HTML experiments: what would silently not work on a tablet is said while the author is at the desk.

Experiments run without a line, in a frame whose policy forbids scripts and styles inside the page. That holds on the
box whatever is found here; this check only saves the author a day.
"""

from html.parser import HTMLParser

from content_packs.base.errors import N_
from content_packs.builder.source import join_path
from content_packs.format.errors import SourceInvalid
from content_packs.format.fragment import is_relative

_ADDRESSES = {
    ("audio", "src"),
    ("embed", "src"),
    ("iframe", "src"),
    ("image", "href"),
    ("img", "src"),
    ("link", "href"),
    ("script", "src"),
    ("source", "src"),
    ("track", "src"),
    ("use", "href"),
    ("video", "poster"),
    ("video", "src"),
}


def check_page(source: str, path: str) -> frozenset[str]:
    """Return the paths of the files that the page names.

    Raises:
        SourceInvalid: a script or style inside the page, or an address outside the course.
        PathRefused: one that leads out of the pack.
    """
    page = _Page(path)
    page.feed(source)
    page.close()
    return frozenset(page.used)


class _Page(HTMLParser):
    """Walks over the tags of one page."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self.used: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        written = {name: value or "" for name, value in attrs}
        if (tag == "script" and "src" not in written) or any(name.startswith("on") for name in written):
            raise self._refuse(N_("a script inside the page does not run: put it in a .js file"))
        if tag == "style" or "style" in written:
            raise self._refuse(N_("a style inside the page has no effect: put it in a .css file"))
        for name, value in written.items():
            if (tag, name) in _ADDRESSES and not value.startswith(("data:", "#")):
                self._take(value)

    def _take(self, address: str) -> None:
        if not is_relative(address):
            raise self._refuse(N_("the page needs a file that is not in the pack"))
        self.used.add(join_path(self._path, address.partition("#")[0].partition("?")[0]))

    def _refuse(self, reason: str) -> SourceInvalid:
        return SourceInvalid(file=self._path, where=f"line {self.getpos()[0]}", reason=reason)
