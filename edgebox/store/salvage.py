"""Rows out of the pages of a damaged database, whatever still refers to them.

Reads the file format of SQLite (https://www.sqlite.org/fileformat2.html, sections 1.5 to 1.6, 2 and 4): the cells of
every index page, in which tables without rowid keep their rows, in the file and in its log. What was deleted is left
alone: neither the pages in the free list nor the gaps in pages are read. Nothing found here may be believed without a
seal.
"""

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_HEAD_BYTES = 100
_MAGIC = b"SQLite format 3\0"
_PAGE_SIZE = 4096  # that of every database the box makes
_LOG_HEAD_BYTES = 32
_FRAME_HEAD_BYTES = 24
_INTERIOR, _LEAF = 2, 10  # index pages
_VARINT_MAX_BYTES = 9
_ID_BYTES = 16
_ID_KIND = 12 + 2 * _ID_BYTES  # a blob of so many bytes
_INTEGER_BYTES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
_OVERFLOW_MAX_BYTES = 4 << 20

Record = list[Any]


def good_head(head: bytes) -> bytes:
    """Return the 100 bytes a database begins with, what is the same in all of the box's put right (section 1.3)."""
    fixed = _MAGIC + struct.pack(">H", _PAGE_SIZE) + bytes([2, 2, 0, 64, 32, 32])
    return fixed + head[len(fixed) : 44] + struct.pack(">I", 4) + head[48:56] + struct.pack(">I", 1) + head[60:]


def size_by_head(head: bytes) -> int:
    """Return how large a database says it is."""
    return int.from_bytes(head[28:32], "big") * _PAGE_SIZE


def read_records(path: Path, is_wanted: Callable[[bytes], bool]) -> Iterator[Record]:
    """Return the rows that index pages hold and that begin with 16 bytes that are wanted, each perhaps several times.

    What cannot be read is left out.
    """
    log = path.with_name(f"{path.name}-wal")
    with path.open("rb") as file, (log if log.exists() else Path(os.devnull)).open("rb") as log_file:
        pages = _Pages(file.fileno(), log_file.fileno())
        free = pages.free()
        for no in range(2, pages.count + 1):
            if no not in free:
                yield from _records_in(pages, pages.read(no), is_wanted)


class _Pages:
    """The pages of a database as its log leaves them."""

    def __init__(self, file: int, log: int) -> None:
        self._file, self._log = file, log
        self._logged = _find_logged(log)
        self.count = max([os.fstat(file).st_size // _PAGE_SIZE, *self._logged])

    def read(self, no: int) -> bytes:
        """Return a page, empty when the disk does not give it."""
        try:
            if no in self._logged:
                return os.pread(self._log, _PAGE_SIZE, self._logged[no])
            return os.pread(self._file, _PAGE_SIZE, (no - 1) * _PAGE_SIZE)
        except OSError:
            return b""

    def free(self) -> set[int]:
        """Return the pages of the free list, as far as it can be followed."""
        found: set[int] = set()
        head = self.read(1)
        trunk = int.from_bytes(head[32:36], "big")
        while trunk and trunk not in found and len(page := self.read(trunk)) == _PAGE_SIZE:
            found.add(trunk)
            trunk, leaves = struct.unpack_from(">II", page)
            count = min(leaves, _PAGE_SIZE // 4 - 2)
            found.update(struct.unpack_from(f">{count}I", page, 8))
        return found


def _find_logged(log: int) -> dict[int, int]:
    """Return where in the log the last version of each page is. A half-written frame shows in its seals."""
    size_bytes = os.fstat(log).st_size
    salts = os.pread(log, _LOG_HEAD_BYTES, 0)[16:24]
    found = {}
    for at in range(_LOG_HEAD_BYTES, size_bytes - _PAGE_SIZE, _FRAME_HEAD_BYTES + _PAGE_SIZE):
        head = os.pread(log, _FRAME_HEAD_BYTES, at)
        if head[8:16] != salts:
            break
        found[int.from_bytes(head[:4], "big")] = at + _FRAME_HEAD_BYTES
    return found


def _records_in(pages: _Pages, page: bytes, is_wanted: Callable[[bytes], bool]) -> Iterator[Record]:
    if len(page) < _PAGE_SIZE or page[0] not in (_INTERIOR, _LEAF):
        return
    is_leaf = page[0] == _LEAF
    count = int.from_bytes(page[3:5], "big")
    first = 8 if is_leaf else 12
    for place in range(first, min(first + 2 * count, _PAGE_SIZE - 1), 2):
        at = int.from_bytes(page[place : place + 2], "big") + (0 if is_leaf else 4)
        try:
            if is_wanted(_first_of(page, at)):
                yield _decode(_payload(pages, page, at))
        except (IndexError, ValueError, struct.error):
            continue


def _first_of(page: bytes, at: int) -> bytes:
    """Return the 16 bytes that a row begins with.

    Raises:
        ValueError: it begins with something else.
    """
    _size_bytes, at = _varint(page, at)
    head_bytes, kind_at = _varint(page, at)
    if _varint(page, kind_at)[0] != _ID_KIND:
        raise ValueError(at)
    return page[at + head_bytes : at + head_bytes + _ID_BYTES]


def _payload(pages: _Pages, page: bytes, at: int) -> bytes:
    """Return the content of a cell, what does not fit on its page included (section 1.6)."""
    size_bytes, at = _varint(page, at)
    if size_bytes > _OVERFLOW_MAX_BYTES:
        raise ValueError(size_bytes)
    most, least = (_PAGE_SIZE - 12) * 64 // 255 - 23, (_PAGE_SIZE - 12) * 32 // 255 - 23
    if size_bytes <= most:
        return page[at : at + size_bytes]
    local = least + (size_bytes - least) % (_PAGE_SIZE - 4)
    local = local if local <= most else least
    parts, next_no, left = [page[at : at + local]], int.from_bytes(page[at + local : at + local + 4], "big"), size_bytes
    left -= local
    while left > 0 and next_no:
        more = pages.read(next_no)
        parts.append(more[4 : 4 + left])
        left -= _PAGE_SIZE - 4
        next_no = int.from_bytes(more[:4], "big")
    return b"".join(parts)


def _decode(payload: bytes) -> Record:
    """Return the values of a record (section 2.1)."""
    head_bytes, at = _varint(payload, 0)
    values, place = [], head_bytes
    while at < head_bytes:
        kind, at = _varint(payload, at)
        value, place = _value(payload, place, kind)
        values.append(value)
    if place != len(payload):
        raise ValueError(place)
    return values


def _value(payload: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind == 7:
        return struct.unpack_from(">d", payload, at)[0], at + 8
    if kind in _INTEGER_BYTES:
        end = at + _INTEGER_BYTES[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if kind < 12:
        raise ValueError(kind)
    end = at + (kind - 12) // 2
    content = payload[at:end]
    return (content.decode() if kind % 2 else content), end


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return a number of one to nine bytes, and where it ends (section 1.6)."""
    number = 0
    for place in range(_VARINT_MAX_BYTES - 1):
        byte = content[at + place]
        number = (number << 7) | (byte & 0x7F)
        if byte < 0x80:
            return number, at + place + 1
    return (number << 8) | content[at + _VARINT_MAX_BYTES - 1], at + _VARINT_MAX_BYTES
