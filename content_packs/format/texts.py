"""Rules for text that people read: its normal form, its length, and marks that could turn it around on the screen."""

import re
import unicodedata

TITLE_MAX = 200
SHORT_MAX = 500
LONG_MAX = 4000
SEARCH_MAX_BYTES = 64 * 1024
LANGUAGES_MAX = 40
NEUTRAL = "und"

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{1,8}){0,4}")
_DURATION = re.compile(r"P(?=[0-9T])([0-9]{1,4}D)?(T(?=[0-9])([0-9]{1,4}H)?([0-9]{1,4}M)?([0-9]{1,5}S)?)?")
# Controls but for the new line; separators; surrogates; and embeddings and overrides, which can show one text as
# another. The plain marks U+200E and U+200F, the joiners that Persian and Hindi spelling needs, and closed isolates,
# which keep a formula in order inside Arabic, stay.
_REFUSED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")
_ISOLATES = re.compile("[\u2066-\u2069]")
_CLOSING = "\u2069"


def is_plain(text: str) -> bool:
    """Return whether `text` is in normal form C without control marks (new line excepted) and turning marks."""
    return _REFUSED.search(text) is None and unicodedata.is_normalized("NFC", text) and _are_closed(text)


def make_plain(text: str) -> str:
    """Return `text` in the form that `is_plain` accepts; tabs and carriage returns become what they mean."""
    spaced = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    kept = _REFUSED.sub("", spaced)
    return unicodedata.normalize("NFC", kept if _are_closed(kept) else without_isolates(kept)).strip()


def without_isolates(text: str) -> str:
    """Return `text` without the marks that keep a direction together, for searching."""
    return _ISOLATES.sub("", text)


def _are_closed(text: str) -> bool:
    """Return whether every isolate is closed on its own line."""
    for line in text.split("\n"):
        depth = 0
        for mark in _ISOLATES.findall(line):
            depth += -1 if mark == _CLOSING else 1
            if depth < 0:
                return False
        if depth:
            return False
    return True


def shorten(text: str, max_bytes: int) -> str:
    """Return as much of `text` as fits in `max_bytes` of UTF-8, cut between characters."""
    return text.encode()[:max_bytes].decode(errors="ignore")


def is_language(tag: str) -> bool:
    """Return whether `tag` has the form of a BCP 47 language tag (`en`, `zh-Hans`, or `und` for none)."""
    return _LANGUAGE.fullmatch(tag) is not None


def is_duration(text: str) -> bool:
    """Return whether `text` is an ISO 8601 duration in days, hours, minutes and seconds, such as `PT1H30M`."""
    return _DURATION.fullmatch(text) is not None
