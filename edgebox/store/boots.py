"""The clock as it is written down: where it was last, in which boots it told what, and by how much these were wrong."""

import sqlite3
from collections.abc import Iterable

from edgebox.domain.clock_rules import Saved
from edgebox.store.log import append_change, number_key
from sync.bundle.layout import ClockQuality
from sync.records import rows
from sync.records.kinds import Kind
from sync.records.retiming import Timeline

_SAVED = "clock"
RETIMED = b"t"  # behind the number in the key of a change: only what was learned since is news
_NO_BYTES = 8
_LASTS_MS = 86_400_000  # nobody stays signed in, nor waits for a next try, for longer

# What the box measures by its own clock, and what it never sends.
_SHIFTED = (
    ("session", "created_ms"),
    ("session", "seen_ms"),
    ("session", "expires_ms"),
    ("sign_in_failure", "last_ms"),
    ("progress", "stored_ms"),
    ("device", "refused_ms"),
    ("bundle_out", "acked_ms"),
    ("express_out", "acked_ms"),
    ("cmi5_launch", "launched_ms"),
    ("cmi5_launch", "last_ms"),
)
# The latest of several times, which would stay the latest for years after a clock that was set back.
_LATEST = (("progress", "first_ms"), ("progress", "last_ms"))
# Read with every page of statements; most boxes have nothing to repair.
_TIMELINE = "SELECT start_ms, offset_ms FROM boot WHERE EXISTS (SELECT 1 FROM boot WHERE offset_ms <> 0)"
_SHIFT = "UPDATE {table} SET {column} = {column} + ? WHERE {column} >= ?"


def find_saved(connection: sqlite3.Connection) -> Saved | None:
    """Return what was last written down of the time."""
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (_SAVED,)).fetchone()
    if row is None:
        return None
    now_ms, monotonic_ms, quality, run_id = row[0].split(" ", 3)
    return Saved(int(now_ms), int(monotonic_ms), run_id, ClockQuality(int(quality)))


def save(connection: sqlite3.Connection, saved: Saved) -> None:
    """Write down what time it is."""
    value = f"{saved.now_ms} {saved.monotonic_ms} {int(saved.quality)} {saved.run_id}"
    connection.execute(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (_SAVED, value),
    )


def begin(connection: sqlite3.Connection, started: Saved) -> None:
    """Begin a boot, and write down what time it is."""
    _begin(connection, started, _next_change(connection))


def learn(connection: sqlite3.Connection, before_ms: int, learned: Saved) -> None:
    """Take over a better time: all boots of this run of the machine were wrong by the same, and a new one begins.

    A clock that was right needs no new boot, and that it was right is told by the head of the next bundle. What the box
    measures by this clock goes on as if nothing happened: nobody is signed out, nobody may try a secret sooner, and who
    is at work stays so.
    """
    by_ms, first_change = learned.now_ms - before_ms, _next_change(connection)
    in_run = "SELECT no, start_ms FROM boot WHERE run_id = ? ORDER BY no"
    run = connection.execute(in_run, (learned.run_id,)).fetchall()
    for no, _start_ms in run:
        values = (by_ms, int(learned.quality), no)
        connection.execute("UPDATE boot SET offset_ms = offset_ms + ?, quality = ? WHERE no = ?", values)
        if by_ms:
            append_change(connection, Kind.BOOT, number_key(no) + RETIMED)
    if not by_ms:
        save(connection, learned)
        return
    since_ms = run[-1][1] - _LASTS_MS if run else before_ms
    for table, column in _SHIFTED if by_ms > 0 else (*_SHIFTED, *_LATEST):
        connection.execute(_SHIFT.format(table=table, column=column), (by_ms, since_ms))
    _begin(connection, learned, first_change)


def _next_change(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM change").fetchone()[0])


def _begin(connection: sqlite3.Connection, started: Saved, first_change: int) -> None:
    added = connection.execute(
        "INSERT INTO boot (run_id, first_change, start_ms, quality) VALUES (?, ?, ?, ?)",
        (started.run_id, first_change, started.now_ms, int(started.quality)),
    )
    append_change(connection, Kind.BOOT, number_key(int(added.lastrowid or 0)))
    save(connection, started)


def find_timeline(connection: sqlite3.Connection) -> Timeline:
    """Return by how much the times this box told are to be repaired."""
    return Timeline(tuple(row) for row in connection.execute(_TIMELINE))


def find_boot(connection: sqlite3.Connection, change: int) -> tuple[ClockQuality, int | None]:
    """Return how good the clock was when a change was made, and the first change of the next boot, if there is one.

    Changes from before boots were counted belong to no boot, and need no bundle of their own.
    """
    row = connection.execute(
        "SELECT quality FROM boot WHERE first_change <= ? ORDER BY first_change DESC, no DESC LIMIT 1", (change,)
    ).fetchone()
    if row is None:
        return ClockQuality.UNKNOWN, None
    after = connection.execute("SELECT min(first_change) FROM boot WHERE first_change > ?", (change,)).fetchone()[0]
    return ClockQuality(row[0]), after


def read_boots(connection: sqlite3.Connection, keys: Iterable[bytes]) -> list[rows.Record]:
    """Return the boots that changes name; whole where they begin, else what was learned of them."""
    is_whole: dict[int, bool] = {}
    for key in keys:
        no = int.from_bytes(key[:_NO_BYTES], "big")
        is_whole[no] = is_whole.get(no, False) or len(key) == _NO_BYTES
    query = "SELECT start_ms, offset_ms, quality FROM boot WHERE no = ?"
    found = ((no, connection.execute(query, (no,)).fetchone()) for no in is_whole)
    return [rows.Boot(no, row[1], row[2], row[0] if is_whole[no] else None) for no, row in found if row is not None]
