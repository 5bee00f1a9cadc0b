"""Bundles behind a hole, and small ones that hold very much: read once, when their turn has come, in nobody's way."""

import asyncio
import errno
import gc
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.limited import LimitedChild
from content_packs.base.signing import PairKey
from sync.bundle import codec1
from sync.bundle.body import Body
from sync.bundle.errors import BundleTooLarge
from sync.bundle.layout import BundleKind, Notice
from sync.bundle.limits import RECORDS_MAX
from sync.bundle.paired import is_paired, write_paired
from sync.bundle.write import Range
from sync.hub import opening
from sync.hub.arrivals import Arrival, Arrivals
from sync.hub.catching_up import AT_ONCE_MAX, CatchingUp
from sync.hub.chain import TRIES_MAX, Chain
from sync.hub.opening import Checked
from sync.hub.store import boxes, bundles
from sync.hub.store.bundles import BundleState, Place
from sync.hub.store.worker import Transaction
from sync.records.rows import Record
from tests.support.power_cut import PowerCut
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS, Maker, answered, crowd, registries

HELD = 12


def short(hub: TestHub, maker: Maker, records: list[Record], kind: BundleKind = BundleKind.RECORDS) -> bytes:
    """Return the next bundle of the first box of a hub in its short form."""
    pair = PairKey(maker.key.sealing_key, hub.listening.hub.keys.sealing.public)
    span = Range(1, maker.seq + 1, maker.through + 1, maker.through + len(records), maker.previous)
    return write_paired(records, span, pair=pair, box_no=1, created_ms=NOW_MS, kind=kind)


def counting(monkeypatch: pytest.MonkeyPatch, place: Any, name: str) -> list[object]:
    """Return a list that grows by one whenever something is called."""
    calls, real = list[object](), getattr(place, name)

    def count(*arguments: object, **more: object) -> object:
        calls.append(arguments[0])
        return real(*arguments, **more)

    monkeypatch.setattr(place, name, count)
    return calls


@pytest.mark.parametrize("kind", [BundleKind.RECORDS, BundleKind.EXPRESS])
async def test_few_bytes_with_very_many_records_are_read_once_by_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: BundleKind
) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next(registries()))
        content = short(hub, maker, [*crowd(RECORDS_MAX)], kind)
        assert is_paired(content)
        assert len(content) < 100
        here, apart = counting(monkeypatch, Body, "unpack"), counting(monkeypatch, opening, "decode_apart")
        for _ in range(3):
            await hub.post(content)
        assert (len(here), len(apart)) == (0, 1)
        state = "applied" if kind is BundleKind.RECORDS else "quarantined"  # its numbers are not explained in itself
        table = "bundle" if kind is BundleKind.RECORDS else "express"
        assert (await hub.rows(f"SELECT state FROM {table} ORDER BY seq"))[-1] == (state,)


async def test_very_many_records_that_make_no_sense_are_refused_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next(registries()))
        before, absurd = await hub.contents(), crowd(RECORDS_MAX)
        absurd[-1] = replace(absurd[-1], progress=7.0)
        with monkeypatch.context() as patch:
            patch.setattr(codec1, "check", lambda _records: None)
            content = short(hub, maker, [*absurd])
        here = counting(monkeypatch, Body, "unpack")
        assert await hub.refused(content) == (400, "sync.record_malformed")
        assert (here, await hub.contents()) == ([], before)


async def hold(hub: TestHub, maker: Maker, make: Callable[[int], list[Record]]) -> bytes:
    """Let a hub hold bundles behind a hole, and return the one that fills it."""
    first = maker.next([*registries(), answered(1)])
    for number in range(HELD):
        await hub.post(maker.next(make(number)))
    return first


def one_answer(number: int) -> list[Record]:
    return [answered(number + 2)]


async def count_statements(hub: TestHub) -> int:
    return int((await hub.rows("SELECT count(*) FROM statement"))[0][0])


async def test_what_comes_early_is_read_when_its_turn_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hub_on(tmp_path) as hub:
        read = counting(monkeypatch, Checked, "open")
        first = await hold(hub, await hub.enrolled(), one_answer)
        assert read == []
        await hub.post(first)
        await hub.caught_up()
        assert (await hub.post(first)).vector.through_seq == HELD + 1
        assert len(read) == HELD + 1


async def test_what_fills_a_hole_is_answered_before_what_was_held_is_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, load = asyncio.Event(), Arrivals.load

    async def later(self: Arrivals, *arguments: Any) -> Arrival | None:
        await may_go_on.wait()
        return await load(self, *arguments)

    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        first = await hold(hub, maker, one_answer)
        monkeypatch.setattr(Arrivals, "load", later)
        ack = await hub.post(first)
        assert (ack.vector.through_seq, ack.vector.ranges) == (1, ((2, HELD + 1),))
        ack = await hub.post(maker.next([answered(HELD + 2)]))  # the same box is served meanwhile
        assert (ack.vector.through_seq, ack.vector.ranges) == (1, ((2, HELD + 2),))
        may_go_on.set()
        await hub.caught_up()
        assert (await hub.post(first)).vector.through_seq == HELD + 2


async def test_few_of_the_bundles_that_were_held_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, load = list[int](), Arrivals.load

    async def note(self: Arrivals, *arguments: Any) -> Arrival | None:
        loaded.append(sum(isinstance(found, Arrival) for found in gc.get_objects()))
        return await load(self, *arguments)

    async with hub_on(tmp_path) as hub:
        makers = [await hub.enrolled() for _ in range(3)]
        fillers = [await hold(hub, maker, one_answer) for maker in makers]
        monkeypatch.setattr(Arrivals, "load", note)
        for filler in fillers:
            await hub.post(filler)
        await hub.caught_up()
        assert len(loaded) == 3 * HELD
        assert max(loaded) <= 2 + AT_ONCE_MAX


async def test_a_box_pays_for_what_was_held_before_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub_on(tmp_path) as hub:
        first, uploads = await hold(hub, await hub.enrolled(), one_answer), hub.listening.hub.uploads
        done, wait_all, spend, load = list[str](), uploads.wait_all, uploads.spend, Arrivals.load

        async def note_wait(origin: bytes) -> None:
            done.append("waits for credit")
            await wait_all(origin)

        def note_cost(origin: bytes, seconds: float) -> None:
            done.extend(["pays"] * (seconds > 0))
            spend(origin, seconds)

        async def note_read(self: Arrivals, *arguments: Any) -> Arrival | None:
            done.append("is read")
            return await load(self, *arguments)

        await hub.post(first)
        await hub.caught_up()
        done.clear()
        monkeypatch.setattr(uploads, "wait_all", note_wait)
        monkeypatch.setattr(uploads, "spend", note_cost)
        monkeypatch.setattr(Arrivals, "load", note_read)
        await hub.rows("UPDATE bundle SET state = 'quarantined' WHERE seq > 1 RETURNING seq")
        hub.listening.hub.receiving.catching_up.go_on(1)
        await hub.caught_up()
        assert done == ["waits for credit", "is read", "pays"] * HELD


@pytest.mark.parametrize("cut_at", range(1, HELD + 1, 4))
async def test_a_power_cut_between_bundles_that_were_held_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    apply, calls = Chain._apply_held, list[int]()

    def cut(self: Chain, *arguments: Any, **more: Any) -> object:
        calls.append(1)
        if len(calls) >= cut_at:
            raise PowerCut
        return apply(self, *arguments, **more)

    async with hub_on(tmp_path) as hub:
        first = await hold(hub, await hub.enrolled(), one_answer)
        with monkeypatch.context() as patch, suppress(PowerCut):
            patch.setattr(Chain, "_apply_held", cut)
            assert (await hub.post(first)).vector.through_seq == 1
            await hub.caught_up()
        assert await count_statements(hub) == cut_at
    async with hub_on(tmp_path) as hub:
        await hub.caught_up()
        assert await count_statements(hub) == HELD + 1
        assert await hub.rows("SELECT DISTINCT state FROM bundle") == [("applied",)]
        assert (await hub.post(first)).vector.through_seq == HELD + 1
        assert await count_statements(hub) == HELD + 1


async def test_a_hub_that_failed_between_goes_on_when_the_box_comes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_more: object) -> None:
        raise OSError("disk full")

    async with hub_on(tmp_path) as hub:
        first = await hold(hub, await hub.enrolled(), one_answer)
        with monkeypatch.context() as patch:
            patch.setattr(Chain, "_apply_held", fail)
            for _ in range(2):  # neither is the fault the box's, nor does it keep the hub from taking more
                assert (await hub.post(first)).vector.ranges == ((2, HELD + 1),)
                await hub.caught_up()
        await hub.post(first)
        await hub.caught_up()
        assert await hub.rows("SELECT DISTINCT state FROM bundle") == [("applied",)]
        assert await count_statements(hub) == HELD + 1


async def behind_a_hole(hub: TestHub, maker: Maker) -> tuple[bytes, bytes]:
    """Let a hub hold one bundle behind a hole; return what fills the hole, and that one."""
    filler, held = maker.next([*registries(), answered(1)]), maker.next([answered(2)])
    assert (await hub.post(held)).vector.ranges == ((2, 2),)
    return filler, held


async def states(hub: TestHub) -> list[tuple[str, str | None]]:
    return await hub.rows("SELECT state, reason FROM bundle ORDER BY seq")  # type: ignore[return-value]


async def test_what_was_held_and_makes_no_sense_is_asked_for_again_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        first = maker.next([*registries(), answered(1)])
        with monkeypatch.context() as patch:
            patch.setattr(codec1, "check", lambda _records: None)
            absurd = maker.next([replace(answered(2), progress=7.0)])
        third = maker.next([answered(3)])
        for early in (third, absurd):
            await hub.post(early)
        await hub.post(first)
        await hub.caught_up()
        ack = await hub.post(first)
        assert (ack.vector.through_seq, ack.vector.ranges) == (1, ((3, 3),))
        assert await states(hub) == [("applied", None), ("refused", "sync.record_malformed"), ("held", None)]
        assert await hub.refused(absurd) == (400, "sync.record_malformed")
        assert await count_statements(hub) == 1


@pytest.mark.parametrize("fault", [OSError(errno.EMFILE, "too many open files"), MemoryError(), BundleTooLarge()])
async def test_a_fault_that_passes_leaves_what_was_acknowledged_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def fail(*_arguments: object) -> list[Record]:
        raise fault

    async with hub_on(tmp_path) as hub:
        filler, held = await behind_a_hole(hub, await hub.enrolled())
        real = Checked.open
        opened = list[object]()

        def open_or_fail(self: Checked, *arguments: Any) -> list[Record]:
            opened.append(self)
            return real(self, *arguments) if len(opened) == 1 else fail()

        with monkeypatch.context() as patch:
            patch.setattr(Checked, "open", open_or_fail)
            await hub.post(filler)
            await hub.caught_up()
        assert await states(hub) == [("applied", None), ("held", None)]
        assert (await hub.post(held)).vector.ranges == ((2, 2),)
        await hub.caught_up()
        assert (await hub.post(held)).vector.through_seq == 2
        assert await count_statements(hub) == 2
        assert not hub.listening.hub.receiving._chain._tries


async def test_what_takes_too_much_each_time_is_refused_after_some_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> Arrival:
        raise BundleTooLarge(limit="work")

    async with hub_on(tmp_path) as hub:
        filler, held = await behind_a_hole(hub, await hub.enrolled())
        monkeypatch.setattr(Arrivals, "load", fail)
        seen = []
        for bundle in (filler, *[held] * (TRIES_MAX - 1)):
            await hub.post(bundle)
            await hub.caught_up()
            seen.append((await states(hub))[1])
        assert seen == [("held", None)] * (TRIES_MAX - 1) + [("refused", "sync.bundle_too_large")]
        assert not hub.listening.hub.receiving._chain._tries


async def test_what_was_held_and_follows_another_bundle_than_the_one_that_came_is_a_fork(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        copy = replace(maker)
        first, _other = maker.next([*registries(), answered(1)]), copy.next([*registries(), answered(2)])
        await hub.post(copy.next([answered(3)]))
        assert (await hub.post(first)).notice == Notice.NONE
        await hub.caught_up()
        assert await states(hub) == [("applied", None), ("forked", None)]
        assert (await hub.post(first)).notice == Notice.FORKED
        assert await count_statements(hub) == 1


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x")])
async def test_what_the_disk_lost_or_changed_is_asked_for_again(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    async with hub_on(tmp_path) as hub:
        filler, held = await behind_a_hole(hub, await hub.enrolled())
        (path,) = await asyncio.to_thread(lambda: [*hub.listening.hub.settings.bundles.rglob("*.eb")])
        await asyncio.to_thread(damage, path)
        await hub.post(filler)
        await hub.caught_up()
        ack = await hub.post(filler)
        assert (ack.vector.through_seq, ack.vector.ranges) == (1, ())
        assert (await hub.post(held)).vector.through_seq == 2


async def test_only_what_is_still_held_is_forgotten(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        one, _two, three = (maker.next(make) for make in (registries(), [answered(1)], [answered(2)]))
        for bundle in (one, three):
            await hub.post(bundle)
        before = await hub.rows("SELECT epoch, seq, hash FROM bundle WHERE state = 'applied'")
        for epoch, seq, digest in await hub.rows("SELECT epoch, seq, hash FROM bundle"):
            forget = partial(bundles.forget, place=Place(1, epoch, seq), digest=digest, state=BundleState.HELD)
            await hub.listening.hub.store.run(forget)
        assert await hub.rows("SELECT epoch, seq, hash FROM bundle") == before
        assert not await hub.rows("SELECT 1 FROM cursor WHERE is_forked")


async def test_what_is_applied_or_whose_box_is_revoked_while_it_is_read_is_not_applied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Arrivals.load
    changes = {
        "applied": "UPDATE bundle SET state = 'applied', reason = NULL WHERE seq = 1 RETURNING seq",
        "quarantined": "UPDATE box SET revoked_ms = 1 RETURNING no",
    }
    async with hub_on(tmp_path) as hub:
        for number, (state, change) in enumerate(changes.items(), 1):
            maker = await hub.enrolled(f"School {number}")

            async def meanwhile(self: Arrivals, *arguments: Any, change: str = change) -> Arrival | None:
                await hub.rows(change)
                return await load(self, *arguments)

            await hub.post(maker.next([answered(1)]))
            with monkeypatch.context() as patch:
                patch.setattr(Arrivals, "load", meanwhile)
                await hub.post(maker.next(registries()))
                await hub.caught_up()
            found = await hub.rows(f"SELECT state FROM bundle WHERE box_no = {number} ORDER BY seq")
            assert found == [(state,), ("applied",)]
        assert await count_statements(hub) == 0


async def test_nothing_that_is_held_counts_once_its_box_is_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, applied = Chain._apply_held, list[bool]()

    def revoke_after(self: Chain, connection: Transaction, arrival: Arrival) -> bool:
        applied.append(apply(self, connection, arrival))
        boxes.revoke(connection, 1, 1)
        return applied[-1]

    async with hub_on(tmp_path) as hub:
        first = await hold(hub, await hub.enrolled(), one_answer)
        monkeypatch.setattr(Chain, "_apply_held", revoke_after)
        await hub.post(first)
        await hub.caught_up()
        assert (applied, await count_statements(hub)) == ([True], 2)


async def test_a_hub_starts_and_stops_while_a_bundle_that_was_held_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, loop, children = asyncio.Event(), asyncio.get_running_loop(), list[subprocess.Popen[bytes]]()

    def read_nothing(self: LimitedChild, _size_bytes: int) -> bytes:
        assert self._process is not None
        children.append(self._process)
        loop.call_soon_threadsafe(reached.set)
        self._process.wait()  # it has more to say than fits into a pipe, so it waits until somebody ends it
        return b""

    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        first = await hold(hub, maker, lambda number: crowd(RECORDS_MAX) if number == 0 else one_answer(number))
        monkeypatch.setattr(CatchingUp, "go_on", lambda *_: None)
        await hub.post(first)
    monkeypatch.undo()
    monkeypatch.setattr(LimitedChild, "read", read_nothing)
    async with hub_on(tmp_path) as hub:
        await reached.wait()
        assert (await hub.post(first)).vector.ranges == ((2, HELD + 1),)
    assert not [task for task in asyncio.all_tasks() if "CatchingUp" in repr(task)]
    assert [await asyncio.to_thread(child.wait, 10) for child in children] == [-signal.SIGKILL]
    async with hub_on(tmp_path) as hub:
        assert (await hub.rows("SELECT state FROM bundle WHERE seq = 2")) == [("held",)]
