"""A new database out of a damaged one: what its tables give, what its pages give, and what the nightly copy has.

The damaged file is only read. The new one counts once it is whole, flushed, and has its name.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from content_packs.base.starting import StoreDamaged
from edgebox.store import copying, repairs, salvage, seals, uncounted
from edgebox.store.copying import LARGE, STATEMENT, Rows, copy_table, insert_rows
from edgebox.store.repairs import Repair, RepairKind
from edgebox.store.upgrade import SCHEMA_VERSION, upgrade
from sync.records.kinds import Kind

_CHUNK = 500
_STATEMENTS_MAX = 100_000_000
_VERSION_AT = slice(60, 64)  # `user_version`: https://www.sqlite.org/fileformat2.html, section 1.3
_IS_EMPTY = "SELECT NOT EXISTS (SELECT 1 FROM person) AND NOT EXISTS (SELECT 1 FROM statement)"
_LOG_AGAIN = """
INSERT INTO change (kind, key) SELECT ?1, id FROM statement WHERE id NOT IN (SELECT key FROM change WHERE kind = ?1)
"""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What became of it.

    Attributes:
        kept: statements in the new database.
        lost: statements that were in the old one and could not be read, as far as its chains tell.
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
    upgrade(target, keeps_copy=False)
    with closing(copying.open_target(target)) as out:
        out.execute("BEGIN")
        if unread:
            _bring_from_pages(source, out)
        out.execute("COMMIT")
        _bring_from_copy(nightly, out, unread)
        if out.execute(_IS_EMPTY).fetchone()[0]:
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
    except sqlite3.DatabaseError:
        return {}
    return {no: count for no, count in found if isinstance(count, int) and 0 <= count <= _STATEMENTS_MAX}


def _copy(damaged: sqlite3.Connection, out: sqlite3.Connection, table: str, now_ms: int) -> bool:
    columns = copying.shared_columns(damaged, out, table) if table == STATEMENT else []
    if seals.SEAL not in columns:
        return copy_table(damaged, out, table)
    rows = Rows(damaged, table, columns)
    out.execute("BEGIN")
    while chunk := list(islice(rows, _CHUNK)):
        _insert_whole(out, columns, chunk, now_ms)
    out.execute("COMMIT")
    return rows.is_all


def _insert_whole(out: sqlite3.Connection, columns: list[str], rows: list[tuple[Any, ...]], now_ms: int | None) -> None:
    """Insert the statements that are whole; keep the others aside, or leave them when there is no time."""
    whole: list[Any] = []
    for row in rows:
        if seals.is_whole(columns, row):
            whole.append(row)
        elif now_ms is not None:
            repairs.put_aside(out, columns, row, now_ms)
            whole += [mended] if (mended := seals.mended(columns, row)) is not None else []
    marks = ", ".join("?" * len(columns))
    insert_rows(out, f"INSERT OR IGNORE INTO statement ({', '.join(columns)}) VALUES ({marks})", whole)  # noqa: S608


def _bring_from_pages(source: Path, out: sqlite3.Connection) -> None:
    columns = copying.list_columns(out, STATEMENT)
    find = "SELECT 1 FROM statement WHERE id = ?"
    found = _statements_in(source, columns, lambda row_id: out.execute(find, (row_id,)).fetchone() is None)
    while chunk := list(islice(found, _CHUNK)):
        _insert_whole(out, columns, chunk, None)


def _statements_in(source: Path, columns: list[str], is_wanted: Callable[[bytes], bool]) -> Iterator[tuple[Any, ...]]:
    """Return what may be statements; only their seals tell. Those of an older schema have fewer columns."""
    fewest = columns.index(seals.SEAL) + 1
    for record in salvage.read_records(source, is_wanted):
        if fewest <= len(record) <= len(columns):
            yield (*record, *[None] * (len(columns) - len(record)))


def _bring_from_copy(nightly: Path, out: sqlite3.Connection, unread: tuple[str, ...]) -> None:
    if not nightly.exists():
        return
    with closing(copying.open_source(nightly)) as copy:
        for table in unread:
            if table not in LARGE:
                copy_table(copy, out, table)


def _settle(out: sqlite3.Connection, before: dict[int, int], unread: tuple[str, ...], now_ms: int) -> Rebuilt:
    """Let everything that follows from the statements fit those that are left."""
    lost = repairs.settle_missing(out, before)
    if STATEMENT in unread:
        repairs.ask_again(out, [no for (no,) in out.execute("SELECT no FROM device").fetchall()])
    if unread:
        out.execute(_LOG_AGAIN, (int(Kind.STATEMENT),))
        uncounted.count(out)
    repairs.add(out, Repair(RepairKind.REBUILT, now_ms, lost))
    return Rebuilt(out.execute("SELECT count(*) FROM statement").fetchone()[0], lost, unread)
