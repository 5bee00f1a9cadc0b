"""What a zip archive is made of (APPNOTE 6.3.10, sections 4.3 and 4.4), for EPUB, H5P, SCORM and the like.

The list at the end of the archive says where members are. An archive in which that is not as usual is one raw piece.
"""

import struct
import zlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Final

from content_packs.patch.containers.pieces import (
    CENTRAL,
    DESCRIPTOR,
    END,
    LOCAL,
    MEMBER,
    PIECE_MAX_BYTES,
    RAW,
    Buffer,
    Piece,
    Stream,
    measure,
)

LOCAL_BYTES: Final = 30
CENTRAL_BYTES: Final = 46
END_BYTES: Final = 22
CRC_AT, PACKED_AT, SIZE_AT, NAMES_AT, FLAGS_AT = 14, 18, 22, 26, 6
CENTRAL_CRC_AT, CENTRAL_PACKED_AT, CENTRAL_SIZE_AT, CENTRAL_OFFSET_AT = 16, 20, 24, 42
END_SIZE_AT, END_OFFSET_AT = 12, 16
WITH_DESCRIPTOR: Final = 8
DESCRIPTOR_MARK: Final = b"PK\x07\x08"

_DEFLATED = 8
_COMMENT_MAX_BYTES = 0xFFFF
_MEMBERS_MAX = 65_534


@dataclass(frozen=True, slots=True)
class Values:
    """What the list at the end should say of a member; of one that was not opened only its place is known."""

    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int


@dataclass(frozen=True, slots=True)
class _Listed:
    start: int
    end: int
    method: int
    packed_bytes: int
    offset: int


def scan_zip(data: Buffer, left: Container[int]) -> Iterator[Piece | Stream]:
    """Yield the pieces of the archive in `data`, in order and without a gap; streams numbered in `left` stay raw."""
    found = _read_list(data)
    if found is None:
        yield Piece(RAW, 0, len(data))
        return
    listed, end_at = found
    first, last = listed[0].start, listed[-1].end
    by_place = sorted(listed, key=lambda one: one.offset)
    limits = [one.offset for one in by_place[1:]] + [first]
    yield Piece(RAW, 0, by_place[0].offset)
    values: list[Values] = []
    number = 0
    for one, limit in zip(by_place, limits, strict=True):
        stream = _stream(data, one, number, limit)
        number += stream is not None
        if stream is None or stream.number in left:
            values.append(Values(0, 0, 0, one.offset))
            yield Piece(MEMBER, one.offset, limit)
        else:
            crc, packed_bytes = zlib.crc32(stream.content), stream.end - stream.start
            values.append(Values(crc, packed_bytes, len(stream.content), one.offset))
            yield stream
    for one, predicted in zip(listed, values, strict=True):
        yield Piece(CENTRAL, one.start, one.end, central_fields(predicted))
    yield Piece(RAW, last, end_at)
    yield Piece(END, end_at, end_at + END_BYTES, end_fields(first, last))
    yield Piece(RAW, end_at + END_BYTES, len(data))


def local_fields(flags: int, crc: int, packed_bytes: int, size_bytes: int) -> tuple[tuple[int, int], ...]:
    """Return what can be predicted in the header of a member; with a descriptor behind it the numbers are there."""
    if flags & WITH_DESCRIPTOR:
        return ()
    return ((CRC_AT, crc), (PACKED_AT, packed_bytes), (SIZE_AT, size_bytes))


def descriptor_fields(has_mark: bool, crc: int, packed_bytes: int, size_bytes: int) -> tuple[tuple[int, int], ...]:
    """Return what can be predicted in a descriptor."""
    start = len(DESCRIPTOR_MARK) if has_mark else 0
    return ((start, crc), (start + 4, packed_bytes), (start + 8, size_bytes))


def central_fields(values: Values) -> tuple[tuple[int, int], ...]:
    """Return what can be predicted in an entry of the list."""
    return (
        (CENTRAL_CRC_AT, values.crc),
        (CENTRAL_PACKED_AT, values.packed_bytes),
        (CENTRAL_SIZE_AT, values.size_bytes),
        (CENTRAL_OFFSET_AT, values.offset),
    )


def end_fields(first: int, last: int) -> tuple[tuple[int, int], ...]:
    """Return what can be predicted in the end record: size and place of the list."""
    return ((END_SIZE_AT, last - first), (END_OFFSET_AT, first))


def _read_list(data: Buffer) -> tuple[list[_Listed], int] | None:
    end_at = data.rfind(b"PK\x05\x06", max(0, len(data) - END_BYTES - _COMMENT_MAX_BYTES))
    if end_at < 0 or end_at + END_BYTES > len(data):
        return None
    count, size_bytes, first = struct.unpack_from("<HII", data, end_at + 10)
    if not 0 < count <= _MEMBERS_MAX or first + size_bytes > end_at:
        return None
    listed: list[_Listed] = []
    at = first
    for _ in range(count):
        one = _read_listed(data, at, first)
        if one is None:
            return None
        listed.append(one)
        at = one.end
    offsets = {one.offset for one in listed}
    return (listed, end_at) if len(offsets) == count and at <= end_at else None


def _read_listed(data: Buffer, at: int, first: int) -> _Listed | None:
    if data[at : at + 4] != b"PK\x01\x02" or at + CENTRAL_BYTES > len(data):
        return None
    (method,) = struct.unpack_from("<H", data, at + 10)
    (packed_bytes,) = struct.unpack_from("<I", data, at + CENTRAL_PACKED_AT)
    lengths = struct.unpack_from("<HHH", data, at + 28)
    (offset,) = struct.unpack_from("<I", data, at + CENTRAL_OFFSET_AT)
    end = at + CENTRAL_BYTES + sum(lengths)
    if end > len(data) or offset + LOCAL_BYTES > first or data[offset : offset + 4] != b"PK\x03\x04":
        return None
    return _Listed(at, end, method, packed_bytes, offset)


def _stream(data: Buffer, one: _Listed, number: int, limit: int) -> Stream | None:
    """Return the member as a stream that can be opened, nothing if it cannot."""
    offset = one.offset
    start = offset + LOCAL_BYTES + sum(struct.unpack_from("<HH", data, offset + NAMES_AT))
    end = start + one.packed_bytes
    if one.method != _DEFLATED or end > limit or start - offset > PIECE_MAX_BYTES:
        return None
    measured = measure(data, start, end, -zlib.MAX_WBITS)
    if measured is None or measured[0] != end:
        return None
    content = measured[1]
    told = (zlib.crc32(content), end - start, len(content))
    (flags,) = struct.unpack_from("<H", data, offset + FLAGS_AT)
    header = Piece(LOCAL, offset, start, local_fields(flags, *told))
    after = _after(data, flags, end, limit, told)
    return Stream(number, content, start, end, -zlib.MAX_WBITS, header, after)


def _after(data: Buffer, flags: int, at: int, limit: int, told: tuple[int, int, int]) -> tuple[Piece, ...]:
    """Return the pieces between the stream of a member and the next member."""
    has_mark = data[at : at + 4] == DESCRIPTOR_MARK
    length = 12 + len(DESCRIPTOR_MARK) * has_mark
    pieces: list[Piece] = []
    if flags & WITH_DESCRIPTOR and at + length <= limit:
        pieces.append(Piece(DESCRIPTOR, at, at + length, descriptor_fields(has_mark, *told)))
        at += length
    if at < limit:
        pieces.append(Piece(RAW, at, limit))
    return tuple(pieces)
