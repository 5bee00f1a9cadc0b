import asyncio
import random
import shutil
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from content_packs.base.starting import StoreDamaged
from edgebox.app import make_app, open_box
from edgebox.domain.caller import Reach
from edgebox.store import copying, recovery, repairs, seals
from edgebox.store.connections import is_unreadable, open_writer
from edgebox.store.outside import refit
from edgebox.store.recovery import recover
from edgebox.store.repairs import RepairKind
from edgebox.store.upgrade import upgrade
from tests.support.box import School, make_school
from tests.support.filled import (
    PAGE_SIZE,
    flip,
    make_filled_school,
    overwrite,
    pages_with,
    rows_of,
    statement_pages,
)
from tests.support.records import ADL, VOIDED, Records, make_id, make_statement, outside_client, reference

STATEMENTS = 300
DAMAGED_BOXES = 20
SOAK_DAMAGED_BOXES = 200
# Without a copy the numbers in statements mean nothing once what says where the tables are is lost: in so small a
# database a sixth of the pages.
KEPT_MIN = {True: 0.999, False: 0.8}
READABLE = """
SELECT count(*) FROM statement JOIN verb ON verb.no = verb_no JOIN activity ON activity.no = activity_no
WHERE person_no IN (SELECT no FROM person) AND device_no IN (SELECT no FROM device)
"""


def nothing() -> None:
    return


@pytest.fixture
def school(tmp_path: Path) -> tuple[School, set[bytes]]:
    return make_filled_school(tmp_path / "box", STATEMENTS)


def database(school: School) -> Path:
    return school.settings.data / "box.db"


def ids_in(path: Path) -> set[bytes]:
    return {row[0] for row in rows_of(path, "statement")}


def is_sound(path: Path) -> bool:
    with closing(open_writer(path)) as connection:
        names, rows = seals.select(connection, "SELECT * FROM statement")
        noted = {no: (count, joined) for no, count, joined in connection.execute("SELECT * FROM chain")}
        checked = connection.execute("PRAGMA integrity_check").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        assert noted == repairs.read_chains(connection)
        assert version
        assert connection.execute(READABLE).fetchone()[0] == len(rows)
        return checked == "ok" and all(seals.is_whole(names, row) for row in rows)


def test_whole_database_is_left_alone(school: tuple[School, set[bytes]]) -> None:
    path = database(school[0])
    before = path.read_bytes()
    assert recover(path, 1, nothing) is None
    assert path.read_bytes() == before
    assert not (path.parent / "damaged").exists()


def test_lost_page_costs_its_statements_and_no_others(school: tuple[School, set[bytes]]) -> None:
    made, ids = school
    path = database(made)
    place = statement_pages(path, ids)[2]
    on_page = {each for each in ids if each in path.read_bytes()[place : place + PAGE_SIZE]}
    overwrite(path, place, bytes(PAGE_SIZE))
    damaged = path.read_bytes()
    rebuilt = recover(path, 7, nothing)
    assert rebuilt is not None
    left = ids_in(path)
    assert ids - on_page <= left
    assert (rebuilt.kept, rebuilt.lost) == (len(left), len(ids) - len(left))
    assert is_sound(path)
    assert (path.parent / "damaged" / "1" / "box.db").read_bytes() == damaged
    with closing(open_writer(path)) as connection:
        assert [(each.kind, each.at_ms, each.statements) for each in repairs.list_all(connection)] == [
            (RepairKind.REBUILT, 7, rebuilt.lost)
        ]
        logged = {row[0] for row in connection.execute("SELECT key FROM change WHERE kind = 1")}
        assert left <= logged
    assert len(rows_of(path, "person")) == len(made.learners) + 1


def test_tablets_are_told_that_the_box_has_less(school: tuple[School, set[bytes]]) -> None:
    made, ids = school
    path = database(made)
    overwrite(path, statement_pages(path, ids)[-1], bytes(PAGE_SIZE))
    before = dict(sqlite3.connect(path).execute("SELECT no, box_seq FROM device"))
    recover(path, 1, nothing)
    after = dict(sqlite3.connect(path).execute("SELECT no, box_seq FROM device"))
    assert after.keys() == before.keys()
    assert min(after[no] - before[no] for no in before) < 0


def test_names_come_back_from_the_nightly_copy(school: tuple[School, set[bytes]]) -> None:
    made, ids = school
    path = database(made)
    copying.copy_small(path)
    people = rows_of(path, "person")
    for place in pages_with(path, {made.learners[0].pseudonym + b"learner"}) or pages_with(path, {b"Learner 0"}):
        if place:
            overwrite(path, place, b"\xff" * PAGE_SIZE)
    rebuilt = recover(path, 1, nothing)
    assert rebuilt is not None
    assert "person" in rebuilt.unread
    assert rows_of(path, "person") == people
    assert ids_in(path) == ids


def test_spoiled_head_costs_nothing(school: tuple[School, set[bytes]]) -> None:
    made, ids = school
    path = database(made)
    overwrite(path, 0, b"\0" * 24)
    recover(path, 1, nothing)
    assert ids_in(path) == ids
    assert is_sound(path)


def test_statements_are_found_when_nothing_refers_to_them(school: tuple[School, set[bytes]]) -> None:
    made, ids = school
    path = database(made)
    copying.copy_small(path)
    overwrite(path, 0, b"\xff" * PAGE_SIZE)  # what says where the tables are
    recover(path, 1, nothing)
    assert ids_in(path) == ids
    assert len(rows_of(path, "person")) == len(made.learners) + 1
    assert is_sound(path)


def test_progress_is_counted_again_from_statements(school: tuple[School, set[bytes]]) -> None:
    path = database(school[0])
    progress = rows_of(path, "progress")
    with closing(open_writer(path)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'progress'").fetchone()[0]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite(path, (root - 1) * PAGE_SIZE, b"\xff" * PAGE_SIZE)
    recover(path, 1, nothing)
    assert sorted(row[:7] for row in rows_of(path, "progress")) == sorted(row[:7] for row in progress)


def test_what_is_in_the_log_only_is_kept(school: tuple[School, set[bytes]], tmp_path: Path) -> None:
    made, ids = school
    path = database(made)
    connection = open_writer(path)
    connection.execute("BEGIN")
    connection.execute("INSERT INTO setting (name, value) VALUES ('late', 'kept')")
    connection.execute("COMMIT")
    for name in ("box.db", "box.db-wal"):
        shutil.copyfile(path.with_name(name), tmp_path / name)
    connection.close()
    cut = tmp_path / "box.db"
    overwrite(cut, statement_pages(cut, ids)[1], bytes(PAGE_SIZE))
    assert recover(cut, 1, nothing) is not None
    assert ("late", "kept") in rows_of(cut, "setting")
    assert not cut.with_name("box.db-wal").exists()
    assert (tmp_path / "damaged" / "1" / "box.db-wal").exists()


def fail_to_rebuild(path: Path, patch: pytest.MonkeyPatch) -> None:
    """Let a database be taken for damaged, and the repair fail. Blocks."""
    with patch.context() as broken:
        broken.setattr(recovery, "rebuild", lambda *_: (_ for _ in ()).throw(OSError("no room")))
        recovery.suspect(path, "as a test has it")
        with pytest.raises(OSError, match="no room"):
            recover(path, 1, nothing)


def write_to_the_log(path: Path, name: str) -> None:
    """Store something as if the power went then: in the log only. Blocks."""
    connection = open_writer(path)
    connection.execute("INSERT INTO setting (name, value) VALUES (?, 'kept')", (name,))
    kept = {each: each.read_bytes() for each in (path, path.with_name(f"{path.name}-wal"))}
    connection.close()
    for each, content in kept.items():
        each.write_bytes(content)


@pytest.mark.parametrize("is_found_whole", [True, False])
def test_what_is_stored_after_a_repair_failed_is_kept_by_the_next_one(
    is_found_whole: bool, school: tuple[School, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database(school[0])
    write_to_the_log(path, "early")
    fail_to_rebuild(path, monkeypatch)
    path.with_name("box.db.suspect").unlink()
    if is_found_whole:
        assert recover(path, 1, nothing) is None
        assert list((path.parent / "damaged").iterdir()) == []
    write_to_the_log(path, "late")
    recovery.suspect(path, "as a test has it")
    assert recover(path, 1, nothing) is not None
    assert {("early", "kept"), ("late", "kept")} <= set(rows_of(path, "setting"))


def test_nothing_readable_and_no_copy_is_refused_and_left(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    path.write_bytes(b"\xff" * 40_000)
    with pytest.raises(StoreDamaged):
        recover(path, 1, nothing)
    assert path.read_bytes() == b"\xff" * 40_000


def test_database_that_was_put_in_place_meanwhile_stays(school: tuple[School, set[bytes]]) -> None:
    made, ids = school
    path = database(made)
    upgrade(path.with_name("box.db.rebuilt"))
    assert recover(path, 1, nothing) is None
    assert ids_in(path) == ids
    assert not path.with_name("box.db.rebuilt").exists()


def test_box_that_nobody_has_used_starts_after_damage(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    upgrade(path)
    recovery.suspect(path, "as a test has it")
    assert recover(path, 1, nothing) is not None
    assert is_sound(path)


def test_first_and_latest_damaged_database_are_kept(school: tuple[School, set[bytes]]) -> None:
    path = database(school[0])
    for _ in range(4):
        recovery.suspect(path, "as a test has it")
        recover(path, 1, nothing)
    assert {each.name for each in (path.parent / "damaged").iterdir()} == {"1", "4"}


def test_database_of_an_older_program_is_rebuilt_and_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    upgrade(path, 9)
    with closing(open_writer(path)) as connection:
        connection.execute(
            "INSERT INTO person (pseudonym, role, given_name, created_ms) VALUES (?, 'learner', 'Ada', 0)", (bytes(16),)
        )
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'offer'").fetchone()[0]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    overwrite(path, (root - 1) * PAGE_SIZE, b"\xff" * PAGE_SIZE)
    assert recover(path, 1, nothing) is not None
    assert [row[3] for row in rows_of(path, "person")] == ["Ada"]
    assert is_sound(path)


@pytest.mark.parametrize("step", ["rebuild", "put_in_place", "_take_over"])
def test_power_cut_during_the_repair_costs_nothing_more(
    step: str, school: tuple[School, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, ids = school
    path = database(made)
    place = statement_pages(path, ids)[2]
    overwrite(path, place, bytes(PAGE_SIZE))
    damaged = path.read_bytes()
    owner = copying if step == "put_in_place" else recovery
    real: Callable[..., Any] = getattr(owner, step)

    def cut(*arguments: Any) -> Any:
        if step == "rebuild":
            real(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, step, cut)
        with pytest.raises(KeyboardInterrupt):
            recover(path, 1, nothing)
    recover(path, 1, nothing)
    assert len(ids_in(path)) > len(ids) * 2 // 3
    assert is_sound(path)
    aside = path.parent / "damaged"
    assert [each.name for each in aside.iterdir()] == ["1"]
    assert (aside / "1" / "box.db").read_bytes() == damaged


@pytest.mark.parametrize("head", [b"", b"\0" * 24])
def test_repair_that_fails_leaves_no_files_that_take_room(
    head: bytes, school: tuple[School, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database(school[0])
    overwrite(path, statement_pages(path, school[1])[2], bytes(PAGE_SIZE))
    overwrite(path, 0, head)

    def run_out_of_room(*arguments: Any) -> Any:
        real(*arguments)
        raise sqlite3.OperationalError("database or disk is full")

    real = recovery.rebuild
    monkeypatch.setattr(recovery, "rebuild", run_out_of_room)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError):
            recover(path, 1, nothing)
        assert {each.name for each in path.parent.iterdir()} >= {"box.db", "damaged"}
        assert not [each for each in path.parent.rglob("*") if "rebuilding" in each.name or "readable" in each.name]
    assert [each.name for each in (path.parent / "damaged").iterdir()] == ["1"]


def test_disk_without_room_for_reading_is_no_damage(
    school: tuple[School, set[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path) -> sqlite3.Connection:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
        raise error

    path = database(school[0])
    monkeypatch.setattr(recovery, "open_source", refuse)
    with pytest.raises(sqlite3.OperationalError):
        recover(path, 1, nothing)
    assert not (path.parent / "damaged").exists()


@pytest.mark.parametrize(
    ("code", "is_damage"),
    [("READ", True), ("SHORT_READ", True), ("SHMSIZE", False), ("WRITE", False), ("LOCK", False), ("FSTAT", False)],
)
def test_only_what_the_disk_does_not_give_counts_as_damage(code: str, is_damage: bool) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = getattr(sqlite3, f"SQLITE_IOERR_{code}")
    assert is_unreadable(error) == is_damage


async def test_statements_of_other_apps_are_found_after_their_places_in_the_log_are_lost(tmp_path: Path) -> None:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with open_box(school.settings) as box, outside_client(box) as client:
        await client.send(make_statement(1), make_statement(2, object=reference(1)))
        before = await client.ids(verb=f"{ADL}experienced")
        login, secret = client.login, client.headers
    path = database(school)
    spoiled = pages_with(path, {uuid.UUID(make_id(1)).bytes})
    for place in spoiled:
        if path.read_bytes()[place] not in (2, 10):  # the log, and not the statement itself
            overwrite(path, place, bytes(PAGE_SIZE))
    assert await asyncio.to_thread(recover, path, 1, nothing) is not None
    async with open_box(school.settings) as box, TestClient(TestServer(make_app(box))) as session:
        assert sorted(await Records(session, secret, login).ids(verb=f"{ADL}experienced")) == sorted(before) == [1, 2]


async def test_what_was_taken_back_stays_so_and_who_wrote_it_is_known_when_that_is_lost(tmp_path: Path) -> None:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with (
        open_box(school.settings) as box,
        outside_client(box, reach=Reach.OWN) as client,
        outside_client(box) as other,
    ):
        await other.send(make_statement(9), make_statement(3, verb=VOIDED, object=reference(1)))
        await client.send(*(make_statement(no) for no in (1, 2, 4)))
        await client.send(make_statement(5, verb=VOIDED, object=reference(2)))
        await box.database.write(lambda db: db.execute("DELETE FROM outside").rowcount)
        await box.database.write(refit)
        assert sorted(await client.ids()) == [1, 4, 5]
        assert sorted(await other.ids()) == [1, 3, 4, 5, 9]
        assert (await client.get(statementId=make_id(4)))["authority"]["account"]["name"] == "client-1"


def damage_somehow(path: Path, rng: random.Random) -> set[int]:
    """Damage a database in one of the ways a dying card has; return the places of pages that are not as they were."""
    whole = path.read_bytes()
    pages = range(0, len(whole), PAGE_SIZE)
    way = rng.choice(("flips", "zeros", "garbage", "swapped", "cut"))
    if way == "cut":
        keep = rng.randrange(len(whole) // 2, len(whole))
        path.write_bytes(whole[:keep])
        return {start for start in pages if start + PAGE_SIZE > keep}
    chosen = set(rng.sample(pages[1:], rng.randint(1, 4)))
    if way == "swapped":
        first, second = rng.sample(pages[1:], 2)
        overwrite(path, first, whole[second : second + PAGE_SIZE])
        overwrite(path, second, whole[first : first + PAGE_SIZE])
        return {first, second}
    for start in chosen:
        if way == "flips":
            flip(path, start, rng)
        else:
            overwrite(path, start, bytes(PAGE_SIZE) if way == "zeros" else rng.randbytes(PAGE_SIZE))
    return chosen


def repair_many(folder: Path, boxes: int, *, has_copy: bool) -> tuple[int, int]:
    made, ids = make_filled_school(folder / "box", STATEMENTS)
    if has_copy:
        copying.copy_small(database(made))
    whole = database(made).read_bytes()
    undamaged = kept = 0
    for number in range(boxes):
        path = folder / str(number) / "box.db"
        path.parent.mkdir()
        path.write_bytes(whole)
        if has_copy:
            shutil.copyfile(copying.nightly_path(database(made)), copying.nightly_path(path))
        spoiled = damage_somehow(path, random.Random(number))
        intact = {
            each
            for start in statement_pages(database(made), ids)
            if start not in spoiled
            for each in ids
            if each in whole[start : start + PAGE_SIZE]
        }
        recovery.suspect(path)
        recover(path, 1, nothing)
        with closing(open_writer(path)) as connection:
            left = seals.find_whole(connection, list(ids))
        undamaged, kept = undamaged + len(intact), kept + len(intact & left)
        # What only seals show is left to the record check, which reads more than a start has time for.
        assert not (path.parent / "damaged").exists() or is_sound(path)
        shutil.rmtree(path.parent)
    return undamaged, kept


@pytest.mark.parametrize("has_copy", [True, False])
def test_damaged_databases_are_repaired_without_anybody(tmp_path: Path, has_copy: bool) -> None:
    undamaged, kept = repair_many(tmp_path, DAMAGED_BOXES, has_copy=has_copy)
    print(f"{kept} of {undamaged} undamaged statements kept")
    assert kept >= undamaged * KEPT_MIN[has_copy]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("has_copy", [True, False])
def test_many_more_damaged_databases_are_repaired(tmp_path: Path, has_copy: bool) -> None:
    undamaged, kept = repair_many(tmp_path, SOAK_DAMAGED_BOXES, has_copy=has_copy)
    print(f"{kept} of {undamaged} undamaged statements kept")
    assert kept >= undamaged * KEPT_MIN[has_copy]
