"""The rules of marking; web/src/marking.js has the same ones for pages with script."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PASS_SCALED = 0.6
_THREE_STARS_SCALED = 0.9
_EXACT = 1e-9
_RESPONSE_MAX_CHARACTERS = 500
_FORMS = str.maketrans(
    {chr(zero + digit): str(digit) for zero in (0x660, 0x6F0, 0xFF10) for digit in range(10)}
    | {
        "٫": ".",
        ",": ".",
        chr(0xFF0C): ".",
        chr(0xFF0E): ".",
        chr(0x2212): "-",
        chr(0xFF0D): "-",
        chr(0xFF0B): "+",
        chr(0x2044): "/",
        chr(0xFF0F): "/",
    }
)
_NUMBER = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:/([0-9]+))?")


@dataclass(frozen=True)
class Marked:
    """One answered question."""

    item_id: str
    response: str
    success: bool


@dataclass(frozen=True)
class Outcome:
    """A finished quiz."""

    score: int
    total: int
    stars: int
    success: bool


def parse_number(written: str) -> float | None:
    """Return a number as children write it: any digits, comma or point, a fraction; None when it is none."""
    plain = re.sub(r"\s", "", written.translate(_FORMS))
    if not (found := _NUMBER.fullmatch(plain)):
        return None
    below = float(found[2] or 1)
    return float(found[1]) / below if below else None


def is_right(item: Mapping[str, Any], response: str) -> bool:
    """Tell whether a response is right: option ids joined by a comma, or a number as written."""
    if item["type"] == "number":
        number = parse_number(response)
        return number is not None and abs(number - item["answer"]) <= max(_EXACT, item.get("tolerance", 0))
    return response == ",".join(sorted(option["id"] for option in item["option"] if option["correct"]))


def mark(items: Sequence[Mapping[str, Any]], given: Mapping[str, Sequence[str]]) -> list[Marked]:
    """Return every question with what was answered, in order; an empty response when it was left out."""
    marked = []
    for item in items:
        response = ",".join(sorted(given.get(item["id"], ()))).strip()[:_RESPONSE_MAX_CHARACTERS]
        marked.append(Marked(item["id"], response, is_right(item, response)))
    return marked


def outcome(marked: Sequence[Marked]) -> Outcome:
    """Return the score, the stars and whether it is passed."""
    score = sum(each.success for each in marked)
    scaled = score / len(marked)
    success = scaled >= PASS_SCALED
    stars = 3 if scaled >= _THREE_STARS_SCALED else 2 if success else 1
    return Outcome(score, len(marked), stars, success)
