"""Statements leave the box when they are old, the hub has them, and nothing here needs them any more.

A statement leaves in one transaction with its place in the log, its places in lists and its part of its device's chain;
in the same one what it comes to is added to what stays: the summary of its learner and resource, and the trace by which
it is known when it comes again (`edgebox.store.removed`). So whatever moment the power goes, it is there or it was
removed. The room it took is used for the statements that come next: ids are ordered by time, so whole pages get free.

What stays, however old: what is no learner's, because it is nowhere else; what has a file, which is nowhere else
either; what is damaged or was put right, because the hub may not have it as it should be; what takes back a statement
that may still come; and what belongs to work that goes on.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgebox.domain import progress
from edgebox.domain.progress import Progress, Step, step_of
from edgebox.domain.retention import SETTLED_MS, Policy, make_policy
from edgebox.domain.verbs import name_of
from edgebox.domain.versions import OPEN_MS
from edgebox.store import changes, forwards, listing, outside, removed, returning, seals
from edgebox.store.boots import find_timeline
from edgebox.store.listing import Listed
from edgebox.store.statement_filters import Filter, find_ranges
from sync.records.activity import parse_activity
from sync.records.kinds import Kind
from sync.records.lessons import OWN_PACK

LOOKED_AT_MAX = 500
SLICE = 50  # statements in one transaction, among those of classes
_CHOICE, _FIRST_MONTH = "retention", "retention_first_month"
_FIND_SETTING = "SELECT value FROM setting WHERE name = ?"
_PUT_SETTING = "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
_COUNT = """
SELECT (SELECT coalesce(sum(statements), 0) FROM chain), (SELECT coalesce(sum(statements), 0) FROM removed_progress)
"""
_PLACES = "SELECT seq FROM change WHERE seq > ? AND seq <= ? AND kind = ? ORDER BY seq LIMIT ?"
_WHOLE = """
SELECT change.seq, statement.* FROM json_each(?) AS wanted CROSS JOIN change ON change.seq = wanted.value
CROSS JOIN statement ON statement.id = change.key WHERE change.kind = ?
"""
_FREE = """
SELECT change.seq, coalesce(outside.voids, 0), outside.target
FROM json_each(?) AS wanted CROSS JOIN change ON change.seq = wanted.value
CROSS JOIN statement ON statement.id = change.key
JOIN person ON person.no = statement.person_no AND person.role = 'learner'
LEFT JOIN outside ON outside.id = statement.id
WHERE change.kind = ? AND NOT EXISTS (SELECT 1 FROM attachment WHERE attachment.statement_id = statement.id)
AND statement.id NOT IN (SELECT id FROM damaged_statement)
"""
_AT_WORK = "SELECT 1 FROM progress WHERE person_no = ? AND activity_no = ? AND stored_ms BETWEEN ? AND ?"
_ACTIVITY = "SELECT iri FROM activity WHERE no = ?"
_ACTIVITY_NO = "SELECT no FROM activity WHERE iri = ?"
_OF_RESOURCE = "SELECT no FROM activity WHERE pack = ? AND resource = ? AND item IS NULL"
_OF_ANY = "SELECT no FROM activity WHERE item IS NULL"
_OF_PACK = "SELECT no FROM activity WHERE pack = ? AND item IS NULL"
_FIND_BASE = """
SELECT progress, is_complete, score_scaled, attempts, duration_ms, first_ms, last_ms
FROM removed_progress WHERE person_no = ? AND activity_no = ?
"""
_STORE_BASE = """
INSERT INTO removed_progress (person_no, activity_no, statements, progress, is_complete, score_scaled, attempts,
    duration_ms, first_ms, last_ms, version, stored_ms)
VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (person_no, activity_no) DO UPDATE SET statements = statements + 1, progress = excluded.progress,
    is_complete = excluded.is_complete, score_scaled = excluded.score_scaled, attempts = excluded.attempts,
    duration_ms = excluded.duration_ms, first_ms = excluded.first_ms, last_ms = excluded.last_ms,
    version = coalesce(excluded.version, version), stored_ms = max(stored_ms, excluded.stored_ms)
"""


def _find_confirmed(connection: sqlite3.Connection, now_ms: int) -> int:
    if not has_hub(connection):
        return 0
    return changes.find_long_settled_change(connection, now_ms - SETTLED_MS)


# Whoever reads the log says here up to which change it needs no statement any more.
_DONE_WITH: tuple[Callable[[sqlite3.Connection, int], int], ...] = (
    _find_confirmed,
    forwards.find_done_with,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What may leave.

    Attributes:
        before_ms: only what was stored before this time.
        kept: of each learner, the resources whose work goes on.
    """

    before_ms: int
    now_ms: int
    kept: Mapping[int, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Due:
    """Places in the log of statements that may leave, and behind which place to look on; None at the end."""

    seqs: list[int]
    next_seq: int | None


@dataclass(frozen=True, slots=True)
class Open:
    """Work of a class that goes on: its learners, and (pack, resource) of it.

    No resource stands for all of a pack, and of our own lessons for everything: which they have is not known yet.
    """

    people: frozenset[int]
    resources: frozenset[tuple[str, str | None]]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many statements are on the box, and how many have left it."""

    statements: int
    removed: int


Row = dict[str, Any]


def find_policy(connection: sqlite3.Connection) -> Policy:
    """Return what staff chose; at first everything stays."""
    found = [connection.execute(_FIND_SETTING, (name,)).fetchone() for name in (_CHOICE, _FIRST_MONTH)]
    chosen = make_policy(*("" if row is None else row[0] for row in found))
    return Policy() if chosen is None else chosen


def put_policy(connection: sqlite3.Connection, policy: Policy) -> None:
    """Note what staff chose. Safe to repeat."""
    connection.execute(_PUT_SETTING, (_CHOICE, policy.choice))
    connection.execute(_PUT_SETTING, (_FIRST_MONTH, str(policy.first_month)))


def has_hub(connection: sqlite3.Connection) -> bool:
    """Tell whether there is a hub that could have anything."""
    return changes.find_hub(connection) is not None


def count(connection: sqlite3.Connection) -> Counts:
    """Return how many statements are here and how many are not any more."""
    return Counts(*connection.execute(_COUNT).fetchone())


def find_kept(connection: sqlite3.Connection, opened: Iterable[Open]) -> dict[int, frozenset[int]]:
    """Return of each learner the resources of all work that goes on."""
    kept: dict[int, frozenset[int]] = {}
    for each in opened:
        numbers: set[int] = set()
        for pack, resource in each.resources:
            numbers.update(row[0] for row in connection.execute(*_query(pack, resource)))
        for person_no in each.people if numbers else ():
            kept[person_no] = kept.get(person_no, frozenset()) | numbers
    return kept


def _query(pack: str, resource: str | None) -> tuple[str, tuple[str, ...]]:
    if resource is not None:
        return _OF_RESOURCE, (pack, resource)
    return (_OF_ANY, ()) if pack == OWN_PACK else (_OF_PACK, (pack,))


def find_due(connection: sqlite3.Connection, wanted: Wanted, after_seq: int) -> Due:
    """Look through a part of the log for what may leave."""
    through = _find_through(connection, wanted)
    query = (after_seq, through, int(Kind.STATEMENT), LOOKED_AT_MAX)
    seqs = [row[0] for row in connection.execute(_PLACES, query)]
    chosen = [row["seq"] for row in _choose(connection, wanted, seqs)]
    return Due(chosen, seqs[-1] if len(seqs) == LOOKED_AT_MAX else None)


def remove(connection: sqlite3.Connection, wanted: Wanted, seqs: Sequence[int]) -> int:
    """Remove those statements that still may leave, and return how many they were. Safe to repeat."""
    through = _find_through(connection, wanted)
    rows = _choose(connection, wanted, [seq for seq in seqs if seq <= through])
    for row in rows:
        _remove(connection, row)
    own = [Listed(row["seq"], tuple(row[name] for name in _LISTED)) for row in rows if row["body"] is None]
    listing.take_out(connection, own)
    return len(rows)


_LISTED = ("person_no", "verb_no", "activity_no", "attempt_seq")


def _find_through(connection: sqlite3.Connection, wanted: Wanted) -> int:
    """Return the last place that may be given up.

    The log keeps its last one, from which the next is counted, and what is not in lists yet.
    """
    last = changes.find_last_change(connection) - 1
    ranges = find_ranges(connection, Filter(until_ms=wanted.before_ms - 1), last)
    by_time = ranges[-1][1] if ranges else 0
    listed = listing.count_listed(connection) * listing.BLOCK - 1
    return min(last, by_time, listed, *(find(connection, wanted.now_ms) for find in _DONE_WITH))


def _choose(connection: sqlite3.Connection, wanted: Wanted, seqs: Sequence[int]) -> list[Row]:
    """Return the rows of those that may leave, each with its place and the resource it counts for."""
    query = (str(list(seqs)), int(Kind.STATEMENT))
    free = {seq: (voids, target) for seq, voids, target in connection.execute(_FREE, query)}
    names, rows = seals.select(connection, _WHOLE, query)
    timeline, work = find_timeline(connection), _Work(connection, wanted)
    chosen: list[Row] = []
    for values in rows:
        row = dict(zip(names, values, strict=True))
        if values[0] not in free or not seals.is_whole(names[1:], values[1:]):
            continue
        voids, target = free[row["seq"]]
        if voids and not _is_settled_void(connection, target):
            continue
        own = row["device_no"] is not None
        stored_ms = timeline.repair(row["timestamp_ms"], row["stored_ms"], is_own_page=own).stored_ms
        row["whole_no"], row["is_part"] = work.find_whole(row["activity_no"])
        if stored_ms < wanted.before_ms and not work.goes_on(row["person_no"], row["whole_no"]):
            chosen.append(row)
    return chosen


def _is_settled_void(connection: sqlite3.Connection, target: bytes | None) -> bool:
    """Tell whether what a statement takes back has left before it, and so is not shown again."""
    # Statements of our own pages cannot be taken back, so it came with no number of a device.
    return target is None or removed.is_removed(connection, target, None, None)


class _Work:
    """Which work goes on, each looked up once."""

    def __init__(self, connection: sqlite3.Connection, wanted: Wanted) -> None:
        self._connection = connection
        self._wanted = wanted
        self._wholes: dict[int, tuple[int, bool]] = {}
        self._at_work: dict[tuple[int, int], bool] = {}

    def find_whole(self, activity_no: int) -> tuple[int, bool]:
        """Return the number of the resource that an activity is or is a part of, and whether it is a part."""
        if activity_no not in self._wholes:
            activity = parse_activity(self._connection.execute(_ACTIVITY, (activity_no,)).fetchone()[0])
            row = self._connection.execute(_ACTIVITY_NO, (activity.whole.iri,)).fetchone()
            self._wholes[activity_no] = activity_no if row is None else row[0], activity.item is not None
        return self._wholes[activity_no]

    def goes_on(self, person_no: int, whole_no: int) -> bool:
        """Tell whether a learner's class has the resource now, or the learner is at work in it."""
        if whole_no in self._wanted.kept.get(person_no, ()):
            return True
        pair, now_ms = (person_no, whole_no), self._wanted.now_ms
        if pair not in self._at_work:
            found = self._connection.execute(_AT_WORK, (*pair, now_ms - OPEN_MS, now_ms + OPEN_MS))
            self._at_work[pair] = found.fetchone() is not None
        return self._at_work[pair]


def _remove(connection: sqlite3.Connection, row: Row) -> None:
    connection.execute("DELETE FROM statement WHERE id = ?", (row["id"],))
    connection.execute("DELETE FROM change WHERE seq = ?", (row["seq"],))
    seals.join(connection, row["device_no"], row[seals.SEAL], statements=-1)
    content = returning.content_of(row["digest"], row["body"], is_timed=row["timestamp_ms"] != row["stored_ms"])
    removed.note(connection, row["id"], row["device_no"], row["device_seq"], content)
    if row["body"] is not None:
        outside.remove(connection, row["id"])
    _summarise(connection, row)


def _summarise(connection: sqlite3.Connection, row: Row) -> None:
    """Add what a statement comes to to that of those that left before."""
    found = connection.execute(_FIND_BASE, (row["person_no"], row["whole_no"])).fetchone()
    before = None
    if found is not None:
        done, is_complete, *others = found
        before = Progress(done, bool(is_complete), *others)
    after = progress.advance(before, _step(connection, row))
    values = (
        row["person_no"],
        row["whole_no"],
        after.progress,
        after.is_complete,
        after.score_scaled,
        after.attempts,
        after.duration_ms,
        after.first_ms,
        after.last_ms,
        row["pack_version"],
        row["stored_ms"],
    )
    connection.execute(_STORE_BASE, values)


def _step(connection: sqlite3.Connection, row: Row) -> Step:
    verb = name_of(connection.execute("SELECT iri FROM verb WHERE no = ?", (row["verb_no"],)).fetchone()[0])
    is_own = row["device_no"] is not None and row["device_seq"] is not None
    return step_of(
        verb,
        row["timestamp_ms"],
        is_part=row["is_part"],
        opens_attempt=row["device_seq"] == row["attempt_seq"] if is_own else verb == "initialized",
        progress=row["progress"],
        completion=row["completion"],
        score_scaled=row["score_scaled"],
        duration_ms=row["duration_ms"],
    )
