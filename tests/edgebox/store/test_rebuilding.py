"""What a database that is made anew keeps of other boxes' work, and of what the tables of one another say."""

import asyncio
import json
import sqlite3
import tracemalloc
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from content_packs.base import ids
from content_packs.base.clock import SystemClock
from edgebox.app import make_app, open_box
from edgebox.domain.caller import Reach
from edgebox.domain.statement_in import from_record
from edgebox.domain.xapi.version import Version
from edgebox.services.signing_in import SetUpRefused
from edgebox.settings import Settings
from edgebox.store import copying, forwards, recovery, remnants, scrubbing, sessions
from edgebox.store.connections import open_writer
from edgebox.store.log import append_change
from edgebox.store.outside import TERMS_MAX, refit
from edgebox.store.recovery import recover
from edgebox.store.registry import Numbers, Registry
from edgebox.store.statements import insert_from_hub
from edgebox.store.upgrade import upgrade
from sync.records.kinds import Kind
from sync.records.outside import without_people
from sync.records.rows import Statement
from tests.support.box import Person, School, make_school
from tests.support.filled import PAGE_SIZE, make_filled_school, overwrite, rows_of
from tests.support.records import STATEMENTS, Records, make_id, make_statement, outside_client

FILLED = 60
OUTSIDE_ROWS = 600
STATEMENT = """
INSERT INTO statement (id, verb_no, activity_no, timestamp_ms, stored_ms, digest) VALUES (?, 1, 1, 0, 0, x'00')
"""
TABLE_LEAF = 13
HUB_MS = 1_763_800_000_000
FLIP = "UPDATE statement SET timestamp_ms = timestamp_ms + 8 - 16 * (timestamp_ms / 8 % 2) WHERE id = ?"
PASSWORD = "mango river lantern seven"
LOGGED = "SELECT count(*) FROM change WHERE kind = 1"


@pytest.fixture
async def school(tmp_path: Path) -> School:
    return await asyncio.to_thread(make_school, tmp_path / "box")


def database(school: School) -> Path:
    return school.settings.data / "box.db"


def nothing() -> None:
    return


def spoil(path: Path, table: str) -> None:
    """Make the first page of a table unreadable. Blocks."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    overwrite(path, (root - 1) * PAGE_SIZE, b"\xff" * PAGE_SIZE)


def turn_bit_of(path: Path, text: bytes) -> None:
    """Turn the first bit of the last letter of a text, where rows are and not an index. Blocks."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = path.read_bytes()
    places = (place for place in range(len(content)) if content.startswith(text, place))
    found = next(place for place in places if content[place // PAGE_SIZE * PAGE_SIZE] == TABLE_LEAF)
    at = found + len(text) - 1
    overwrite(path, at, bytes([content[at] ^ 0x80]))


def store_from_hub(connection: sqlite3.Connection, learner: Person, number: int, *, has_body: bool = True) -> None:
    """Store a statement of a learner that another box took, as the hub brings it: of an app, or of our own page."""
    sent = make_statement(number, actor=learner.actor)
    body = without_people(json.dumps(sent).encode()) if has_body else None
    record = Statement(1, 1, HUB_MS, learner_no=learner.no, id=ids.parse_uuid(make_id(number)), body=body)
    statement = from_record(record, learner.no, sent["verb"]["id"], sent["object"]["id"], None)
    assert statement is not None
    insert_from_hub(connection, Numbers(connection, Registry({}, {})), statement, None, HUB_MS)


@pytest.mark.parametrize("table", ["setting", "offer", "change", "outside"])
async def test_work_of_other_boxes_is_kept_and_in_no_list(school: School, table: str) -> None:
    path, learner = database(school), school.learners[0]
    async with open_box(school.settings) as box, outside_client(box) as client:
        await client.send(make_statement(1))
        await box.database.write(lambda db: store_from_hub(db, learner, 7))
        await box.database.write(lambda db: store_from_hub(db, learner, 8, has_body=False))
    await asyncio.to_thread(spoil, path, table)
    rebuilt = await asyncio.to_thread(recover, path, 1, nothing)
    assert rebuilt is not None
    assert (rebuilt.kept, rebuilt.lost) == (3, 0)
    async with open_box(school.settings) as box, TestClient(TestServer(make_app(box))) as session:
        again = Records(session, client.headers, client.login)
        assert await again.ids() == [1]
        for number in (7, 8):
            assert (await again.get(statementId=make_id(number)))["id"] == make_id(number)


async def test_what_the_hub_brought_back_is_rebuilt_without_what_it_had_besides(school: School) -> None:
    path, learner = database(school), school.learners[0]
    async with open_box(school.settings) as box, outside_client(box) as client:
        await client.send(make_statement(1))
        await client.send(make_statement(7, actor=learner.actor))
        id_ = ids.parse_uuid(make_id(7))
        await box.database.write(lambda db: db.execute("DELETE FROM statement WHERE id = ?", (id_,)).rowcount)
        await box.database.write(lambda db: store_from_hub(db, learner, 7))
    await asyncio.to_thread(spoil, path, "outside")
    assert await asyncio.to_thread(recover, path, 1, nothing) is not None
    async with open_box(school.settings) as box, TestClient(TestServer(make_app(box))) as session:
        again = Records(session, client.headers, client.login)
        assert await again.ids() == [1]
        assert (await again.get(statementId=make_id(7)))["id"] == make_id(7)


@pytest.mark.parametrize("has_body", [True, False])
async def test_mended_work_of_other_boxes_is_in_no_list(school: School, has_body: bool) -> None:
    learner = school.learners[0]
    async with open_box(school.settings) as box, outside_client(box) as client:
        await client.send(make_statement(1))
        await box.database.write(lambda db: store_from_hub(db, learner, 7, has_body=has_body))
        await box.database.write(lambda db: db.execute(FLIP, (ids.parse_uuid(make_id(7)),)).rowcount)
        found = await box.record_check.scrub(None)
        assert found.damaged == (ids.parse_uuid(make_id(7)),)
        assert await client.ids() == [1]
        assert (await client.get(statementId=make_id(7)))["id"] == make_id(7)
        assert await box.database.read(lambda db: db.execute(LOGGED).fetchone()[0]) == 1


@pytest.mark.parametrize("has_copy", [True, False])
@pytest.mark.parametrize("table", ["verb", "activity", "person"])
def test_flipped_bit_in_a_text_is_turned_back_at_the_first_start(tmp_path: Path, table: str, has_copy: bool) -> None:
    made, _ids = make_filled_school(tmp_path / "box", FILLED)
    path = database(made)
    before = rows_of(path, table)
    if has_copy:
        copying.copy_small(path)
    column = {"verb": 1, "activity": 1, "person": 3}[table]
    turn_bit_of(path, next(row[column] for row in before if row[0] == 2 or table == "verb").encode())
    assert scrubbing.read_on(path, "", lambda: False).fault
    rebuilt = recover(path, 1, nothing)
    assert rebuilt is not None
    assert (rebuilt.kept, rebuilt.lost) == (FILLED, 0)
    assert rows_of(path, table) == before


@pytest.mark.parametrize("table", ["verb", "activity", "device", "person"])
async def test_rows_of_which_only_an_index_is_left_are_made_again(tmp_path: Path, table: str) -> None:
    made, statement_ids = await asyncio.to_thread(make_filled_school, tmp_path / "box", FILLED)
    path = database(made)
    async with open_box(made.settings) as box, outside_client(box) as client:
        before = await client.get(limit=100)
    known = {row[:2] for row in await asyncio.to_thread(rows_of, path, table)}
    await asyncio.to_thread(spoil, path, table)
    rebuilt = await asyncio.to_thread(recover, path, 1, nothing)
    assert rebuilt is not None
    assert (rebuilt.kept, rebuilt.lost) == (len(statement_ids), 0)
    assert {row[:2] for row in await asyncio.to_thread(rows_of, path, table)} == known
    async with open_box(made.settings) as box, TestClient(TestServer(make_app(box))) as session:
        again = await Records(session, client.headers, client.login).get(limit=100)
    assert again["statements"] == before["statements"]


def test_numbers_come_back_where_two_pages_were_swapped(tmp_path: Path) -> None:
    made, _ids = make_filled_school(tmp_path / "box", FILLED)
    path = database(made)
    before = rows_of(path, "verb")
    with closing(sqlite3.connect(path)) as connection:
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_master WHERE name IN ('verb', 'message')"))
    content = path.read_bytes()
    places = [(roots[name] - 1) * PAGE_SIZE for name in ("verb", "message")]
    for place, other in zip(places, reversed(places), strict=True):
        overwrite(path, place, content[other : other + PAGE_SIZE])
    recovery.suspect(path)
    rebuilt = recover(path, 1, nothing)
    assert rebuilt is not None
    assert (rebuilt.kept, rebuilt.lost) == (FILLED, 0)
    assert rows_of(path, "verb") == before


def test_statements_whose_numbers_mean_nothing_are_lost_and_asked_for(tmp_path: Path) -> None:
    made, statement_ids = make_filled_school(tmp_path / "box", FILLED)
    path = database(made)
    with closing(open_writer(path)) as connection:
        gone = connection.execute("SELECT no FROM activity WHERE item IS NOT NULL ORDER BY no LIMIT 1").fetchone()[0]
        unread = {row[0] for row in connection.execute("SELECT id FROM statement WHERE activity_no = ?", (gone,))}
        connection.execute("DELETE FROM activity WHERE no = ?", (gone,))
    recovery.suspect(path, "as a test has it")
    rebuilt = recover(path, 1, nothing)
    assert rebuilt is not None
    assert (rebuilt.kept, rebuilt.lost) == (FILLED - len(unread), len(unread))
    assert {row[0] for row in rows_of(path, "statement")} == statement_ids - unread
    assert {row[1] for row in rows_of(path, "damaged_statement")} == unread
    assert [row[3] for row in rows_of(path, "repair")] == [len(unread)]


def test_what_travels_is_in_the_log_again(tmp_path: Path) -> None:
    made, _ids = make_filled_school(tmp_path / "box", FILLED)
    path = database(made)
    wanted = Counter(row[1] for row in rows_of(path, "change"))
    spoil(path, "change")
    assert recover(path, 1, nothing) is not None
    logged = Counter(row[1] for row in rows_of(path, "change"))
    for kind in (Kind.STATEMENT, Kind.VERB, Kind.ACTIVITY, Kind.DEVICE, Kind.LEARNER):
        assert logged[kind] == wanted[kind]


@pytest.mark.parametrize(
    ("text", "known", "expected"),
    [
        (b"answere\xe4", [], "answered"),
        (b"\x58\xa7\xd9\x85", [], "X\ufffd\u0645"),
        (b"\x58\xa7\xd9\x85", ["Ada", "\u0627\u0645"], "\u0627\u0645"),
        (b"\xc2\x82\xac and more", ["\u20ac and more"], "\u20ac and more"),
        (b"\xff\xff", ["Ada"], "\ufffd\ufffd"),
    ],
)
def test_text_is_what_it_was_or_says_where_it_is_broken(text: bytes, known: list[str], expected: str) -> None:
    assert remnants.restored(text.decode("utf-8", "surrogateescape"), known) == expected


async def test_sign_ins_that_come_from_the_copy_are_ended_and_staff_are_told(school: School) -> None:
    path = database(school)
    async with open_box(school.settings) as box, outside_client(box) as client, outside_client(box) as other:
        await client.send(make_statement(1))
        await box.record_check.scrub(None)  # which makes the copy
        (first, *_others) = await box.clients.list_all()
        await box.clients.revoke(first.no)
        await box.database.write(lambda db: db.execute("DELETE FROM session").rowcount)
    for table in ("client", "session"):
        await asyncio.to_thread(spoil, path, table)
    assert await asyncio.to_thread(recover, path, SystemClock().now_ms(), nothing) is not None
    async with open_box(school.settings) as box, TestClient(TestServer(make_app(box))) as session:
        for headers in (client.headers, other.headers):
            assert (await session.get(STATEMENTS, headers=headers)).status == 401
        assert (await session.get("/staff/classes", cookies=school.teacher.cookies)).status == 401
        assert len(await box.record_check.list_ended_ms()) == 1


async def test_staff_read_that_sign_ins_were_ended(school: School) -> None:
    path = database(school)
    async with open_box(school.settings) as box, outside_client(box):
        await box.record_check.scrub(None)
    await asyncio.to_thread(spoil, path, "client")
    assert await asyncio.to_thread(recover, path, SystemClock().now_ms(), nothing) is not None
    async with open_box(school.settings) as box, TestClient(TestServer(make_app(box))) as session:
        page = await (await session.get("/staff/classes", cookies=school.teacher.cookies)).text()
        assert "ended the sign-ins of other apps" in page


async def test_set_up_code_that_was_used_up_does_not_come_back_with_the_copy(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "box", port=0, content_port=0)
    path = settings.data / "box.db"
    async with open_box(settings) as box:
        code = box.signing_in.set_up_code
        assert code is not None
        await box.record_check.scrub(None)  # which makes the copy
        await box.signing_in.set_up_staff(code, "first", "First", PASSWORD)
    names = [
        {row[0] for row in await asyncio.to_thread(rows_of, each, "setting")}
        for each in (path, copying.nightly_path(path))
    ]
    assert [sessions.SET_UP_CODE in each for each in names] == [False, True]
    await asyncio.to_thread(spoil, path, "setting")
    rebuilt = await asyncio.to_thread(recover, path, 1, nothing)
    assert rebuilt is not None
    assert "setting" in rebuilt.unread
    async with open_box(settings) as box:
        with pytest.raises(SetUpRefused):
            await box.signing_in.set_up_staff(code, "second", "Second", PASSWORD)


async def test_number_of_a_lost_sign_in_is_given_to_no_other_app(school: School) -> None:
    path = database(school)
    async with open_box(school.settings) as box, outside_client(box, reach=Reach.OWN) as client:
        await client.send(make_statement(1))
    await asyncio.to_thread(spoil, path, "client")
    assert await asyncio.to_thread(recover, path, 1, nothing) is not None
    async with open_box(school.settings) as box, outside_client(box, reach=Reach.OWN) as other:
        assert await other.ids() == []
        await other.send(make_statement(2))
        assert await other.ids() == [2]


def test_memory_of_a_refit_does_not_grow_with_the_table(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    upgrade(path)
    terms = bytes(8 * TERMS_MAX)
    with closing(open_writer(path)) as connection:
        connection.execute("BEGIN")
        for number in range(OUTSIDE_ROWS):
            seq = append_change(connection, Kind.STATEMENT, number.to_bytes(16, "big"))
            values = (number.to_bytes(16, "big"), seq + 1, terms)
            connection.execute("INSERT INTO outside (id, seq, voids, terms) VALUES (?, ?, 0, ?)", values)
            connection.execute(STATEMENT, values[:1])
        connection.execute("COMMIT")
        tracemalloc.start()
        try:
            refit(connection)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert connection.execute("SELECT count(*) FROM mention").fetchone()[0] == OUTSIDE_ROWS
        moved = "SELECT count(*) FROM outside JOIN change USING (seq) WHERE change.key = outside.id"
        assert connection.execute(moved).fetchone()[0] == OUTSIDE_ROWS
    assert peak_bytes < OUTSIDE_ROWS * len(terms) / 2


@pytest.mark.parametrize("table", ["change", "forward"])
async def test_a_store_outside_gets_everything_once_more_and_waits_for_staff_where_it_was_lost(
    school: School, table: str
) -> None:
    path = database(school)
    async with open_box(school.settings) as box:
        await box.forwarding.set_up("https://lrs.example/", "box", "secret", Version.ONE, sends_given=True)
        await box.database.write(lambda db: db.execute("UPDATE forward SET seq = 1000").rowcount)
        await box.record_check.scrub(None)  # which makes the copy
    await asyncio.to_thread(spoil, path, table)
    assert await asyncio.to_thread(recover, path, SystemClock().now_ms(), nothing) is not None
    async with open_box(school.settings) as box:
        target = await box.database.read(forwards.find_target)
        assert target is not None
        assert (target.seq, target.is_paused, target.secret) == (0, table == "forward", "secret")
