"""Times and durations as xAPI writes them (ISO 8601), to and from integer milliseconds."""

import re
from datetime import UTC, datetime, timedelta

_TIMESTAMP = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d)(?::(\d\d)([.,]\d{1,12})?)?([Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)
_NO_OFFSETS = frozenset({"-00", "-0000", "-00:00"})
_NUMBER = r"(\d{1,15}(?:[.,]\d{1,15})?)"
_DURATION = re.compile(
    rf"P(?=.)(?:{_NUMBER}W|(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}D)?"
    rf"(?:T(?=.)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?)",
    re.ASCII,
)
_SECOND_MS = 1000
_DAY_MS = 24 * 3600 * _SECOND_MS
# A year and a month have no fixed length; these are the Gregorian means, good enough for time spent learning.
_UNITS_MS = (7 * _DAY_MS, 31_556_952_000, 2_629_746_000, _DAY_MS, 3600 * _SECOND_MS, 60 * _SECOND_MS, _SECOND_MS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MS_MAX = 1 << 47


def parse_timestamp(text: str) -> int:
    """Return the moment in milliseconds UTC; a text without an offset is UTC.

    Raises:
        ValueError: not a date and time, or the offset -00:00, which says that the offset is unknown.
    """
    if not (found := _TIMESTAMP.fullmatch(text)):
        raise ValueError("not a timestamp")
    date, minutes, seconds, fraction, offset = found.groups()
    if offset in _NO_OFFSETS:
        raise ValueError("an unknown offset")
    fraction_ms = (fraction or ".0")[1:4].ljust(3, "0")
    offset = "+00:00" if offset in (None, "Z", "z") else offset
    try:
        moment = datetime.fromisoformat(f"{date}T{minutes}:{seconds or '00'}.{fraction_ms}{offset}")
        return (moment - _EPOCH) // _MILLISECOND
    except OverflowError as error:
        raise ValueError("out of range") from error


def format_timestamp(moment_ms: int) -> str:
    """Return a moment with milliseconds and `Z`."""
    moment = _EPOCH + timedelta(milliseconds=moment_ms)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def parse_duration(text: str) -> int:
    """Return a duration in milliseconds.

    Raises:
        ValueError: not an ISO 8601 duration, or longer than four thousand years.
    """
    if not (found := _DURATION.fullmatch(text)):
        raise ValueError("not a duration")
    parts = [part.replace(",", ".") if part else None for part in found.groups()]
    given = [part for part in parts if part]
    if any("." in part for part in given[:-1]):
        raise ValueError("only the last part may have a fraction")
    total_ms = sum(float(part) * unit_ms for part, unit_ms in zip(parts, _UNITS_MS, strict=True) if part)
    if total_ms > _MS_MAX:
        raise ValueError("too long")
    return round(total_ms)


def format_duration(duration_ms: int) -> str:
    """Return a duration in seconds with at most three decimals, such as `PT5.3S`."""
    seconds, rest_ms = divmod(duration_ms, _SECOND_MS)
    fraction = f".{rest_ms:03}".rstrip("0") if rest_ms else ""
    return f"PT{seconds}{fraction}S"
