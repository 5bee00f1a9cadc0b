"""What the hub sends is applied whole or not at all, twice as once, whatever it says."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from content_packs.base import ids
from edgebox.domain.events import parse_event
from edgebox.domain.statement_in import from_event
from edgebox.domain.statement_out import write_out
from edgebox.store import documents, roster, stamping, statements
from edgebox.store.connections import open_writer
from edgebox.store.downstream import NumberUnresolved, apply_records
from edgebox.store.projecting import code_of
from edgebox.store.registry import Registry
from edgebox.store.statement_filters import Reach
from edgebox.store.statement_queries import find_statement
from edgebox.store.statements import Batch
from edgebox.store.upgrade import upgrade
from sync.records.facts import AssignmentField, ClassField, Entity, assignment_id
from sync.records.rows import Activity, Class, Device, Fact, Health, Learner, Member, Record, State, Statement, Verb
from tests.sync.makers import ANSWERED, COMPLETED, DEVICE, NOW_MS, answered, completed, merging, registries

HUB = b"hub-------------"
LEARNER = b"learner-one-----"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    upgrade(tmp_path / "box.db")
    opened = open_writer(tmp_path / "box.db")
    stamping.put_origin(opened, b"this-box--------")
    yield opened
    opened.close()


def take(db: sqlite3.Connection, *records: Record, epoch: int = 1, now_ms: int = NOW_MS) -> None:
    apply_records(db, records, origin=HUB, epoch=epoch, now_ms=now_ms)


def dump(db: sqlite3.Connection) -> list[str]:
    """Return all that the database holds, but the log's own numbers."""
    return [line for line in db.iterdump() if "sqlite_sequence" not in line]


NUMBERS: list[Record] = [
    Verb(31, ANSWERED),
    Verb(32, COMPLETED),
    Activity(41, "urn:x-edgebox:org.example.sums:adding:q1"),
    Activity(42, "urn:x-edgebox:org.example.sums:adding"),
    Device(51, DEVICE),
    Learner(61, LEARNER),
]


def of_hub(statement: Statement) -> Statement:
    """Return the statement under the hub's numbers."""
    return replace(
        statement,
        verb_no=statement.verb_no + 30,
        activity_no=statement.activity_no + 40,
        device_no=51,
        learner_no=61,
    )


def test_everything_that_may_come_is_taken_and_again_changes_nothing(db: sqlite3.Connection) -> None:
    records = [*NUMBERS, *map(of_hub, (answered(1), completed(2))), *merging()]
    take(db, *records)
    before = dump(db)
    take(db, *records, now_ms=NOW_MS + 9)
    take(db, *reversed(merging()), now_ms=NOW_MS + 9)
    assert dump(db) == before


def test_numbers_of_the_hub_are_not_those_of_the_box(db: sqlite3.Connection) -> None:
    roster.insert_learner(db, NOW_MS, "Somebody else")
    take(db, *NUMBERS, of_hub(completed(2)))
    found = db.execute(
        "SELECT pseudonym, verb.iri, activity.iri, device.id FROM statement JOIN person ON person.no = person_no"
        " JOIN verb ON verb.no = verb_no JOIN activity ON activity.no = activity_no"
        " JOIN device ON device.no = device_no"
    )
    assert found.fetchall() == [(LEARNER, COMPLETED, "urn:x-edgebox:org.example.sums:adding", DEVICE)]
    assert db.execute("SELECT is_complete FROM progress").fetchall() == [(1,)]
    assert db.execute("SELECT box_seq, ahead FROM device").fetchall() == [(0, "2-2")]


def test_a_number_that_nobody_explained_is_refused(db: sqlite3.Connection) -> None:
    with pytest.raises(NumberUnresolved):
        take(db, *NUMBERS[1:], of_hub(answered(1)))


def test_a_number_means_one_thing_in_one_epoch(db: sqlite3.Connection) -> None:
    take(db, Learner(61, LEARNER))
    with pytest.raises(NumberUnresolved):
        take(db, Learner(61, b"learner-two-----"))
    take(db, Learner(61, b"learner-two-----"), epoch=2)


def test_what_a_tablet_brings_later_is_the_same_statement(db: sqlite3.Connection) -> None:
    take(db, *NUMBERS, of_hub(answered(1)))
    statement_id = ids.derive_statement_id(DEVICE, 1, answered(1).timestamp_ms)
    person_no = db.execute("SELECT no FROM person").fetchone()[0]
    sent = {"seq": 1, "attempt": 1, "token": "", "t": NOW_MS, "verb": "answered", "pack": "a.b.c", "resource": "sums"}
    again = replace(from_event(parse_event(sent), DEVICE, person_no, {}), id=statement_id)
    statements.insert_batch(db, Registry({}, {}), Batch(DEVICE, None, [again], {person_no: LEARNER}, ()), NOW_MS)
    assert db.execute("SELECT count(*) FROM statement_conflict").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM statement").fetchone() == (1,)
    assert db.execute("SELECT count(*) FROM change WHERE kind = 1").fetchone() == (0,)


def test_an_outside_statement_that_comes_back_has_its_actor_again(db: sqlite3.Connection) -> None:
    outside = Statement(
        32, 42, NOW_MS, learner_no=61, id=bytes(15) + b"\1", body=b'{"verb":{"id":"http://v"},"timestamp":"x"}'
    )
    take(db, *NUMBERS, outside)
    stored = find_statement(db, bytes(15) + b"\1", Reach())
    assert stored is not None
    whole = write_out(stored, "http://box/")
    assert whole["actor"]["account"]["name"] == ids.format_uuid(LEARNER)
    assert whole["object"]["id"] == "urn:x-edgebox:org.example.sums:adding"


def test_what_goes_up_only_is_not_taken_from_above(db: sqlite3.Connection) -> None:
    before = dump(db)
    take(db, Class(1, bytes(16), "K7QF"), Health("1", 1, 1, 1, 1, 1, 1, 1, 1, HUB), *registries()[10:])
    assert dump(db) == before


@pytest.mark.parametrize(
    "fact",
    [
        Fact(77, bytes(16), 1, "x", 1),
        Fact(Entity.CLASS, bytes(16), 99, "x", 1),
        Fact(Entity.CLASS, bytes(16), ClassField.IS_ACTIVE, "maybe", 1),
        Fact(Entity.ASSIGNMENT, bytes(16), AssignmentField.VERSION, "two", 1),
        Fact(Entity.ASSIGNMENT, bytes(16), AssignmentField.CLASS_ID, "zz", 1),
        Fact(Entity.SETTING, bytes(16), 1, "maybe", 1),
    ],
)
def test_a_fact_that_this_program_does_not_know_is_kept_and_shows_nothing(db: sqlite3.Connection, fact: Fact) -> None:
    take(db, fact)
    assert db.execute("SELECT value FROM fact").fetchall() == [(fact.value,)]
    for table in ("assignment", "class"):
        assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM setting WHERE name = 'local_scripts'").fetchone() == (0,)


def test_a_member_of_a_set_of_later_is_kept_and_shows_nothing(db: sqlite3.Connection) -> None:
    take(db, Member(77, b"class-four------", LEARNER, 5))
    assert db.execute("SELECT set_no FROM member").fetchall() == [(77,)]
    assert db.execute("SELECT count(*) FROM class").fetchone() == (0,)


def test_a_bundle_that_cannot_be_applied_leaves_nothing(db: sqlite3.Connection) -> None:
    before = dump(db)
    db.execute("BEGIN")
    with pytest.raises(NumberUnresolved):
        take(db, *NUMBERS[1:], *merging(), of_hub(answered(1)))
    db.execute("ROLLBACK")
    assert dump(db) == before


def test_a_class_whose_code_another_class_has_gets_one_of_its_own(db: sqlite3.Connection) -> None:
    roster.insert_class(db, NOW_MS, "Class 4")
    taken = db.execute("SELECT code FROM class").fetchone()[0]
    other = b"another-class---"
    facts = [
        Fact(Entity.CLASS, other, ClassField.CODE, taken, 1),
        Fact(Entity.CLASS, other, ClassField.IS_ACTIVE, "1", 1),
    ]
    take(db, *facts)
    take(db, *facts)
    assert db.execute("SELECT code FROM class ORDER BY no").fetchall() == [(taken,), (code_of(other),)]


def test_a_lesson_is_given_once_all_of_its_fields_are_there_in_whatever_order(db: sqlite3.Connection) -> None:
    class_id = b"class-four------"
    row_id = assignment_id(class_id, "org.example.sums", "adding")
    values = {1: class_id.hex(), 2: "org.example.sums", 3: "adding", 4: "7", 5: str(NOW_MS), 6: "1"}
    for field in (6, 4, 3, 5, 2):
        take(db, Fact(Entity.ASSIGNMENT, row_id, field, values[field], field))
    assert db.execute("SELECT count(*) FROM assignment").fetchone() == (0,)
    take(db, Fact(Entity.ASSIGNMENT, row_id, 1, values[1], 1))
    assert db.execute("SELECT pack, lesson, version, assigned_ms, is_active FROM assignment").fetchall() == [
        ("org.example.sums", "adding", 7, NOW_MS, 1)
    ]


def test_a_member_is_enrolled_before_anything_else_is_known_of_class_and_learner(db: sqlite3.Connection) -> None:
    take(db, Member(1, b"class-four------", LEARNER, 5))
    assert db.execute("SELECT is_active FROM enrollment").fetchall() == [(1,)]
    assert db.execute("SELECT given_name FROM person").fetchall() == [(code_of(LEARNER),)]
    take(db, Member(1, b"class-four------", LEARNER, 5, HUB, True))
    assert db.execute("SELECT is_active FROM enrollment").fetchall() == [(0,)]


def test_a_stamp_from_far_ahead_is_kept_with_its_row_and_moves_no_clock(db: sqlite3.Connection) -> None:
    far = (NOW_MS + 10 * 365 * 86_400_000) << 16
    take(db, Fact(Entity.SETTING, bytes(16), 1, "1", far))
    assert stamping.make_stamp(db, NOW_MS) >> 16 == NOW_MS
    assert db.execute("SELECT stamp FROM fact").fetchall() == [(far,)]


def test_a_place_in_a_lesson_comes_and_goes_with_the_learner(db: sqlite3.Connection) -> None:
    at = NOW_MS << 16
    place = State(LEARNER, "http://a", "place", "text/plain", b"q2", at, b"", HUB)
    take(db, place)
    person_no = db.execute("SELECT no FROM person").fetchone()[0]
    own = documents.Place(documents.Subject.STATE, person_no=person_no, activity_iri="http://a")
    found = documents.find_document(db, own, "place")
    assert found is not None and found.content == b"q2"
    take(db, replace(place, stamp=at + (5 << 16), content=b"", is_removed=True))
    assert documents.find_document(db, own, "place") is None


def test_a_document_too_large_to_travel_is_not_replaced_by_an_older_one(db: sqlite3.Connection) -> None:
    take(db, Learner(61, LEARNER))
    own, large = (
        documents.Place(documents.Subject.STATE, person_no=1, activity_iri="http://a"),
        documents.Document("text/plain", bytes(9000), NOW_MS),
    )
    documents.change_document(db, own, "place", lambda _before, _count: large, NOW_MS)
    assert db.execute("SELECT count(*) FROM state").fetchone() == (0,)
    take(db, State(LEARNER, "http://a", "place", "text/plain", b"old", (NOW_MS - 1) << 16, b"", HUB))
    assert documents.find_document(db, own, "place") == large


def test_a_document_is_told_to_the_hub_with_its_removal(db: sqlite3.Connection) -> None:
    take(db, Learner(61, LEARNER))
    own, small = (
        documents.Place(documents.Subject.STATE, person_no=1, activity_iri="http://a"),
        documents.Document("text/plain", b"q3", NOW_MS),
    )
    documents.change_document(db, own, "place", lambda _before, _count: small, NOW_MS)
    documents.delete_documents(db, own, NOW_MS + 1)
    documents.delete_documents(db, own, NOW_MS + 2)
    assert db.execute("SELECT content, is_removed, stamp >> 16 FROM state").fetchall() == [(b"", 1, NOW_MS + 1)]
    assert db.execute("SELECT count(*) FROM change WHERE kind = 14").fetchone() == (2,)
