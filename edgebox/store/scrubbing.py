"""The records read for damage: every statement against its seal, every device against its chain, every page.

Reads beside the writer, slowly enough that a class notices nothing, and goes on another time from where it stopped.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path

from edgebox.store import remnants, repairs, row_seals, seals, stretches
from edgebox.store.changes import find_last_change
from edgebox.store.connections import is_unreadable
from edgebox.store.copying import UNREADABLE, list_tables, open_source
from edgebox.store.log import append_change
from edgebox.store.repairs import Repair, RepairKind
from edgebox.store.row_seals import Unfit
from sync.records.kinds import Kind

_SLICE = 500
_DAMAGED_MAX = 200  # putting more right one by one would hold up the writer
_REST_SECONDS = 0.005
_CURSOR_SECONDS = 1.0
_PLACE = "scrub_place"
_TABLE = "table "
_OUT_OF_PLACE = "statements are out of place"
_MANY = "many statements are damaged"
_ALL = "SELECT * FROM statement"
_LEAVE_PLACES = "DELETE FROM change WHERE kind = ? AND key IN ({marks})"
_ONE = "SELECT * FROM statement WHERE id = ?"
_CHAINS = "SELECT device_no, statements, joined FROM chain"


@dataclass(frozen=True, slots=True)
class Found:
    """What one reading found.

    Attributes:
        place: where the next one goes on; empty when all was read.
        checked: statements that were read.
        damaged: ids, as they are stored, of statements that do not fit their seals.
        fault: of the structure of the file, empty when none was seen.
        is_missing: statements are gone that were there.
        mends: what `find_mends` returns of the damaged ones.
        unfit: rows that statements need, and that do not fit their seals.
    """

    place: str
    checked: int = 0
    damaged: tuple[bytes, ...] = ()
    fault: str = ""
    is_missing: bool = False
    mends: Mapping[seals.Row, seals.Row | None] = field(default_factory=dict)
    unfit: tuple[Unfit, ...] = ()


@dataclass(frozen=True, slots=True)
class Noted:
    """What was done.

    Attributes:
        lost: statements that are not there any more.
        fault: why the database has to be made anew; empty when it need not.
    """

    lost: int
    fault: str


class _Outcome(Enum):
    MENDED = 1
    LOST = 2
    OUT_OF_PLACE = 3  # where it belongs is damaged: a search for its id finds nothing, or another


def read_on(
    path: Path, place: str, is_over: Callable[[], bool], is_stopped: Callable[[], bool] = lambda: False
) -> Found:
    """Read on from a place until time is over or everything was read. Blocks.

    Args:
        is_stopped: nothing more is wanted, not even what turns back the bits of what was found; then that is found
            again another time.

    Raises:
        sqlite3.OperationalError: the file cannot be opened.
    """
    checked, damaged, last = 0, tuple[bytes, ...](), None
    try:
        with closing(open_source(path)) as connection:
            if not place.startswith(_TABLE):
                checked, damaged, last = _check_statements(connection, bytes.fromhex(place), is_over)
            looked_at, mends = find_mends(connection, damaged, is_stopped)
            if len(looked_at) < len(damaged):
                return Found(place, checked)
            found = Found("", checked, damaged, mends=mends)
            if last is not None:
                return replace(found, place=last.hex())
            return _check_tables(connection, place.removeprefix(_TABLE), is_over, found)
    except UNREADABLE as error:
        if not is_unreadable(error):
            raise
        return Found("", checked, damaged, str(error))


def _check_tables(connection: sqlite3.Connection, first: str, is_over: Callable[[], bool], found: Found) -> Found:
    tables = list_tables(connection)
    first, _, after = first.partition(" ")
    for table in tables[tables.index(first) if first in tables else 0 :]:
        if is_over():
            return replace(found, place=_TABLE + table)
        if table in row_seals.SEALED:
            unfit, last = row_seals.find_unfit(connection, table, after, is_over)
            found = replace(found, unfit=(*found.unfit, *unfit))
            if last is not None:
                return replace(found, place=f"{_TABLE}{table} {last}")
        after = ""
        if fault := _find_fault(connection, table):
            return replace(found, fault=fault)
    # What is known to be damaged is taken out first, and makes the chains right.
    return replace(found, is_missing=not found.damaged and _is_missing(connection))


def _check_statements(
    connection: sqlite3.Connection, after: bytes, is_over: Callable[[], bool]
) -> tuple[int, tuple[bytes, ...], bytes | None]:
    """Return how many were read, the ids of the damaged ones, and the last id if there are more."""
    checked, last = 0, after
    damaged: dict[bytes, None] = {}
    while True:
        # A search for each slice would be led astray by a damaged id more often. One cursor for all would keep the
        # writer from cutting its log, without which nothing is acknowledged after an error of the disk.
        start, until = last, time.monotonic() + _CURSOR_SECONDS
        query = f"{_ALL} WHERE id > ?" if start else _ALL
        cursor = connection.execute(query, (start,) if start else ())
        names = [column[0] for column in cursor.description]
        while rows := cursor.fetchmany(_SLICE):
            checked += len(rows)
            for row in rows:
                if seals.is_whole(names, row):
                    last = row[0]
                else:
                    damaged[row[0]] = None
            if len(damaged) > _DAMAGED_MAX:
                raise sqlite3.DatabaseError(_MANY)
            if is_over():
                return checked, tuple(damaged), last
            if is_renewed := last != start and time.monotonic() >= until:
                cursor.close()
            time.sleep(_REST_SECONDS)
            if is_renewed:
                break
        else:
            return checked, tuple(damaged), None


def _find_fault(connection: sqlite3.Connection, table: str) -> str:
    found = str(connection.execute(f"PRAGMA quick_check('{table}')").fetchone()[0])
    return remnants.find_undecodable(connection, table) if found == "ok" else found


def _is_missing(connection: sqlite3.Connection) -> bool:
    connection.execute("BEGIN")
    try:
        found = repairs.read_chains(connection)
        noted = {no: (count, joined) for no, count, joined in connection.execute(_CHAINS)}
    finally:
        connection.execute("COMMIT")
    return found != {no: chain for no, chain in noted.items() if chain[0]}


def find_place(connection: sqlite3.Connection) -> str:
    """Return where the last reading stopped."""
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (_PLACE,)).fetchone()
    return "" if row is None else str(row[0])


def note(connection: sqlite3.Connection, found: Found, now_ms: int) -> Noted:
    """Put right what can be, put aside what cannot, and note both."""
    put_place = (
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
    )
    connection.execute(put_place, (_PLACE, found.place))
    noted = put_right(connection, found.damaged, found.mends, now_ms)
    try:
        if row_seals.put_right(connection, found.unfit):
            repairs.add(connection, Repair(RepairKind.DAMAGED, now_ms, 0))
    except sqlite3.IntegrityError:
        noted = replace(noted, fault=noted.fault or _OUT_OF_PLACE)
    if found.is_missing:
        gone = repairs.settle_missing(connection)
        if gone:
            repairs.add(connection, Repair(RepairKind.MISSING, now_ms, gone))
    return replace(noted, fault=noted.fault or found.fault)


def find_mends(
    connection: sqlite3.Connection, damaged: Iterable[object], is_over: Callable[[], bool]
) -> tuple[list[object], dict[seals.Row, seals.Row | None]]:
    """Return which of the ids were looked at until it was over, one at least, and what turns those into whole ones.

    None is for a row that stays damaged. It takes about a second for one with long texts, so it is not for the writer.
    """
    looked_at: list[object] = []
    mends: dict[seals.Row, seals.Row | None] = {}
    for row_id in damaged:
        if looked_at and is_over():
            break
        looked_at.append(row_id)
        if isinstance(row_id, bytes):
            names, rows = seals.select(connection, _ONE, (row_id,))
            mends |= {row: seals.mended(names, row) for row in rows if not seals.is_whole(names, row)}
    return looked_at, mends


def put_right(
    connection: sqlite3.Connection, damaged: Iterable[object], mends: Mapping[seals.Row, seals.Row | None], now_ms: int
) -> Noted:
    """Put damaged statements right, or aside where that cannot be."""
    rest = _Rest()
    outcomes = [_settle(connection, row_id, mends, rest, now_ms) for row_id in damaged]
    repairs.ask_again(connection, rest.devices)
    if rest.moved:
        marks = ",".join("?" * len(rest.moved))
        connection.execute(_LEAVE_PLACES.format(marks=marks), (int(Kind.STATEMENT), *rest.moved))
    last = find_last_change(connection)
    for row_id in rest.mended:
        append_change(connection, Kind.STATEMENT, row_id)
    stretches.note_logged(connection, last)
    lost = outcomes.count(_Outcome.LOST)
    if outcomes:
        repairs.add(connection, Repair(RepairKind.DAMAGED, now_ms, lost))
    return Noted(lost, _OUT_OF_PLACE if _Outcome.OUT_OF_PLACE in outcomes else "")


def suspicion(fault: str) -> str:
    """Return what of a fault to tell the next start: nothing where SQLite finds it again, if it is there."""
    return fault if fault in (_OUT_OF_PLACE, _MANY) else ""


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is done once for all statements, because it reads all of a table.

    Attributes:
        devices: those of which statements are lost.
        mended: ids to log again: a bundle may have been made while nothing was found under them.
        moved: those of them that give up their earlier place, because lists of our own pages go by places in the log.
    """

    devices: set[int] = field(default_factory=set)
    mended: list[bytes] = field(default_factory=list)
    moved: list[bytes] = field(default_factory=list)


def _settle(
    connection: sqlite3.Connection,
    row_id: object,
    mends: Mapping[seals.Row, seals.Row | None],
    rest: _Rest,
    now_ms: int,
) -> _Outcome:
    if not isinstance(row_id, bytes):
        return _Outcome.OUT_OF_PLACE
    names, rows = seals.select(connection, _ONE, (row_id,))
    if not rows or rows[0][0] != row_id:
        return _Outcome.OUT_OF_PLACE
    if seals.is_whole(names, rows[0]):
        return _Outcome.MENDED
    row = dict(zip(names, rows[0], strict=True))
    if not isinstance(row[seals.SEAL], int) or not isinstance(row["device_no"], int | None):
        return _Outcome.OUT_OF_PLACE  # it belongs to no chain
    mended = mends[rows[0]] if rows[0] in mends else seals.mended(names, rows[0])
    repairs.put_aside(connection, names, rows[0], now_ms)
    connection.execute("DELETE FROM statement WHERE id = ?", (row_id,))
    if mended is not None:
        marks = ", ".join("?" * len(names))
        insert = f"INSERT OR IGNORE INTO statement ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - our names
        connection.execute(insert, mended)
        if mended[names.index("digest")]:  # what the hub brought has none, and no place either
            rest.mended.append(mended[0])
            if row["body"] is None:
                rest.moved.append(mended[0])
        return _Outcome.MENDED
    if isinstance(row["device_no"], int):
        rest.devices.add(row["device_no"])
    # Whatever the damaged seal or number was, the next reading finds the chains that do not fit and makes them anew.
    seals.join(connection, row["device_no"], row[seals.SEAL], statements=-1)
    return _Outcome.LOST
