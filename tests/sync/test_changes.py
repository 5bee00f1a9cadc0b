"""The change log as records, and how far the hub has a tablet's work."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from sqlite3 import Connection

import pytest

from content_packs.base import ids
from content_packs.format.manifest import Lesson
from edgebox.store import changes, roster, seals, spans, teaching
from edgebox.store.catalogue import ListedLesson
from edgebox.store.database import Database
from edgebox.store.log import append_change, number_key
from sync.bundle.layout import Vector
from sync.bundle.limits import RANGES_MAX
from sync.records.kinds import Kind
from sync.records.rows import Activity, Device, Fact, Learner, Member, PackInstall, Statement, Verb

DEVICE = bytes(range(16))
NOW_MS = 1_780_300_800_000
FILLED = 14  # changes that `fill` makes


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    made = await asyncio.to_thread(Database, tmp_path / "box.db")
    yield made
    await asyncio.to_thread(made.close)


def fill(db: Connection) -> None:
    """Write one row of every kind, as the box does."""
    person = roster.insert_learner(db, NOW_MS, "Amina")
    class_no = roster.insert_class(db, NOW_MS, "Class 4")
    roster.set_enrollment(db, NOW_MS, class_no, person)
    db.execute(
        "INSERT INTO pack (id, version, root, signer, size_bytes, installed_ms) VALUES (?, 1, ?, ?, 1, ?)",
        ("org.example.sums", bytes(32), bytes(16), NOW_MS),
    )
    append_change(db, Kind.PACK_INSTALL, b"org.example.sums@1")
    lesson = ListedLesson("org.example.sums", 1, 0, Lesson("adding", {"en": "Adding"}, {}, ()))
    teaching.insert_assignment(db, class_no, lesson, person_no=None, now_ms=NOW_MS)
    for kind, table, column, value in (
        (Kind.VERB, "verb", "iri", "http://v"),
        (Kind.ACTIVITY, "activity", "iri", "http://a"),
    ):
        db.execute(f"INSERT INTO {table} (no, {column}) VALUES (1, ?)", (value,))
        append_change(db, kind, number_key(1))
    db.execute("INSERT INTO device (no, id, first_ms, box_seq) VALUES (1, ?, ?, 9)", (DEVICE, NOW_MS))
    append_change(db, Kind.DEVICE, number_key(1))


def answer(db: Connection, seq: int, person_no: int = 1) -> None:
    key = ids.derive_statement_id(DEVICE, seq, NOW_MS)
    db.execute(
        "INSERT INTO statement (id, person_no, verb_no, activity_no, device_no, device_seq, attempt_seq, timestamp_ms,"
        " stored_ms, success, digest) VALUES (?, ?, 1, 1, 1, ?, 1, ?, ?, 1, x'00')",
        (key, person_no, seq, NOW_MS, NOW_MS + 2500),
    )
    seals.seal_all(db)
    append_change(db, Kind.STATEMENT, key)
    seals.seal_all(db)


async def span(database: Database, start: int = 1, max_changes: int = 100, max_bytes: int = 1 << 20) -> spans.Span:
    found = await database.read(lambda db: spans.read_span(db, start, max_changes=max_changes, max_bytes=max_bytes))
    assert found is not None
    return found


async def test_every_kind_of_row_travels_without_a_name(database: Database) -> None:
    await database.write(fill)
    await database.write(lambda db: answer(db, 1))
    found = (await span(database)).records
    assert {type(record) for record in found} == {
        Verb, Activity, Device, Learner, PackInstall, Statement, Fact, Member,
    }  # fmt: skip
    assert "Amina" not in repr(found)
    assert "Class 4" not in repr(found)


async def test_a_row_that_changed_twice_is_sent_once_as_it_is_now(database: Database) -> None:
    await database.write(fill)
    await database.write(lambda db: roster.set_enrollment(db, NOW_MS, 1, 1, is_active=False))
    found = [record for record in (await span(database)).records if isinstance(record, Member)]
    assert [member.is_removed for member in found] == [True]


async def test_what_a_teacher_did_stays_in_school(database: Database) -> None:
    await database.write(fill)
    await database.write(lambda db: roster.insert_teacher(db, NOW_MS, "teacher", "Omar") and answer(db, 1, person_no=2))
    found = await span(database)
    assert not [record for record in found.records if isinstance(record, Statement)]
    assert found.through_change == FILLED + 1


async def test_a_span_ends_at_its_limits_but_has_at_least_one_change(database: Database) -> None:
    await database.write(fill)
    assert (await span(database, max_changes=3)).through_change == 3
    assert (await span(database, max_bytes=1)).through_change == 1
    assert (await span(database, start=4, max_bytes=450)).through_change == 5
    assert await database.read(lambda db: spans.read_span(db, 99, max_changes=9, max_bytes=9)) is None


@pytest.mark.parametrize("damage", ["success = 0", "response = CAST(x'ff' AS TEXT)"])
async def test_a_span_ends_before_a_damaged_statement(damage: str, database: Database) -> None:
    await database.write(fill)
    for seq in (1, 2, 3):
        await database.write(lambda db, seq=seq: answer(db, seq))  # type: ignore[misc]
    await database.write(lambda db: db.execute(f"UPDATE statement SET {damage} WHERE device_seq = 2").rowcount)
    before = await span(database)
    assert before.through_change == FILLED + 1
    assert [each.device_seq for each in before.records if isinstance(each, Statement)] == [1]
    assert await span(database, start=FILLED + 2) == spans.Span(FILLED + 2, FILLED + 1, [])
    damaged = await database.read(lambda db: spans.find_damaged(db, 1, 100))
    assert damaged == (ids.derive_statement_id(DEVICE, 2, NOW_MS),)
    assert (await span(database, start=FILLED + 3)).through_change == FILLED + 3


async def test_a_span_is_measured_in_bytes_whatever_the_letters_are(database: Database) -> None:
    await database.write(fill)
    for seq in (1, 2):
        await database.write(lambda db, seq=seq: answer(db, seq))  # type: ignore[misc]
    await database.write(
        lambda db: db.execute("UPDATE statement SET response = ?", ("\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 100,))
    )
    await database.write(seals.seal_all)
    assert (await span(database, start=FILLED + 1, max_bytes=2 * 400)).through_change == FILLED + 1
    assert (await span(database, start=FILLED + 1, max_bytes=2 * 500)).through_change == FILLED + 2


@pytest.mark.parametrize(
    ("table", "kind", "values"),
    [
        ("fact", Kind.FACT, {"entity": 6, "id": bytes(16), "field": 1, "value": "", "stamp": 1, "origin": bytes(16)}),
        (
            "mark",
            Kind.MARK,
            dict.fromkeys(("assignment", "learner", "origin", "replaces"), bytes(16))
            | {"value": "A", "comment": "", "stamp": 1},
        ),
        ("activity", Kind.ACTIVITY, {"iri": "http://b"}),
    ],
)
async def test_a_span_counts_every_long_text(
    database: Database, table: str, kind: Kind, values: dict[str, object]
) -> None:
    long = next(name for name in ("comment", "value", "iri") if name in values)

    def write(db: Connection, length: int) -> None:
        row = values | {"no": 1000 + length, long: "x" * length}
        row |= {name: length.to_bytes(16, "big") for name in ("id", "learner") if name in row}
        db.execute(f"INSERT INTO {table} ({','.join(row)}) VALUES ({','.join('?' * len(row))})", list(row.values()))
        append_change(db, kind, number_key(1000 + length))

    for length in (1999, 2000):
        await database.write(lambda db, length=length: write(db, length))  # type: ignore[misc]
    assert (await span(database, max_bytes=4000)).through_change == 1
    assert (await span(database, max_bytes=4600)).through_change == 2


async def test_a_tablet_learns_how_far_the_hub_has_its_work(database: Database) -> None:
    await database.write(fill)
    for seq in (1, 2, 3, 4):
        await database.write(lambda db, seq=seq: answer(db, seq))  # type: ignore[misc]
    for seq, (first, through) in enumerate(((1, FILLED), (FILLED + 1, FILLED + 2), (FILLED + 3, FILLED + 4)), 1):
        made = changes.Made(1, seq, first, through, bytes(32), 10, NOW_MS)
        await database.write(lambda db, made=made: changes.insert_bundle(db, made))  # type: ignore[misc]
    seen = []
    acks = ((1, FILLED, ()), (1, FILLED, ((3, 3),)), (3, FILLED + 4, ()))
    for ack in (Vector(bytes(16), 1, *values) for values in acks):
        await database.write(lambda db, ack=ack: changes.settle(db, ack, NOW_MS))  # type: ignore[misc]
        seen.append(await database.read(lambda db: db.execute("SELECT hub_seq FROM device").fetchone()[0]))
    assert seen == [0, 0, 9]


async def test_an_ack_of_another_epoch_or_an_older_one_changes_nothing(database: Database) -> None:
    await database.write(fill)
    await database.write(lambda db: changes.insert_bundle(db, changes.Made(1, 1, 1, FILLED, bytes(32), 10, NOW_MS)))
    await database.write(lambda db: changes.settle(db, Vector(bytes(16), 2, 1, FILLED), NOW_MS))
    assert (await database.read(changes.find_backlog)).changes == FILLED
    await database.write(lambda db: changes.settle(db, Vector(bytes(16), 1, 1, FILLED), NOW_MS))
    await database.write(lambda db: changes.settle(db, Vector(bytes(16), 1, 0, 0), NOW_MS))
    assert (await database.read(changes.find_backlog)).changes == 0


@pytest.mark.parametrize(
    ("said_ms", "is_carried", "ranges", "waiting"),
    [
        (2, False, (), [3, 4]),
        (2, False, ((4, 4),), [3]),
        (1, False, (), []),  # an old answer that comes late
        (2, True, (), []),
        (2, False, ((3, 3),) * RANGES_MAX, []),  # what else it has did not fit
    ],
)
async def test_what_the_hub_lacks_in_a_later_answer_waits_again_also_beyond_all_it_has(
    database: Database, said_ms: int, is_carried: bool, ranges: tuple[tuple[int, int], ...], waiting: list[int]
) -> None:
    await database.write(fill)
    for seq in range(1, 5):
        made = changes.Made(1, seq, seq, seq, bytes(32), 10, NOW_MS)
        await database.write(lambda db, made=made: changes.insert_bundle(db, made))  # type: ignore[misc]
    all_held = Vector(bytes(16), 1, 1, 1, ((2, 4),))
    await database.write(lambda db: changes.settle(db, all_held, NOW_MS, said_ms=1))
    assert await database.read(changes.list_unacknowledged) == []
    lacking = Vector(bytes(16), 1, 2, 2, ranges)
    await database.write(lambda db: changes.settle(db, lacking, NOW_MS, said_ms=said_ms, is_carried=is_carried))
    assert [made.seq for made in await database.read(changes.list_unacknowledged)] == waiting


async def test_a_new_epoch_starts_the_log_from_its_beginning_and_is_never_lower(database: Database) -> None:
    await database.write(fill)
    await database.write(lambda db: changes.insert_bundle(db, changes.Made(1, 1, 1, FILLED, bytes(32), 10, NOW_MS)))
    await database.write(lambda db: changes.begin_epoch(db, 7))
    await database.write(lambda db: changes.begin_epoch(db, 3))
    cursor = await database.read(changes.find_cursor)
    assert (cursor.epoch, cursor.seq, cursor.from_change, cursor.previous_hash) == (7, 1, 1, None)
    assert await database.read(changes.list_unacknowledged) == []
