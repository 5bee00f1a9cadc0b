"""Boots as one string of bytes: what re-times thousands of statements takes as few as it can.

See docs/bundle-format.md, "Boots".
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sync.bundle.errors import BundleMalformed
from sync.records.rows import Boot

_NUMBER_MAX_BYTES = 10


def pack_boots(boots: Sequence[Boot]) -> bytes:
    """Return the records one after the other, each as three numbers, or four with the start."""
    return b"".join(map(_pack, boots))


def unpack_boots(packed: Any, count: int) -> Iterator[Boot]:
    """Give back `count` records.

    Raises:
        BundleMalformed: these are not the bytes of so many.
    """
    if not isinstance(packed, bytes):
        raise BundleMalformed(reason="boots")
    place = 0
    for _ in range(count):
        no, place = _read(packed, place)
        code, place = _read(packed, place)
        offset, place = _read(packed, place)
        start_ms = None
        if code & 1:
            folded, place = _read(packed, place)
            start_ms = _unfold(folded)
        yield Boot(no, _unfold(offset), code >> 1, start_ms)
    if place != len(packed):
        raise BundleMalformed(reason="boots")


def _pack(boot: Boot) -> bytes:
    code = boot.quality << 1 | (boot.start_ms is not None)
    numbers = [boot.no, code, _fold(boot.offset_ms)]
    if boot.start_ms is not None:
        numbers.append(_fold(boot.start_ms))
    return b"".join(map(_write, numbers))


def _fold(value: int) -> int:
    return value << 1 if value >= 0 else -(value << 1) - 1


def _unfold(folded: int) -> int:
    return (folded >> 1) ^ -(folded & 1)


def _write(number: int) -> bytes:
    """Return a number seven bits a byte, lowest first; the high bit says that more follow (LEB128)."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def _read(packed: bytes, place: int) -> tuple[int, int]:
    """Return the number at a place, and the place behind it; there is one way to write each number."""
    number = 0
    for count, byte in enumerate(packed[place : place + _NUMBER_MAX_BYTES]):
        number |= (byte & 0x7F) << 7 * count
        if byte <= 0x7F:
            if byte == 0 and count:
                break
            return number, place + count + 1
    raise BundleMalformed(reason="boots")
