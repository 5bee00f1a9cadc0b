"""A bundle on its way: how far it is, that a restart goes on with it, and that a stick may be faster."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from content_packs.base import ids
from content_packs.fetch import pulse
from edgebox.app import open_box
from edgebox.control.operations import OPERATIONS
from edgebox.services.sync_state import read_hub
from sync.bundle.layout import start_bytes, upload_name
from sync.engine.lanes import Lane, Tariff
from sync.hub.sticks import exchange_stick
from sync.transport.contract import Waiting
from sync.transport.errors import HubBusy, LinkDown
from sync.transport.tus import UPLOADS_PATH
from tests.support.box import make_school, make_tablet
from tests.support.clock import FakeClock
from tests.support.cut_proxy import CutProxy, cut_proxy
from tests.sync.hub_support import hub_on
from tests.sync.makers import NOW_MS
from tests.sync.test_http import answering
from tests.sync.test_hub_uploads import TUS, ask, offset_of
from tests.sync.test_syncing import DeadLink, Scene

DICE = random.Random(7)
WORDS_BYTES = 5_000  # of requests and headers around a bundle

pytestmark = pytest.mark.usefixtures("hasty")


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[tuple[Scene, CutProxy]]:
    """Give a box that reaches its hub through a line that can be cut, and has something to send."""
    clock = FakeClock(NOW_MS)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(hub_on(tmp_path / "hub", clock))
        proxy = await stack.enter_async_context(cut_proxy(hub.listening.port))
        box = await stack.enter_async_context(open_box(school.settings, clock))
        scene = Scene(box, school, hub, make_tablet(), clock)
        await scene.enroll()
        await reach_through(scene, proxy)
        await scene.work(50)
        yield scene, proxy


async def write_at_length(scene: Scene, count: int) -> None:
    """Let a learner give answers that cannot be made much shorter."""
    events = [
        scene.tablet.event(scene.school.learners[0], item="q1", result={"response": DICE.randbytes(60).hex()})
        for _ in range(count)
    ]
    assert len((await scene.box.recording.store_outbox(scene.tablet.request(*events))).acked) == count


async def reach_through(scene: Scene, proxy: CutProxy) -> None:
    await scene.box.database.write(lambda db: db.execute("UPDATE hub SET url = ?", (proxy.url,)) and None)


class SlowLink(DeadLink):
    """Never comes to an end by itself."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.options: list[bool] = []

    async def ask_waiting(self, ack: bytes) -> list[Waiting]:
        return []

    async def deliver(self, bundle: bytes, **options: Any) -> bytes:
        self.options.append(options["is_begun"])
        options["on_stored"](len(bundle) // 2)
        self.has_begun.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_somebody_who_waits_sees_how_far_it_is(line: tuple[Scene, CutProxy]) -> None:
    scene, _ = line
    shown: list[dict[str, int]] = []
    result = await OPERATIONS["sync.now"](scene.box, {}, shown.append)
    assert result["waiting_changes"] == 0
    assert shown[-1]["done_bytes"] == shown[-1]["total_bytes"] > 500
    assert [value["done_bytes"] for value in shown] == sorted(value["done_bytes"] for value in shown)


async def test_the_state_names_the_bundle_on_its_way(line: tuple[Scene, CutProxy]) -> None:
    scene, _ = line
    link = SlowLink()
    scene.box.syncing._uploading.make_link = lambda url: link
    await scene.box.syncing._uploading.close()
    sending = asyncio.ensure_future(scene.box.syncing.sync_now())
    await link.has_begun.wait()
    status = await scene.box.syncing.status()
    assert status.is_sending
    assert (status.sending_bytes, status.stored_bytes) == (status.waiting_bytes, status.waiting_bytes // 2)
    sending.cancel()
    await asyncio.wait({sending})
    status = await scene.box.syncing.status()
    assert (status.sending_bytes, status.is_sending) == (0, False)


async def test_a_stick_that_was_faster_ends_the_upload(line: tuple[Scene, CutProxy], tmp_path: Path) -> None:
    scene, _ = line
    stick = tmp_path / "stick"
    stick.mkdir()
    link = SlowLink()
    scene.box.syncing._uploading.make_link = lambda url: link
    await scene.box.syncing._uploading.close()
    sending = asyncio.ensure_future(scene.box.syncing.sync_now())
    await link.has_begun.wait()
    await scene.box.exchanging.export(stick)
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    assert await scene.box.exchanging.import_(stick) == 1
    async with asyncio.timeout(20):
        status = await sending
    assert (status.waiting_changes, status.last_error, status.is_sending) == (0, None, False)


async def test_enrolling_anew_and_closing_wait_for_no_upload(line: tuple[Scene, CutProxy]) -> None:
    scene, _ = line
    link = SlowLink()
    scene.box.syncing._uploading.make_link = lambda url: link
    await scene.box.syncing._uploading.close()
    sending = asyncio.ensure_future(scene.box.syncing.sync_when_due())
    await link.has_begun.wait()
    async with asyncio.timeout(20):
        await scene.box.syncing.close()
        await sending
    status = await scene.box.syncing.status()
    assert (status.is_sending, status.waiting_bundles) == (False, 1)


async def test_a_restarted_box_asks_how_much_the_hub_has_and_sends_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A machine that is busy with other things is not a line that died: only the cuts count.
    monkeypatch.setattr(pulse, "SILENCE_MIN_MS", 60_000)
    monkeypatch.setattr(pulse, "DOUBT_MIN_MS", 60_000)
    clock = FakeClock(NOW_MS)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with hub_on(tmp_path / "hub", clock) as hub, cut_proxy(hub.listening.port) as proxy:
        async with open_box(school.settings, clock) as box:
            scene = Scene(box, school, hub, make_tablet(), clock)
            await scene.enroll()
            await reach_through(scene, proxy)
            for _ in range(16):
                await write_at_length(scene, 50)
            _, known = await read_hub(box.database)
            made = await box.syncing._spool.make_next(known)
            assert made is not None
            proxy.cuts = iter([("up", made.size_bytes // 2), *[("up", 0)] * 20])
            status = await box.syncing.sync_now()
            assert status.last_error is not None
            assert status.last_error["code"] == LinkDown.code
            content = await box.syncing.read_waiting(made)
        assert content is not None
        place = f"{UPLOADS_PATH}/{upload_name(content[: start_bytes(content)])}"
        async with asyncio.timeout(20):
            while (await ask(hub, "HEAD", place, headers=TUS))[0] != 200:  # it looks at what came, in its own time
                await asyncio.sleep(0.01)
        stored_bytes = await offset_of(hub, place)
        carried_bytes, proxy.cuts = proxy.up_bytes, iter(())
        async with open_box(school.settings, clock) as box:
            status = await box.syncing.sync_now()
            assert (status.waiting_changes, status.last_error) == (0, None)
        assert stored_bytes > 2 * WORDS_BYTES  # so the whole of it again would be more than what is allowed
        assert proxy.up_bytes - carried_bytes < made.size_bytes - stored_bytes + WORDS_BYTES
        assert await scene.hub_statements() == 800


async def test_a_hub_that_is_busy_when_it_is_asked_is_tried_again_later(tmp_path: Path) -> None:
    async def busy(_request: web.Request) -> web.Response:
        return web.json_response({"code": "hub.quota_reached"}, status=429, headers={"Tus-Resumable": "1.0.0"})

    async with answering(busy) as transport:
        with pytest.raises(HubBusy):
            await transport.deliver(bytes(1_000), is_begun=True)


async def test_a_line_that_closes_in_the_middle_of_a_bundle_ends_it_and_opens_it_where_it_was(
    line: tuple[Scene, CutProxy],
) -> None:
    scene, _ = line
    box = scene.box
    answers = [{"success": True, "response": ids.random_bytes(900).hex(), "duration_ms": 9} for _ in range(50)]
    events = [scene.tablet.event(scene.school.learners[0], item="q1", result=answer) for answer in answers]
    await box.recording.store_outbox(scene.tablet.request(*events))
    waiting = (await box.syncing.prepare())[0]
    box.line.count(Lane.LARGE, 30_000_000)
    left_bytes = box.line.left_bytes(Lane.PROGRESS)
    assert left_bytes is not None
    box.line.count(Lane.PROGRESS, left_bytes - waiting.size_bytes // 2)
    status = await box.syncing.sync_now()
    error = status.last_error
    assert error is not None
    assert (error["code"], status.waiting_bundles, status.is_sending) == ("line.paused", 1, False)
    assert status.next_try_ms == box.line.next_ms(Lane.PROGRESS)
    stored = box.syncing._uploading.stored_bytes
    await box.line.set_tariff(Tariff(is_metered=False))
    shown: list[tuple[int, int]] = []
    status = await box.syncing.sync_now(lambda done, total: shown.append((done, total)))
    assert (status.waiting_changes, status.last_error) == (0, None)
    assert 0 < stored <= shown[0][0]


async def test_a_line_with_nothing_left_is_not_even_dialled(line: tuple[Scene, CutProxy]) -> None:
    scene, proxy = line
    box = scene.box
    box.line.count(Lane.PROGRESS, 30_000_000)
    before = proxy.connections
    await box.syncing.sync_when_due()
    assert proxy.connections == before
