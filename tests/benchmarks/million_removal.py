"""Half of a million statements leave a box: how long the writer is held, what room that gives, what stays of each."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edgebox.store import retention
from edgebox.store.connections import open_writer
from tests.benchmarks.million_box import MillionBox
from tests.benchmarks.table import verdict
from tests.support.retained import confirm_all, wanted

SLICE_MAX_MS = 50.0
_SIZE_OF_TRACES = """
SELECT (SELECT coalesce(sum(length(marks) + 8), 0) FROM removed_own) + (SELECT 20 * count(*) FROM removed_other)
    + (SELECT 60 * count(*) FROM removed_progress)
"""
_REFILL = """
INSERT INTO statement
SELECT CAST(printf('%016d', ?1 + row) AS BLOB), person_no, verb_no, activity_no, device_no, device_seq, attempt_seq,
    registration, timestamp_ms, stored_ms, success, completion, score_raw, score_max,
    score_scaled, duration_ms, progress, response, body, digest, pack_version, client_no, seal
FROM (SELECT *, row_number() OVER () AS row FROM statement WHERE body IS NULL LIMIT ?2)
"""


def remove_half(box: MillionBox) -> Iterator[list[str]]:
    """Remove what is older than the middle of a box nobody serves, and return rows of the table."""
    path = box.school.settings.data / "box.db"
    with closing(open_writer(path)) as connection:
        confirm_all(connection)
        first_ms, last_ms = connection.execute(
            "SELECT min(stored_ms), max(stored_ms) FROM statement WHERE body IS NULL AND digest = x''"
        ).fetchone()
        before_pages = _free_pages(connection)
        start = time.perf_counter()
        held_ms, gone = _remove(connection, (first_ms + last_ms) // 2)
        seconds = time.perf_counter() - start
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        free_bytes = (_free_pages(connection) - before_pages) * 4096
        trace_bytes = connection.execute(_SIZE_OF_TRACES).fetchone()[0]
        again = _refill(connection, path, gone // 2)
    held_ms.sort()
    p99 = held_ms[len(held_ms) * 99 // 100]
    yield [f"statements that left, {retention.SLICE} a slice", str(gone), ""]
    yield ["... a second, one slice after the other", f"{gone / seconds:.0f}", ""]
    goal = f"<= {SLICE_MAX_MS:.0f} ({verdict(p99 <= SLICE_MAX_MS)})"
    yield ["... p99 of the time a slice holds the writer, ms", f"{p99:.1f}", goal]
    yield ["... bytes of whole pages that got free, each", f"{free_bytes / gone:.0f}", ""]
    yield ["... bytes that stay of each to know it again", f"{trace_bytes / gone:.1f}", ""]
    goal = f"= 0 ({verdict(again == 0)})"
    yield [f"bytes by which the file grew with {gone // 2:,} new ones", str(again), goal]


def _remove(connection: sqlite3.Connection, before_ms: int) -> tuple[list[float], int]:
    held_ms, gone, after, what = [], 0, 0, wanted(before_ms)
    while True:
        due = retention.find_due(connection, what, after)
        for start in range(0, len(due.seqs), retention.SLICE):
            begin = time.perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            gone += retention.remove(connection, what, due.seqs[start : start + retention.SLICE])
            connection.execute("COMMIT")
            held_ms.append((time.perf_counter() - begin) * 1000)
        if due.next_seq is None:
            return held_ms, gone
        after = due.next_seq


def _refill(connection: sqlite3.Connection, path: Path, count: int) -> int:
    """Store as many rows as fit into the room that got free, and return by how much the file grew."""
    before_bytes = path.stat().st_size
    last = connection.execute("SELECT max(seq) FROM change").fetchone()[0]
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(_REFILL, (last, count))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size - before_bytes


def _free_pages(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])
