"""From facts, members and states to the tables that the pages read. Doing it again changes nothing.

A row that the hub names for the first time is made here. Who comes without a name is shown by a code, until the hub or
a teacher gives the name.
"""

import sqlite3
from collections.abc import Iterable

from edgebox.store import merged, row_seals, switches
from edgebox.store.log import append_change, number_key
from sync.records.facts import (
    CLASS_MEMBERS,
    FACT_FIELDS,
    ON,
    AssignmentField,
    ClassField,
    Entity,
    LearnerField,
    LessonField,
    SettingField,
    assignment_id,
    is_known,
)
from sync.records.kinds import Kind
from sync.records.merging import is_member
from sync.records.rows import Fact, Member, Merged, State
from sync.records.stamps import stamp_ms

_CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_CODE_CHARACTERS = 8
_INSERT_CLASS = "INSERT INTO class (pseudonym, code, title, created_ms) VALUES (?, ?, ?, ?)"
# A class without a title is called by its code. Another class of this box may have drawn the same code: then nothing
# changes, and this one keeps the code that follows from its pseudonym.
_SET_CODE = """
UPDATE class SET code = ?1, title = CASE WHEN title = code THEN ?1 ELSE title END
WHERE no = ?2 AND NOT EXISTS (SELECT 1 FROM class WHERE code = ?1)
"""
_SET_TITLE = "UPDATE class SET title = ? WHERE no = ?"
_INSERT_LEARNER = "INSERT INTO person (pseudonym, role, given_name, created_ms) VALUES (?, 'learner', ?, ?)"
_SET_CLASS_REMOVED = """
UPDATE class SET removed_ms = CASE WHEN ? THEN NULL ELSE coalesce(removed_ms, ?) END WHERE no = ?
"""
_SET_PERSON_REMOVED = """
UPDATE person SET removed_ms = CASE WHEN ? THEN NULL ELSE coalesce(removed_ms, ?) END WHERE no = ?
"""
_ENROLL = """
INSERT INTO enrollment (class_no, person_no, is_active) VALUES (?, ?, ?)
ON CONFLICT (class_no, person_no) DO UPDATE SET is_active = excluded.is_active
"""
_ASSIGN = """
INSERT INTO assignment (class_no, pack, lesson, version, assigned_ms, is_active) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (class_no, pack, lesson) DO UPDATE SET version = excluded.version, assigned_ms = excluded.assigned_ms,
    is_active = excluded.is_active
"""
_PUT_LESSON = """
INSERT INTO own_lesson (id, title, resources, is_active) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET title = excluded.title, resources = excluded.resources, is_active = excluded.is_active
"""
# A document that was too large to travel has no stamp; it is not replaced by an older one that has.
_STORE_STATE = """
INSERT INTO activity_state (person_no, activity_iri, registration, state_id, content_type, content, updated_ms)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET content_type = excluded.content_type, content = excluded.content,
    updated_ms = excluded.updated_ms WHERE excluded.updated_ms >= updated_ms
"""
_DELETE_STATE = """
DELETE FROM activity_state
WHERE person_no = ? AND activity_iri = ? AND registration = ? AND state_id = ? AND updated_ms <= ?
"""


def project(connection: sqlite3.Connection, changed: Iterable[Merged], now_ms: int) -> None:
    """Bring the tables in line with records that were merged."""
    records = list(changed)
    facts = [each for each in records if isinstance(each, Fact) and is_known(each) and each.entity in _PROJECT]
    for entity, row_id in dict.fromkeys((each.entity, each.id) for each in facts):
        _PROJECT[Entity(entity)](connection, row_id, now_ms)
    members = [each for each in records if isinstance(each, Member) and each.set_no == CLASS_MEMBERS]
    for owner, member in dict.fromkeys((each.owner, each.member) for each in members):
        _project_member(connection, owner, member, now_ms)
    for state in records:
        if isinstance(state, State):
            _project_state(connection, state, now_ms)


def find_learner(connection: sqlite3.Connection, pseudonym: bytes, now_ms: int) -> int:
    """Return the number of a learner, who is added with a code for a name when the box does not know the pseudonym."""
    row = connection.execute("SELECT no FROM person WHERE pseudonym = ?", (pseudonym,)).fetchone()
    if row is not None:
        return int(row[0])
    no = int(connection.execute(_INSERT_LEARNER, (pseudonym, code_of(pseudonym), now_ms)).lastrowid or 0)
    row_seals.seal(connection, "person", no)
    append_change(connection, Kind.LEARNER, number_key(no))
    return no


def code_of(pseudonym: bytes) -> str:
    """Return eight letters and digits that stand for a person or class whose name is not known here."""
    return "".join(_CODE_ALPHABET[byte & 31] for byte in pseudonym[:_CODE_CHARACTERS])


def read_facts(connection: sqlite3.Connection, entity: Entity, row_id: bytes) -> dict[int, str]:
    """Return the fields of a row that somebody has said something about, and that this program knows."""
    facts = merged.list_where(connection, Kind.FACT, entity=int(entity), id=row_id)
    return {fact.field: fact.value for fact in facts if is_known(fact)}


def _find_class(connection: sqlite3.Connection, pseudonym: bytes, now_ms: int) -> int:
    row = connection.execute("SELECT no FROM class WHERE pseudonym = ?", (pseudonym,)).fetchone()
    if row is not None:
        return int(row[0])
    code = code_of(pseudonym)
    return int(connection.execute(_INSERT_CLASS, (pseudonym, code, code, now_ms)).lastrowid or 0)


def _project_class(connection: sqlite3.Connection, pseudonym: bytes, now_ms: int) -> None:
    facts, no = read_facts(connection, Entity.CLASS, pseudonym), _find_class(connection, pseudonym, now_ms)
    if code := facts.get(ClassField.CODE):
        connection.execute(_SET_CODE, (code, no))
    if title := facts.get(ClassField.TITLE):
        connection.execute(_SET_TITLE, (title, no))
    if ClassField.IS_ACTIVE in facts:
        connection.execute(_SET_CLASS_REMOVED, (facts[ClassField.IS_ACTIVE] == ON, now_ms, no))


def _project_learner(connection: sqlite3.Connection, pseudonym: bytes, now_ms: int) -> None:
    facts, no = read_facts(connection, Entity.LEARNER, pseudonym), find_learner(connection, pseudonym, now_ms)
    if given_name := facts.get(LearnerField.GIVEN_NAME):
        connection.execute("UPDATE person SET given_name = ? WHERE no = ?", (given_name, no))
    if LearnerField.FAMILY_NAME in facts:
        connection.execute("UPDATE person SET family_name = ? WHERE no = ?", (facts[LearnerField.FAMILY_NAME], no))
    if LearnerField.IS_ACTIVE in facts:
        connection.execute(_SET_PERSON_REMOVED, (facts[LearnerField.IS_ACTIVE] == ON, now_ms, no))


def _project_assignment(connection: sqlite3.Connection, row_id: bytes, now_ms: int) -> None:
    facts = read_facts(connection, Entity.ASSIGNMENT, row_id)
    class_hex, pack = facts.get(AssignmentField.CLASS_ID, ""), facts.get(AssignmentField.PACK, "")
    lesson = facts.get(AssignmentField.LESSON, "")
    class_id = _unhex(class_hex)
    if assignment_id(class_id, pack, lesson) != row_id:
        return  # the rest of its fields is still to come
    version = facts.get(AssignmentField.VERSION)
    values = (
        _find_class(connection, class_id, now_ms),
        pack,
        lesson,
        int(version) if version else None,
        int(facts.get(AssignmentField.ASSIGNED_MS) or now_ms),
        facts.get(AssignmentField.IS_ACTIVE, ON) == ON,
    )
    connection.execute(_ASSIGN, values)


def _project_setting(connection: sqlite3.Connection, row_id: bytes, _now_ms: int) -> None:
    facts = read_facts(connection, Entity.SETTING, row_id)
    if SettingField.LOCAL_SCRIPTS in facts:
        switches.set_switch(connection, switches.LOCAL_SCRIPTS, on=facts[SettingField.LOCAL_SCRIPTS] == ON)


def _project_lesson(connection: sqlite3.Connection, row_id: bytes, _now_ms: int) -> None:
    facts = read_facts(connection, Entity.LESSON, row_id)
    title, resources = facts.get(LessonField.TITLE, ""), facts.get(LessonField.RESOURCES, "")
    if title:
        connection.execute(_PUT_LESSON, (row_id, title, resources, facts.get(LessonField.IS_ACTIVE, ON) == ON))


_PROJECT = {
    Entity.CLASS: _project_class,
    Entity.LEARNER: _project_learner,
    Entity.LESSON: _project_lesson,
    Entity.ASSIGNMENT: _project_assignment,
    Entity.SETTING: _project_setting,
}
# What is said of a hand-in is read where it is shown.
assert {entity for entity, _field in FACT_FIELDS} - {Entity.HAND_IN} == set(_PROJECT)


def _project_member(connection: sqlite3.Connection, class_id: bytes, learner_id: bytes, now_ms: int) -> None:
    key = {"set_no": CLASS_MEMBERS, "owner": class_id, "member": learner_id}
    is_active = is_member(merged.list_where(connection, Kind.MEMBER, **key))
    class_no, person_no = _find_class(connection, class_id, now_ms), find_learner(connection, learner_id, now_ms)
    connection.execute(_ENROLL, (class_no, person_no, is_active))


def _project_state(connection: sqlite3.Connection, state: State, now_ms: int) -> None:
    place = (find_learner(connection, state.learner, now_ms), state.activity, state.registration, state.state_id)
    if state.is_removed:
        connection.execute(_DELETE_STATE, (*place, stamp_ms(state.stamp)))
    else:
        connection.execute(_STORE_STATE, (*place, state.content_type, state.content, stamp_ms(state.stamp)))


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
