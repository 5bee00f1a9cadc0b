"""A box that was away for long, over a line that is cut: nothing lost, nothing twice, a small spool."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from content_packs.base import limited
from edgebox.app import open_box
from edgebox.services import packing, spool
from edgebox.store import changes
from tests.support.backlog import fill
from tests.support.box import School, make_school
from tests.support.clock import FakeClock
from tests.support.cut_proxy import cut_proxy
from tests.sync.hub_support import hub_on
from tests.sync.makers import NOW_MS
from tests.sync.school_scene import HILL

EVENTS = 20_000
CUTS = 10
LAST_CUT_BYTES = 60_000  # of some 80,000
BUNDLE_CHANGES = 4_000
KEPT_BYTES = 20_000
pytestmark = pytest.mark.usefixtures("hasty")


async def test_a_long_absence_is_sent_once_over_a_line_that_is_cut_and_never_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "CHANGES_PER_BUNDLE", BUNDLE_CHANGES)
    monkeypatch.setattr(spool, "KEEP_ACKNOWLEDGED_BYTES", KEPT_BYTES)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    await asyncio.to_thread(fill, school.settings.data / "box.db", EVENTS)
    clock, dice, spooled = FakeClock(NOW_MS), random.Random(17), []
    async with (
        hub_on(tmp_path / "hub", clock) as hub,
        cut_proxy(hub.listening.port) as proxy,
        open_box(school.settings, clock) as box,
    ):
        await box.syncing.enroll(proxy.url, await hub.listening.hub.enrolling.make_code(HILL))
        proxy.up_cuts = deque(sorted(dice.sample(range(proxy.up_bytes + 500, LAST_CUT_BYTES), CUTS)))
        made = spool.Spool.make_next

        async def watched(self: spool.Spool, *arguments: object) -> object:
            found = await made(self, *arguments)  # type: ignore[arg-type]
            backlog = await box.database.read(changes.find_backlog)
            spooled.append((backlog.bundles, backlog.size_bytes, await asyncio.to_thread(size_of, school)))
            return found

        monkeypatch.setattr(spool.Spool, "make_next", watched)
        async with asyncio.timeout(120):
            while (await box.syncing.sync_now()).waiting_changes:
                clock.advance(1_000)
        assert (proxy.cuts_made, proxy.connections > CUTS) == (CUTS, True)
        [(rows, ids)] = await hub.rows("SELECT count(*), count(DISTINCT id) FROM statement")
        assert (rows, ids) == (EVENTS, EVENTS)
        assert max(bundles for bundles, _, _ in spooled) == 1
        assert all(on_card <= 2 * waiting + KEPT_BYTES for _, waiting, on_card in spooled)
        assert max(on_card for _, _, on_card in spooled) > max(waiting for _, waiting, _ in spooled)
        assert len(await hub.rows("SELECT seq FROM bundle WHERE state = 'applied'")) >= EVENTS // BUNDLE_CHANGES


def size_of(school: School) -> int:
    """Return the bytes of all that a box keeps on its card for the hub."""
    return sum(path.stat().st_size for path in (school.settings.spool / "out").iterdir())


def kill_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHILD", ("-c", "import os; os.kill(os.getpid(), 9)"))


def have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited.sys, "executable", "/nowhere/python")


@pytest.mark.parametrize("lack_memory", [kill_the_child, have_none])
async def test_where_no_process_can_pack_much_little_is_packed_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lack_memory: Callable[[pytest.MonkeyPatch], None]
) -> None:
    lack_memory(monkeypatch)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    await asyncio.to_thread(fill, school.settings.data / "box.db", 5_000)
    clock = FakeClock(NOW_MS)
    async with hub_on(tmp_path / "hub", clock) as hub, open_box(school.settings, clock) as box:
        await box.syncing.enroll(hub.url, await hub.listening.hub.enrolling.make_code(HILL))
        for made in await box.syncing.prepare():
            content = await box.syncing.read_waiting(made)
            await hub.listening.hub.receiving.receive(content or b"")
        assert await hub.rows("SELECT count(*) FROM statement") == [(5_000,)]


async def test_a_stick_waits_once_and_shortly_for_a_process_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    class Hasty(limited.LimitedChild):
        def __init__(self, arguments: tuple[str, ...], source: BinaryIO, *, seconds: float) -> None:
            given.append(seconds)
            super().__init__(arguments, source, seconds=0.2)

    monkeypatch.setattr(spool, "CHANGES_PER_BUNDLE", BUNDLE_CHANGES)
    monkeypatch.setattr(packing, "LimitedChild", Hasty)
    monkeypatch.setattr(packing, "CHILD", ("-c", "import signal; signal.pause()"))
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    await asyncio.to_thread(fill, school.settings.data / "box.db", 9_000)
    clock = FakeClock(NOW_MS)
    async with hub_on(tmp_path / "hub", clock) as hub, open_box(school.settings, clock) as box:
        await box.syncing.enroll(hub.url, await hub.listening.hub.enrolling.make_code(HILL))
        waiting = await box.syncing.prepare()
        assert sum(made.through_change - made.from_change + 1 for made in waiting) >= 9_000
        assert given == [packing.child_seconds(BUNDLE_CHANGES)]
        # The next time it is tried again: it may have been ended by something that has passed.
        await box.syncing._start_over()
        await box.syncing.prepare()
        assert given == 2 * [packing.child_seconds(BUNDLE_CHANGES)]


def test_all_tries_to_pack_a_whole_bundle_take_less_than_four_minutes() -> None:
    halves = [changes for n in range(20) if (changes := spool.CHANGES_PER_BUNDLE >> n) > spool.PAIRED_MAX_RECORDS]
    assert sum(packing.child_seconds(changes) for changes in halves) < 240


async def test_who_stops_the_box_does_not_wait_for_what_is_being_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    await asyncio.to_thread(fill, school.settings.data / "box.db", 1_000)
    clock = FakeClock(NOW_MS)
    async with hub_on(tmp_path / "hub", clock) as hub, open_box(school.settings, clock) as box:
        await box.syncing.enroll(hub.url, await hub.listening.hub.enrolling.make_code(HILL))
        packer = box.syncing._spool.packing
        with monkeypatch.context() as slow:
            slow.setattr(packing, "CHILD", ("-c", "import signal; signal.pause()"))
            sending = asyncio.ensure_future(box.syncing.sync_now())
            while packer._child is None or packer._child.pid is None:
                await asyncio.sleep(0.01)
            async with asyncio.timeout(20):
                await box.syncing.close()
                await sending
        for made in await box.syncing.prepare():
            content = await box.syncing.read_waiting(made)
            await hub.listening.hub.receiving.receive(content or b"")
        assert await hub.rows("SELECT count(*) FROM statement") == [(1_000,)]
