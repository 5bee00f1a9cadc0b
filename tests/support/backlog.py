"""A box that was away for months: its database as if the tablets of a whole school had written it day by day."""

import random
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

from content_packs.base.ids import derive_statement_id
from edgebox.store.connections import open_writer
from edgebox.store.log import number_key
from edgebox.store.seals import seal_all
from edgebox.store.stretches import make_all
from sync.records.activity import parse_activity
from sync.records.kinds import Kind
from sync.records.rows import Statement
from tests.support.school_day import ADL, VERBS, School, Shape, make_day, make_school

DAY_MS = 86_400_000
SEQS_PER_DAY = 2_000
DAYS_PER_LESSON = 3

_STATEMENT = """
INSERT INTO statement (id, person_no, verb_no, activity_no, device_no, device_seq, attempt_seq, timestamp_ms, stored_ms,
    success, completion, score_raw, score_max, score_scaled, duration_ms, progress, response, digest)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, x'')
"""
_ACTIVITY = "INSERT INTO activity (iri, pack, resource, item) VALUES (?, ?, ?, ?)"
_CHANGE = "INSERT INTO change (kind, key) VALUES (?, ?)"


def fill(path: Path, events: int, *, seed: int = 1) -> None:
    """Write so many statements, with their registries and the log, into a database that has none. Blocks."""
    school = make_school(seed, learners=360)
    connection = open_writer(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        first_no = _write_registries(connection, school)
        for day in _days(school, seed, events):
            rows = [_row(school, statement, first_no) for statement in day]
            connection.executemany(_STATEMENT, rows)
            connection.executemany(_CHANGE, [(int(Kind.STATEMENT), row[0]) for row in rows])
        seal_all(connection)
        make_all(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()


def _write_registries(connection: Any, school: School) -> int:
    """Return the number that comes before the first learner's."""
    first_no = int(connection.execute("SELECT coalesce(max(no), 0) FROM person").fetchone()[0])
    tables: list[tuple[Kind, str, int, list[tuple[Any, ...]]]] = [
        (Kind.VERB, "INSERT INTO verb (iri) VALUES (?)", 0, [(ADL + name,) for name in VERBS]),
        (Kind.ACTIVITY, _ACTIVITY, 0, [astuple(parse_activity(iri)) for iri in school.activities]),
        (Kind.DEVICE, "INSERT INTO device (id, first_ms) VALUES (?, 0)", 0, [(id_,) for id_ in school.devices]),
        (
            Kind.LEARNER,
            "INSERT INTO person (pseudonym, role, given_name, created_ms) VALUES (?, 'learner', 'L', 0)",
            first_no,
            [(pseudonym,) for pseudonym in school.learners],
        ),
    ]
    for kind, insert, before, rows in tables:
        connection.executemany(insert, rows)
        keys = [(int(kind), number_key(before + place)) for place in range(1, len(rows) + 1)]
        connection.executemany(_CHANGE, keys)
    return first_no


def _days(school: School, seed: int, events: int) -> Iterator[list[Statement]]:
    """Return days of which no two are alike: some are quiet, some are full, and the lessons go on with the year."""
    number = 0
    while events > 0:
        day = make_day(school, seed + number, events, _shape(seed + number, number))
        yield [_moved(statement, number) for statement in day]
        events -= len(day)
        number += 1


def _shape(seed: int, number: int) -> Shape:
    dice = random.Random(seed)
    return Shape(
        attendance=dice.uniform(0.75, 0.98),
        together=dice.uniform(0.4, 0.95),
        first_lesson=number // DAYS_PER_LESSON,
        events_per_session=dice.uniform(14, 34),
    )


def _moved(statement: Statement, days: int) -> Statement:
    fields = {name: getattr(statement, name) for name in Statement.__slots__}
    later = {
        "timestamp_ms": statement.timestamp_ms + days * DAY_MS,
        "device_seq": (statement.device_seq or 0) + days * SEQS_PER_DAY,
        "attempt_seq": (statement.attempt_seq or 0) + days * SEQS_PER_DAY,
    }
    return Statement(**fields | later)


def _row(school: School, statement: Statement, first_no: int) -> tuple[Any, ...]:
    device_no, seq = statement.device_no or 1, statement.device_seq or 0
    id_ = derive_statement_id(school.devices[device_no - 1], seq, statement.timestamp_ms)
    return (
        id_,
        (statement.learner_no or 1) + first_no,
        statement.verb_no,
        statement.activity_no,
        device_no,
        seq,
        statement.attempt_seq,
        statement.timestamp_ms,
        statement.timestamp_ms + 1_500,
        statement.success,
        statement.completion,
        statement.score_raw,
        statement.score_max,
        statement.score_scaled,
        statement.duration_ms,
        statement.progress,
        statement.response,
    )
