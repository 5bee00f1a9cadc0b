"""The tags of a page, found as a browser finds them (HTML standard, 13.2.5), in time that grows with its length only.

The standard library's parser looks to the end of the page again for every mark that is never closed, so that a small
page can keep it busy for hours, and stops at marks that browsers pass over. Where a browser drops the rest of a page,
because a quotation mark or a comment is never closed, this ends as well.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SPACES = "\t\n\f\r "
_TAG = re.compile(rf"</?([a-zA-Z][^{_SPACES}/>]*)")
_BETWEEN = re.compile(f"[{_SPACES}/]*")
_NAME = re.compile(f"=?[^{_SPACES}/>=]*")
_EQUALS = re.compile(f"[{_SPACES}]*=[{_SPACES}]*")
_BARE = re.compile(f"[^{_SPACES}>]*")
_COMMENT_END = re.compile("--!?>")
_RAW = {
    name: re.compile(rf"</{name}(?=[{_SPACES}/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
}


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag.

    Attributes:
        start, end: its place in the page.
        attributes: names in small letters with their values, None for a name alone, in the order of the page.
        text: what follows an opening tag whose content is no mark-up, such as a script, up to its end tag.
    """

    name: str
    is_end: bool
    start: int
    end: int
    attributes: tuple[tuple[str, str | None], ...]
    text: str = ""

    @property
    def written(self) -> dict[str, str]:
        """Return the attributes by name as a browser takes them: of two with one name the first."""
        return {name: value or "" for name, value in reversed(self.attributes)}


def read_tags(source: str) -> Iterator[Tag]:
    """Yield the tags of a page in order; comments and declarations are passed over."""
    at = 0
    while (at := source.find("<", at)) >= 0:
        opening = _TAG.match(source, at)
        if opening is None:
            at = _after_other(source, at)
            if at < 0:
                return
            continue
        found = _read_attributes(source, opening.end())
        if found is None:
            return
        attributes, end = found
        name, is_end = opening[1].lower(), source[at + 1] == "/"
        text = "" if is_end or name not in _RAW else _raw_text(source, name, end)
        if text is None:
            return
        yield Tag(name, is_end, at, end, attributes, text)
        at = end + len(text)


def _after_other(source: str, at: int) -> int:
    """Return where a `<` that begins no tag ends: after a comment or declaration, or at once; -1 for never."""
    if source.startswith("<!--", at):
        if source.startswith((">", "->"), at + 4):
            return at + 5
        closing = _COMMENT_END.search(source, at + 4)
        return closing.end() if closing else -1
    if source.startswith(("<!", "<?", "</"), at):
        return source.find(">", at) + 1 or -1
    return at + 1


def _raw_text(source: str, name: str, start: int) -> str | None:
    closing = _RAW[name].search(source, start)
    return source[start : closing.start()] if closing else None


def _read_attributes(source: str, at: int) -> tuple[tuple[tuple[str, str | None], ...], int] | None:
    """Return the attributes that begin at `at`, and where their tag ends; None when it never does."""
    attributes: list[tuple[str, str | None]] = []
    while True:
        at = _end_of(_BETWEEN, source, at)
        if at == len(source):
            return None
        if source[at] == ">":
            return tuple(attributes), at + 1
        name_end = _end_of(_NAME, source, at)
        name, value = source[at:name_end].lower(), None
        equals = _EQUALS.match(source, name_end)
        at = name_end
        if equals:
            found = _read_value(source, equals.end())
            if found is None:
                return None
            value, at = found
        attributes.append((name, value))


def _read_value(source: str, at: int) -> tuple[str, int] | None:
    quote = source[at : at + 1]
    if quote in ('"', "'"):
        closing = source.find(quote, at + 1)
        return None if closing < 0 else (html.unescape(source[at + 1 : closing]), closing + 1)
    end = _end_of(_BARE, source, at)
    return html.unescape(source[at:end]), end


def _end_of(pattern: re.Pattern[str], source: str, at: int) -> int:
    """Return where a pattern that also fits nothing ends."""
    found = pattern.match(source, at)
    return found.end() if found else at
