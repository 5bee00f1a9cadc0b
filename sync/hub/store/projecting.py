"""From facts and members to the tables that reports read. Doing it again changes nothing.

A row that follows from facts is stamped above everything that boxes of before could say about it.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, and_, insert, select, update

from sync.hub.store import merged
from sync.hub.store.database import add_row
from sync.hub.store.schema import assignment, class_, enrollment, learner, own_lesson
from sync.records.facts import (
    CLASS_MEMBERS,
    OFF,
    ON,
    AssignmentField,
    ClassField,
    Entity,
    LessonField,
    assignment_id,
    is_known,
)
from sync.records.kinds import NO_MAX, Kind
from sync.records.merging import is_member
from sync.records.rows import Fact, Member, Merged

_STAMP = {"stamp_epoch": NO_MAX, "stamp_seq": NO_MAX}


def project(connection: Connection, school_no: int, changed: Iterable[Merged]) -> None:
    """Bring the tables in line with records that were merged."""
    records = list(changed)
    for entity, row_id in dict.fromkeys((each.entity, each.id) for each in records if isinstance(each, Fact)):
        if entity == Entity.CLASS:
            _project_class(connection, school_no, row_id)
        elif entity == Entity.LESSON:
            _project_lesson(connection, school_no, row_id)
        elif entity == Entity.ASSIGNMENT:
            _project_assignment(connection, school_no, row_id)
    members = [each for each in records if isinstance(each, Member) and each.set_no == CLASS_MEMBERS]
    for owner, member in dict.fromkeys((each.owner, each.member) for each in members):
        _project_member(connection, school_no, owner, member)


def find_learner(connection: Connection, school_no: int, pseudonym: bytes) -> int:
    """Return the number of a learner, who is added if nobody has named the pseudonym before."""
    this = and_(learner.c.school_no == school_no, learner.c.pseudonym == pseudonym)
    found = connection.execute(select(learner.c.no).where(this)).scalar()
    if found is not None:
        return int(found)
    return add_row(connection, learner, {"school_no": school_no, "pseudonym": pseudonym})


def _facts(connection: Connection, school_no: int, entity: Entity, row_id: bytes) -> dict[int, str]:
    found = merged.list_where(connection, school_no, Kind.FACT, entity=int(entity), id=row_id)
    return {fact.field: fact.value for fact in found if is_known(fact)}


def _find_class(connection: Connection, school_no: int, pseudonym: bytes) -> int:
    this = and_(class_.c.school_no == school_no, class_.c.pseudonym == pseudonym)
    found = connection.execute(select(class_.c.no).where(this)).scalar()
    if found is not None:
        return int(found)
    values = {"school_no": school_no, "pseudonym": pseudonym, "code": "", "is_active": True}
    return add_row(connection, class_, values | _STAMP)


def _project_class(connection: Connection, school_no: int, pseudonym: bytes) -> None:
    facts, no = _facts(connection, school_no, Entity.CLASS, pseudonym), _find_class(connection, school_no, pseudonym)
    values: dict[str, Any] = {"is_active": facts.get(ClassField.IS_ACTIVE, ON) == ON}
    if code := facts.get(ClassField.CODE):
        values["code"] = code
    connection.execute(update(class_).where(class_.c.no == no).values(values | _STAMP))


def _project_assignment(connection: Connection, school_no: int, row_id: bytes) -> None:
    facts = _facts(connection, school_no, Entity.ASSIGNMENT, row_id)
    class_id = _unhex(facts.get(AssignmentField.CLASS_ID, ""))
    pack, lesson = facts.get(AssignmentField.PACK, ""), facts.get(AssignmentField.LESSON, "")
    if assignment_id(class_id, pack, lesson) != row_id:
        return  # the rest of its fields is still to come
    keys = {"class_no": _find_class(connection, school_no, class_id), "pack": pack, "lesson": lesson}
    at_ms, is_active = int(facts.get(AssignmentField.ASSIGNED_MS) or 0), facts.get(AssignmentField.IS_ACTIVE, OFF) == ON
    _put(connection, assignment, keys, {"at_ms": at_ms, "is_active": is_active})


def _project_lesson(connection: Connection, school_no: int, row_id: bytes) -> None:
    facts = _facts(connection, school_no, Entity.LESSON, row_id)
    this = and_(own_lesson.c.school_no == school_no, own_lesson.c.id == row_id)
    values = {
        "title": facts.get(LessonField.TITLE, ""),
        "resources": facts.get(LessonField.RESOURCES, ""),
        "is_active": facts.get(LessonField.IS_ACTIVE, ON) == ON,
    }
    if connection.execute(update(own_lesson).where(this).values(values)).rowcount == 0:
        add_row(connection, own_lesson, {"school_no": school_no, "id": row_id} | values)


def _project_member(connection: Connection, school_no: int, class_id: bytes, learner_id: bytes) -> None:
    key = {"set_no": CLASS_MEMBERS, "owner": class_id, "member": learner_id}
    puttings = merged.list_where(connection, school_no, Kind.MEMBER, **key)
    class_no = _find_class(connection, school_no, class_id)
    keys = {"class_no": class_no, "learner_no": find_learner(connection, school_no, learner_id)}
    _put(connection, enrollment, keys, {"is_active": is_member(puttings)})


def _put(connection: Connection, table: Table, keys: dict[str, Any], values: dict[str, Any]) -> None:
    this = and_(*(table.c[name] == value for name, value in keys.items()))
    if connection.execute(update(table).where(this).values(values | _STAMP)).rowcount == 0:
        connection.execute(insert(table).values(keys | values | _STAMP))


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
