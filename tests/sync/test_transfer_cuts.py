"""Whatever is cut at whatever byte: a bundle arrives once, and what arrived is not sent again. Catalogue: R-10."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from sync.bundle.read import read_ack
from sync.hub.partials import Partial
from sync.transport.errors import LinkDown
from sync.transport.http import HttpTransport
from tests.support.cut_proxy import cut_proxy
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import answered, registries
from tests.sync.test_hub_uploads import long_records, statements

RESENT_MAX_BYTES = 16 * 1024
HEADS_MAX_BYTES = 1_500
# Four runs side by side meet every third byte here; the soak below meets every one of a longer exchange.
STEP_BYTES = 12
pytestmark = pytest.mark.usefixtures("hasty")


async def deliver(hub: TestHub, url: str, bundle: bytes) -> int:
    """Deliver like a box, which tries again later when it gave up; return the last number the hub acknowledged."""
    transport, is_begun = HttpTransport(url), False
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await transport.deliver(bundle, is_begun=is_begun)
                break
            except LinkDown:
                is_begun = True
    await transport.close()
    return read_ack(answer, hub.listening.hub.keys.signing.verify_key).vector.through_seq


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("part", range(0, STEP_BYTES, 3))
async def test_a_cut_at_any_byte_of_a_short_exchange_costs_nothing_that_arrived(
    tmp_path: Path, direction: str, part: int
) -> None:
    async with hub_on(tmp_path) as hub, cut_proxy(hub.listening.port) as proxy:
        maker = await hub.enrolled()
        await deliver(hub, proxy.url, maker.next(registries()))
        before = proxy.up_bytes if direction == "up" else proxy.down_bytes
        cuts = range(part, before + 1, STEP_BYTES)
        for seq, cut in enumerate(cuts, 1):
            proxy.cuts = iter([(direction, cut)])
            assert await deliver(hub, proxy.url, maker.next([answered(seq)])) == seq + 1
        assert await statements(hub) == len(cuts)
        assert len(await hub.rows("SELECT seq FROM bundle WHERE state = 'applied'")) == len(cuts) + 1


@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_cut_at_many_bytes_of_64_kb_costs_nothing_that_arrived(tmp_path: Path, direction: str) -> None:
    await assert_cuts_cost_nothing(tmp_path, direction, step_bytes=2_003 if direction == "up" else 29)


@pytest.mark.soak
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("direction", ["up", "down"])
async def test_a_cut_at_any_byte_of_64_kb_costs_nothing_that_arrived(tmp_path: Path, direction: str) -> None:
    await assert_cuts_cost_nothing(tmp_path, direction, step_bytes=1)


async def assert_cuts_cost_nothing(folder: Path, direction: str, step_bytes: int) -> None:
    """Send one bundle again and again, with a cut after every `step_bytes` of the exchange."""
    async with hub_on(folder, day_quota_bytes=1 << 40) as hub, cut_proxy(hub.listening.port) as proxy:
        maker = await hub.enrolled()
        content = maker.next(long_records(64, noise_bytes=1_000))
        await deliver(hub, proxy.url, content)
        assert 60_000 < len(content) < 80_000
        for cut in range(0, (proxy.up_bytes if direction == "up" else proxy.down_bytes) + 1, step_bytes):
            forget(hub)
            carried_bytes, proxy.cuts = proxy.up_bytes, iter([(direction, cut)])
            assert await deliver(hub, proxy.url, content) == 1
            assert proxy.up_bytes - carried_bytes <= len(content) + RESENT_MAX_BYTES + HEADS_MAX_BYTES
        assert await statements(hub) == 64


def forget(hub: TestHub) -> None:
    """Let the hub forget that it has answered, so that the same bundle is sent again."""
    hub.listening.hub.incoming._partials._known.clear()


@pytest.mark.parametrize("is_silent", [False, True])
async def test_after_many_cuts_a_long_bundle_is_there_once_and_little_was_sent_again(
    tmp_path: Path, is_silent: bool
) -> None:
    dice = random.Random(4)
    async with hub_on(tmp_path) as hub, cut_proxy(hub.listening.port) as proxy:
        maker = await hub.enrolled()
        content = maker.next(long_records(3_000))
        cuts = [("up", dice.randrange(400, 40_000)) for _ in range(10)]
        proxy.cuts, proxy.is_silent_after_cut = iter(cuts), is_silent
        assert await deliver(hub, proxy.url, content) == 1
        assert proxy.connections > 8
        heads_bytes = proxy.connections * HEADS_MAX_BYTES
        assert proxy.up_bytes <= len(content) + proxy.connections * RESENT_MAX_BYTES + heads_bytes
        assert await statements(hub) == 3_000


async def test_what_arrived_before_a_cut_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    real = Partial.append

    def append(self: Partial, content: bytes, now_ms: int) -> None:
        written.append(len(content))
        real(self, content, now_ms)

    monkeypatch.setattr(Partial, "append", append)
    async with hub_on(tmp_path) as hub, cut_proxy(hub.listening.port) as proxy:
        maker = await hub.enrolled()
        content = maker.next(long_records(2_000))
        proxy.cuts = iter([("up", 30_000), ("up", 30_000), ("down", 700)])
        await deliver(hub, proxy.url, content)
        assert sum(written) == len(content)


async def test_a_line_that_is_cut_for_good_is_given_up_and_the_rest_is_sent_another_day(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub, cut_proxy(hub.listening.port) as proxy:
        maker = await hub.enrolled()
        content = maker.next(long_records(3_000))
        proxy.cuts = iter([("up", 50_000), *[("up", 0)] * 20])
        with pytest.raises(LinkDown):
            await HttpTransport(proxy.url).deliver(content)
        proxy.cuts, carried_bytes = iter(()), proxy.up_bytes
        transport = HttpTransport(proxy.url)
        told: list[int] = []
        await transport.deliver(content, is_begun=True, on_stored=told.append)
        await transport.close()
        assert told[0] > 40_000
        assert proxy.up_bytes - carried_bytes < len(content) - told[0] + HEADS_MAX_BYTES


DIES_BEFORE_THE_ACK = """
import asyncio, os, pathlib, sys
from sync.hub import receiving
from sync.hub.commands import serve
from sync.hub.settings import HubSettings
receiving.write_ack = lambda *arguments: os._exit(9)
asyncio.run(serve(HubSettings(pathlib.Path(sys.argv[1]), port=0)))
"""


async def test_a_hub_killed_between_store_and_ack_gets_no_byte_twice_and_applies_once(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        content = maker.next(long_records(2_000))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DIES_BEFORE_THE_ACK, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    address = (await child.stdout.readline()).decode().split()[-1]
    with pytest.raises(LinkDown):
        await HttpTransport(address).deliver(content)
    assert await child.wait() == 9
    async with hub_on(tmp_path) as hub, cut_proxy(hub.listening.port) as proxy:
        assert await statements(hub) == 2_000
        transport = HttpTransport(proxy.url)
        answer = await transport.deliver(content, is_begun=True)
        await transport.close()
        assert read_ack(answer, hub.listening.hub.keys.signing.verify_key).vector.through_seq == 1
        assert proxy.up_bytes < HEADS_MAX_BYTES
        assert await statements(hub) == 2_000
