"""First pages of filtered statements at a million, through the reader that serves them, and what the lists take."""

import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from content_packs.base import ids
from content_packs.base.clock import SystemClock
from edgebox.domain.statement_in import Sender, from_statement
from edgebox.domain.xapi.version import Version
from edgebox.store import listing, registry, statement_queries, statements
from edgebox.store.connections import open_reader, open_writer
from edgebox.store.statement_filters import Filter, Reach
from edgebox.store.upgrade import upgrade
from tests.benchmarks.table import show, verdict
from tests.support import backlog
from tests.support.school_day import ADL

STATEMENTS = 1_000_000
OUTSIDE = 20_000
PAGE_MAX_MS = 300.0
STATEMENT_MAX_BYTES = 400.0
PAGE = 100
RUNS = 5
_HOME = "http://box.internal/"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "box.db"
        upgrade(path)
        backlog.fill(path, STATEMENTS)
        own_bytes = _size(path)
        block_ms = _index(path)
        listed_bytes = _size(path) - own_bytes
        _add_outside(path, OUTSIDE)
        reader = open_reader(path)
        rows = [_row(reader, name, wanted, reach) for name, wanted, reach in _questions(reader)]
        reader.close()
    each = (own_bytes + listed_bytes) / STATEMENTS
    fits = verdict(each <= STATEMENT_MAX_BYTES)
    rows.append(
        ["bytes in the database per statement of our own", f"{each:.0f}", f"<= {STATEMENT_MAX_BYTES:.0f} ({fits})"]
    )
    rows.append(["... of which lists", f"{listed_bytes / STATEMENTS:.1f}", ""])
    rows.append([f"ms to list a block of {listing.BLOCK:,}, off the writer", f"{block_ms:.0f}", ""])
    title = f"First page of {PAGE} statements out of {STATEMENTS:,} and {OUTSIDE:,} of outside clients"
    show(title, ["filter", "worst of 5, ms", "goal"], rows)


def _row(reader: sqlite3.Connection, name: str, wanted: Filter, reach: Reach) -> list[str]:
    worst = 0.0
    for _ in range(RUNS):
        start = time.perf_counter()
        page = statement_queries.list_statements(reader, wanted, reach, None, PAGE)
        worst = max(worst, (time.perf_counter() - start) * 1000)
    more = "" if page.next_seq is None else ", more"
    goal = f"<= {PAGE_MAX_MS:.0f} ({verdict(worst <= PAGE_MAX_MS)})"
    return [f"{name}: {len(page.statements)}{more}", f"{worst:.1f}", goal]


def _questions(reader: sqlite3.Connection) -> Iterator[tuple[str, Filter, Reach]]:
    person, pseudonym = tuple(reader.execute("SELECT no, pseudonym FROM person WHERE no = 7").fetchone())
    iri = reader.execute("SELECT iri FROM activity WHERE no = 9").fetchone()[0]
    first_ms, last_ms = tuple(reader.execute("SELECT min(stored_ms), max(stored_ms) FROM statement").fetchone())
    device, attempt = tuple(
        reader.execute("SELECT device.id, attempt_seq FROM statement JOIN device ON no = device_no LIMIT 1").fetchone()
    )
    agent = f"account:{_HOME} {ids.format_uuid(pseudonym)}"
    everybody, answered = Reach(), f"{ADL}answered"
    yield "no filter", Filter(), everybody
    yield "no filter, oldest first", Filter(is_ascending=True), everybody
    yield "a learner", Filter(agent=agent, person_no=person), everybody
    yield "a learner reads her own", Filter(), Reach(people=frozenset({person}))
    yield "a class of 30", Filter(), Reach(people=frozenset(range(1, 31)))
    yield "a common verb", Filter(verb=answered), everybody
    yield "a verb nobody used", Filter(verb=f"{ADL}mastered"), everybody
    yield "an activity", Filter(activity=iri), everybody
    yield "an activity, oldest first", Filter(activity=iri, is_ascending=True), everybody
    yield "learner, verb and activity", Filter(agent, person, answered, iri), everybody
    yield "a registration", Filter(registration=ids.derive_registration(device, attempt)), everybody
    yield "since the middle, oldest first", Filter(since_ms=(first_ms + last_ms) // 2, is_ascending=True), everybody
    yield "until the first day", Filter(until_ms=first_ms + 10_000_000), everybody
    yield "a verb until the first day", Filter(verb=answered, until_ms=first_ms + 10_000_000), everybody
    yield "an agent of an outside client", Filter(agent="mbox:mailto:a7@example.org"), everybody
    yield "an agent around", Filter(agent="mbox:mailto:b3@example.org", related_agents=True), everybody
    yield "an activity around", Filter(activity="http://example.org/course/3", related_activities=True), everybody
    yield "one client's", Filter(), Reach(client_no=1)
    yield "one client's, by verb", Filter(verb=f"{ADL}experienced"), Reach(client_no=1)


def _size(path: Path) -> int:
    connection = open_writer(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.stat().st_size


def _index(path: Path) -> float:
    """List all that is full and return how long a block takes in milliseconds."""
    writer, reader = open_writer(path), open_reader(path)
    start, blocks = time.perf_counter(), 0
    while (block := listing.find_due_block(reader)) is not None:
        lists = listing.read_lists(reader, block)
        writer.execute("BEGIN IMMEDIATE")
        listing.store_lists(writer, block, lists)
        writer.execute("COMMIT")
        blocks += 1
    took_ms = (time.perf_counter() - start) * 1000 / blocks
    writer.close()
    reader.close()
    return took_ms


def _add_outside(path: Path, count: int) -> None:
    connection, now_ms = open_writer(path), SystemClock().now_ms()
    numbers = registry.load(connection)
    sender = Sender(_HOME, f"account:{_HOME} client-1", 1, Version.ONE)
    new = [from_statement(_outside(number), None, now_ms, sender) for number in range(count)]
    connection.execute("BEGIN IMMEDIATE")
    for start in range(0, count, 500):
        _taken, made = statements.insert_statements(connection, numbers, new[start : start + 500], now_ms)
        numbers.learn(made)
    connection.execute("COMMIT")
    connection.close()


def _outside(number: int) -> dict[str, object]:
    return json.loads(
        json.dumps(
            {
                "actor": {"mbox": f"mailto:a{number % 300}@example.org"},
                "verb": {"id": f"{ADL}experienced"},
                "object": {"id": f"http://example.org/page/{number % 1000}"},
                "context": {
                    "instructor": {"mbox": f"mailto:b{number % 10}@example.org"},
                    "contextActivities": {"grouping": [{"id": f"http://example.org/course/{number % 20}"}]},
                },
            }
        )
    )


if __name__ == "__main__":
    main()
