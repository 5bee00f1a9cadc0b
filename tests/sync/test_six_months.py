"""A box that was away for long, over a line that is cut: nothing lost, nothing twice, a small spool."""

import asyncio
import random
from pathlib import Path

import pytest

from edgebox.app import open_box
from edgebox.services import spool
from edgebox.store import changes
from tests.support.backlog import fill
from tests.support.box import make_school
from tests.support.clock import FakeClock
from tests.support.cut_proxy import cut_proxy
from tests.sync.hub_support import hub_on
from tests.sync.makers import NOW_MS
from tests.sync.school_scene import HILL

EVENTS = 20_000
CUTS = 10
BUNDLE_CHANGES = 4_000
pytestmark = pytest.mark.usefixtures("hasty")


async def test_a_long_absence_is_sent_once_over_a_line_that_is_cut_and_never_fills_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "CHANGES_PER_BUNDLE", BUNDLE_CHANGES)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    await asyncio.to_thread(fill, school.settings.data / "box.db", EVENTS)
    clock, dice, spooled = FakeClock(NOW_MS), random.Random(17), []
    async with (
        hub_on(tmp_path / "hub", clock) as hub,
        cut_proxy(hub.listening.port) as proxy,
        open_box(school.settings, clock) as box,
    ):
        await box.syncing.enroll(proxy.url, await hub.listening.hub.enrolling.make_code(HILL))
        proxy.cuts = iter([("up", dice.randrange(500, 10_000)) for _ in range(CUTS)])
        made = spool.Spool.make_next

        async def watched(self: spool.Spool, *arguments: object) -> object:
            found = await made(self, *arguments)  # type: ignore[arg-type]
            spooled.append((await box.database.read(changes.find_backlog)).bundles)
            return found

        monkeypatch.setattr(spool.Spool, "make_next", watched)
        async with asyncio.timeout(120):
            while (await box.syncing.sync_now()).waiting_changes:
                clock.advance(1_000)
        assert next(proxy.cuts, None) is None
        [(rows, ids)] = await hub.rows("SELECT count(*), count(DISTINCT id) FROM statement")
        assert (rows, ids) == (EVENTS, EVENTS)
        assert max(spooled) == 1
        assert len(await hub.rows("SELECT seq FROM bundle WHERE state = 'applied'")) >= EVENTS // BUNDLE_CHANGES
