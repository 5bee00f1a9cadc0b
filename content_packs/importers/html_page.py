"""One page of a web app, made ready for a frame whose policy allows no script and no style inside the page.

Inline `<script>` and `<style>` become files beside the page and are named where they stood. Attributes `style` and
`on...` move into a file that sets them on the elements through their properties, which the policy allows; it is loaded
before every script and at the end, so scripts find what the page's author wrote. What runs later (`eval`,
`javascript:`) cannot be moved and is only named. The page's text is not otherwise touched: it stays byte by byte.
"""

import html
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from content_packs.base.errors import N_
from content_packs.builder.apps import runs
from content_packs.builder.tags import Tag, read_tags
from content_packs.format.fragment import is_relative
from content_packs.importers.contract import Remark

EVALUATES = N_("it makes code while it runs (eval), and tablets stop that")
RUNS_ADDRESS = N_("a link runs code (javascript:), and tablets stop that")
OUTSIDE = N_("it needs a file that is not in the archive, which was left out")
HAS_BASE = N_("its base address was left out")

_EVALUATION = re.compile(r"\beval\s*\(|\bnew\s+Function\b")
_ADDRESSES = {
    "audio": ("src",), "embed": ("src",), "iframe": ("src",), "image": ("href",), "img": ("src",), "link": ("href",),
    "source": ("src",), "track": ("src",), "use": ("href",), "video": ("src", "poster"),
}  # fmt: skip
_MARK = "data-edgebox-setup"
_SETUP_HEAD = "(function () {\n  var setups = [\n"
_SETUP_TAIL = f"""  ];
  document.querySelectorAll("[{_MARK}]").forEach(function (element) {{
    var setup = setups[element.getAttribute("{_MARK}")];
    element.removeAttribute("{_MARK}");
    if (setup) setup(element);
  }});
}})();
"""


@dataclass
class ReadyPage:
    """A page that can run, what was moved out of it by name, and what it says of itself."""

    html: str = ""
    files: dict[str, str] = field(default_factory=dict)
    title: str = ""
    language: str = ""
    license: str = ""
    remarks: list[Remark] = field(default_factory=list)


def evaluates(script: str) -> bool:
    """Return whether a script makes code while it runs, as far as its text tells."""
    return _EVALUATION.search(script) is not None


def make_ready(source: str, path: str, has_file: Callable[[str], bool]) -> ReadyPage:
    """Return the page `path` made ready.

    Args:
        has_file: whether an address written in the page leads to a file of the archive.
    """
    return _Rewriter(source, path, has_file).page()


class _Rewriter:
    """Collects what to replace where, tag by tag, and then does it."""

    def __init__(self, source: str, path: str, has_file: Callable[[str], bool]) -> None:
        self._source = source
        self._path = path
        self._has_file = has_file
        self._page = ReadyPage()
        self._edits: list[tuple[int, int, str]] = []
        self._scripts: list[int] = []
        self._body_end = len(source)
        self._setups: list[str] = []
        self._moved: tuple[Tag, str] | None = None
        self._drawings: list[int] = []

    def page(self) -> ReadyPage:
        """Return the page with everything replaced."""
        for tag in read_tags(self._source):
            if tag.is_end:
                self._close(tag)
            else:
                self._open(tag)
        if self._setups:
            name = self._add_file("js", _SETUP_HEAD + ",\n".join(self._setups) + "\n" + _SETUP_TAIL)
            loads = f'<script src="{name}"></script>'
            self._edits += [(place, place, loads) for place in [*self._scripts, self._body_end]]
        self._page.html = "".join(self._pieces())
        return self._page

    def _open(self, tag: Tag) -> None:
        written = tag.written
        self._note(tag, written)
        if tag.name == "script":
            self._scripts.append(tag.start)
        if tag.name == "svg":
            self._drawings.append(tag.start)
        is_inline = tag.name == "script" and "src" not in written and runs(written.get("type", ""))
        if tag.name == "style" or is_inline:
            self._moved = tag, self._move(tag)
        elif tag.name == "base":
            self._remark(HAS_BASE)
            self._edits.append((tag.start, tag.end, ""))
        else:
            self._change_attributes(tag)

    def _close(self, tag: Tag) -> None:
        """Put the name of what was moved in its place, or note where the body ends."""
        if self._moved is not None:
            self._edits.append((self._moved[0].start, tag.end, self._moved[1]))
            self._moved = None
        elif tag.name == "svg" and self._drawings:
            self._drawings.pop()
        elif tag.name == "body":
            self._body_end = tag.start

    def _pieces(self) -> Iterable[str]:
        """Yield what stays and what replaces; of two that meet in one place, the one that takes nothing comes first."""
        edits = [(0, 0, ""), *sorted(self._edits, key=lambda edit: edit[:2]), (len(self._source),) * 2 + ("",)]
        for (_start, end, text), (following, _end, _text) in pairwise(edits):
            yield text
            yield self._source[end:following]

    def _move(self, tag: Tag) -> str:
        """Make a file of a script or style, and return the tags that name it."""
        kept = [(name, value) for name, value in tag.attributes if name not in ("nonce", "integrity")]
        if tag.name == "script":
            if evaluates(tag.text):
                self._remark(EVALUATES)
            return _tag("script", [*kept, ("src", self._add_file("js", tag.text))]) + "</script>"
        named = _tag("link", [*kept, ("rel", "stylesheet"), ("href", self._add_file("css", tag.text))])
        if not self._drawings:
            return named
        # Inside a drawing a link is none.
        self._edits.append((self._drawings[0], self._drawings[0], named))
        return ""

    def _change_attributes(self, tag: Tag) -> None:
        """Take out of one tag what has no effect there or leads nowhere."""
        kept: list[tuple[str, str | None]] = []
        steps: list[str] = []
        for name, value in tag.attributes:
            if name == "style":
                steps.append(f"element.style.cssText = {json.dumps(value or '')};")
            elif re.fullmatch("on[a-z]+", name):
                steps.append(f"element.{name} = function (event) {{\n{value or ''}\n}};")
            elif name in _ADDRESSES.get(tag.name, ()) and self._leads_nowhere(value or ""):
                self._remark(OUTSIDE)
            elif not name.startswith("on"):
                kept.append((name, value))
        if steps:
            kept.append((_MARK, str(len(self._setups))))
            self._setups.append("function (element) {\n" + "\n".join(steps) + "\n}")
        if kept != list(tag.attributes):
            is_closed = self._source.endswith("/>", tag.start, tag.end)
            self._edits.append((tag.start, tag.end, _tag(tag.name, kept, is_closed=is_closed)))

    def _leads_nowhere(self, address: str) -> bool:
        if address.startswith(("data:", "#")):
            return False
        return not is_relative(address) or not self._has_file(address)

    def _note(self, tag: Tag, written: dict[str, str]) -> None:
        """Take what the page says of itself."""
        if tag.name == "title":
            self._page.title = self._page.title or html.unescape(tag.text)
        if tag.name == "html":
            self._page.language = self._page.language or written.get("lang", "")
        if tag.name == "meta" and written.get("name", "").lower() in ("license", "dcterms.license", "dc.rights"):
            self._page.license = self._page.license or written.get("content", "")
        if tag.name == "link" and "license" in written.get("rel", "").lower().split():
            self._page.license = self._page.license or written.get("href", "")
        if tag.name == "a" and written.get("href", "").strip().lower().startswith("javascript:"):
            self._remark(RUNS_ADDRESS)

    def _remark(self, reason: str) -> None:
        remark = Remark(self._path, reason)
        if remark not in self._page.remarks:
            self._page.remarks.append(remark)

    def _add_file(self, ending: str, content: str) -> str:
        """Keep content as a file beside the page under a name that is free, and return its name."""
        base, number = self._path.rpartition("/")[2].removesuffix(".html"), len(self._page.files) + 1
        while self._has_file(name := f"{base}.inline-{number}.{ending}"):
            number += 1000
        self._page.files[name] = content
        return name


def _tag(tag: str, attributes: Iterable[tuple[str, str | None]], *, is_closed: bool = False) -> str:
    written = "".join(f" {name}" if value is None else f' {name}="{html.escape(value)}"' for name, value in attributes)
    return f"<{tag}{written}{' /' if is_closed else ''}>"
