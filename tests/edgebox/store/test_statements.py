import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebox.domain.events import parse_event
from edgebox.domain.statement_in import Sender, from_event, from_statement
from edgebox.domain.xapi.version import Version
from edgebox.store import registry, roster
from edgebox.store.connections import open_writer
from edgebox.store.statements import Batch, insert_batch, insert_statements
from edgebox.store.upgrade import upgrade
from tests.support.records import make_statement

DEVICE = bytes(range(16))
VERBS = ("launched", "answered", "progressed", "completed", "passed")
TABLES = ("statement", "statement_conflict", "progress", "device")
COLUMNS = {
    "statement": "id, verb.iri, activity.iri, device_seq, timestamp_ms, success, score_scaled, progress, digest",
    "progress": "activity.iri, progress, is_complete, score_scaled, attempts, duration_ms, first_ms, last_ms",
}


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    upgrade(tmp_path / "box.db")
    opened = open_writer(tmp_path / "box.db")
    opened.execute("PRAGMA synchronous = OFF")  # nothing here is about power cuts, and hypothesis runs it often
    roster.insert_learner(opened, 0, "Learner")
    yield opened
    opened.close()


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(VERBS),
        st.sampled_from(("halves", "thirds")),
        st.none() | st.sampled_from(("q1", "q2")),
        st.fixed_dictionaries(
            {},
            optional={
                "success": st.booleans(),
                "score": st.integers(0, 4),
                "max": st.just(4),
                "progress": st.sampled_from((0, 0.25, 1)),
                "duration_ms": st.integers(0, 10_000),
            },
        ),
    ),
    min_size=1,
    max_size=8,
)


def numbered(contents: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [
        {
            "seq": seq,
            "attempt": 1,
            "token": "",
            "t": 1_763_780_000_000 + 700 * seq,
            "verb": verb,
            "pack": "a.b.c",
            "resource": resource,
            "item": item,
            "result": result,
        }
        for seq, (verb, resource, item, result) in enumerate(contents, 1)
    ]


class Box:
    """The hot path over one database, without the threads around it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.person = connection.execute("SELECT no, pseudonym FROM person").fetchone()
        for table in (*TABLES, "change", "verb", "activity"):
            connection.execute(f"DELETE FROM {table}")
        self.registry = registry.load(connection)

    def receive(self, events: list[dict[str, Any]], *, is_rolled_back: bool = False) -> None:
        no, pseudonym = self.person
        statements = [from_event(parse_event(event), DEVICE, no, event) for event in events]
        batch = Batch(DEVICE, None, statements, {no: pseudonym}, [])
        self.connection.execute("BEGIN IMMEDIATE")
        done = insert_batch(self.connection, self.registry, batch, 0)
        if is_rolled_back:
            self.connection.execute("ROLLBACK")
        else:
            self.connection.execute("COMMIT")
            self.registry.learn(done.numbers)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        joins = "JOIN activity ON activity.no = activity_no"
        queries = {
            "statement": f"FROM statement {joins} JOIN verb ON verb.no = verb_no",
            "progress": f"FROM progress {joins}",
        }
        found = {
            table: sorted(self.connection.execute(f"SELECT {COLUMNS[table]} {tail}"), key=repr)
            for table, tail in queries.items()
        }
        found["device"] = self.connection.execute("SELECT box_seq, ahead FROM device").fetchall()
        found["logged"] = sorted(self.connection.execute("SELECT key FROM change WHERE kind = 1"))
        found["conflict"] = self.connection.execute("SELECT id FROM statement_conflict").fetchall()
        return found


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(contents=EVENTS, data=st.data())
def test_resend_in_any_split_order_and_number_ends_in_the_same_rows(
    connection: sqlite3.Connection, contents: list[tuple[Any, ...]], data: st.DataObject
) -> None:
    events = numbered(contents)
    plain = Box(connection)
    plain.receive(events)
    expected = plain.rows()
    twisted = Box(connection)
    repeats = data.draw(st.lists(st.sampled_from(events), max_size=6))
    deliveries = data.draw(st.permutations(events + repeats))
    while deliveries:
        size = data.draw(st.integers(1, len(deliveries)))
        # A job that was rolled back runs again: that must leave no trace, in memory neither.
        if data.draw(st.booleans()):
            twisted.receive(deliveries[:size], is_rolled_back=True)
        twisted.receive(deliveries[:size])
        deliveries = deliveries[size:]
    assert twisted.rows() == expected
    assert expected["device"] == [(len(events), "")]
    assert len(expected["logged"]) == len(events)


def test_verbs_that_outside_clients_make_up_do_not_fill_the_memory(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_CACHED_MAX", 3)
    known = registry.Registry({}, {})
    numbers: dict[str, int] = {}
    for iri in (f"http://example.org/verbs/{no}" for no in range(5)):
        found = registry.Numbers(connection, known)
        numbers[iri] = found.of_verb(iri)
        known.learn(found)
    assert len(known.verbs) == 3
    assert len(registry.load(connection).verbs) == 3
    assert {iri: registry.Numbers(connection, known).of_verb(iri) for iri in numbers} == numbers


def test_storing_takes_as_many_steps_whatever_there_is(connection: sqlite3.Connection) -> None:
    steps = []
    for number in (1, 2):
        steps.append(count_steps(connection, number))
        rows = [(bytes([number]) + place.to_bytes(15, "big"),) for place in range(20_000)]
        connection.executemany("INSERT INTO change (kind, key) VALUES (1, ?)", rows)
    assert steps[1] < 2 * steps[0]


def count_steps(connection: sqlite3.Connection, number: int) -> int:
    """Return how many steps of SQLite's machine it takes to store a statement of a page, and one of an app."""
    counted = [0]

    def step() -> int:
        counted[0] += 1
        return 0

    event = {"seq": 1, "attempt": 1, "token": "t", "t": 1_763_780_000_000, "verb": "passed", "pack": "org.edgebox.x",
             "resource": "halves"}  # fmt: skip
    device = bytes([number]) * 16
    made = from_event(parse_event(event), device, 1, event)
    sender = Sender("http://box/", "account:http://box/ client-1", 1, Version.ONE)
    app = from_statement(make_statement(number), None, 1, sender)
    pseudonym = connection.execute("SELECT pseudonym FROM person").fetchone()[0]
    connection.set_progress_handler(step, 1)
    insert_batch(connection, registry.Registry({}, {}), Batch(device, None, [made], {1: pseudonym}, []), 1)
    insert_statements(connection, registry.Registry({}, {}), [app], 1)
    connection.set_progress_handler(None, 0)
    return counted[0]
