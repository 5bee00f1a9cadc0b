"""The tables in an MP4 file that say where its chunks are (ISO/IEC 14496-12, 8.7.5): they move together when something
is added in front, so each place is stored as the difference from the one before. Nothing in the file is compressed.
"""

import struct
from collections.abc import Container, Iterator
from typing import Final

from content_packs.patch.containers.pieces import PIECE_MAX_BYTES, PLACES, RAW, Buffer, Piece, Stream

_AROUND: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_BOX_BYTES: Final = 8
_TABLE_HEAD_BYTES: Final = 8
_PLACE_BYTES: Final = 4
_BOXES_MAX: Final = 10_000


def scan_mp4(data: Buffer, _left: Container[int]) -> Iterator[Piece | Stream]:
    """Yield the pieces of `data`, in order and without a gap; a file that is not as usual is one raw piece."""
    at = 0
    for start, end in _tables(data):
        yield Piece(RAW, at, start)
        yield Piece(PLACES, start, end)
        at = end
    yield Piece(RAW, at, len(data))


def _tables(data: Buffer) -> list[tuple[int, int]]:
    """Return where the numbers of the tables of 32-bit places are, in order."""
    found: list[tuple[int, int]] = []
    at, boxes = 0, 0
    while at + _BOX_BYTES <= len(data) and boxes < _BOXES_MAX:
        length, kind = struct.unpack_from(">I4s", data, at)
        boxes += 1
        if kind in _AROUND and length >= _BOX_BYTES:
            at += _BOX_BYTES
            continue
        head_bytes = _BOX_BYTES
        if length == 1 and at + 2 * _BOX_BYTES <= len(data):
            (length,) = struct.unpack_from(">Q", data, at + _BOX_BYTES)
            head_bytes = 2 * _BOX_BYTES
        if length < head_bytes or at + length > len(data):
            break
        start = at + _BOX_BYTES + _TABLE_HEAD_BYTES
        places_bytes = (length - _BOX_BYTES - _TABLE_HEAD_BYTES) // _PLACE_BYTES * _PLACE_BYTES
        if kind == b"stco" and 0 < places_bytes <= PIECE_MAX_BYTES:
            found.append((start, start + places_bytes))
        at += length
    return found
