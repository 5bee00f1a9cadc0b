"""Statements read back: one by its id, or pages in the order in which they were stored.

The change log is that order. Two streams of places in it are merged: statements of our own pages, by blocks of the log
(`edgebox.store.listing`), and those of outside clients, by what they mention (`edgebox.store.outside`). A page looks at
a bounded number of rows and says where the next one goes on, however few of them were wanted.
"""

import heapq
import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from edgebox.domain.statement_out import registration_of
from edgebox.domain.statements import Outcome, StoredStatement
from edgebox.store import listing, row_seals, seals, statement_filters
from edgebox.store.boots import find_timeline
from edgebox.store.listing import BLOCK
from edgebox.store.statement_filters import Filter, Reach
from edgebox.store.stretches import Range
from sync.records.activity import Activity
from sync.records.retiming import Timeline

LOOKED_AT_MAX = 4_000
PAGE_MAX_BYTES = 2 * 1024 * 1024  # of the rows looked at for one page; the last one may go beyond it
_CHUNK = 20  # rows in memory at once, of which each may have 256 kB
_UNLISTED_MAX = 8  # blocks looked through row by row for one page
PLACES_MAX = 250_000  # read for one page in what lists and mentions have, which may have nothing in common
_BLOCK_COST = 64  # of looking into a block at all, in such places

_COLUMNS = """
statement.id, person.pseudonym, verb.iri, activity.iri, activity.pack, activity.resource, activity.item, device.id,
statement.attempt_seq, statement.registration, statement.timestamp_ms, statement.stored_ms, statement.success,
statement.completion, statement.score_raw, statement.score_max, statement.score_scaled, statement.duration_ms,
statement.progress, statement.response, statement.body, statement.pack_version, statement.person_no,
statement.client_no, coalesce(outside.is_void, 0)
"""
_JOINS = """
JOIN verb ON verb.no = statement.verb_no JOIN activity ON activity.no = statement.activity_no
LEFT JOIN device ON device.no = statement.device_no LEFT JOIN person ON person.no = statement.person_no
LEFT JOIN outside ON outside.id = statement.id
"""
_SEALED = f"{_COLUMNS}, NULL AS beside, {row_seals.COLUMNS}, NULL AS sealed, statement.*"
_ONE = f"SELECT 0, {_SEALED} FROM statement {_JOINS} WHERE statement.id = ?"  # noqa: S608 - made of the constants above
_ROWS = f"""
SELECT change.seq, {_SEALED}
FROM json_each(?) AS wanted CROSS JOIN change ON change.seq = wanted.value
CROSS JOIN statement ON statement.id = change.key {_JOINS}
"""  # noqa: S608 - likewise
_LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM change"
_MENTIONED = "SELECT seq FROM mention WHERE term IN (SELECT value FROM json_each(?)) AND seq BETWEEN ? AND ?"


@dataclass(frozen=True, slots=True)
class Page:
    """Some statements, and the place in the log where the next page starts; None at the end."""

    statements: list[StoredStatement]
    next_seq: int | None


def find_statement(connection: sqlite3.Connection, statement_id: bytes, reach: Reach) -> StoredStatement | None:
    """Return one statement that may be read, void or not."""
    for _seq, _size_bytes, found in _read(connection, _ONE, statement_id, find_timeline(connection)):
        return found if found is not None and reach.covers(found) else None
    return None


def list_statements(
    connection: sqlite3.Connection,
    wanted: Filter,
    reach: Reach,
    start_seq: int | None,
    limit: int,
    *,
    is_found: Callable[[StoredStatement], bool] = lambda _statement: True,
) -> Page:
    """Return a page, newest first unless asked otherwise. Void statements are left out.

    Args:
        is_found: what else must be true of a statement.
    """
    last_seq = connection.execute(_LAST_SEQ).fetchone()[0]
    ranges = statement_filters.find_ranges(connection, wanted, last_seq)
    if start_seq is not None:
        ranges = _rest(ranges, start_seq, is_ascending=wanted.is_ascending)
    timeline = find_timeline(connection)
    looked_at = _Places(connection, wanted, reach, ranges)
    found: list[StoredStatement] = []
    step = 1 if wanted.is_ascending else -1
    left_bytes, rows_at_once = PAGE_MAX_BYTES, min(_CHUNK, limit)
    while seqs := looked_at.take(rows_at_once):
        rows_at_once = _CHUNK
        for seq, size_bytes, statement in _read(connection, _ROWS, str(seqs), timeline):
            left_bytes -= size_bytes
            if statement is not None and _is_wanted(statement, wanted, reach) and is_found(statement):
                found.append(statement)
            if len(found) == limit or left_bytes <= 0:
                is_last = seq == seqs[-1] and not looked_at.take(1) and looked_at.next_seq is None
                return Page(found, None if is_last else seq + step)
    return Page(found, looked_at.next_seq)


def _rest(ranges: Iterable[Range], start_seq: int, *, is_ascending: bool) -> list[Range]:
    """Return what of some ranges is left for a page that starts at a place."""
    if is_ascending:
        return [(max(low, start_seq), high) for low, high in ranges if high >= start_seq]
    return [(low, min(high, start_seq)) for low, high in ranges if low <= start_seq]


class _Places:
    """The places of the log, within some ranges, where wanted statements may be, in the order of the page."""

    def __init__(self, connection: sqlite3.Connection, wanted: Filter, reach: Reach, ranges: Sequence[Range]) -> None:
        self._connection = connection
        self._is_ascending = wanted.is_ascending
        self._ranges = ranges
        self._left = LOOKED_AT_MAX
        self._stopped_at: int | None = None
        conditions = statement_filters.conditions_of(connection, wanted, reach)
        streams = [
            self._own(conditions.own) if conditions.own is not None else iter(()),
            self._outside(conditions.outside) if conditions.outside is not None else iter(()),
        ]
        self._merged = heapq.merge(*streams, key=lambda seq: seq if self._is_ascending else -seq)

    @property
    def next_seq(self) -> int | None:
        """Return where to go on; None when everything was looked at."""
        return self._stopped_at

    def take(self, count: int) -> list[int]:
        """Return the next places; none at the end, or when enough was looked at for one page."""
        seqs = list(islice(self._merged, min(count, self._left)))
        self._left -= len(seqs)
        if self._stopped_at is not None:
            # The streams go on beyond different places: only what is before the nearer one is known to be complete.
            seqs = [seq for seq in seqs if self._is_before(seq, self._stopped_at)]
        if self._left <= 0 and seqs:
            self._stop_behind(seqs[-1])
        return seqs

    def _stop_behind(self, seq: int) -> None:
        """Let the next page go on behind a place, though a stream may have stopped further on already."""
        after = seq + (1 if self._is_ascending else -1)
        if self._stopped_at is not None:
            self._stopped_at = after if self._is_before(after, self._stopped_at) else self._stopped_at
        elif self._ranges[0][0] <= after <= self._ranges[-1][1]:
            self._stopped_at = after

    def _is_before(self, seq: int, limit: int) -> bool:
        return seq < limit if self._is_ascending else seq > limit

    def _own(self, groups: list[listing.Group]) -> Iterator[int]:
        listed, unlisted_left, places_left = listing.count_listed(self._connection), _UNLISTED_MAX, PLACES_MAX
        for block in self._blocks():
            is_listed = block < listed
            unlisted_left -= not is_listed
            if unlisted_left < 0 or places_left <= 0:
                self._stop_before(block)
                return
            seqs, read = listing.find_in_block(self._connection, block, groups, is_listed=is_listed)
            places_left -= read + _BLOCK_COST
            yield from self._in_order(seqs)

    def _outside(self, groups: list[str]) -> Iterator[int]:
        # By blocks as well: several terms at once give no order, and so no more is ever sorted than a block holds.
        places_left = PLACES_MAX
        for block in self._blocks():
            if places_left <= 0:
                self._stop_before(block)
                return
            seqs, read = self._mentioned(block, groups)
            places_left -= read + _BLOCK_COST
            yield from self._in_order(seqs)

    def _mentioned(self, block: int, groups: list[str]) -> tuple[list[int], int]:
        """Return the places of a block that have a term of each group, and how many were read for it."""
        found: set[int] | None = None
        read = 0
        for terms in groups:
            rows = self._connection.execute(_MENTIONED, (terms, block * BLOCK, (block + 1) * BLOCK - 1)).fetchall()
            read += len(rows)
            places = {row[0] for row in rows}
            found = places if found is None else found & places
            if not found:
                break
        return sorted(found or ()), read

    def _stop_before(self, block: int) -> None:
        """Let the next page go on with a block; with the one that comes first where both streams stopped."""
        at = block * BLOCK if self._is_ascending else block * BLOCK + BLOCK - 1
        if self._stopped_at is None or self._is_before(at, self._stopped_at):
            self._stopped_at = at

    def _blocks(self) -> Iterable[int]:
        # Several ranges may be in one block, which is read once.
        blocks = chain.from_iterable(range(low // BLOCK, high // BLOCK + 1) for low, high in self._ranges)
        return sorted({*blocks}, reverse=not self._is_ascending)

    def _in_order(self, seqs: list[int]) -> Iterator[int]:
        for seq in seqs if self._is_ascending else reversed(seqs):
            at = bisect_left(self._ranges, seq, key=itemgetter(1))
            if at < len(self._ranges) and self._ranges[at][0] <= seq:
                yield seq


def read_places(
    connection: sqlite3.Connection, seqs: list[int], timeline: Timeline
) -> Iterator[tuple[int, int, StoredStatement | None]]:
    """Return for each place that has a statement how large its row is, and the statement if that is whole."""
    return _read(connection, _ROWS, str(seqs), timeline)


def _read(
    connection: sqlite3.Connection, query: str, wanted: str | bytes, timeline: Timeline
) -> Iterator[tuple[int, int, StoredStatement | None]]:
    """Return for each place how large its row is, and the statement if that is whole with what it names."""
    names, rows = seals.select(connection, query, (wanted,))
    beside_at, at = names.index("beside"), names.index("sealed")
    sealed_names = names[at + 1 :]
    needed = itemgetter(*map(sealed_names.index, row_seals.NEEDED_BY))
    for row in rows:
        seq, columns, beside, sealed = row[0], tuple(row[1:beside_at]), row[beside_at + 1 : at], row[at + 1 :]
        size_bytes = sum(len(value) for value in sealed if isinstance(value, (str, bytes)))
        is_whole = seals.is_whole(sealed_names, sealed) and row_seals.are_whole(columns[1:8], beside, *needed(sealed))
        yield seq, size_bytes, _stored(columns, timeline) if is_whole else None


def _is_wanted(statement: StoredStatement, wanted: Filter, reach: Reach) -> bool:
    if statement.is_void or not reach.covers(statement):
        return False
    if wanted.since_ms is not None and statement.stored_ms <= wanted.since_ms:
        return False
    if wanted.until_ms is not None and statement.stored_ms > wanted.until_ms:
        return False
    # An attempt of the same number on another device is in the same list.
    return (
        wanted.registration is None or statement.body is not None or registration_of(statement) == wanted.registration
    )


def _stored(row: tuple[Any, ...], timeline: Timeline) -> StoredStatement:
    row_id, pseudonym, verb_iri, iri, pack, resource, item, device_id, *rest = row
    attempt_seq, registration, timestamp_ms, stored_ms, success, completion, *numbers, body, pack_version = rest[:-3]
    person_no, client_no, is_void = rest[-3:]
    repaired = timeline.repair(timestamp_ms, stored_ms, is_own_page=device_id is not None)
    values: tuple[object, ...] = (
        row_id,
        pseudonym,
        verb_iri,
        Activity(iri, pack, resource, item),
        device_id,
        attempt_seq,
        registration,
        repaired.timestamp_ms,
        repaired.stored_ms,
        Outcome(_boolean(success), _boolean(completion), *numbers),
        body,
        pack_version,
        (timestamp_ms, stored_ms) if repaired.is_repaired else None,
        person_no,
        client_no,
        bool(is_void),
    )
    return StoredStatement(*values)  # type: ignore[arg-type]  # likewise


def _boolean(value: object) -> bool | None:
    return None if value is None else bool(value)
