"""Sizes in 64 bits (APPNOTE.TXT 4.3.14, 4.3.15 and 4.5.3): taken where 32 bits do not suffice, and nowhere else."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from content_packs.importers.errors import ArchiveMalformed, Zip64Wrong

LARGE = 0xFFFFFFFF
MANY = 0xFFFF

_FIELD_ID = 0x0001
_FIELD_HEAD = struct.Struct("<HH")
_LOCATOR = struct.Struct("<4sLQL")
_RECORD = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_MARK, _RECORD_MARK = b"PK\x06\x07", b"PK\x06\x06"
_RECORD_REST_BYTES = _RECORD.size - 12


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the list says of one entry, in bytes."""

    size_bytes: int
    packed_bytes: int
    offset: int


def read_end64(
    file: BinaryIO, end_begins: int, count: int, directory_bytes: int, directory_offset: int
) -> tuple[int, int, int, int] | None:
    """Return count, size and offset of the list and where the records begin, or None for an archive without them.

    Raises:
        Zip64Wrong: they contradict the end record, or are missing though it needs them.
    """
    told = (count, directory_bytes, directory_offset)
    locator = _read_locator(file, end_begins)
    if locator is None:
        if count == MANY or LARGE in told:
            raise Zip64Wrong
        return None
    _mark, disk, offset, disks = _LOCATOR.unpack(locator)
    if disk or disks != 1 or offset + _RECORD.size != end_begins - _LOCATOR.size:
        raise Zip64Wrong
    file.seek(offset)
    mark, rest_bytes, _made, _needed, disk, first_disk, here, *found = _RECORD.unpack(file.read(_RECORD.size))
    if (mark, rest_bytes, disk, first_disk, here) != (_RECORD_MARK, _RECORD_REST_BYTES, 0, 0, found[0]):
        raise Zip64Wrong
    for narrow, wide, full in zip(told, found, (MANY, LARGE, LARGE), strict=True):
        if narrow not in (wide, full):
            raise Zip64Wrong
    return found[0], found[1], found[2], offset


def extra_fields(extra: bytes) -> list[tuple[int, bytes]]:
    """Return the fields of an extra block as (id, value); a few bytes of padding at its end are passed over.

    Raises:
        ArchiveMalformed: a field that ends outside.
    """
    fields: list[tuple[int, bytes]] = []
    at = 0
    while at + _FIELD_HEAD.size <= len(extra):
        field_id, value_bytes = _FIELD_HEAD.unpack_from(extra, at)
        at += _FIELD_HEAD.size
        if at + value_bytes > len(extra):
            raise ArchiveMalformed(reason="extra field")
        fields.append((field_id, extra[at : at + value_bytes]))
        at += value_bytes
    return fields


def widen(extra: Sequence[tuple[int, bytes]], told: Sizes, disk: int) -> Sizes:
    """Return the sizes with those that are too large for 32 bits taken from the extra field.

    Raises:
        Zip64Wrong: a field that is missing, there without need, or of another length; or another disk.
    """
    value = _only_field(extra)
    wanted = [size == LARGE for size in (told.size_bytes, told.packed_bytes, told.offset)]
    if disk or len(value or b"") != 8 * sum(wanted) or (value is None) == any(wanted):
        raise Zip64Wrong
    wide = iter(struct.unpack(f"<{sum(wanted)}Q", value or b""))
    return Sizes(
        size_bytes=next(wide) if wanted[0] else told.size_bytes,
        packed_bytes=next(wide) if wanted[1] else told.packed_bytes,
        offset=next(wide) if wanted[2] else told.offset,
    )


def widen_local(extra: Sequence[tuple[int, bytes]], packed: int, size: int, known: tuple[int, int]) -> tuple[int, int]:
    """Return packed and full size of a local header, from its extra field when both say so.

    Writers that stream leave room for large sizes without using it: then the field has zeros or the truth.

    Raises:
        Zip64Wrong: a field of another length, or that says something else than `known`.
    """
    value = _only_field(extra)
    if value is None:
        if LARGE in (packed, size):
            raise Zip64Wrong
        return packed, size
    if len(value) != 16:
        raise Zip64Wrong
    wide_size, wide_packed = struct.unpack("<2Q", value)
    if wide_packed not in (0, known[0]) or wide_size not in (0, known[1]):
        raise Zip64Wrong
    return (wide_packed if packed == LARGE else packed), (wide_size if size == LARGE else size)


def _read_locator(file: BinaryIO, end_begins: int) -> bytes | None:
    if end_begins < _LOCATOR.size + _RECORD.size:
        return None
    file.seek(end_begins - _LOCATOR.size)
    found = file.read(_LOCATOR.size)
    return found if found.startswith(_LOCATOR_MARK) else None


def _only_field(extra: Sequence[tuple[int, bytes]]) -> bytes | None:
    values = [value for field_id, value in extra if field_id == _FIELD_ID]
    if len(values) > 1:
        raise Zip64Wrong
    return values[0] if values else None
