"""Markdown (CommonMark and tables, no HTML) to the fragment a tablet shows, and to the text one can search."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from content_packs.base.errors import N_
from content_packs.builder.source import join_path
from content_packs.format import texts
from content_packs.format.errors import SourceInvalid
from content_packs.format.fragment import clean_fragment, is_relative

if TYPE_CHECKING:
    from markdown_it.token import Token

_CELLS = {"th_open", "td_open"}
_OUTSIDE = ("http://", "https://", "mailto:", "#")


@dataclass(frozen=True, slots=True)
class RenderedText:
    """A text ready for a tablet.

    Attributes:
        html: a fragment; addresses of pictures are as the author wrote them, relative to the file.
        plain: what can be searched.
        used: paths of the files it shows or links to.
    """

    html: bytes
    plain: str
    used: frozenset[str]


def render_markdown(source: str, path: str) -> RenderedText:
    """Return the text of the file `path` as HTML and as plain words; the same for the same source.

    Raises:
        SourceInvalid: a picture or link that leads neither into the pack nor to a web address.
        PathRefused: one that leads out of the pack.
    """
    # Here, because a running box imports the builder and seldom builds.
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(source)
    for token in _all(tokens):
        _align(token)
    used = frozenset(_used(tokens, path))
    html = clean_fragment(str(parser.renderer.render(tokens, parser.options, {})))
    return RenderedText(html.encode(), _plain(tokens), used)


def _all(tokens: Iterable["Token"]) -> Iterator["Token"]:
    for token in tokens:
        yield token
        yield from _all(token.children or ())


def _align(token: "Token") -> None:
    """Say the alignment of a cell without a style attribute, which the page's policy would ignore."""
    if token.type in _CELLS and token.attrs:
        alignment = str(token.attrs.pop("style", "")).removeprefix("text-align:")
        if alignment:
            token.attrs["align"] = alignment


def _used(tokens: Iterable["Token"], path: str) -> Iterator[str]:
    line = 0
    for token in _all(tokens):
        line = token.map[0] + 1 if token.map else line
        if token.type == "image":
            yield _file_of(str(token.attrs["src"]), path, line)
        elif token.type == "link_open":
            address = str(token.attrs["href"])
            if not address.startswith(_OUTSIDE):
                yield _file_of(address, path, line)


def _file_of(address: str, path: str, line: int) -> str:
    """Return the path in the pack that `address` leads to."""
    if not is_relative(address):
        reason = N_("a picture or link has to lead to a file of the pack, because a class is often without a line")
        raise SourceInvalid(file=path, where=f"line {line}", reason=reason)
    return join_path(path, unquote(address.partition("#")[0]))


def _plain(tokens: Iterable["Token"]) -> str:
    blocks = ("".join(map(_words, token.children or ())) for token in tokens if token.type == "inline")
    code = (token.content for token in tokens if token.type in {"fence", "code_block"})
    return texts.without_isolates("\n".join([*blocks, *code])).strip()


def _words(token: "Token") -> str:
    if token.type == "image":
        return "".join(map(_words, token.children or ()))
    if token.type in {"softbreak", "hardbreak"}:
        return " "
    return str(token.content)
