"""Acknowledged statements with 40 learners, beside raw inserts of the same rows in groups of 40 per commit."""

import asyncio
import itertools
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edgebox.store.connections import open_writer
from tests.benchmarks import processes
from tests.benchmarks.load import Load, run_load
from tests.benchmarks.table import show, verdict
from tests.support.box import Person, School, make_school, make_tablet

LEARNERS = 40
SECONDS = 8.0
RESOURCES = 40
WARM_UP_SECONDS = 2.0
REQUEST_SIZES = (1, 10, 50)
RATE_GOAL = 0.40
CPU_GOAL_MS = 0.4
P99_GOAL_MS = 50.0
WRITTEN_GOAL_KB = 8.0


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        school = make_school(Path(folder) / "box", learners=LEARNERS)
        rows, row_count = [], 0
        for events in REQUEST_SIZES:
            row, stored = _run_server(school, events)
            rows.append(row)
            row_count += stored
        _check_stored(school, row_count)
        raw_rate, raw_kb = _raw_inserts(school, Path(folder) / "raw.db")
    rows.append(["raw writes of the same rows, 40 a commit", f"{raw_rate:.0f}", "", "", "", f"{raw_kb:.1f}", ""])
    for row in rows[:-1]:
        ratio = float(row[1]) / raw_rate
        row[-1] += f"; {ratio:.2f} of raw, goal {RATE_GOAL} ({verdict(ratio >= RATE_GOAL)})"
    header = ["what", "statements/s", "p50 ms", "p99 ms", "CPU ms each", "KB written each", "goals"]
    show(f"Acknowledged statements, {LEARNERS} learners, synchronous=FULL", header, rows)


def _run_server(school: School, events: int) -> tuple[list[str], int]:
    port, content_port = processes.free_port(), processes.free_port()
    command = [sys.executable, "-m", "edgebox", "serve", "--data", str(school.settings.data)]
    command += ["--port", str(port), "--content-port", str(content_port)]
    with processes.server(command, port) as process:
        clients = [make_client(port, learner, events) for learner in school.learners]
        warm = asyncio.run(run_load(port, clients, WARM_UP_SECONDS))
        cpu, written = processes.cpu_seconds(process.pid), processes.written_bytes(process.pid)
        load = asyncio.run(run_load(port, clients, SECONDS))
        cpu = processes.cpu_seconds(process.pid) - cpu
        written = processes.written_bytes(process.pid) - written
    return _row(load, events, cpu, written), (load.requests + warm.requests) * events


def _row(load: Load, events: int, cpu_seconds: float, written_bytes: int) -> list[str]:
    if set(load.statuses) != {200}:
        raise RuntimeError(f"answers other than 200: {load.statuses}")
    count = load.requests * events
    p99, cpu_ms, kilobytes = load.percentile_ms(99), cpu_seconds / count * 1000, written_bytes / count / 1024
    goals = ", ".join(
        f"{what} <= {goal:g} ({verdict(value <= goal)})"
        for what, value, goal in [
            ("p99", p99, P99_GOAL_MS),
            ("CPU", cpu_ms, CPU_GOAL_MS),
            ("written", kilobytes, WRITTEN_GOAL_KB),
        ]
    )
    name = f"POST /api/outbox, {events} a request"
    p50 = load.percentile_ms(50)
    return [name, f"{count / load.seconds:.0f}", f"{p50:.1f}", f"{p99:.1f}", f"{cpu_ms:.3f}", f"{kilobytes:.1f}", goals]


def make_client(port: int, learner: Person, events: int) -> Callable[[], bytes]:
    """Return what makes the next request of a tablet."""
    tablet = make_tablet(int.from_bytes(learner.pseudonym, "big"))
    tablet.t = time.time_ns() // 1_000_000
    items = itertools.count()
    head = f"POST /api/outbox HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: "

    def request() -> bytes:
        made = [make_event(tablet.event, learner, next(items)) for _ in range(events)]
        body = json.dumps(tablet.request(*made)).encode()
        return f"{head}{len(body)}\r\n\r\n".encode() + body

    # The numbering of a device goes on over both rounds, as on a real tablet.
    return request


def make_event(make: Callable[..., dict[str, object]], learner: Person, number: int) -> dict[str, object]:
    """Return an event like those of a class at a quiz."""
    result = {"success": number % 3 > 0, "score": number % 2, "max": 1, "response": "b", "duration_ms": 4000 + number}
    return make(learner, resource=f"resource-{number // 10 % RESOURCES}", item=f"q{number % 10}", result=result)


def _check_stored(school: School, expected: int) -> None:
    """Stop if the box holds another number of statements than it acknowledged."""
    connection = sqlite3.connect(school.settings.data / "box.db")
    stored = connection.execute("SELECT count(*) FROM statement").fetchone()[0]
    connection.close()
    if stored < expected:
        raise RuntimeError(f"{expected} acknowledged, {stored} stored")


def _raw_inserts(school: School, path: Path) -> tuple[float, float]:
    """Write the same rows (statement, change, progress, device) with nothing around them: no HTTP, JSON or checks."""
    source = sqlite3.connect(school.settings.data / "box.db")
    names = "('statement', 'change', 'progress', 'device')"
    schema = [sql for (sql,) in source.execute(f"SELECT sql FROM sqlite_master WHERE name IN {names}")]
    statements = source.execute("SELECT * FROM statement LIMIT 20000").fetchall()
    progress = source.execute("SELECT * FROM progress").fetchall()
    source.close()
    connection = open_writer(path)
    for sql in schema:
        connection.execute(sql)
    marks, touched_marks = (",".join("?" * len(rows[0])) for rows in (statements, progress))
    written, start = processes.written_bytes_here(), time.perf_counter()
    for at in range(0, len(statements), LEARNERS):
        group = statements[at : at + LEARNERS]
        touched = [progress[(at + number) % len(progress)] for number in range(len(group))]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(f"INSERT INTO statement VALUES ({marks})", group)
        connection.executemany("INSERT INTO change (kind, key) VALUES (1, ?)", [row[:1] for row in group])
        connection.executemany(f"INSERT OR REPLACE INTO progress VALUES ({touched_marks})", touched)
        connection.executemany("UPDATE device SET box_seq = box_seq + 1 WHERE no = ?", [(row[4],) for row in group])
        connection.execute("COMMIT")
    seconds = time.perf_counter() - start
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return len(statements) / seconds, (processes.written_bytes_here() - written) / len(statements) / 1024


if __name__ == "__main__":
    main()
