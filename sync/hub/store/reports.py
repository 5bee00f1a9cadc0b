"""What an operator sees: boxes, schools, packs and classes in numbers. No name is known here."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    cast,
    distinct,
    exists,
    func,
    select,
)

from sync.hub.store.merged_tables import MERGED
from sync.hub.store.retiming import is_repaired, is_told_in, repaired_ms, wrong_boots
from sync.hub.store.schema import (
    activity,
    assignment,
    box,
    bundle,
    class_,
    enrollment,
    learner,
    own_lesson,
    pack_install,
    school,
    school_file,
    statement,
    statement_conflict,
    stream,
    verb,
)
from sync.records.facts import assignment_id
from sync.records.kinds import Kind
from sync.records.lessons import OWN_PACK, read_resources
from sync.records.sizes import is_file
from sync.records.stamps import stamp_ms

WEEK_MS = 7 * 86_400_000
_NUMBERS = 2**32
_HAND_IN_COUNTS = ("hand_ins", "learners", "size_bytes", "arrived", "missing")
_FINISHING = ("http://adlnet.gov/expapi/verbs/completed", "http://adlnet.gov/expapi/verbs/passed")


def list_boxes(connection: Connection, now_ms: int) -> list[dict[str, Any]]:
    """Return every box with its school, last contact, health, bundles, bytes, statements and active learners.

    `repaired` counts the statements whose time was put right because the box's clock had been wrong. `successors` are
    the rows under whose keys it went on, `replaced_by` the box that took its place.
    """
    received, recorded = _received(), _recorded(now_ms)
    health = MERGED[Kind.HEALTH]
    counts = [column for part in (received, recorded) for column in part.c if column.name != "box_no"]
    query = (
        _about_box()
        .add_columns(*[func.coalesce(column, 0).label(column.name) for column in counts])
        .join(school, school.c.no == box.c.school_no)
        .outerjoin(received, received.c.box_no == box.c.no)
        .outerjoin(recorded, recorded.c.box_no == box.c.no)
        .outerjoin(stream, stream.c.box_no == box.c.no)
        .outerjoin(health, and_(health.c.school_no == box.c.school_no, health.c.origin == box.c.key_id))
        .order_by(school.c.title, box.c.no)
    )
    found = [{**row._mapping, "key_id": row.key_id.hex()} for row in connection.execute(query)]
    for row in found:
        row["successors"] = [other["no"] for other in found if other["succeeds_no"] == row["no"]]
        row["replaced_by"] = next((other["no"] for other in found if other["replaces_no"] == row["no"]), None)
    return found


def list_school_titles(connection: Connection) -> list[str]:
    """Return the titles of all schools."""
    return list(connection.execute(select(school.c.title).order_by(school.c.title)).scalars())


def find_class(connection: Connection, school_no: int, code: str) -> bytes | None:
    """Return the pseudonym of the class that a school's boxes know by a code."""
    this = and_(class_.c.school_no == school_no, class_.c.code == code, class_.c.is_active)
    found: bytes | None = connection.execute(select(class_.c.pseudonym).where(this)).scalars().first()
    return found


def list_pack_progress(connection: Connection) -> list[dict[str, Any]]:
    """Return, for every school, class and pack: learners who worked on it, statements, and finished resources.

    `is_repaired` says that some of the times were put right, among them perhaps the latest.
    """
    boots = wrong_boots()
    finished = and_(verb.c.iri.in_(_FINISHING), activity.c.item.is_(None))
    query = (
        select(
            school.c.title.label("school"),
            class_.c.code.label("class_code"),
            activity.c.pack,
            func.count(distinct(statement.c.learner_no)).label("learners"),
            func.count().label("statements"),
            # A quiz is both completed and passed, and may be done again: a resource counts once per learner.
            func.count(
                distinct(_if(finished, cast(statement.c.learner_no, BigInteger) * _NUMBERS + statement.c.activity_no))
            ).label("completions"),
            func.max(repaired_ms(boots)).label("last_ms"),
            func.max(is_repaired(boots)).label("is_repaired"),
        )
        .join_from(statement, activity, activity.c.no == statement.c.activity_no)
        .join(verb, verb.c.no == statement.c.verb_no)
        .join(enrollment, and_(enrollment.c.learner_no == statement.c.learner_no, enrollment.c.is_active))
        .join(class_, class_.c.no == enrollment.c.class_no)
        .join(school, school.c.no == statement.c.school_no)
        .outerjoin(boots, is_told_in(boots))
        .where(activity.c.pack.is_not(None))
        .group_by(school.c.title, class_.c.code, activity.c.pack)
        .order_by(school.c.title, class_.c.code, activity.c.pack)
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def list_hand_ins(connection: Connection) -> list[dict[str, Any]]:
    """Return, for every school, class and lesson: what was handed in, by how many, and how much of it is here.

    `size_bytes` is of all; `missing` counts the files whose record is here and whose bytes are still to come. Class,
    pack and lesson are empty while the assignment itself is not known.
    """
    hand_in = MERGED[Kind.HAND_IN]
    is_apart = is_file(hand_in.c.media_type, hand_in.c.size_bytes)
    here = and_(school_file.c.school_no == hand_in.c.school_no, school_file.c.hash == hand_in.c.hash)
    query = (
        select(
            hand_in.c.school_no,
            hand_in.c.assignment,
            school.c.title.label("school"),
            func.count().label("hand_ins"),
            func.count(distinct(hand_in.c.learner)).label("learners"),
            func.sum(hand_in.c.size_bytes).label("size_bytes"),
            func.sum(_is(and_(is_apart, school_file.c.no.is_not(None)))).label("arrived"),
            func.sum(_is(and_(is_apart, school_file.c.no.is_(None)))).label("missing"),
            func.max(hand_in.c.stamp).label("last_stamp"),
        )
        .join_from(hand_in, school, school.c.no == hand_in.c.school_no)
        .outerjoin(school_file, here)
        .group_by(hand_in.c.school_no, hand_in.c.assignment, school.c.title)
    )
    named, own = _assignments(connection), _own_titles(connection)
    found = []
    for row in connection.execute(query):
        class_code, pack, lesson = named.get((row.school_no, row.assignment), ("", "", ""))
        if pack == OWN_PACK:
            pack, lesson = "", own.get((row.school_no, lesson), "")
        values = {name: row._mapping[name] for name in ("school", *_HAND_IN_COUNTS)}
        names = {"class_code": class_code, "pack": pack, "lesson": lesson}
        found.append(values | names | {"last_ms": stamp_ms(row.last_stamp)})
    return sorted(found, key=lambda row: (row["school"], row["class_code"], row["pack"], row["lesson"]))


def list_own_lessons(connection: Connection) -> list[dict[str, Any]]:
    """Return the lessons that teachers made and have not taken away: school, title and how many resources."""
    columns = select(school.c.title.label("school"), own_lesson.c.title, own_lesson.c.resources)
    query = columns.join_from(own_lesson, school, school.c.no == own_lesson.c.school_no).where(own_lesson.c.is_active)
    rows = connection.execute(query.order_by(school.c.title, own_lesson.c.title))
    return [{"school": row.school, "title": row.title, "resources": len(read_resources(row.resources))} for row in rows]


def _own_titles(connection: Connection) -> dict[tuple[int, str], str]:
    """Return the titles of lessons that teachers made by school and id, as assignments name them."""
    rows = connection.execute(select(own_lesson.c.school_no, own_lesson.c.id, own_lesson.c.title))
    return {(row.school_no, row.id.hex()): row.title for row in rows}


def _assignments(connection: Connection) -> dict[tuple[int, bytes], tuple[str, str, str]]:
    """Return class code, pack and lesson of every assignment by its school and id."""
    columns = (class_.c.school_no, class_.c.pseudonym, class_.c.code, assignment.c.pack, assignment.c.lesson)
    rows = connection.execute(select(*columns).join_from(assignment, class_, class_.c.no == assignment.c.class_no))
    return {
        (row.school_no, assignment_id(row.pseudonym, row.pack, row.lesson)): (row.code, row.pack, row.lesson)
        for row in rows
    }


def sum_up(connection: Connection, now_ms: int) -> dict[str, int]:
    """Return the totals of the hub."""
    boots = wrong_boots()
    week = repaired_ms(boots) > now_ms - WEEK_MS
    active = select(func.count(distinct(_if(week, statement.c.learner_no))))
    return {
        "schools": _count(connection, select(func.count()).select_from(school)),
        "boxes": _count(connection, select(func.count()).select_from(box).where(_in_service())),
        "learners": _count(connection, select(func.count()).select_from(learner)),
        "active_learners": _count(connection, active.outerjoin_from(statement, boots, is_told_in(boots))),
        "statements": _count(connection, select(func.count()).select_from(statement)),
        "conflicts": _count(connection, select(func.count()).select_from(statement_conflict)),
        "packs": _count(
            connection, select(func.count(distinct(_if(pack_install.c.is_installed, pack_install.c.pack))))
        ),
    }


def _in_service() -> ColumnElement[bool]:
    """Return whether a row is a box of its own: not revoked, and no other took its place or goes on under a new key."""
    later = box.alias("later")
    follows = (later.c.succeeds_no == box.c.no) | (later.c.replaces_no == box.c.no)
    return and_(box.c.revoked_ms.is_(None), ~exists().where(follows))


def _about_box() -> Select[Any]:
    """Return what the rows of a box, its school, its stream and its health say of it; the joins are the caller's."""
    health = MERGED[Kind.HEALTH]
    return select(
        box.c.no,
        box.c.key_id,
        school.c.title.label("school"),
        box.c.enrolled_ms,
        box.c.contact_ms,
        box.c.forked_ms,
        box.c.revoked_ms,
        box.c.succeeds_no,
        box.c.replaces_no,
        health.c.version,
        health.c.free_bytes,
        health.c.total_bytes,
        func.coalesce(stream.c.notice, 0).label("notice"),
    )


def _received() -> Any:
    """Return, for every box, its bundles in each state and their bytes."""
    return _per_box(
        select(
            bundle.c.box_no,
            func.count().label("bundles"),
            func.sum(bundle.c.size_bytes).label("received_bytes"),
            func.sum(_is(bundle.c.state == "held")).label("held"),
            func.sum(_is(bundle.c.state == "quarantined")).label("quarantined"),
            func.sum(_is(bundle.c.state == "forked")).label("forked"),
            func.sum(_is(bundle.c.state == "refused")).label("refused"),
        ),
        bundle.c.box_no,
    )


def _recorded(now_ms: int) -> Any:
    """Return, for every box, its statements, the repaired ones, and the learners active in the last week."""
    boots = wrong_boots()
    is_recent = repaired_ms(boots) > now_ms - WEEK_MS
    return _per_box(
        select(
            statement.c.box_no,
            func.count().label("statements"),
            func.count(distinct(_if(is_recent, statement.c.learner_no))).label("active_learners"),
            func.sum(is_repaired(boots)).label("repaired"),
        ).outerjoin_from(statement, boots, is_told_in(boots)),
        statement.c.box_no,
    )


def _per_box(query: Select[Any], box_no: ColumnElement[int]) -> Any:
    return query.group_by(box_no).subquery()


def _is(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return case((condition, 1), else_=0)


def _if(condition: ColumnElement[bool], value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the value where the condition holds, else NULL, which counts leave out."""
    return case((condition, value), else_=None)


def _count(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(query).scalar() or 0)
