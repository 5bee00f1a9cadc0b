"""Byte ranges (RFC 9110 section 14): one range is served, several or odd ones are ignored as the RFC allows."""

import re

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


class RangeUnsatisfiable(Exception):
    """The range lies behind the end of the file."""


def parse_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """Return first byte and length of the wanted range; None means the whole file.

    Raises:
        RangeUnsatisfiable: no byte of the file is in the range.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        length = min(int(last), size_bytes)
        start = size_bytes - length
    else:
        start = int(first)
        end = min(int(last), size_bytes - 1) if last else size_bytes - 1
        if last and int(last) < start:
            return None
        length = end - start + 1
    if length <= 0:
        raise RangeUnsatisfiable
    return start, length
