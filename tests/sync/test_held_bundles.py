"""Bundles behind a hole, and small ones that hold very much: read once, when their turn has come, in nobody's way."""

import asyncio
import errno
import gc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.signing import PairKey
from sync.bundle import codec1
from sync.bundle.body import Body
from sync.bundle.errors import BundleTooLarge
from sync.bundle.layout import BundleKind
from sync.bundle.limits import RECORDS_MAX
from sync.bundle.paired import is_paired, write_paired
from sync.bundle.write import Range
from sync.hub import opening
from sync.hub.arrivals import Arrival, Arrivals
from sync.hub.chain import TRIES_MAX, Chain
from sync.hub.opening import Checked
from sync.hub.store import bundles
from sync.hub.store.bundles import BundleState, Place
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
        assert (await hub.post(first)).vector.through_seq == HELD + 1
        assert len(read) == HELD + 1


async def test_other_boxes_are_served_between_bundles_that_were_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, may_go_on, load = asyncio.Event(), asyncio.Event(), Arrivals.load

    async def slowly(self: Arrivals, *arguments: Any) -> Arrival | None:
        reached.set()
        await may_go_on.wait()
        assert sum(isinstance(found, Arrival) for found in gc.get_objects()) <= 2  # of any number, few are in memory
        return await load(self, *arguments)

    async with hub_on(tmp_path) as hub:
        first, other = await hold(hub, await hub.enrolled(), one_answer), await hub.enrolled("Lake School")
        monkeypatch.setattr(Arrivals, "load", slowly)
        filling = asyncio.ensure_future(hub.post(first))
        await reached.wait()
        assert (await hub.post(other.next(registries()))).vector.through_seq == 1
        may_go_on.set()
        assert (await filling).vector.through_seq == HELD + 1
        assert await count_statements(hub) == HELD + 1


async def test_a_box_pays_for_what_was_held_before_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        first, uploads = await hold(hub, maker, one_answer), hub.listening.hub.uploads
        paid, settle = list[float](), uploads.settle

        async def note(origin: bytes, effort: Any) -> None:
            paid.append(effort.seconds)
            await settle(origin, effort)

        monkeypatch.setattr(uploads, "settle", note)
        await hub.post(first)
        assert (len(paid), min(paid) > 0) == (HELD, True)


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
            await hub.listening.hub.receiving.receive(first)
        assert await count_statements(hub) == cut_at
    async with hub_on(tmp_path) as hub:
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
            assert (await hub.post(first)).vector.through_seq == 1  # the others stay held
        assert (await hub.post(first)).vector.through_seq == HELD + 1
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
            ack = await hub.post(filler)
        assert (ack.vector.through_seq, ack.vector.ranges) == (1, ((2, 2),))
        assert await states(hub) == [("applied", None), ("held", None)]
        assert (await hub.post(held)).vector.through_seq == 2
        assert await count_statements(hub) == 2


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
            seen.append((await states(hub))[1])
        assert seen == [("held", None)] * (TRIES_MAX - 1) + [("refused", "sync.bundle_too_large")]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1] + b"x")])
async def test_what_the_disk_lost_or_changed_is_asked_for_again(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    async with hub_on(tmp_path) as hub:
        filler, held = await behind_a_hole(hub, await hub.enrolled())
        (path,) = await asyncio.to_thread(lambda: [*hub.listening.hub.settings.bundles.rglob("*.eb")])
        await asyncio.to_thread(damage, path)
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


async def test_what_was_set_aside_and_is_applied_meanwhile_is_not_applied_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub_on(tmp_path) as hub:
        maker, load = await hub.enrolled(), Arrivals.load
        await hub.post(maker.next([answered(1)]))

        async def meanwhile(self: Arrivals, *arguments: Any) -> Arrival | None:
            await hub.rows("UPDATE bundle SET state = 'applied', reason = NULL WHERE seq = 1 RETURNING seq")
            return await load(self, *arguments)

        monkeypatch.setattr(Arrivals, "load", meanwhile)
        await hub.post(maker.next(registries()))
        assert await count_statements(hub) == 0
