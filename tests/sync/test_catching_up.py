"""What waits at the hub is tried when it should be: by itself, as often as it helps, and no more."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sync.hub import catching_up
from sync.hub.arrivals import Arrival, Arrivals
from sync.hub.catching_up import CatchingUp
from sync.hub.chain import Chain
from sync.hub.store import bundles
from sync.hub.store.worker import Transaction
from sync.records.kinds import RecordMalformed
from sync.records.rows import Device, Record, Verb
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import DEVICE, Maker, answered, registries
from tests.sync.test_held_bundles import behind_a_hole, count_statements, states

MINUTE_SECONDS = 60.0
UNEXPLAINED = ("quarantined", "device 1")
APPLIED = ("applied", None)


def planned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that gets the delay of each retry that is planned."""
    delays, loop = list[float](), asyncio.get_running_loop()
    call_later = loop.call_later

    def note(delay_seconds: float, callback: Any, *arguments: Any, **more: Any) -> asyncio.TimerHandle:
        if getattr(callback, "__func__", None) is CatchingUp.go_on:
            delays.append(delay_seconds)
        return call_later(delay_seconds, callback, *arguments, **more)

    monkeypatch.setattr(loop, "call_later", note)
    return delays


def fail(*_arguments: object, **_more: object) -> None:
    raise OSError("disk full")


def go_on(hub: TestHub) -> None:
    hub.listening.hub.receiving.catching_up.go_on(1)


def without_device() -> list[Record]:
    return [record for record in registries() if not isinstance(record, Device)]


async def test_what_fails_is_tried_again_after_a_minute_then_twice_that_and_so_on_up_to_four_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub_on(tmp_path) as hub:
        maker, delays = await hub.enrolled(), planned(monkeypatch)
        filler, _held = await behind_a_hole(hub, maker)
        with monkeypatch.context() as patch:
            patch.setattr(Chain, "_apply_held", fail)
            await hub.post(filler)
            for _ in range(10):
                await hub.caught_up()
                go_on(hub)
            await hub.caught_up()
            assert delays == [MINUTE_SECONDS * doubled for doubled in (1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256)]
        go_on(hub)
        await hub.caught_up()
        assert await states(hub) == [APPLIED, APPLIED]
        third, fourth = maker.next([answered(3)]), maker.next([answered(4)])
        await hub.post(fourth)
        monkeypatch.setattr(Chain, "_apply_held", fail)
        await hub.post(third)
        await hub.caught_up()
        assert delays[11:] == [MINUTE_SECONDS]


@pytest.mark.parametrize(("place", "name"), [(Chain, "_apply_held"), (bundles, "list_waiting")])
async def test_what_failed_is_applied_by_itself_when_its_time_has_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    applied, apply, loop = asyncio.Event(), Chain._apply_held, asyncio.get_running_loop()

    def tell(self: Chain, connection: Transaction, arrival: Arrival) -> bool:
        loop.call_soon_threadsafe(applied.set)
        return apply(self, connection, arrival)

    monkeypatch.setattr(Chain, "_apply_held", tell)
    failures, real = [1, 1], getattr(place, name)

    def fail_twice(*arguments: Any, **more: Any) -> object:
        return fail() if failures and failures.pop() else real(*arguments, **more)

    async with hub_on(tmp_path) as hub:
        filler, _held = await behind_a_hole(hub, await hub.enrolled())
        monkeypatch.setattr(catching_up, "RETRY_SECONDS", 0.001)
        monkeypatch.setattr(place, name, fail_twice)
        await hub.post(filler)
        await applied.wait()
        await hub.caught_up()
        assert (failures, await states(hub)) == ([], [APPLIED, APPLIED])


async def test_a_box_that_comes_while_what_waits_fails_has_one_retry_and_counts_one_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = list[int]()

    async def come(*_arguments: object) -> None:
        tries.append(1)
        if len(tries) == 1:
            go_on(hub)
        fail()

    async with hub_on(tmp_path) as hub:
        filler, _held = await behind_a_hole(hub, await hub.enrolled())
        delays = planned(monkeypatch)
        monkeypatch.setattr(Arrivals, "load", come)
        await hub.post(filler)
        await hub.caught_up()
        assert (len(tries), delays) == (2, [MINUTE_SECONDS])


async def test_no_retry_is_planned_where_nothing_is_left_to_apply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Arrivals.load

    async def revoke_and_load(self: Arrivals, *arguments: Any) -> Arrival | None:
        await hub.listening.hub.enrolling.revoke(1)
        return await load(self, *arguments)

    async with hub_on(tmp_path) as hub:
        filler, _held = await behind_a_hole(hub, await hub.enrolled())
        delays = planned(monkeypatch)
        monkeypatch.setattr(Arrivals, "load", revoke_and_load)
        await hub.post(filler)
        await hub.caught_up()
        assert (await states(hub), delays) == ([APPLIED, ("held", None)], [])


def lose(path: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink()


def change(path: Path, _monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def refuse(_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_arguments: object) -> None:
        raise RecordMalformed(kind="statement", field="progress")

    monkeypatch.setattr(Arrivals, "load", load)


@pytest.mark.parametrize(("harm", "reason"), [(lose, "lost"), (change, "lost"), (refuse, "sync.record_malformed")])
async def test_what_was_set_aside_and_is_lost_or_refused_waits_for_the_next_version(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    async with hub_on(tmp_path) as hub:
        maker, delays, store = await hub.enrolled(), planned(monkeypatch), hub.listening.hub.store
        aside = maker.next([answered(1)])
        await hub.post(aside)
        (path,) = await asyncio.to_thread(lambda: [*hub.listening.hub.settings.bundles.rglob("*.eb")])
        with monkeypatch.context() as patch:
            await asyncio.to_thread(harm, path, patch)
            await hub.post(maker.next(registries()))
            await hub.caught_up()
        assert (await states(hub), delays) == ([("quarantined", reason), APPLIED], [])
        assert await store.run(partial(bundles.list_waiting, box_no=1)) == []
        await asyncio.to_thread(path.write_bytes, aside)
        await store.run(partial(bundles.try_again_under, version="another"))
        go_on(hub)
        await hub.caught_up()
        assert await states(hub) == [APPLIED, APPLIED]


async def test_what_was_held_explains_what_was_set_aside(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        for content in (without_device(), [answered(1)]):
            await hub.post(maker.next(content))
        filler, device = maker.next([Verb(3, "http://a")]), maker.next([Device(1, DEVICE)])
        await hub.post(device)
        assert await states(hub) == [APPLIED, UNEXPLAINED, ("held", None)]
        await hub.post(filler)
        await hub.caught_up()
        assert await states(hub) == [APPLIED] * 4
        assert await count_statements(hub) == 1


@pytest.mark.parametrize(("place", "name"), [(Arrivals, "load"), (CatchingUp, "_catch_up")])
async def test_what_is_explained_while_the_last_bundle_is_read_or_right_after_is_applied_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str
) -> None:
    reached, may_go_on, real = asyncio.Event(), asyncio.Event(), getattr(place, name)

    async def pause(self: Any, *arguments: Any) -> object:
        done = await real(self, *arguments)
        reached.set()
        await may_go_on.wait()
        return done

    async with hub_on(tmp_path) as hub:
        maker: Maker = await hub.enrolled()
        for content in (without_device(), [answered(1)], [replace(answered(2), device_no=2)]):
            await hub.post(maker.next(content))
        assert await states(hub) == [APPLIED, UNEXPLAINED, ("quarantined", "device 2")]
        monkeypatch.setattr(place, name, pause)
        await hub.post(maker.next([Device(1, DEVICE)]))
        await reached.wait()
        await hub.post(maker.next([Device(2, DEVICE[::-1])]))
        may_go_on.set()
        await hub.caught_up()
        assert await states(hub) == [APPLIED] * 5
        assert await count_statements(hub) == 2
