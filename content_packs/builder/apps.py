"""HTML experiments: what would silently not work on a tablet is said while the author is at the desk.

Experiments run without a line, in a frame whose policy forbids scripts and styles inside the page. That holds on the
box whatever is found here; this check only saves the author a day.
"""

from content_packs.base.errors import N_
from content_packs.builder.source import join_path
from content_packs.builder.tags import Tag, read_tags
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
    used: set[str] = set()
    for tag in read_tags(source):
        if tag.is_end:
            continue
        reason = _refusal(tag)
        if reason:
            where = f"line {source.count(chr(10), 0, tag.start) + 1}"
            raise SourceInvalid(file=path, where=where, reason=reason)
        used |= {join_path(path, address.partition("#")[0].partition("?")[0]) for address in _addresses(tag)}
    return frozenset(used)


def runs(script_type: str) -> bool:
    """Return whether a browser runs a script of this `type`; others are only kept for scripts to read."""
    kind = script_type.strip().lower()
    return kind in ("", "module", "importmap") or kind.endswith(("javascript", "ecmascript"))


def _refusal(tag: Tag) -> str:
    """Return why a tag would silently not work, or nothing."""
    written = tag.written
    if (tag.name == "script" and "src" not in written and runs(written.get("type", ""))) or any(
        name.startswith("on") for name in written
    ):
        return N_("a script inside the page does not run: put it in a .js file")
    if tag.name == "style" or "style" in written:
        return N_("a style inside the page has no effect: put it in a .css file")
    if not all(map(is_relative, _addresses(tag))):
        return N_("the page needs a file that is not in the pack")
    return ""


def _addresses(tag: Tag) -> list[str]:
    """Return the addresses of files that a tag needs."""
    return [
        value
        for name, value in tag.written.items()
        if (tag.name, name) in _ADDRESSES and not value.startswith(("data:", "#"))
    ]
