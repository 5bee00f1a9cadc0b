"""A disk that keeps what was flushed and forgets the rest as it likes, for SQLite to write on.

A virtual file system of SQLite in memory (https://www.sqlite.org/vfs.html, through apsw). Writes are held back until
the file is flushed. When the power is cut, each sector of each write since then is kept or lost by chance, so that
writes come out of order and torn. A call may also fail, once or some times; after a flush that failed nothing of what
it was to write will ever be on the disk, although it can still be read, as on Linux.
"""
# ruff: noqa: N802 - the names are SQLite's

import itertools
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apsw

from edgebox.store.connections import WRITER_PRAGMAS

DATABASE = "box.db"
SECTOR_SIZES = (512, 4096)
_names = itertools.count()


class PowerCut(Exception):
    """The machine stopped here."""


@dataclass
class _Content:
    """One file: as programs see it, as the disk has it, and what is between the two."""

    seen: bytearray = field(default_factory=bytearray)
    kept: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)  # None: the file ends here
    is_named: bool = False  # on the disk as well

    def write(self, at: int, content: bytes) -> None:
        _apply(self.seen, at, content)
        self.waiting.append((at, content))

    def truncate(self, size_bytes: int) -> None:
        _apply(self.seen, size_bytes, None)
        self.waiting.append((size_bytes, None))

    def flush(self) -> None:
        for at, content in self.waiting:
            _apply(self.kept, at, content)
        self.waiting.clear()
        self.is_named = True


def _apply(target: bytearray, at: int, content: bytes | None) -> None:
    if content is None:
        del target[at:]
        return
    if len(target) < at:
        target.extend(bytes(at - len(target)))
    target[at : at + len(content)] = content


@dataclass
class Trouble:
    """What happens at which call that changes a file, counted from 1.

    Attributes:
        what: "cut" for the power, "io" for an error, "full" for a full disk.
        calls: how many fail; from the first on.
    """

    at: int
    what: str = "cut"
    calls: int = 1


class LazyDisk(apsw.VFS):
    """A disk with the files it is given."""

    def __init__(self, files: dict[str, bytes], trouble: Trouble | None = None) -> None:
        self.name = f"lazy-{next(_names)}"
        self.files = {
            name: _Content(bytearray(content), bytearray(content), [], True) for name, content in files.items()
        }
        self.trouble = trouble
        self.calls = 0
        self.is_off = False
        super().__init__(self.name, base="", exclude={"xSetSystemCall", "xGetSystemCall", "xNextSystemCall"})

    def step(self) -> bool:
        """Count a call, let it fail when its turn has come, and return whether it does anything: not without power."""
        self.calls += 1
        trouble = self.trouble
        if self.is_off or trouble is None or self.calls < trouble.at:
            return not self.is_off
        if trouble.what == "cut":
            self.is_off = True
            raise PowerCut
        if self.calls < trouble.at + trouble.calls:
            raise apsw.FullError if trouble.what == "full" else apsw.IOError
        return True

    def left_after_cut(self, rng: random.Random, share: float | None = None) -> dict[str, bytes]:
        """Return what is on the disk when the power comes back; `share` of what was not flushed is, by chance."""
        sector = rng.choice(SECTOR_SIZES)
        share = rng.choice((0.0, 0.2, 0.5, 0.8, 1.0)) if share is None else share
        left = {}
        for name, file in self.files.items():
            if file.is_named or rng.random() < share:
                left[name] = _left(file, sector, share, rng)
        return left

    def xFullPathname(self, name: str) -> str:
        return name.rsplit("/", 1)[-1]

    def xAccess(self, pathname: str, flags: int) -> bool:
        return pathname in self.files

    def xDelete(self, filename: str, syncdir: bool) -> None:
        if self.step():
            self.files.pop(filename, None)

    def xOpen(self, name: Any, flags: list[int]) -> "_File":  # type: ignore[override]  # apsw asks for these methods, not for the class
        filename = name if isinstance(name, str) else name.filename()
        flags[1] = flags[0]
        return _File(self, self.files.setdefault(filename, _Content()))


def _left(file: _Content, sector: int, share: float, rng: random.Random) -> bytes:
    left = bytearray(file.kept)
    for start, content in file.waiting:
        if content is None:
            if rng.random() < share:
                _apply(left, start, None)
            continue
        end = start + len(content)
        for first in range(start - start % sector, end, sector):
            at, stop = max(first, start), min(first + sector, end)
            if rng.random() < share:
                _apply(left, at, content[at - start : stop - start])
    return bytes(left)


class _File:
    def __init__(self, disk: LazyDisk, content: _Content) -> None:
        self._disk, self._content = disk, content

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._content.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        if self._disk.step():
            self._content.write(offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        if self._disk.step():
            self._content.truncate(newsize)

    def xSync(self, flags: int) -> None:
        try:
            if self._disk.step():
                self._content.flush()
        except apsw.IOError:
            self._content.waiting.clear()  # marked as written, and it is not
            raise

    def xFileSize(self) -> int:
        return len(self._content.seen)

    def xLock(self, level: int) -> None:
        return

    def xUnlock(self, level: int) -> None:
        return

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return 512

    def xDeviceCharacteristics(self) -> int:
        return 0

    def xClose(self) -> None:
        return


class _Cursor:
    """What the store asks of a cursor of sqlite3."""

    def __init__(self, connection: apsw.Connection, cursor: apsw.Cursor) -> None:
        self._cursor = cursor
        self.rowcount, self.lastrowid = connection.changes(), connection.last_insert_rowid()
        self.description = _described(cursor)

    def fetchone(self) -> Any:
        return _translated(self._cursor.fetchone)

    def fetchall(self) -> list[Any]:
        return list(_translated(self._cursor.fetchall))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


class LazyConnection:
    """What the store asks of a connection of sqlite3, on a lazy disk."""

    text_factory: Any = str

    def __init__(self, disk: LazyDisk) -> None:
        self._connection = _translated(lambda: apsw.Connection(DATABASE, vfs=disk.name))

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def cursor(self) -> "_Unused":
        return _Unused(self)

    def executemany(self, sql: str, rows: Iterable[Iterable[Any]]) -> None:
        for values in rows:
            self.execute(sql, values)

    def execute(self, sql: str, values: Iterable[Any] = ()) -> Any:
        return _Cursor(self._connection, _translated(lambda: self._connection.execute(sql, tuple(values))))

    def close(self) -> None:
        _translated(lambda: self._connection.close(True))


class _Unused:
    """A cursor that nothing was asked of yet."""

    row_factory: Any = None
    description: Any = ()

    def __init__(self, connection: LazyConnection) -> None:
        self._connection = connection

    def execute(self, sql: str, values: Iterable[Any] = ()) -> Any:
        found = self._connection.execute(sql, values)
        self.description = found.description
        return found


def _described(cursor: apsw.Cursor) -> Any:
    try:
        return cursor.description
    except apsw.ExecutionCompleteError:  # there are no rows
        return ()


def _translated(call: Callable[[], Any]) -> Any:
    """Raise what sqlite3 would."""
    try:
        return call()
    except apsw.Error as error:
        code = getattr(error, "result", 0)
        is_damage = isinstance(error, (apsw.CorruptError, apsw.NotADBError))
        raised = (sqlite3.DatabaseError if is_damage else sqlite3.OperationalError)(str(error))
        raised.sqlite_errorcode = code
        raise raised from error


def open_lazy(disk: LazyDisk, *, synchronous: str = "FULL", checkpoint_pages: int | None = None) -> Any:
    """Open the writer of the store on a lazy disk, as its own connection is opened.

    Such a disk has no memory that connections share, so this one holds the lock for good. What differs besides is for
    tests that show what the settings are for.
    """
    connection = LazyConnection(disk)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    for pragma in WRITER_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    if checkpoint_pages is not None:
        connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}").fetchall()
    return connection
