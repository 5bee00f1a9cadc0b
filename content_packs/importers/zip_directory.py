"""The structure of a ZIP file (APPNOTE.TXT 6.3.10), read in the one way that leaves no other.

Readers of ZIP files disagree: some go by the list at the end, some by the headers before each file, some by the last
end record and some by the first. What one of them checks another one may not see. So an archive is taken only when its
entries, their descriptors, the list, the end records and the comment lie one after the other without a byte between,
and every header says what the list says. Pure: reads from a seekable file, decides, and writes nothing.
"""

import os
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from content_packs.importers import errors
from content_packs.importers.entry_names import check_distinct, read_name, shown
from content_packs.importers.zip64 import LARGE, Sizes, extra_fields, read_end64, widen, widen_local

STORED, DEFLATED = 0, 8
ENTRIES_MAX = 20_000
TOTAL_MAX_BYTES = 4 * 1024**3
RATIO_MAX = 250
RATIO_FROM_BYTES = 1024**2
DIRECTORY_MAX_BYTES = 16 * 1024**2

_END = struct.Struct("<4s4H2LH")
_LISTED = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_END_MARK, _LISTED_MARK, _LOCAL_MARK, _DESCRIPTOR_MARK = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04", b"PK\x07\x08"
_COMMENT_MAX_BYTES = 0xFFFF
_UNICODE_PATH = 0x7075
_LOCKED_FLAGS = 0x0001 | 0x0040 | 0x2000
_DESCRIPTOR_FLAG = 0x0008
_PATCH_FLAG = 0x0020
_REPARSE_POINT = 0x0400
_LOCKED_METHOD = 99


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder of an archive.

    Attributes:
        name: in normal form C, a folder without its last slash.
        raw: the name as it is stored.
        data_offset: where its packed bytes begin.
    """

    name: str
    raw: bytes
    is_folder: bool
    flags: int
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    header_offset: int
    data_offset: int = 0


@dataclass(frozen=True, slots=True)
class _End:
    """What the end records say, and where the first of them begins."""

    count: int
    directory_bytes: int
    directory_offset: int
    begins: int


def read_directory(
    file: BinaryIO, *, entries_max: int = ENTRIES_MAX, total_max_bytes: int = TOTAL_MAX_BYTES
) -> list[Entry]:
    """Return the entries in the order of the list; none of their content is read.

    Raises:
        One of the errors of `content_packs.importers.errors`, by the first rule that is broken.
    """
    end = _read_end(file)
    if end.count > entries_max:
        raise errors.TooManyEntries(count=end.count, limit=entries_max)
    listed = _read_listed(_read_directory_bytes(file, end), end, entries_max)
    check_distinct((entry.raw, entry.is_folder) for entry in listed)
    _check_sizes(listed, total_max_bytes)
    return _place(file, listed, end.directory_offset)


def _read_end(file: BinaryIO) -> _End:
    size_bytes = file.seek(0, os.SEEK_END)
    tail_bytes = min(size_bytes, _END.size + _COMMENT_MAX_BYTES)
    tail = _read_at(file, size_bytes - tail_bytes, tail_bytes)
    at = _find_end(tail)
    begins = size_bytes - tail_bytes + at
    _mark, disk, first_disk, here, count, listed_bytes, offset, _comment = _END.unpack_from(tail, at)
    if disk or first_disk or here != count:
        raise errors.ArchiveAmbiguous(reason="several disks")
    end64 = read_end64(file, begins, count, listed_bytes, offset)
    end = _End(count, listed_bytes, offset, begins) if end64 is None else _End(*end64)
    if end.directory_offset + end.directory_bytes > end.begins:
        raise errors.ArchiveMalformed(reason="list outside")
    if end.directory_offset + end.directory_bytes < end.begins:
        raise errors.ArchiveAmbiguous(reason="bytes before the list or after it")
    return end


def _find_end(tail: bytes) -> int:
    """Return where the end record is: the one whose comment ends with the file."""
    at = tail.rfind(_END_MARK)
    if at < 0 or at + _END.size > len(tail):
        raise errors.ArchiveMalformed(reason="no end record")
    while at >= 0:
        if at + _END.size + _END.unpack_from(tail, at)[7] == len(tail):
            if _END_MARK in tail[at + 1 :]:
                raise errors.ArchiveAmbiguous(reason="two end records")
            return at
        at = tail.rfind(_END_MARK, 0, at)
    raise errors.ArchiveAmbiguous(reason="bytes after the end")


def _read_directory_bytes(file: BinaryIO, end: _End) -> bytes:
    if end.directory_bytes > DIRECTORY_MAX_BYTES:
        raise errors.TooManyEntries(count=end.directory_bytes // _LISTED.size, limit=ENTRIES_MAX)
    listed = _read_at(file, end.directory_offset, end.directory_bytes)
    if _END_MARK in listed:
        raise errors.ArchiveAmbiguous(reason="two end records")
    return listed


def _read_listed(listed: bytes, end: _End, entries_max: int) -> list[Entry]:
    entries: list[Entry] = []
    at = 0
    while at < len(listed):
        if len(entries) == entries_max:
            raise errors.TooManyEntries(count=len(entries) + 1, limit=entries_max)
        entry, at = _read_entry(listed, at)
        entries.append(entry)
    if len(entries) != end.count:
        raise errors.ArchiveAmbiguous(reason="number of files")
    return entries


def _read_entry(listed: bytes, at: int) -> tuple[Entry, int]:
    if at + _LISTED.size > len(listed) or listed[at : at + 4] != _LISTED_MARK:
        raise errors.ArchiveMalformed(reason="list")
    fields = _LISTED.unpack_from(listed, at)
    flags, method = fields[3], fields[4]
    name_bytes, extra_bytes, comment_bytes, disk = fields[10:14]
    begins = at + _LISTED.size
    ends = begins + name_bytes + extra_bytes + comment_bytes
    if ends > len(listed):
        raise errors.ArchiveMalformed(reason="list")
    raw = listed[begins : begins + name_bytes]
    name = read_name(raw)
    extra = extra_fields(listed[begins + name_bytes : begins + name_bytes + extra_bytes])
    _check_unicode_path(extra, raw)
    sizes = widen(extra, Sizes(size_bytes=fields[9], packed_bytes=fields[8], offset=fields[16]), disk)
    is_folder = _check_kind(raw, fields[15], sizes)
    _check_packing(name, flags, method)
    entry = Entry(
        name, raw, is_folder, flags, method, fields[7], sizes.packed_bytes, sizes.size_bytes, sizes.offset
    )  # fmt: skip
    return entry, ends


def _check_kind(raw: bytes, attributes: int, sizes: Sizes) -> bool:
    """Return whether it is a folder; links and devices are refused whichever system claims to have made them."""
    name, is_folder = shown(raw.decode()), raw.endswith(b"/")
    kind = stat.S_IFMT(attributes >> 16)
    if kind == stat.S_IFLNK or attributes & _REPARSE_POINT:
        raise errors.EntryIsLink(name=name)
    if kind not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG):
        raise errors.EntryIsDevice(name=name)
    if is_folder and (sizes.size_bytes or sizes.packed_bytes > 2):
        raise errors.SizeWrong(name=name)
    return is_folder


def _check_packing(name: str, flags: int, method: int) -> None:
    if flags & _LOCKED_FLAGS or method == _LOCKED_METHOD:
        raise errors.EntryEncrypted(name=shown(name))
    if method not in (STORED, DEFLATED) or flags & _PATCH_FLAG:
        raise errors.MethodUnknown(name=shown(name), method=method)


def _check_unicode_path(extra: Sequence[tuple[int, bytes]], raw: bytes) -> None:
    """Refuse a second name in the extra field: some readers take it, some do not."""
    for field_id, value in extra:
        if field_id == _UNICODE_PATH and value[5:] != raw:
            raise errors.HeaderDiffers(name=shown(raw.decode()))


def _check_sizes(entries: Sequence[Entry], total_max_bytes: int) -> None:
    total_bytes = sum(entry.size_bytes for entry in entries)
    if total_bytes > total_max_bytes:
        raise errors.ArchiveTooLarge(size_bytes=total_bytes, limit_bytes=total_max_bytes)
    for entry in entries:
        if entry.method == STORED and entry.size_bytes != entry.packed_bytes:
            raise errors.SizeWrong(name=shown(entry.name))
        if entry.size_bytes > RATIO_FROM_BYTES and entry.size_bytes > RATIO_MAX * entry.packed_bytes:
            raise errors.RatioTooHigh(name=shown(entry.name), most=RATIO_MAX)


def _place(file: BinaryIO, entries: Sequence[Entry], directory_offset: int) -> list[Entry]:
    """Return the entries with their place, after all of them were found to lie one after the other."""
    ordered = sorted(entries, key=lambda entry: entry.header_offset)
    placed: dict[str, Entry] = {}
    at = 0
    for number, entry in enumerate(ordered):
        if entry.header_offset < at:
            raise errors.EntriesOverlap(name=shown(entry.name))
        if entry.header_offset > at:
            raise errors.ArchiveAmbiguous(reason="bytes before a file")
        following = ordered[number + 1].header_offset if number + 1 < len(ordered) else directory_offset
        placed[entry.name] = _read_local(file, entry, following)
        at = following
    if at != directory_offset:
        raise errors.ArchiveAmbiguous(reason="bytes before the list or after it")
    return [placed[entry.name] for entry in entries]


def _read_local(file: BinaryIO, entry: Entry, following: int) -> Entry:
    """Return the entry with the place of its data, if its own header agrees with the list."""
    head = _read_at(file, entry.header_offset, _LOCAL.size)
    _mark, _version, flags, method, _time, _date, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack(head)
    rest = _read_at(file, entry.header_offset + _LOCAL.size, name_bytes + extra_bytes)
    if (head[:4], flags, method, rest[:name_bytes]) != (_LOCAL_MARK, entry.flags, entry.method, entry.raw):
        raise errors.HeaderDiffers(name=shown(entry.name))
    extra = extra_fields(rest[name_bytes:])
    _check_unicode_path(extra, entry.raw)
    sizes = widen_local(extra, packed, size, (entry.packed_bytes, entry.size_bytes))
    wanted = (entry.crc, entry.packed_bytes, entry.size_bytes)
    has_descriptor = bool(flags & _DESCRIPTOR_FLAG)
    for told, known in zip((crc, *sizes), wanted, strict=True):
        if told != known and not (has_descriptor and told == 0):
            raise errors.HeaderDiffers(name=shown(entry.name))
    begins = entry.header_offset + _LOCAL.size + name_bytes + extra_bytes
    _check_gap(file, entry, begins + entry.packed_bytes, following, has_descriptor)
    return Entry(
        entry.name, entry.raw, entry.is_folder, flags, method, entry.crc, entry.packed_bytes, entry.size_bytes,
        entry.header_offset, begins,
    )  # fmt: skip


def _check_gap(file: BinaryIO, entry: Entry, ends: int, following: int, has_descriptor: bool) -> None:
    """Check that nothing but the descriptor, if there is one, lies before what follows."""
    if ends > following:
        raise errors.EntriesOverlap(name=shown(entry.name))
    if not has_descriptor:
        if ends < following:
            raise errors.ArchiveAmbiguous(reason="bytes after a file")
        return
    values = (entry.crc, entry.packed_bytes, entry.size_bytes)
    forms = [struct.pack("<L2Q", *values)]
    if max(entry.packed_bytes, entry.size_bytes) <= LARGE:
        forms.append(struct.pack("<3L", *values))
    if following - ends > len(_DESCRIPTOR_MARK) + len(forms[0]):
        raise errors.ArchiveAmbiguous(reason="bytes after a file")
    found = _read_at(file, ends, following - ends)
    if found not in [mark + form for form in forms for mark in (b"", _DESCRIPTOR_MARK)]:
        raise errors.HeaderDiffers(name=shown(entry.name))


def _read_at(file: BinaryIO, offset: int, size_bytes: int) -> bytes:
    file.seek(offset)
    found = file.read(size_bytes)
    if len(found) != size_bytes:
        raise errors.ArchiveMalformed(reason="cut short")
    return found
