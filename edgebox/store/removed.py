"""What is known of statements that left the box: enough to tell one that comes again, from whomever, and another one.

A tablet that was away for years, a stick, or the hub may bring it once more. It is then the same, which is success, or
has another content, which is a conflict; in neither case does it count for anybody's progress again.
"""

import sqlite3
from collections.abc import Callable, Iterable
from hashlib import blake2b
from struct import Struct

_BLOCK = 64
_MARK = Struct(">HH")  # of the id, of the content
_UNKNOWN = 0
_HASH_BYTES = 8
_PERSON = b"edgebox removed"
_FIND_BLOCK = "SELECT marks FROM removed_own WHERE device_no = ? AND block = ?"
_STORE_BLOCK = """
INSERT INTO removed_own (device_no, block, marks) VALUES (?, ?, ?)
ON CONFLICT (device_no, block) DO UPDATE SET marks = excluded.marks
"""
_BLOCKS = "SELECT block, marks FROM removed_own WHERE device_no = ?"
_FIND_OTHER = "SELECT content FROM removed_other WHERE id_hash = ?"
_STORE_OTHER = "INSERT OR IGNORE INTO removed_other (id_hash, content) VALUES (?, ?)"
_IS_ANY = "SELECT EXISTS (SELECT 1 FROM removed_own) OR EXISTS (SELECT 1 FROM removed_other)"
_STATEMENTS = "SELECT id, device_no, device_seq FROM statement"


def note(
    connection: sqlite3.Connection, id_: bytes, device_no: int | None, device_seq: int | None, content: bytes
) -> None:
    """Note that a statement was removed; `content` is empty where it is not known. Safe to repeat."""
    if device_no is None or device_seq is None:
        connection.execute(_STORE_OTHER, (_hash(id_), _mark(content)))
        return
    marks, place = bytearray(_read_block(connection, device_no, device_seq)), device_seq % _BLOCK * _MARK.size
    marks.extend(bytes(max(0, place + _MARK.size - len(marks))))
    found, _content = _MARK.unpack_from(marks, place)
    if found not in (_UNKNOWN, _mark(id_)):
        # Two statements with one number, as a tablet makes them that was set back: their ids differ.
        connection.execute(_STORE_OTHER, (_hash(id_), _mark(content)))
        return
    _MARK.pack_into(marks, place, _mark(id_), _mark(content))
    connection.execute(_STORE_BLOCK, (device_no, device_seq // _BLOCK, bytes(marks)))


def is_removed(connection: sqlite3.Connection, id_: bytes, device_no: int | None, device_seq: int | None) -> bool:
    """Tell whether there was a statement of this id that was removed."""
    return _find_content(connection, id_, device_no, device_seq) is not None


def is_other(
    connection: sqlite3.Connection,
    id_: bytes,
    device_no: int | None,
    device_seq: int | None,
    contents: Callable[[], Iterable[bytes]],
) -> bool:
    """Tell whether a removed statement had this id and none of these contents, as far as that is known."""
    content = _find_content(connection, id_, device_no, device_seq)
    return content not in (None, _UNKNOWN) and content not in map(_mark, contents())


def list_seqs(connection: sqlite3.Connection, device_no: int) -> list[int]:
    """Return the numbers of a device whose statements were removed."""
    return [
        block * _BLOCK + place
        for block, marks in connection.execute(_BLOCKS, (device_no,))
        for place, (mark, _content) in enumerate(_MARK.iter_unpack(marks))
        if mark != _UNKNOWN
    ]


def list_returned(connection: sqlite3.Connection) -> list[bytes]:
    """Return the ids of removed statements that are there, as pages of a damaged database bring them. Reads all."""
    if not connection.execute(_IS_ANY).fetchone()[0]:
        return []
    return [row[0] for row in connection.execute(_STATEMENTS).fetchall() if is_removed(connection, *row)]


def _find_content(
    connection: sqlite3.Connection, id_: bytes, device_no: int | None, device_seq: int | None
) -> int | None:
    """Return what is known of the content of a removed statement; None when none of this id was removed."""
    if device_no is not None and device_seq is not None:
        marks, place = _read_block(connection, device_no, device_seq), device_seq % _BLOCK * _MARK.size
        found, content = _MARK.unpack_from(marks, place) if len(marks) > place else (_UNKNOWN, _UNKNOWN)
        if found in (_UNKNOWN, _mark(id_)):
            return None if found == _UNKNOWN else int(content)
    row = connection.execute(_FIND_OTHER, (_hash(id_),)).fetchone()
    return None if row is None else int(row[0])


def _read_block(connection: sqlite3.Connection, device_no: int, device_seq: int) -> bytes:
    row = connection.execute(_FIND_BLOCK, (device_no, device_seq // _BLOCK)).fetchone()
    return b"" if row is None else bytes(row[0])


def _mark(content: bytes) -> int:
    """Return two bytes that stand for an id or a content, zero for none."""
    if not content:
        return _UNKNOWN
    return int.from_bytes(blake2b(content, digest_size=_HASH_BYTES, person=_PERSON).digest(), "big") % 0xFFFF + 1


def _hash(id_: bytes) -> int:
    found = blake2b(id_, digest_size=_HASH_BYTES, person=_PERSON).digest()
    return int.from_bytes(found, "big", signed=True)
