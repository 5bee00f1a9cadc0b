"""What an operator sends to a school, as JSON lines: parsed and bounded before any of it is written. Pure.

Every line is an object with a `kind`; docs/operator.md lists them. Rows are named by an `id` of the operator's own
choosing, which becomes 16 bytes that say nothing to anybody without this hub's secret; 32 hexadecimal digits are taken
for such bytes themselves, and `code:K7QF` for the class that boxes know by that code.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sync.hub.errors import LetterMalformed

LETTER_MAX_BYTES = 8 << 20
LINES_MAX = 100_000
DAYS_DEFAULT = 30
DAYS_MAX = 3_650
_ID_MAX = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its kind and its fields, each of the right type."""

    no: int
    kind: str
    values: Mapping[str, Any]

    def refuse(self, reason: str) -> LetterMalformed:
        """Return the error that says what is wrong with it."""
        return LetterMalformed(where=f"line {self.no}", reason=reason)


@dataclass(frozen=True, slots=True)
class _Field:
    type: type
    is_needed: bool = False


_ID = _Field(str, is_needed=True)
_TEXT = _Field(str, is_needed=True)
_NUMBER = _Field(int, is_needed=True)
_SWITCH = _Field(bool)
FIELDS: Mapping[str, Mapping[str, _Field]] = {
    "message": {"text": _TEXT, "days": _Field(int), "id": _Field(str)},
    "setting": {"name": _TEXT, "on": _Field(bool, is_needed=True)},
    "class": {"id": _ID, "title": _Field(str), "code": _Field(str), "active": _SWITCH},
    "learner": {
        "id": _ID,
        "given_name": _Field(str),
        "family_name": _Field(str),
        "active": _SWITCH,
        "classes": _Field(list),
    },
    "membership": {"class": _ID, "learner": _ID, "active": _SWITCH},
    "assignment": {"class": _ID, "pack": _TEXT, "lesson": _TEXT, "version": _Field(int), "active": _SWITCH},
    "offer": {
        "pack": _TEXT,
        "version": _NUMBER,
        "root": _TEXT,
        "titles": _Field(dict, is_needed=True),
        "size_bytes": _NUMBER,
        "from_version": _Field(int),
        "patch_bytes": _Field(int),
    },
    "revocation": {"pack": _Field(str), "version": _Field(int), "courier": _Field(str), "box": _Field(str)},
}


def read_letter(text: str) -> list[Line]:
    """Return the lines of a letter; empty ones are left out.

    Raises:
        LetterMalformed: names the first line that is not understood, and says why.
    """
    lines = [_read(no, raw) for no, raw in enumerate(text.splitlines(), 1) if raw.strip()]
    if not lines or len(lines) > LINES_MAX:
        raise LetterMalformed(where="file", reason=f"1 to {LINES_MAX} lines are needed")
    return lines


def _read(no: int, raw: str) -> Line:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise LetterMalformed(where=f"line {no}", reason="not JSON") from error
    if not isinstance(found, dict) or found.get("kind") not in FIELDS:
        raise LetterMalformed(where=f"line {no}", reason="kind: one of " + ", ".join(FIELDS))
    line = Line(no, found.pop("kind"), found)
    flaw = next(_flaws(line), None)
    if flaw is not None:
        raise line.refuse(flaw)
    return line


def _flaws(line: Line) -> Iterator[str]:
    fields = FIELDS[line.kind]
    for name in line.values:
        if name not in fields:
            yield f"{name}: not a field of {line.kind}"
    for name, field in fields.items():
        value = line.values.get(name)
        if name not in line.values:
            if field.is_needed:
                yield f"{name} is missing"
        elif type(value) is not field.type or (isinstance(value, int) and not 0 <= value < 1 << 53):
            yield f"{name}: {_TYPE_WORDS[field.type]} is needed"
        elif field is _ID and not 0 < len(str(value)) <= _ID_MAX:
            yield f"{name}: 1 to {_ID_MAX} characters are needed"
    if line.kind == "learner" and not all(isinstance(each, str) and each for each in line.values.get("classes") or ()):
        yield "classes: a list of ids is needed"


_TYPE_WORDS = {str: "text", int: "a number", bool: "true or false", list: "a list", dict: "an object"}
