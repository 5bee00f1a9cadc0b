"""A new database out of a damaged one: what its tables give, what its pages give, and what the nightly copy has.

The damaged file is only read. The new one counts once it is whole, flushed, and has its name.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from content_packs.base.starting import StoreDamaged
from edgebox.store import (
    clients,
    copying,
    forwards,
    listing,
    outside,
    remnants,
    removed,
    repairs,
    salvage,
    seals,
    sessions,
    stretches,
    uncounted,
)
from edgebox.store.copying import LARGE, STATEMENT, UNREADABLE, Rows, copy_table, insert_rows
from edgebox.store.repairs import Repair, RepairKind
from edgebox.store.upgrade import SCHEMA_VERSION, upgrade
from sync.records.kinds import Kind

_CHUNK = 500
_MENDED_MAX = 200
_STATEMENTS_MAX = 100_000_000
_SIGNED_IN = "session"
_END_SESSIONS = (
    "DELETE FROM session WHERE person_no NOT IN (SELECT no FROM person)"  # their numbers are given out again
)
_VERSION_AT = slice(60, 64)  # `user_version`: https://www.sqlite.org/fileformat2.html, section 1.3
_IS_EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM person) AND NOT EXISTS (SELECT 1 FROM statement)"
# What the hub brought has no digest and no place: it is in no list, and the hub has it.
_LOG_AGAIN = """
INSERT INTO change (kind, key) SELECT ?1, id FROM statement
WHERE id NOT IN (SELECT key FROM change WHERE kind = ?1) AND (digest <> x'' OR id IN (SELECT id FROM outside))
ORDER BY stored_ms
"""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of it.

    Attributes:
        kept: statements in the new database.
        lost: statements that were in the old one and could not be read, as far as its chains tell, or of which nothing
            says any more whose they are.
        unread: tables of which not all could be read.
    """

    kept: int
    lost: int
    unread: tuple[str, ...]


def rebuild(source: Path, target: Path, nightly: Path, now_ms: int) -> Rebuilt:
    """Make `target` out of a damaged database and the nightly copy of it, if there is one. Blocks.

    Raises:
        StoreDamaged: nothing could be read.
        sqlite3.OperationalError: there is no room for it.
    """
    copying.make_fresh(target, _version(source))
    with closing(copying.open_source(source)) as damaged, closing(copying.open_target(target)) as out:
        before = _read_chains(damaged)
        unread = tuple(table for table in copying.list_tables(out) if not _copy(damaged, out, table, now_ms))
        if out.execute("SELECT count(*) FROM statement").fetchone()[0] < sum(before.values()):
            unread = tuple({*unread, STATEMENT})
        _bring_texts(damaged, nightly, out, unread)
    upgrade(target, keeps_copy=False)
    with closing(copying.open_target(target)) as out:
        out.execute("BEGIN")
        if {STATEMENT, "chain"} & {*unread}:
            _bring_from_pages(source, out, now_ms)
        out.execute("COMMIT")
        unread = tuple({*unread, *remnants.find_missing(out)})
        _bring_from_copy(nightly, out, unread, now_ms)
        if remnants.NUMBERED & {*unread}:
            with closing(copying.open_source(source)) as damaged:
                remnants.bring_from_indexes(damaged, out, now_ms)
        # A box that nobody has used yet is as empty as one of which nothing could be read.
        if {STATEMENT, "person"} & {*unread} and out.execute(_IS_EMPTY).fetchone()[0]:
            raise StoreDamaged(file=source.name, reason="nothing can be read")
        out.execute("BEGIN")
        rebuilt = _settle(out, before, unread, now_ms)
        out.execute("COMMIT")
        out.execute("PRAGMA journal_mode = WAL")
    return rebuilt


def _version(source: Path) -> int:
    """Return the schema that a database had, the newest when it does not tell a possible one."""
    with source.open("rb") as file:
        found = int.from_bytes(file.read(_VERSION_AT.stop)[_VERSION_AT], "big")
    return found if 0 < found <= SCHEMA_VERSION else SCHEMA_VERSION


def _read_chains(damaged: sqlite3.Connection) -> dict[int, int]:
    """Return how many statements each device had, as far as that can be read."""
    try:
        found = list(Rows(damaged, "chain", ["device_no", "statements"]))
    except UNREADABLE:
        return {}
    return {no: count for no, count in found if isinstance(count, int) and 0 <= count <= _STATEMENTS_MAX}


def _copy(damaged: sqlite3.Connection, out: sqlite3.Connection, table: str, now_ms: int) -> bool:
    columns = copying.shared_columns(damaged, out, table) if table == STATEMENT else []
    if seals.SEAL not in columns:
        return copy_table(damaged, out, table)
    rows, statements, is_good = Rows(damaged, table, columns), _Statements(out, columns, now_ms), True
    out.execute("BEGIN")
    while chunk := list(islice(rows, _CHUNK)):
        is_good &= statements.take(chunk)
    out.execute("COMMIT")
    return rows.is_all and is_good


class _Statements:
    """Takes those statements that are whole, or become so when one bit is turned; others are kept aside."""

    def __init__(self, out: sqlite3.Connection, columns: list[str], now_ms: int) -> None:
        self._out, self._columns, self._now_ms = out, columns, now_ms
        marks = ", ".join("?" * len(columns))
        self._insert = f"INSERT OR IGNORE INTO statement ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - ours
        self._left_to_mend = _MENDED_MAX

    def take(self, rows: list[tuple[Any, ...]], *, keeps_damaged: bool = True) -> bool:
        """Insert what can be, and return whether all were whole."""
        whole = [row for row in rows if seals.is_whole(self._columns, row)]
        if keeps_damaged and len(whole) < len(rows):
            known = set(whole)
            for row in rows:
                if row not in known:
                    repairs.put_aside(self._out, self._columns, row, self._now_ms)
                    insert_rows(self._out, self._insert, self._mended(row))
        insert_rows(self._out, self._insert, whole)
        return len(whole) == len(rows)

    def _mended(self, row: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Turn a bit back; not in many statements, because it takes long."""
        self._left_to_mend -= 1
        mended = seals.mended(self._columns, row) if self._left_to_mend >= 0 else None
        return [] if mended is None else [mended]


def _bring_from_pages(source: Path, out: sqlite3.Connection, now_ms: int) -> None:
    columns = copying.list_columns(out, STATEMENT)
    statements = _Statements(out, columns, now_ms)
    find = "SELECT 1 FROM statement WHERE id = ?"
    found = _statements_in(source, columns, lambda row_id: out.execute(find, (row_id,)).fetchone() is None)
    while chunk := list(islice(found, _CHUNK)):
        statements.take(chunk, keeps_damaged=False)


def _statements_in(source: Path, columns: list[str], is_wanted: Callable[[bytes], bool]) -> Iterator[tuple[Any, ...]]:
    """Return what may be statements; only their seals tell. Those of an older schema have fewer columns."""
    fewest = columns.index(seals.SEAL) + 1
    for record in salvage.read_records(source, is_wanted):
        if fewest <= len(record) <= len(columns):
            yield (*record, *[None] * (len(columns) - len(record)))


def _bring_texts(damaged: sqlite3.Connection, nightly: Path, out: sqlite3.Connection, unread: tuple[str, ...]) -> None:
    with closing(copying.open_source(nightly)) if nightly.exists() else nullcontext() as copy:
        for table in unread:
            if table not in LARGE:
                remnants.bring_texts(damaged, copy, out, table)


def _bring_from_copy(nightly: Path, out: sqlite3.Connection, unread: tuple[str, ...], now_ms: int) -> None:
    """Bring what the copy of last night has more, but nothing that somebody may have ended since."""
    if not nightly.exists():
        return
    known = [no for (no,) in out.execute("SELECT no FROM client")]
    with closing(copying.open_source(nightly)) as copy:
        for table in unread:
            if table not in LARGE and table != _SIGNED_IN:
                copy_table(copy, out, table)
    clients.revoke_others(out, known, now_ms)
    sessions.store_set_up_code(out, None)  # used up meanwhile, or made anew by the start


def _settle(out: sqlite3.Connection, before: dict[int, int], unread: tuple[str, ...], now_ms: int) -> Rebuilt:
    """Let everything that follows from the statements fit those that are left."""
    for row_id in removed.list_returned(out) if unread else ():
        out.execute("DELETE FROM statement WHERE id = ?", (row_id,))
    nameless = remnants.put_nameless_aside(out, now_ms)
    lost = max(nameless, repairs.settle_missing(out, before))
    if nameless or STATEMENT in unread:
        repairs.ask_again(out, [no for (no,) in out.execute("SELECT no FROM device").fetchall()])
    if "client" in unread:
        clients.keep_numbers(out, now_ms)
    if "person" in unread:
        out.execute(_END_SESSIONS)
    if unread:
        remnants.log_numbers(out)
        out.execute(_LOG_AGAIN, (int(Kind.STATEMENT),))
        outside.refit(out)
        listing.drop(out)
        forwards.begin_again(out, is_certain="forward" not in unread)
        uncounted.count(out)
    stretches.make_all(out)
    repairs.add(out, Repair(RepairKind.REBUILT, now_ms, lost))
    return Rebuilt(out.execute("SELECT count(*) FROM statement").fetchone()[0], lost, unread)
