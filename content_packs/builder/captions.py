"""WebVTT captions: a check that they are, and their words for searching."""

import html
import re

from content_packs.base.errors import N_
from content_packs.format import texts
from content_packs.format.errors import SourceInvalid

_TIME = r"(?:[0-9]{2,}:)?[0-9]{2}:[0-9]{2}\.[0-9]{3}"
_TIMING = re.compile(rf"{_TIME}[ \t]+-->[ \t]+{_TIME}(?:[ \t].*)?")
_MARK_UP = re.compile(r"<[^>]*>")


def caption_words(text: str, path: str) -> str:
    """Return the words of all cues in their order, each spoken line once.

    Raises:
        SourceInvalid: not a WebVTT file, or a cue without its words.
    """
    blocks = re.split(r"\n(?:[ \t]*\n)+", text.strip())
    if not re.match(r"WEBVTT(?:[ \t\n]|\Z)", blocks[0]):
        raise SourceInvalid(file=path, where="line 1", reason=N_("captions have to begin with the word WEBVTT"))
    cues = [_words_of(block, path) for block in blocks[1:] if not re.match(r"(NOTE|STYLE|REGION)\b", block)]
    return texts.without_isolates("\n".join(cues)).strip()


def _words_of(block: str, path: str) -> str:
    lines = block.split("\n")
    timed = next((number for number, line in enumerate(lines[:2]) if "-->" in line), None)
    if timed is None or _TIMING.fullmatch(lines[timed].strip()) is None:
        reason = N_("this part of the captions has no time such as 00:01.000 --> 00:04.000")
        raise SourceInvalid(file=path, where=lines[0][:60], reason=reason)
    return html.unescape(_MARK_UP.sub("", " ".join(lines[timed + 1 :])))
