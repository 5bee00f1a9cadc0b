"""Boxes of one school and their hub agree on classes, learners, lessons, settings, marks and work, both ways."""

import contextlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from content_packs.base import ids
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from content_packs.format.manifest import Lesson
from edgebox.store import (
    documents,
    hand_ins,
    health,
    marks,
    merged,
    own_lessons,
    roster,
    seals,
    switches,
    teaching,
    writing,
)
from edgebox.store.catalogue import ListedLesson
from edgebox.store.log import append_change, number_key
from sync.hub.store import files
from sync.hub.store.applying import RecordUnresolved
from sync.hub.store.outgoing import read_due
from sync.hub.store.reports import list_boxes, list_own_lessons
from sync.hub.store.schema import class_, enrollment, learner, own_lesson, statement
from sync.hub.store.writing import SchoolWriter
from sync.records.facts import CLASS_MEMBERS, ClassField, Entity, HandInField, LearnerField, LessonField, assignment_id
from sync.records.kinds import Kind
from sync.records.lessons import OWN_PACK
from sync.records.merging import open_marks, tag_of
from sync.records.rows import Class, Enrollment, Fact, Health, Learner, Mark, Member, Message, Record, State, Statement
from sync.records.stamps import STAMP_MAX
from tests.support.replicas import NOW_MS, BoxReplica, HubReplica

MINUTE_MS = 60_000
DEVICE = bytes(range(16))
COMPLETED = "http://adlnet.gov/expapi/verbs/completed"
ADDING = "urn:x-edgebox:org.example.sums:adding"
LESSON = ListedLesson("org.example.sums", 1, 0, Lesson("adding", {"en": "Adding"}, {}, ()))
CLASSES = "SELECT pseudonym, code, removed_ms FROM class ORDER BY pseudonym"
MEMBERS = """SELECT class.pseudonym, person.pseudonym, is_active FROM enrollment JOIN class ON class.no = class_no
JOIN person ON person.no = person_no ORDER BY 1, 2"""
LESSONS = """SELECT class.pseudonym, pack, lesson, version, assigned_ms, is_active
FROM assignment JOIN class ON class.no = class_no ORDER BY 1, 2, 3"""


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubReplica]:
    made = HubReplica(tmp_path)
    yield made
    made.close()


@pytest.fixture
def pair(tmp_path: Path, hub: HubReplica) -> Iterator[tuple[BoxReplica, BoxReplica]]:
    one, two = BoxReplica(tmp_path / "one", hub), BoxReplica(tmp_path / "two", hub)
    yield one, two
    one.close()
    two.close()


def fill(box: BoxReplica) -> tuple[int, int]:
    """Make a class of one learner with one lesson, and return the numbers of class and learner."""
    class_no = roster.insert_class(box.db, NOW_MS, "Class 4")
    person_no = roster.insert_learner(box.db, NOW_MS, "Amina")
    roster.set_enrollment(box.db, NOW_MS, class_no, person_no)
    teaching.insert_assignment(box.db, class_no, LESSON, person_no=None, now_ms=NOW_MS)
    return class_no, person_no


def finish(box: BoxReplica, person_no: int, seq: int = 1) -> bytes:
    """Let a learner finish the lesson's resource, and return the statement's id."""
    for table, kind, iri in (("verb", Kind.VERB, COMPLETED), ("activity", Kind.ACTIVITY, ADDING)):
        if not box.ask(f"SELECT 1 FROM {table}"):
            box.db.execute(f"INSERT INTO {table} (no, iri) VALUES (7, ?)", (iri,))
            append_change(box.db, kind, number_key(7))
    if not box.ask("SELECT 1 FROM device"):
        box.db.execute("INSERT INTO device (no, id, first_ms) VALUES (7, ?, ?)", (DEVICE, NOW_MS))
        append_change(box.db, Kind.DEVICE, number_key(7))
    key = ids.derive_statement_id(DEVICE, seq, NOW_MS)
    box.db.execute(
        "INSERT INTO statement (id, person_no, verb_no, activity_no, device_no, device_seq, attempt_seq, timestamp_ms,"
        " stored_ms, completion, digest) VALUES (?, ?, 7, 7, 7, ?, 1, ?, ?, 1, x'01')",
        (key, person_no, seq, NOW_MS, NOW_MS + 2000),
    )
    seals.seal_all(box.db)
    append_change(box.db, Kind.STATEMENT, key)
    return key


def exchange(*boxes: BoxReplica, now_ms: int = NOW_MS) -> None:
    """Let every box tell the hub all, and be told all."""
    for box in boxes:
        box.send(now_ms)
    for box in boxes:
        box.fetch(now_ms)


def pseudonym(box: BoxReplica, table: str, no: int) -> bytes:
    return bytes(box.ask(f"SELECT pseudonym FROM {table} WHERE no = ?", no)[0][0])


def test_what_one_box_makes_stands_on_the_pages_of_the_other(pair: tuple[BoxReplica, BoxReplica]) -> None:
    one, two = pair
    fill(one)
    exchange(one, two)
    for query in (CLASSES, MEMBERS, LESSONS):
        assert two.ask(query) == one.ask(query) != []
    assert two.ask("SELECT title FROM class") == one.ask("SELECT code FROM class")


def test_names_stay_on_the_box_that_has_them(pair: tuple[BoxReplica, BoxReplica], hub: HubReplica) -> None:
    one, two = pair
    fill(one)
    sent = repr(one.send())
    assert "Amina" not in sent and "Class 4" not in sent
    hub_file = Path(str(hub.engine.url.database)).read_bytes() + Path(f"{hub.engine.url.database}-wal").read_bytes()
    assert b"Amina" not in hub_file and b"Class 4" not in hub_file
    two.fetch()
    assert two.ask("SELECT given_name FROM person") != [("Amina",)]


def test_a_name_that_a_box_sends_all_the_same_is_dropped(pair: tuple[BoxReplica, BoxReplica], hub: HubReplica) -> None:
    one, two = pair
    fact = Fact(Entity.LEARNER, bytes(16), LearnerField.GIVEN_NAME, "Amina", 1)
    hub.take(one.enrolled, 1, 1, [fact], NOW_MS)
    assert two.fetch() == []


def test_what_the_hub_names_gets_its_name_at_every_box(pair: tuple[BoxReplica, BoxReplica], hub: HubReplica) -> None:
    one, two = pair
    class_no, person_no = fill(one)
    exchange(one, two)
    class_id, learner_id = pseudonym(one, "class", class_no), pseudonym(one, "person", person_no)

    def name(writer: SchoolWriter) -> None:
        writer.write_fact(Entity.CLASS, class_id, ClassField.TITLE, "4b")
        writer.write_fact(Entity.LEARNER, learner_id, LearnerField.GIVEN_NAME, "Amina N.")

    hub.write(one.enrolled.school_no, name)
    exchange(one, two)
    for box in pair:
        assert box.ask("SELECT title FROM class") == [("4b",)]
        assert box.ask("SELECT given_name FROM person") == [("Amina N.",)]


def test_a_roster_of_the_hub_is_there_before_any_box_knew_the_class(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, _two = pair
    class_id, learner_id = b"class-of-the-hub", b"learner-of-a-hub"

    def enter(writer: SchoolWriter) -> None:
        writer.add_member(CLASS_MEMBERS, class_id, learner_id)
        writer.write_fact(Entity.CLASS, class_id, ClassField.CODE, "M2XZ")
        writer.write_fact(Entity.CLASS, class_id, ClassField.TITLE, "Maths")

    hub.write(one.enrolled.school_no, enter)
    one.fetch(max_records=1)
    one.fetch()
    assert one.ask("SELECT code, title FROM class") == [("M2XZ", "Maths")]
    assert one.ask(MEMBERS) == [(class_id, learner_id, 1)]
    sent = one.send()
    assert [type(record).__name__ for record in sent] == ["Learner"]  # the number its statements will use


def test_two_boxes_that_change_different_things_at_once_keep_both(pair: tuple[BoxReplica, BoxReplica]) -> None:
    one, two = pair
    class_no, person_no = fill(one)
    exchange(one, two)
    other = roster.insert_learner(two.db, NOW_MS, "Bilal")
    roster.set_enrollment(two.db, NOW_MS + 1, 1, other)
    roster.set_enrollment(one.db, NOW_MS + 1, class_no, person_no, is_active=False)
    teaching.end_assignment(one.db, class_no, 1, NOW_MS + 1)
    teaching.set_version(two.db, 1, 1, 2, NOW_MS + 1)
    exchange(one, two)
    exchange(one, two)
    for query in (CLASSES, MEMBERS, LESSONS):
        assert two.ask(query) == one.ask(query)
    assert [row[3:6:2] for row in one.ask(LESSONS)] == [(2, 0)]
    assert sorted(row[2] for row in one.ask(MEMBERS)) == [0, 1]


def test_the_last_one_to_turn_a_switch_is_heard_everywhere(pair: tuple[BoxReplica, BoxReplica]) -> None:
    one, two = pair
    switches.turn(one.db, switches.LOCAL_SCRIPTS, on=True, now_ms=NOW_MS)
    exchange(one, two)
    assert switches.is_on(two.db, switches.LOCAL_SCRIPTS)
    switches.turn(two.db, switches.LOCAL_SCRIPTS, on=False, now_ms=NOW_MS - 10 * MINUTE_MS)  # its clock is behind
    exchange(one, two)
    exchange(one, two)
    assert not switches.is_on(one.db, switches.LOCAL_SCRIPTS)


def test_a_write_of_a_clock_years_ahead_can_still_be_replaced(pair: tuple[BoxReplica, BoxReplica]) -> None:
    one, two = pair
    switches.turn(one.db, switches.LOCAL_SCRIPTS, on=True, now_ms=NOW_MS + 10 * 365 * 86_400_000)
    exchange(one, two)
    switches.turn(two.db, switches.LOCAL_SCRIPTS, on=False, now_ms=NOW_MS)
    exchange(one, two)
    exchange(one, two)
    assert not switches.is_on(one.db, switches.LOCAL_SCRIPTS)
    roster.insert_class(two.db, NOW_MS, "Class 5")
    assert max(row[0] for row in two.ask("SELECT stamp FROM fact WHERE entity = 1")) >> 16 < NOW_MS + MINUTE_MS


def test_marks_given_at_two_boxes_at_once_are_both_there_until_somebody_chooses(
    pair: tuple[BoxReplica, BoxReplica],
) -> None:
    one, two = pair
    class_no, person_no = fill(one)
    exchange(one, two)
    key = assignment_id(pseudonym(one, "class", class_no), "org.example.sums", "adding")
    learner = pseudonym(one, "person", person_no)
    writing.write_mark(one.db, key, learner, "6", "good", replaces=[], now_ms=NOW_MS)
    writing.write_mark(two.db, key, learner, "7", "", replaces=[], now_ms=NOW_MS)
    exchange(one, two)
    exchange(one, two)
    for box in pair:
        assert sorted(mark.value for mark in marks_of(box, key, learner)) == ["6", "7"]
    both = [tag_of(mark) for mark in marks_of(two, key, learner)]
    writing.write_mark(two.db, key, learner, "7", "together", replaces=both, now_ms=NOW_MS)
    exchange(two, one)
    for box in pair:
        assert [(mark.value, mark.comment) for mark in marks_of(box, key, learner)] == [("7", "together")]


def marks_of(box: BoxReplica, assignment: bytes, learner: bytes) -> list[Mark]:
    return open_marks(merged.list_where(box.db, Kind.MARK, assignment=assignment, learner=learner))


def test_work_of_one_box_is_progress_at_the_other_and_is_not_sent_back(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, two = pair
    _class_no, person_no = fill(one)
    finish(one, person_no)
    exchange(one, two)
    assert two.ask("SELECT is_complete FROM progress") == [(1,)]
    again = [record for record in two.send() if isinstance(record, Statement | Fact | Member)]
    assert again == []
    assert hub.read(lambda connection: len(connection.execute(select(statement.c.id)).all())) == 1


def test_a_box_that_replaces_a_lost_one_has_its_history(pair: tuple[BoxReplica, BoxReplica], tmp_path: Path) -> None:
    one, _two = pair
    _class_no, person_no = fill(one)
    statement_id = finish(one, person_no)
    one.send()
    new = BoxReplica(tmp_path / "new", one.hub)
    while new.fetch(max_records=3):
        pass
    for query in (CLASSES, MEMBERS, LESSONS):
        assert new.ask(query) == one.ask(query) != []
    columns = "id, device_seq, attempt_seq, timestamp_ms, stored_ms, completion"
    assert new.ask(f"SELECT {columns} FROM statement") == one.ask(f"SELECT {columns} FROM statement")
    assert new.ask("SELECT id FROM statement") == [(statement_id,)]
    assert new.ask("SELECT id, box_seq FROM device") == [(DEVICE, 1)]
    new.close()


def test_a_box_is_not_told_its_own_words(pair: tuple[BoxReplica, BoxReplica]) -> None:
    one, two = pair
    fill(one)
    exchange(one, two)
    assert one.fetch() == []
    assert two.fetch() == []
    assert one.told == two.told > 0


def test_what_is_due_is_the_same_however_it_is_cut(pair: tuple[BoxReplica, BoxReplica], tmp_path: Path) -> None:
    one, two = pair
    _class_no, person_no = fill(one)
    finish(one, person_no)
    one.send()
    two.fetch()
    small = BoxReplica(tmp_path / "small", one.hub)
    while small.fetch(max_records=1):
        pass
    for query in (CLASSES, MEMBERS, LESSONS, "SELECT id FROM statement", "SELECT is_complete FROM progress"):
        assert small.ask(query) == two.ask(query)
    small.close()


def test_what_is_due_ends_where_it_gets_too_large_and_always_goes_on(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, two = pair
    roster.insert_learner(one.db, NOW_MS, "Amina")
    for number in range(4):
        place, document = (
            documents.Place(documents.Subject.STATE, person_no=1, activity_iri=f"http://a/{number}"),
            documents.Document("text/plain", bytes(8000), NOW_MS),
        )
        documents.change_document(one.db, place, "place", lambda _before, _count, made=document: made, NOW_MS)
    one.send()
    found = []
    after, rounds = 0, 0
    while rounds < 9:
        records, through = hub.read(
            lambda connection, place=after: read_due(
                connection, two.enrolled.school_no, two.enrolled.no, place, 100, max_bytes=17_000
            )
        )
        if through == after:
            break
        found.append(sum(isinstance(record, State) for record in records))
        after, rounds = through, rounds + 1
    assert found == [2, 2]
    two.fetch(max_records=1)
    assert two.told > 0


def test_a_learner_who_came_from_the_hub_works_here_and_the_hub_knows_who_it_was(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, _two = pair
    learner_id = b"learner-of-a-hub"
    hub.write(one.enrolled.school_no, lambda writer: writer.add_member(CLASS_MEMBERS, b"class-of-the-hub", learner_id))
    one.fetch()
    finish(one, one.ask("SELECT no FROM person")[0][0])
    one.send()
    query = select(learner.c.pseudonym).join(statement, statement.c.learner_no == learner.c.no)
    assert hub.read(lambda connection: connection.execute(query).scalars().all()) == [learner_id]


def test_the_same_records_again_and_in_any_order_change_nothing(pair: tuple[BoxReplica, BoxReplica]) -> None:
    one, two = pair
    fill(one)
    one.send()
    records: list[Record] = two.fetch()
    before = {table: two.ask(f"SELECT * FROM {table}") for table in ("class", "enrollment", "assignment", "fact")}
    mutable = [record for record in records if isinstance(record, Fact | Member)]
    for seed in range(20):
        two.take(random.Random(seed).choices(mutable, k=len(mutable)), NOW_MS + MINUTE_MS)
    assert {table: two.ask(f"SELECT * FROM {table}") for table in before} == before


def test_reports_of_the_hub_know_classes_and_their_learners(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, _two = pair
    class_no, person_no = fill(one)
    one.send()
    code = one.ask("SELECT code FROM class")[0][0]
    assert hub.read(lambda db: [tuple(row) for row in db.execute(select(class_.c.code, class_.c.is_active))]) == [
        (code, True)
    ]
    assert hub.read(lambda db: db.execute(select(enrollment.c.is_active)).scalars().all()) == [True]
    roster.set_enrollment(one.db, NOW_MS, class_no, person_no, is_active=False)
    one.send()
    assert hub.read(lambda db: db.execute(select(enrollment.c.is_active)).scalars().all()) == [False]


def test_a_message_of_the_hub_reaches_the_boxes_of_its_school_alone(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, two = pair
    elsewhere = hub.enrol(SigningKey.generate(), "Valley School")
    message = Message(b"message-one-----", "Exams on Monday.", NOW_MS + MINUTE_MS, 0)
    hub.write(elsewhere.school_no, lambda writer: writer.write(message))
    assert one.fetch() == []
    hub.write(one.enrolled.school_no, lambda writer: writer.write(message))
    for box in (one, two):
        box.fetch()
        assert box.ask("SELECT text FROM message") == [("Exams on Monday.",)]


def test_a_box_cannot_speak_for_the_hub(pair: tuple[BoxReplica, BoxReplica], hub: HubReplica) -> None:
    one, two = pair
    forged = Fact(Entity.CLASS, bytes(16), ClassField.CODE, "HACK", 1, hub.key.verify_key.key_id)
    hub.take(one.enrolled, 1, 1, [forged], NOW_MS)
    assert two.fetch() == []


def test_a_bundle_with_a_field_of_a_later_version_is_set_aside_whole(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, two = pair
    known = Fact(Entity.CLASS, bytes(16), ClassField.CODE, "K7QF", 1)
    for later in (Fact(Entity.CLASS, bytes(16), 99, "?", 2), Member(77, bytes(16), bytes(16), 3)):
        with pytest.raises(RecordUnresolved):
            hub.take(one.enrolled, 1, 1, [known, later], NOW_MS)
    assert two.fetch() == []


def test_rows_of_a_box_of_before_stay_until_it_tells_them_as_facts(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, _two = pair
    class_id, learner_id = b"class-four------", b"learner-one-----"
    old: list[Record] = [Learner(1, learner_id), Class(1, class_id, "K7QF"), Enrollment(1, 1), Enrollment(1, 1, False)]
    hub.take(one.enrolled, 1, 1, old[:3], NOW_MS)
    assert hub.read(lambda db: db.execute(select(enrollment.c.is_active)).scalars().all()) == [True]
    code = Fact(Entity.CLASS, class_id, ClassField.CODE, "M2XZ", 1)
    hub.take(one.enrolled, 1, 2, [code, Member(CLASS_MEMBERS, class_id, learner_id, 2)], NOW_MS)
    hub.take(one.enrolled, 1, 3, old, NOW_MS)
    assert hub.read(lambda db: db.execute(select(class_.c.code)).scalars().all()) == ["M2XZ"]
    assert hub.read(lambda db: db.execute(select(enrollment.c.is_active)).scalars().all()) == [True]


def test_one_school_never_sees_a_row_of_another(pair: tuple[BoxReplica, BoxReplica], tmp_path: Path) -> None:
    one, _two = pair
    _class_no, person_no = fill(one)
    statement_id = finish(one, person_no)
    one.send()
    far = BoxReplica(tmp_path / "far", one.hub, school="Valley School")
    assert far.fetch() == []
    _class_no, person_no = fill(far)
    assert finish(far, person_no) == statement_id  # the same tablet was carried there
    far.send()
    near = BoxReplica(tmp_path / "near", one.hub, school="Valley School")
    near.fetch()
    assert near.ask("SELECT pseudonym FROM person") == far.ask("SELECT pseudonym FROM person")
    far.close()
    near.close()


def test_the_hub_knows_how_its_boxes_are_and_tells_no_other_box(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, two = pair
    fill(one)
    for free_bytes in (7, 5):
        health.write(
            one.db, health.count(one.db), version="1.2", uptime_seconds=60, free_bytes=free_bytes, total_bytes=9,
            now_ms=NOW_MS,
        )  # fmt: skip
    one.send()
    listed = hub.read(lambda connection: list_boxes(connection, NOW_MS))
    assert [(row["version"], row["free_bytes"], row["total_bytes"]) for row in listed] == [
        ("1.2", 5, 9),
        (None, None, None),
    ]
    assert not [record for record in two.fetch() if isinstance(record, Health)]


facts = st.builds(
    Fact,
    st.integers(0, 6),
    st.sampled_from([bytes(16), assignment_id(bytes(16), "a", "b")]),
    st.integers(0, 7),
    st.sampled_from(["", "1", "a", "b", "0" * 32, "9" * 16, "-1", "\0", "\u0661", "x" * 4096]) | st.text(max_size=20),
    st.integers(0, STAMP_MAX),
    st.sampled_from([None, bytes(16), b"another-box-----"]),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(facts, max_size=6))
def test_whatever_a_fact_says_it_is_taken_or_refused_with_a_code(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica, records: list[Fact]
) -> None:
    one, two = pair
    with contextlib.suppress(RecordUnresolved):
        hub.take(one.enrolled, 1, 1, list(records), NOW_MS)
    two.fetch()
    two.take(list(records))
    assert two.fetch() == []


def hand_in(box: BoxReplica, person_no: int, text: str, content: bytes | None = None, now_ms: int = NOW_MS) -> bytes:
    """Hand in a text, or a file with a text, and return the hash."""
    assigned = hand_ins.find_assigned(box.db, person_no, 1)
    assert assigned is not None
    raw = text.encode() if content is None else content
    media_type, digest = "text/plain" if content is None else "image/jpeg", blake2b_256(raw)
    hand_ins.insert_hand_in(
        box.db,
        assigned,
        media_type=media_type,
        size_bytes=len(raw),
        digest=digest,
        text=text,
        now_ms=now_ms,
        at_most=1_000,
    )
    return digest


def shown(box: BoxReplica) -> list[tuple[bytes, str, bool]]:
    """Return what the teacher's page of a box lists of the first learner, newest first."""
    assignment = marks.find_assignment_id(box.db, 1, 1)
    assert assignment is not None
    (handed,) = hand_ins.list_handed(box.db, assignment).values()
    return [(each.record.hash, each.text, each.is_arrived) for each in handed]


def test_what_was_handed_in_at_one_box_is_listed_at_the_other_with_its_text(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, two = pair
    _class_no, person_no = fill(one)
    first, second = hand_in(one, person_no, "first"), hand_in(one, person_no, "second", b"photo", NOW_MS + 5)
    exchange(one, two)
    assert shown(one) == shown(two) == [(second, "second", False), (first, "first", False)]
    hub.read(lambda db: files.add_file(db, one.enrolled, second, 5, NOW_MS))
    exchange(one, two)
    assert shown(one) == shown(two) == [(second, "second", True), (first, "first", False)]
    assert hand_ins.list_due_files(one.db) == []


def test_a_file_that_is_there_before_its_record_is_told_of_once(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, two = pair
    _class_no, person_no = fill(one)
    digest = hand_in(one, person_no, "", b"photo")
    for _ in range(2):
        hub.read(lambda db: files.add_file(db, one.enrolled, digest, 5, NOW_MS))
    exchange(one, two)
    exchange(one, two)
    assert shown(one) == shown(two) == [(digest, "", True)]
    arrived = "SELECT count(*) FROM fact WHERE entity = 6 AND field = 2"
    assert one.ask(arrived) == two.ask(arrived) == [(1,)]


def test_a_box_cannot_say_that_a_file_has_arrived(pair: tuple[BoxReplica, BoxReplica], hub: HubReplica) -> None:
    one, two = pair
    _class_no, person_no = fill(one)
    digest = hand_in(one, person_no, "", b"photo")
    row_id = one.ask("SELECT id FROM hand_in")[0][0]
    hub.take(two.enrolled, 1, 1, [Fact(Entity.HAND_IN, row_id, HandInField.ARRIVED_MS, "1", 5)], NOW_MS)
    exchange(one, two)
    assert shown(one) == [(digest, "", False)]


def test_files_of_another_school_are_none_of_ours(hub: HubReplica, tmp_path: Path) -> None:
    one, other = BoxReplica(tmp_path / "one", hub), BoxReplica(tmp_path / "other", hub, "Lake School")
    with contextlib.closing(one), contextlib.closing(other):
        _class_no, person_no = fill(one)
        digest = hand_in(one, person_no, "", b"photo")
        hub.read(lambda db: files.add_file(db, other.enrolled, digest, 5, NOW_MS))
        exchange(one)
        assert shown(one) == [(digest, "", False)]


LESSONS_MADE = "SELECT title, resources, is_active FROM own_lesson ORDER BY title"
RESOURCES = [("org.example.sums", "adding-quiz"), ("org.example.more", "film"), ("org.example.sums", "adding-read")]


def test_a_lesson_that_a_teacher_made_can_be_given_at_the_other_box(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, two = pair
    lesson = own_lessons.insert_lesson(one.db, "Monday", RESOURCES, NOW_MS)
    exchange(one, two)
    assert one.ask(LESSONS_MADE) == two.ask(LESSONS_MADE)
    found = own_lessons.find_lesson(two.db, lesson)
    assert found is not None
    assert list(found.resources) == RESOURCES
    assert hub.read(list_own_lessons) == [{"school": "Hill School", "title": "Monday", "resources": 3}]
    class_no, _person_no = fill(two)
    listed = ListedLesson(OWN_PACK, 0, 0, Lesson(lesson, {"und": "Monday"}, {}, ()))
    teaching.insert_assignment(two.db, class_no, listed, person_no=None, now_ms=NOW_MS + 1)
    exchange(two, one)
    assert (OWN_PACK, lesson) in {row[1:3] for row in one.ask(LESSONS)}


def test_two_who_change_one_lesson_keep_title_and_resources_of_the_last_and_an_end_stays(
    pair: tuple[BoxReplica, BoxReplica], hub: HubReplica
) -> None:
    one, two = pair
    lesson = own_lessons.insert_lesson(one.db, "Monday", RESOURCES, NOW_MS)
    exchange(one, two)
    id_ = bytes.fromhex(lesson)
    write = writing.write_fact
    write(one.db, Entity.LESSON, id_, LessonField.TITLE, "Tuesday", now_ms=NOW_MS + 10)
    write(two.db, Entity.LESSON, id_, LessonField.RESOURCES, "org.example.more/film", now_ms=NOW_MS + 5)
    own_lessons.end_lesson(two.db, lesson, NOW_MS + 6)
    for _ in range(2):
        exchange(one, two)
    hub_row = hub.read(lambda db: db.execute(select(own_lesson.c.title, own_lesson.c.resources)).one())
    assert tuple(hub_row) == ("Tuesday", "org.example.more/film")
    assert hub.read(list_own_lessons) == [] == own_lessons.list_lessons(two.db) == own_lessons.list_lessons(one.db)
    assert two.ask("SELECT title FROM own_lesson") == [("Tuesday",)]
    assert one.ask("SELECT resources FROM own_lesson") == [("org.example.more/film",)]
