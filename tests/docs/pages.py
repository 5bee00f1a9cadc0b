"""Reads the documents as a visitor sees them: headings and their anchors, links, and the commands in code blocks."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*.md")]
)

_FENCE = re.compile(r"^ *(?P<marks>`{3,})[^\n]*\n(?P<body>.*?)^ *(?P=marks) *$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)? *$", re.MULTILINE)
_CODE_SPAN = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(\s*<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_OUTSIDE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ENDS = {"|", "||", "&&", ";", "&", ">", ">>", "2>", "<"}


@dataclass(frozen=True)
class Link:
    """A link in a document to another file of the repository, or to a heading."""

    document: Path
    target: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)} -> {self.target}"


def relative_links(document: Path) -> list[Link]:
    """Return the links of a document that lead into the repository."""
    prose = _CODE_SPAN.sub("", _FENCE.sub("", document.read_text("utf-8")))
    return [Link(document, found) for found in _LINK.findall(prose) if not _OUTSIDE.match(found)]


def why_broken(link: Link) -> str:
    """Return what is wrong with a link, nothing when it leads somewhere."""
    name, _, anchor = link.target.partition("#")
    place = (link.document.parent / unquote(name)).resolve() if name else link.document
    if not place.is_relative_to(ROOT):
        return "leads out of the repository"
    if not place.exists():
        return "no such file"
    if anchor and anchor not in anchors(place):
        return "no such heading"
    return ""


def anchors(document: Path) -> set[str]:
    """Return the anchors that the usual viewers give to the headings of a document."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", document.read_text("utf-8"))):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        number = 0
        while (numbered := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.add(numbered)
    return found


def edgebox_commands(document: Path) -> list[list[str]]:
    """Return the arguments of every `edgebox ...` in the code blocks of a document."""
    blocks = (found["body"].replace("\\\n", " ") for found in _FENCE.finditer(document.read_text("utf-8")))
    lines = [line for block in blocks for line in block.splitlines()]
    return [arguments for line in lines if (arguments := _arguments(line)) is not None]


def _arguments(line: str) -> list[str] | None:
    """Return what follows `edgebox` in a line of shell, None when the line does not run it."""
    try:
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
    except ValueError:
        return None
    words = _without_prefix(words)
    if not words or words[0].rpartition("/")[2] != "edgebox":
        return None
    end = next((at for at, word in enumerate(words) if word in _ENDS), len(words))
    return words[1:end]


def _without_prefix(words: list[str]) -> list[str]:
    """Return a line of shell from its program on, without `sudo`, `sudo -u NAME` and settings such as `NAME=value`."""
    while words and (words[0] == "sudo" or "=" in words[0]):
        words = words[3:] if words[1:2] == ["-u"] else words[1:]
    return words
