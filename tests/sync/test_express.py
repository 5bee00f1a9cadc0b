"""Closing results go ahead of a long bundle, and leave nothing behind that the long one would not have left."""

import asyncio
import errno
import gc
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from content_packs.base import atomic
from edgebox.app import open_box
from edgebox.keys import Box
from edgebox.services import spool
from edgebox.services.copy_marks import note_place
from edgebox.store import changes, express, marks, switches
from edgebox.store.connections import StoreUnavailable
from sync.bundle.layout import Head
from sync.bundle.read import ONLY_RECORDS
from sync.engine.express import LOOK_BYTES
from sync.engine.lanes import FREE_BYTES, Lane, Tariff
from sync.hub import opening
from sync.hub.receiving import Acknowledged
from sync.hub.sticks import exchange_stick
from sync.hub.store import express as hub_express
from tests.support.box import School, Tablet, make_school, make_tablet
from tests.support.clock import FakeClock
from tests.support.cut_proxy import CutProxy, cut_proxy
from tests.support.power_cut import CuttableDisk, PowerCut
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS

# Of the hub's tables, what tells when and how much came, what came ahead, and in which order rows were numbered.
RECEIPT = {"box", "box_day", "express", "alembic_version", "sqlite_sequence", "setting", "enrolment_code"}


@dataclass
class Scene:
    """A box that its hub knows and has told what it reads, with a slow line between them."""

    box: Box
    school: School
    hub: TestHub
    line: CutProxy
    tablet: Tablet
    clock: FakeClock

    async def answer(self, count: int, characters: int = 4_000) -> None:
        """Let a learner give long answers that cannot be made shorter."""
        dice = random.Random(count)
        for start in range(0, count, 50):
            events = [
                self.tablet.event(
                    self.school.learners[0], item="q1", result={"response": dice.randbytes(characters // 2).hex()}
                )
                for _ in range(min(50, count - start))
            ]
            await self.box.recording.store_outbox(self.tablet.request(*events))

    async def complete(self, learner: int = 0, verb: str = "completed") -> None:
        """Let a learner complete a lesson."""
        event = self.tablet.event(self.school.learners[learner], verb=verb, result={"completion": True})
        answer = await self.box.recording.store_outbox(self.tablet.request(event))
        assert len(answer.acked) == 1

    async def sync(self) -> dict[str, Any] | None:
        self.clock.advance(1_000)
        return (await self.box.syncing.sync_now()).last_error

    async def completions(self) -> int:
        """Return how many lessons the hub knows to be completed."""
        query = "SELECT count(*) FROM statement JOIN verb ON verb.no = verb_no WHERE iri LIKE '%/completed'"
        return int((await self.hub.rows(query))[0][0])

    async def mark(self, learner: int) -> None:
        """Let the teacher give a mark."""
        person_no = self.school.learners[learner].no
        await self.box.database.write(
            lambda db: marks.give_mark(
                db, bytes(16), self.school.class_no, person_no, "7", "", seen=[], now_ms=self.clock.now_ms()
            )
        )

    def arrivals(self) -> asyncio.Queue[Head]:
        """Return a queue in which the head of each bundle is put that the hub takes in from now on."""
        receiving, found = self.hub.listening.hub.receiving, asyncio.Queue[Head]()
        receive = receiving.receive

        async def note(content: bytes) -> Acknowledged:
            acknowledged = await receive(content)
            found.put_nowait(await receiving.admit(content))
            return acknowledged

        receiving.receive = note  # type: ignore[method-assign]
        return found

    async def device(self) -> tuple[int, int]:
        """Return up to which number the box and the hub have what the tablet did."""
        row = await self.box.database.read(lambda db: db.execute("SELECT box_seq, hub_seq FROM device").fetchone())
        return row[0], row[1]

    async def applied(self) -> int:
        """Return how many main bundles the hub applied."""
        return int((await self.hub.rows("SELECT count(*) FROM bundle"))[0][0])

    async def express(self) -> list[tuple[Any, ...]]:
        return await self.hub.rows("SELECT epoch, seq, state FROM express ORDER BY seq")

    def never_ahead(self) -> None:
        """Let the box send main bundles only."""
        self.box.syncing.expressing._refused_ms = self.clock.monotonic_ms()


def machine() -> FakeClock:
    """Return the clock of a machine that went on running, and that a time server has set: no ack tells it anything."""
    clock = FakeClock(NOW_MS)
    clock.run, clock.is_served = "one run", True
    return clock


@asynccontextmanager
async def running(folder: Path, school: School, tablet: Tablet, clock: FakeClock) -> AsyncIterator[Scene]:
    """Run box and hub on a folder."""
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(hub_on(folder / "hub", clock))
        line = await stack.enter_async_context(cut_proxy(hub.listening.port))
        box = await stack.enter_async_context(open_box(school.settings, clock))
        if await box.syncing.introducing.last_life() and await box.database.read(_has_hub):
            await box.database.write(lambda db: db.execute("UPDATE hub SET url = ?", (line.url,)) and None)
        yield Scene(box, school, hub, line, tablet, clock)


def _has_hub(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM hub").fetchone() is not None


@asynccontextmanager
async def met(folder: Path) -> AsyncIterator[Scene]:
    """Run a box that has sent its first bundle, so it knows what the hub reads."""
    school = await asyncio.to_thread(make_school, folder / "box")
    async with running(folder, school, make_tablet(), machine()) as scene:
        code = await scene.hub.listening.hub.enrolling.make_code("Hill School")
        await scene.box.syncing.enroll(scene.line.url, code)
        await scene.answer(1, 10)
        assert await scene.sync() is None
        yield scene


@asynccontextmanager
async def copied(stopped: Scene, folder: Path, to: Path) -> AsyncIterator[Scene]:
    """Run copies of a box and a hub that were stopped, as if neither had been copied."""
    await asyncio.to_thread(shutil.copytree, folder, to, ignore=shutil.ignore_patterns("*.sock"))
    await asyncio.to_thread(note_place, to / "box" / "keys")
    school = replace(stopped.school, settings=replace(stopped.school.settings, data=to / "box"))
    async with running(to, school, stopped.tablet, stopped.clock) as scene:
        yield scene


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of the hub's tables, with what a number stands for in the place of the number."""
    with sqlite3.connect(path) as connection:
        named = {
            "verb_no": dict(connection.execute("SELECT no, iri FROM verb")),
            "activity_no": dict(connection.execute("SELECT no, iri FROM activity")),
            "learner_no": dict(connection.execute("SELECT no, pseudonym FROM learner")),
            "device_no": dict(connection.execute("SELECT no, id FROM device")),
        }
        by_kind = {2: "learner_no", 5: "activity_no", 6: "verb_no", 7: "device_no"}
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for table in set(tables) - RECEIPT:
            cursor = connection.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in cursor.description]
            rows = []
            for values in cursor:
                row = dict(zip(columns, values, strict=True))
                kind = by_kind.get(row.get("kind", 0), "")
                for name in ("hub_no", "row_no"):
                    if row.get(name) is not None:
                        row[name] = named.get(kind, {}).get(row[name], row[name])
                for name in named.keys() & row.keys():
                    row[name] = named[name].get(row[name])
                left_out = {"received_ms", "logged_no", "digest", *(["no"] if table != "registry" else [])}
                row = {name: value for name, value in row.items() if name not in left_out}
                rows.append(tuple(row.values()))
            found[table] = sorted(rows, key=repr)
    connection.close()
    return found


async def test_a_completed_lesson_arrives_while_a_megabyte_is_still_on_its_way(tmp_path: Path) -> None:
    async with met(tmp_path) as scene:
        await scene.answer(500)
        scene.line.part_seconds = 0.003
        is_under_way = asyncio.Event()
        sending = asyncio.ensure_future(
            scene.box.syncing.sync_now(lambda stored, size: is_under_way.set() if 150_000 < stored < size else None)
        )
        await is_under_way.wait()
        await scene.complete()
        arrived = scene.arrivals()
        while not (await arrived.get()).is_express:
            pass
        assert (await scene.completions(), await scene.applied(), sending.done()) == (1, 1, False)
        assert (await scene.box.syncing.status()).waiting_changes > 500
        box_seq, hub_seq = await scene.device()
        assert hub_seq == box_seq - 501
        scene.line.part_seconds = 0.0
        status = await sending
        assert (status.last_error, status.waiting_changes, await scene.completions()) == (None, 0, 1)
        assert scene.line.up_bytes < 1_400_000  # the bundle has 1,004,000
        assert await scene.device() == (box_seq, box_seq)
        assert not list((scene.school.settings.spool / "out").glob("*.ebx"))


@pytest.mark.parametrize("is_coarse", [False, True])
async def test_what_is_there_in_the_end_is_what_would_be_there_without(tmp_path: Path, is_coarse: bool) -> None:
    async with met(tmp_path / "start") as scene:
        for learner in (0, 1):
            await scene.complete(learner)
            await scene.mark(learner)
            await scene.answer(60)
            await scene.complete(learner, "passed")
        await scene.box.syncing.prepare()
        if is_coarse:  # only what is made from now on
            await scene.box.database.write(lambda db: switches.set_switch(db, switches.COARSE_TIMES, on=True))
    found, stopped = [], scene
    for name in ("with", "without"):
        async with copied(stopped, tmp_path / "start", tmp_path / name) as scene:
            if name == "without":
                scene.never_ahead()
            assert await scene.sync() is None
            assert await scene.express() == ([(1, 1, "applied")] if name == "with" else [])
            assert (await scene.hub.rows("SELECT records FROM express")) == ([(13,)] if name == "with" else [])
        found.append(await asyncio.to_thread(contents, tmp_path / name / "hub" / "hub.db"))
    assert found[0]["statement"]
    assert found[0]["mark"]
    assert [name for name in found[0] if found[0][name] != found[1][name]] == []


async def test_a_short_backlog_has_nothing_sent_ahead_of_it_unless_the_day_is_too_short_for_it(
    tmp_path: Path,
) -> None:
    async with met(tmp_path) as scene:
        await scene.complete()
        assert await scene.sync() is None
        assert await scene.express() == []
        await scene.answer(10)
        await scene.complete()
        line = scene.box.line
        line.count(Lane.LARGE, 20_000_000)
        left_bytes = line.left_bytes(Lane.PROGRESS)
        assert left_bytes is not None
        line.count(Lane.PROGRESS, left_bytes - 10_000)
        error = await scene.sync()
        assert error is not None
        assert (error["code"], await scene.applied()) == ("line.paused", 2)
        assert (await scene.express(), await scene.completions()) == ([(1, 1, "applied")], 2)


async def test_a_hub_that_refused_what_goes_ahead_is_offered_it_again_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with met(tmp_path) as scene:
        with monkeypatch.context() as older:
            older.setattr(opening, "HAS_BODY", ONLY_RECORDS)
            older.setattr(spool, "PAIRED_MAX_RECORDS", 0)
            await scene.answer(60)
            await scene.complete()
            assert await scene.sync() is None
        for hours, known in ((23, []), (1, [(1, 2, "applied")])):
            scene.clock.advance(hours * 3_600_000)
            await scene.answer(60)
            await scene.complete()
            assert await scene.sync() is None
            assert await scene.express() == known


async def test_a_disk_that_fails_while_results_are_looked_for_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with met(tmp_path) as scene:
        expressing = scene.box.syncing.expressing
        find, is_under_way = expressing._find, False

        async def fail_on_the_way() -> object:
            if is_under_way:
                raise StoreUnavailable(reason="test")
            return await find()

        monkeypatch.setattr(expressing, "_find", fail_on_the_way)
        await scene.answer(200)

        def note(stored_bytes: int, _size_bytes: int) -> None:
            nonlocal is_under_way
            is_under_way = stored_bytes > 0

        assert (await scene.box.syncing.sync_now(note)).last_error is None
        gc.collect()
        assert "sync.not_looked" in caplog.text
        assert "never retrieved" not in caplog.text
        assert await scene.applied() == 2


async def test_what_opened_no_result_is_not_sent_ahead(tmp_path: Path) -> None:
    async with met(tmp_path) as scene:
        await scene.answer(60)
        assert await scene.sync() is None
        assert await scene.express() == []
        assert await scene.applied() == 2


async def test_a_hub_that_does_not_say_what_it_reads_gets_no_express_bundle(tmp_path: Path) -> None:
    async with met(tmp_path) as scene:
        await scene.box.database.write(lambda db: switches.set_switch(db, switches.HUB_READS_SHORT, on=False))
        await scene.answer(60)
        await scene.complete()
        assert await scene.sync() is None
        assert await scene.express() == []


async def test_a_hub_that_was_put_back_to_an_older_version_gets_the_main_bundle_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with met(tmp_path) as scene:
        monkeypatch.setattr(opening, "HAS_BODY", ONLY_RECORDS)
        monkeypatch.setattr(spool, "PAIRED_MAX_RECORDS", 0)
        await scene.answer(60)
        await scene.complete()
        assert await scene.sync() is None
        assert (await scene.express(), await scene.completions(), await scene.applied()) == ([], 1, 2)


async def test_a_stick_brings_closing_results_that_the_line_did_not(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    async with met(tmp_path) as scene:
        await scene.answer(60)
        await scene.complete()
        scene.line.cuts = iter([("up", 200)] * 30)
        assert (await scene.sync()) is not None
        scene.line.cuts = iter(())
        assert await scene.box.exchanging.export(stick) == 2
        outbox = stick / "edgebox" / "outbox" / scene.box.identity.box_id.hex()
        assert {path.name for path in outbox.glob("*.eb*")} >= {"1-1.ebx", "1-2.eb"}
        (outbox / "1-2.eb").unlink()
        receiving = scene.hub.listening.hub.receiving
        assert (await exchange_stick(receiving, stick))["refused"] == {}
        assert (await scene.completions(), await scene.applied()) == (1, 1)
        await scene.box.exchanging.import_(stick)
        assert not (outbox / "1-1.ebx").exists()
        assert await scene.box.database.read(express.list_waiting) == []
        assert await scene.sync() is None
        assert await scene.express() == [(1, 1, "applied")]


async def test_closing_results_that_no_main_bundle_is_ahead_of_any_more_are_let_go(tmp_path: Path) -> None:
    async with met(tmp_path) as scene:
        await scene.answer(60)
        await scene.complete()
        scene.line.cuts = iter([("up", 200)] * 30)
        assert (await scene.sync()) is not None
        assert len(await scene.box.database.read(express.list_waiting)) == 1
        scene.line.cuts = iter(())
        main = next(made for made in await scene.box.syncing.prepare() if not made.is_express)
        content = await scene.box.syncing.read_waiting(main)
        assert content is not None
        acknowledged = await scene.hub.listening.hub.receiving.receive(content)
        await scene.box.syncing.take_carried(acknowledged.ack)
        assert await scene.box.database.read(express.list_waiting) == []
        assert not list((scene.school.settings.spool / "out").glob("*.ebx"))


async def test_the_word_on_an_express_bundle_may_be_the_first_word_on_the_long_one(tmp_path: Path) -> None:
    async with met(tmp_path) as scene:
        await scene.answer(60)
        [main] = await scene.box.syncing.prepare()
        content = await scene.box.syncing.read_waiting(main)
        assert content is not None
        await scene.hub.listening.hub.receiving.receive(content)  # and the answer gets lost
        await scene.complete()
        assert await scene.sync() is None
        assert await scene.express() == [(1, 1, "applied")]
        assert await scene.box.database.read(changes.find_epoch) == main.epoch
        assert (await scene.completions(), await scene.applied()) == (1, 3)


async def test_a_hub_that_fails_with_express_bundles_gets_the_main_ones_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with met(tmp_path) as scene:
        await scene.answer(60)
        await scene.complete()

        def fail(*_arguments: object, **_more: object) -> None:
            raise LookupError

        with monkeypatch.context() as patch:
            patch.setattr(hub_express, "add", fail)
            assert (await scene.sync() or {})["code"] == "sync.hub_busy"
            await scene.box.syncing.prepare()
            await scene.complete()
            assert await scene.sync() is None
        assert (await scene.express(), await scene.completions()) == ([], 2)
        assert not list((scene.school.settings.spool / "out").glob("*.ebx"))


async def test_a_file_that_went_because_the_hub_has_it_is_not_missed(tmp_path: Path) -> None:
    async with met(tmp_path) as scene:
        await scene.answer(1)
        [main] = await scene.box.syncing.prepare()
        assert await scene.sync() is None
        (scene.school.settings.spool / "out" / "1-2.eb").unlink()
        assert await scene.box.syncing.read_waiting(main) is None
        assert await scene.box.database.read(changes.find_epoch) == main.epoch


async def test_a_line_at_rest_is_not_used_to_ask_what_waits(tmp_path: Path) -> None:
    async with met(tmp_path) as scene:
        line = scene.box.line
        await line.set_tariff(Tariff(day_bytes=0))
        line.count(Lane.PROGRESS, FREE_BYTES)
        before_bytes = scene.line.up_bytes
        assert await scene.sync() is None
        assert scene.line.up_bytes == before_bytes
        scene.clock.advance(line.next_ms(Lane.CLOSING) - scene.box.clock.now_ms())
        assert await scene.sync() is None
        assert scene.line.up_bytes > before_bytes


async def test_results_that_never_cease_to_come_let_a_slice_of_the_long_bundle_pass_each_time(tmp_path: Path) -> None:
    async with met(tmp_path) as scene:
        await scene.answer(200)
        await scene.complete()
        receiving = scene.hub.listening.hub.receiving
        receive, arrived = receiving.receive, list[bool]()

        async def finish_one_more(content: bytes) -> Acknowledged:
            acknowledged = await receive(content)
            arrived.append((await receiving.admit(content)).is_express)
            if arrived[-1] and len(arrived) < 20:
                await scene.complete(len(arrived) % 2)
            return acknowledged

        receiving.receive = finish_one_more  # type: ignore[method-assign]
        assert await scene.sync() is None
        assert arrived.index(False) <= 400_000 // LOOK_BYTES + 1


async def test_a_box_that_meets_a_hub_again_tries_express_bundles_again(tmp_path: Path) -> None:
    async with met(tmp_path) as scene:
        scene.never_ahead()
        await scene.box.syncing.enroll(scene.line.url, await scene.hub.listening.hub.enrolling.make_code("Hill School"))
        await scene.answer(60)
        await scene.complete()
        assert await scene.sync() is None
        assert await scene.express() == [(1, 1, "applied")]


async def test_a_courier_may_be_faster_by_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with met(tmp_path) as scene:
        await scene.answer(1)
        syncing, list_waiting = scene.box.syncing, spool.Spool.list_waiting
        [main] = await syncing.prepare()
        content = await syncing.read_waiting(main)
        assert content is not None
        acknowledged = await scene.hub.listening.hub.receiving.receive(content)
        arrived: list[asyncio.Task[Any]] = []

        async def let_the_courier_in(self: spool.Spool) -> list[changes.Made]:
            found = await list_waiting(self)
            if not arrived:
                arrived.append(asyncio.ensure_future(syncing.take_carried(acknowledged.ack)))
                while not syncing._books._waiters:
                    await asyncio.sleep(0)
            return found

        monkeypatch.setattr(spool.Spool, "list_waiting", let_the_courier_in)
        assert await scene.sync() is None
        await arrived[0]
        assert await scene.box.database.read(changes.find_epoch) == main.epoch
        assert await scene.applied() == 2


async def test_a_full_disk_keeps_back_no_long_bundle_that_is_there_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with met(tmp_path) as scene:
        await scene.answer(60)
        await scene.box.syncing.prepare()
        await scene.complete()
        write_file = atomic.write_file

        def refuse(path: Path, content: bytes, *, mode: int) -> None:
            if path.suffix == ".ebx":
                raise OSError(errno.ENOSPC, "full")
            write_file(path, content, mode=mode)

        monkeypatch.setattr(atomic, "write_file", refuse)
        assert await scene.sync() is None
        assert (await scene.express(), await scene.completions(), await scene.applied()) == ([], 1, 3)


async def cut(folder: Path, cut_at: int) -> bool:
    """Cut the power of the box at one write; return whether everything was done before."""
    async with met(folder) as scene:
        await scene.answer(30)
        await scene.complete()
        has_ended = False
        with pytest.MonkeyPatch.context() as patch:
            disk = CuttableDisk(folder / "box", patch, cut_at)
            with suppress(PowerCut):
                await go_ahead(scene)
                has_ended = True
            disk.settle(lose_contents=True, lose_names=True)
    stopped = scene
    async with running(folder, stopped.school, stopped.tablet, machine()) as scene:
        assert await scene.sync() is None
        assert (await scene.box.syncing.status()).waiting_changes == 0
        assert await scene.completions() == 1
        assert await scene.hub.rows("SELECT count(*) FROM statement") == [(32,)]
        assert await scene.hub.rows("SELECT count(*) FROM statement_conflict") == [(0,)]
        assert not list((stopped.school.settings.spool / "out").glob("*.ebx"))
    return has_ended


async def go_ahead(scene: Scene) -> None:
    """Make an express bundle, and let the hub take it, without a server between that would hide the power cut."""
    url, hub = (await scene.box.database.read(changes.find_hub)) or ("", None)
    assert url
    assert hub is not None
    made = await scene.box.syncing.expressing._next(hub, 100_000)
    assert made is not None
    content = await scene.box.syncing.read_waiting(made)
    assert content is not None
    acknowledged = await scene.hub.listening.hub.receiving.receive(content)
    await scene.box.syncing.take_carried(acknowledged.ack)


async def test_a_power_cut_at_any_write_loses_and_doubles_nothing(tmp_path: Path) -> None:
    cut_at = 1
    while not await cut(tmp_path / str(cut_at), cut_at):
        cut_at += 1
    assert cut_at > 4


async def test_a_box_that_was_put_back_to_before_its_express_bundle_goes_on_under_another_key(tmp_path: Path) -> None:
    async with met(tmp_path / "start") as scene:
        await scene.answer(60)
    stopped = scene
    async with copied(stopped, tmp_path / "start", tmp_path / "later") as scene:
        await scene.complete()
        main = await scene.box.syncing.prepare()
        scene.line.cuts = iter([("none", 0), ("up", 30_000), *[("up", 200)] * 20])
        assert await scene.sync() is not None
        assert (await scene.express(), await scene.applied(), len(main)) == ([(1, 1, "applied")], 1, 1)
    await asyncio.to_thread(shutil.rmtree, tmp_path / "later" / "box")
    await asyncio.to_thread(shutil.copytree, tmp_path / "start" / "box", tmp_path / "later" / "box")
    await asyncio.to_thread(note_place, tmp_path / "later" / "box" / "keys")
    async with running(tmp_path / "later", scene.school, scene.tablet, scene.clock) as scene:
        before = scene.box.identity.box_id
        assert await scene.sync() is None
        assert scene.box.identity.box_id != before
        assert await scene.hub.rows("SELECT count(*) FROM statement") == [(62,)]
        verbs = await scene.box.database.read(lambda db: db.execute("SELECT count(*) FROM statement").fetchone()[0])
        assert verbs == 62
