"""JSON values and the checks of the small ones that xAPI is made of: IRIs, UUIDs, times, texts by language."""

import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from content_packs.base.errors import N_, EdgeboxError
from sync.records.kinds import MS_MAX, REAL_MAX
from sync.records.moments import parse_duration, parse_timestamp

DEPTH_MAX = 24
TEXT_MAX_CHARACTERS = 16 * 1024
IRI_MAX_CHARACTERS = 2000
MEMBERS_MAX = 500

Check = Callable[[Any, str], None]


class StatementMalformed(EdgeboxError):
    """JSON that is not a valid xAPI value."""

    code = "record.statement_malformed"
    status = 400
    exit_code = 83
    sentence = N_("The statement is not valid xAPI: {reason} ({where}).")
    remedy = N_("Tell the maker of the learning app.")


def parse_json(body: bytes) -> Any:
    """Return the JSON value of `body`, with text that can be stored, no name twice and no NaN.

    Raises:
        StatementMalformed
    """
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique_pairs)
    except (ValueError, RecursionError) as error:
        raise StatementMalformed(where="body", reason="not JSON") from error
    _check_plain(value, DEPTH_MAX)
    return value


def canonical_json(value: Any) -> bytes:
    """Return JSON bytes that are equal for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def check_iri(value: Any, where: str) -> None:
    """Return if a JSON value is an absolute IRI.

    Raises:
        StatementMalformed
    """
    if not isinstance(value, str) or len(value) > IRI_MAX_CHARACTERS or not _IRI.fullmatch(value):
        raise StatementMalformed(where=where, reason="not an IRI")


def check_uuid(value: Any, where: str) -> None:
    """Return if a JSON value is a UUID.

    Raises:
        StatementMalformed
    """
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise StatementMalformed(where=where, reason="not a UUID")


def check_content_type(value: str, where: str) -> None:
    """Return if a content type can be stored and given back as a header: printable ASCII.

    Raises:
        StatementMalformed
    """
    if not _CONTENT_TYPE.fullmatch(value):
        raise StatementMalformed(where=where, reason="not a content type")


def check_fields(value: Any, where: str, fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> None:
    """Return if a JSON value is an object with these fields and no others.

    Raises:
        StatementMalformed
    """
    if not isinstance(value, dict):
        raise StatementMalformed(where=where, reason="not an object")
    for name in required:
        if name not in value:
            raise StatementMalformed(where=f"{where}.{name}", reason="missing")
    for name, element in value.items():
        if name not in fields:
            raise StatementMalformed(where=f"{where}.{name}"[:200], reason="not known to xAPI")
        fields[name](element, f"{where}.{name}")


def object_of(fields: Mapping[str, Check], *required: str) -> Check:
    """Return the check of an object with these fields."""
    return lambda value, where: check_fields(value, where, fields, required)


def check_text(value: Any, where: str) -> None:
    """Return if a JSON value is text. Raises StatementMalformed, as all checks here."""
    if not isinstance(value, str):
        raise StatementMalformed(where=where, reason="not text")


def matches(pattern: re.Pattern[str]) -> Check:
    """Return the check of a text of one form."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise StatementMalformed(where=where, reason="not of the right form")

    return check


def one_of(*values: str) -> Check:
    """Return the check of a text that is one of a few."""

    def check(value: Any, where: str) -> None:
        if value not in values:
            raise StatementMalformed(where=where, reason="not one of " + ", ".join(values))

    return check


def check_boolean(value: Any, where: str) -> None:
    """Return if a JSON value is true or false."""
    if not isinstance(value, bool):
        raise StatementMalformed(where=where, reason="not true or false")


def check_number(value: Any, where: str) -> None:
    """Return if a JSON value is a number that bundles can carry."""
    # A larger one could be stored, and would never leave the box.
    if type(value) not in (int, float) or not abs(value) <= REAL_MAX:
        raise StatementMalformed(where=where, reason="not a number")


def check_whole_number(value: Any, where: str) -> None:
    """Return if a JSON value is a whole number of at least 0."""
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise StatementMalformed(where=where, reason="not a whole number")


def list_of(check_element: Check, *, least: int = 0) -> Check:
    """Return the check of a list of at least so many elements."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or not least <= len(value) <= MEMBERS_MAX:
            raise StatementMalformed(where=where, reason="not a list, too short or too long")
        for index, element in enumerate(value):
            check_element(element, f"{where}[{index}]")

    return check


def check_timestamp(value: Any, where: str) -> None:
    """Return if a JSON value is a moment that can be stored."""
    if _parsed(parse_timestamp, value, where, "a timestamp") > MS_MAX:
        raise StatementMalformed(where=where, reason="too far in the future")


def check_duration(value: Any, where: str) -> None:
    """Return if a JSON value is an ISO 8601 duration."""
    _parsed(parse_duration, value, where, "a duration")


def check_texts_by_language(value: Any, where: str) -> None:
    """Return if a JSON value is a language map."""
    if not isinstance(value, dict) or not all(_LANGUAGE.fullmatch(tag) for tag in value):
        raise StatementMalformed(where=where, reason="not texts by language")
    for text in value.values():
        check_text(text, where)


def check_extensions(value: Any, where: str) -> None:
    """Return if a JSON value is an object whose names are IRIs."""
    if not isinstance(value, dict):
        raise StatementMalformed(where=where, reason="not an object")
    for name in value:
        check_iri(name, where)


_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`\x00-\x20]+")
_CONTENT_TYPE = re.compile("[ -~]{1,255}")
_UUID = re.compile("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_LANGUAGE = re.compile("[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

check_language = matches(_LANGUAGE)


def _parsed(parse: Callable[[str], int], value: Any, where: str, what: str) -> int:
    try:
        return parse(value)
    except (ValueError, TypeError) as error:
        raise StatementMalformed(where=where, reason=f"not {what}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _check_plain(value: Any, depth_left: int) -> None:
    """Refuse what cannot be stored or would be absurd, wherever it stands."""
    if depth_left < 0:
        raise StatementMalformed(where="body", reason="too deep")
    if isinstance(value, str):
        if len(value) > TEXT_MAX_CHARACTERS or _UNSTORABLE.search(value):
            raise StatementMalformed(where="body", reason="text too long or not storable")
    elif isinstance(value, float):
        if not isfinite(value):
            raise StatementMalformed(where="body", reason="a number that is too large")
    elif isinstance(value, dict):
        for name, element in value.items():
            _check_plain(name, depth_left)
            _check_plain(element, depth_left - 1)
    elif isinstance(value, list):
        for element in value:
            _check_plain(element, depth_left - 1)
