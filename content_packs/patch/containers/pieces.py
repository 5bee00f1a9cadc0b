"""The opened form: a row of pieces, each a tag, a length and bytes (docs/pack-format.md, Patch, Opened form).

Numbers in the headers of a zip that follow from its contents are stored as the difference from what follows, modulo
2^32: zero as a rule, and in any case to be turned back.
"""

import mmap
import struct
import zlib
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

Buffer = bytes | mmap.mmap

RAW: Final = 0
MEMBER: Final = 1
LOCAL: Final = 2
DESCRIPTOR: Final = 3
CENTRAL: Final = 4
END: Final = 5
ZLIB: Final = 6
PLACES: Final = 7

INFLATED_MAX_BYTES: Final = 8 * 1024**2
PIECE_MAX_BYTES: Final = 1024**2
_STEP_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the container that stay as they are but for the numbers in `fields`.

    Attributes:
        fields: offset and predicted value of each number, 4 bytes little-endian.
    """

    tag: int
    start: int
    end: int
    fields: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """A compressed stream to be opened.

    Attributes:
        number: counts the streams of the container that can be opened, also those that are not.
        header: the piece before it, when its numbers follow from the stream.
        window_bits: as zlib wants it: 15 with a zlib header, -15 without.
        after: pieces that belong to it.
    """

    number: int
    content: bytes
    start: int
    end: int
    window_bits: int
    header: Piece | None = None
    after: tuple[Piece, ...] = ()


Scan = Callable[[Buffer, Container[int]], Iterator[Piece | Stream]]


def opened(pieces: Iterator[Piece | Stream], data: Buffer) -> Iterator[bytes]:
    """Yield the opened form of `data`, given its pieces."""
    for one in pieces:
        if isinstance(one, Piece):
            yield from _written(one, data)
            continue
        if one.header:
            yield from _written(one.header, data)
        else:
            yield bytes([ZLIB])
        yield varint(len(one.content))
        yield one.content
        for piece in one.after:
            yield from _written(piece, data)


def measure(data: Buffer, start: int, end: int, window_bits: int) -> tuple[int, bytes] | None:
    """Return where the stream at `start` ends, and its content; nothing if it is none, too large, or not whole."""
    reader = zlib.decompressobj(window_bits)
    parts: list[bytes] = []
    left_bytes, at = INFLATED_MAX_BYTES, start
    try:
        while not reader.eof and at < end and left_bytes > 0:
            step = data[at : min(at + _STEP_BYTES, end)]
            parts.append(reader.decompress(step, left_bytes))
            left_bytes -= len(parts[-1])
            at += len(step) - len(reader.unused_data)
            if reader.unconsumed_tail:
                return None
    except zlib.error:
        return None
    return (at, b"".join(parts)) if reader.eof else None


def varint(value: int) -> bytes:
    """Return a number of at least 0, seven bits a byte, the lowest first, the top bit set on all but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def shifted(header: bytes, fields: tuple[tuple[int, int], ...], sign: int) -> bytes:
    """Return `header` with the predictions taken off (sign -1) or put on (sign 1)."""
    out = bytearray(header)
    for offset, predicted in fields:
        (value,) = struct.unpack_from("<I", out, offset)
        struct.pack_into("<I", out, offset, value + sign * predicted & 0xFFFFFFFF)
    return bytes(out)


def places_opened(table: bytes) -> bytes:
    """Return numbers of 4 bytes, big-endian, each as the difference from the one before, modulo 2^32."""
    numbers = struct.unpack(f">{len(table) // 4}I", table)
    before = (0, *numbers)
    return struct.pack(
        f">{len(numbers)}I", *(one - last & 0xFFFFFFFF for one, last in zip(numbers, before, strict=False))
    )


def places_closed(table: bytes) -> bytes:
    """Undo `places_opened`."""
    differences = struct.unpack(f">{len(table) // 4}I", table)
    return struct.pack(f">{len(differences)}I", *(one & 0xFFFFFFFF for one in accumulate(differences)))


def _written(piece: Piece, data: Buffer) -> Iterator[bytes]:
    if piece.start == piece.end:
        return
    yield bytes([piece.tag]) + varint(piece.end - piece.start)
    if piece.tag == PLACES:
        yield places_opened(data[piece.start : piece.end])
        return
    if piece.fields:
        yield shifted(data[piece.start : piece.end], piece.fields, -1)
        return
    for at in range(piece.start, piece.end, _STEP_BYTES):
        yield data[at : min(at + _STEP_BYTES, piece.end)]
