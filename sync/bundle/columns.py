"""Columns of values as byte strings that zstd likes: byte planes, bit sets, joined texts.

Integers are folded (0, -1, 1, -2 ... to 0, 1, 2, 3 ...) modulo 2**64, so every difference of two 64-bit numbers has a
place. Readers know how many values to expect and refuse any other length.
"""

import math
import struct
import sys
from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import Any

from sync.bundle.errors import BundleMalformed

_MASK = (1 << 64) - 1
_SIGN = 1 << 63
_EXACT_INTEGER = 1 << 53


def _malformed(column: str) -> BundleMalformed:
    return BundleMalformed(reason=f"column {column}")


def pack_integers(values: Sequence[int]) -> bytes:
    """Return width (1 byte) and that many planes, lowest bytes first; nothing when all are zero."""
    folded = array("Q", map(_fold, values))
    width = (max(folded, default=0).bit_length() + 7) // 8
    if not width:
        return b""
    if sys.byteorder == "big":
        folded.byteswap()
    raw = folded.tobytes()
    return bytes([width]) + b"".join(raw[plane::8] for plane in range(width))


def unpack_integers(column: Any, count: int) -> list[int]:
    """Return `count` integers in the signed 64-bit range."""
    if not isinstance(column, bytes):
        raise _malformed("integers")
    if not column:
        return [0] * count
    width = column[0]
    if not 1 <= width <= 8 or len(column) != 1 + width * count:
        raise _malformed("integers")
    raw = bytearray(8 * count)
    for plane in range(width):
        raw[plane::8] = column[1 + plane * count : 1 + (plane + 1) * count]
    folded = array("Q", bytes(raw))
    if sys.byteorder == "big":
        folded.byteswap()
    return [(value >> 1) ^ -(value & 1) for value in folded]


def wrap(value: int) -> int:
    """Return the number in the signed 64-bit range that equals `value` modulo 2**64."""
    return ((value + _SIGN) & _MASK) - _SIGN


def deltas(values: Iterable[int]) -> list[int]:
    """Return the first value and then the differences."""
    return [wrap(after - before) for before, after in pairwise([0, *values])]


def undo_deltas(differences: Iterable[int]) -> list[int]:
    """Return the values that `deltas` was given."""
    return [wrap(value) for value in accumulate(differences)]


def pack_bits(values: Sequence[bool]) -> bytes:
    """Return the bits, the first in the lowest bit of the first byte."""
    digits = "".join("1" if value else "0" for value in reversed(values))
    return int(digits or "0", 2).to_bytes((len(values) + 7) // 8, "little")


def unpack_bits(column: Any, count: int) -> list[bool]:
    """Return `count` booleans; unused bits must be zero."""
    if not isinstance(column, bytes) or len(column) != (count + 7) // 8:
        raise _malformed("bits")
    bits = [bool(byte >> place & 1) for byte in column for place in range(8)]
    if any(bits[count:]):
        raise _malformed("bits")
    return bits[:count]


def pack_texts(values: Sequence[bytes]) -> list[bytes]:
    """Return lengths and the joined bytes."""
    return [pack_integers([len(value) for value in values]), b"".join(values)]


def unpack_texts(column: Any, count: int) -> list[bytes]:
    """Return `count` byte strings."""
    if not isinstance(column, list) or len(column) != 2 or not isinstance(column[1], bytes):
        raise _malformed("texts")
    lengths, joined = unpack_integers(column[0], count), column[1]
    if min(lengths, default=0) < 0 or sum(lengths) != len(joined):
        raise _malformed("texts")
    return [joined[start:end] for start, end in pairwise([0, *accumulate(lengths)])]


def to_text(raw: bytes) -> str:
    """Return UTF-8 bytes as text."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _malformed("text") from error


def pack_fixed(values: Sequence[bytes]) -> bytes:
    """Return byte strings of one known length, joined."""
    return b"".join(values)


def unpack_fixed(column: Any, count: int, size_bytes: int) -> list[bytes]:
    """Return `count` byte strings of `size_bytes`."""
    if not isinstance(column, bytes) or len(column) != count * size_bytes:
        raise _malformed("bytes")
    return [column[start : start + size_bytes] for start in range(0, len(column), size_bytes)]


def pack_mixed(integers: Sequence[int | None], values: Sequence[float]) -> list[bytes]:
    """Return three parts: the integers, one bit per value that marks where there is none, and those as IEEE doubles.

    The bits are left out when every value has an integer.
    """
    is_other = [integer is None for integer in integers]
    others = [struct.pack("<d", value) for value, other in zip(values, is_other, strict=True) if other]
    present = [integer for integer in integers if integer is not None]
    return [pack_integers(present), pack_bits(is_other) if others else b"", b"".join(others)]


def unpack_mixed(column: Any, count: int) -> list[int | float]:
    """Return `count` numbers: an int where an integer was packed, a finite float elsewhere."""
    if not isinstance(column, list) or len(column) != 3:
        raise _malformed("reals")
    is_other = unpack_bits(column[1], count) if column[1] else [False] * count
    other_count = sum(is_other)
    others = [struct.unpack("<d", raw)[0] for raw in unpack_fixed(column[2], other_count, 8)]
    if not all(map(math.isfinite, others)):
        raise _malformed("reals")
    integers, floats = iter(unpack_integers(column[0], count - other_count)), iter(others)
    return [next(floats) if other else next(integers) for other in is_other]


def scaled(value: float, scale: int = 1) -> int | None:
    """Return `value * scale` when it is a whole number from which `value` comes back exactly, else None."""
    whole = round(value * scale)
    return whole if abs(whole) < _EXACT_INTEGER and whole / scale == value else None


def _fold(value: int) -> int:
    wrapped = wrap(value)
    return (wrapped << 1 ^ wrapped >> 63) & _MASK
