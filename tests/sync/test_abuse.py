"""An enrolled box at its worst: what the hub keeps stays bounded, and others are served. Catalogue: S-28."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sync.bundle import codec1
from sync.bundle.layout import start_bytes
from sync.bundle.limits import FILE_MAX_BYTES
from sync.hub import opening, uploads
from sync.hub.arrivals import Arrivals
from sync.hub.shares import CREDIT_MAX_SECONDS, REFUSED_MAX
from sync.hub.uploads import AT_ONCE_MAX
from sync.records.rows import Statement
from tests.sync.hub_support import TYPE, TestHub, hub_on
from tests.sync.makers import NOW_MS, Maker, answered, registries

HUGE_BYTES = 10 << 30
PART = bytes(1 << 20)


async def test_an_endless_body_is_read_up_to_the_cap_and_leaves_nothing(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        start = maker.next([*registries(), answered(1)])
        given = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal given
            yield start
            while given < HUGE_BYTES:
                given += len(PART)
                yield PART

        try:
            async with hub.session.post(hub.url + "/api/bundles", data=body(), headers=TYPE) as response:
                assert response.status == 413
        except aiohttp.ClientError:
            pass  # the line was closed while we were still sending
        assert given < 4 * FILE_MAX_BYTES
        assert await hub.rows("SELECT * FROM bundle") == []
        assert list(tmp_path.rglob("*.eb")) == []


@pytest.mark.parametrize("count", [200, pytest.param(100_000, marks=[pytest.mark.soak, pytest.mark.timeout(7_200)])])
async def test_tiny_bundles_cost_a_row_and_a_file_each_however_many_there_are(tmp_path: Path, count: int) -> None:
    async with hub_on(tmp_path) as hub:
        greedy, modest = await hub.enrolled(), await hub.enrolled("Lake School")
        await hub.post(greedy.next(registries()))
        for seq in range(1, count):
            await hub.post(greedy.next([answered(seq)]))
        assert await hub.rows("SELECT count(*) FROM bundle") == [(count,)]
        assert await hub.rows("SELECT count(*) FROM box_day") == [(1,)]
        assert len(list((tmp_path / "bundles").rglob("*.*"))) == count
        await check_statements(hub, count - 1)
        assert (await hub.post(modest.next(registries()))).vector.through_seq == 1


async def test_a_box_that_sent_its_share_of_a_day_is_refused_with_a_code_and_others_are_not(tmp_path: Path) -> None:
    async with hub_on(tmp_path, day_quota_bytes=2_000) as hub:
        greedy, modest = await hub.enrolled(), await hub.enrolled("Lake School")
        await hub.post(greedy.next(registries()))
        bundles = [greedy.next([answered(seq)]) for seq in range(20)]
        with pytest.raises(AssertionError, match="quota_reached"):
            for bundle in bundles:
                await hub.post(bundle)
        before = await hub.contents()
        assert await hub.refused(bundles[-1]) == (429, "hub.quota_reached")
        assert await hub.contents() == before
        await hub.post(modest.next(registries()))


async def test_drips_on_many_connections_are_refused_with_a_code_and_keep_nobody_else_from_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "PLACE_SECONDS", 0.01)
    async with hub_on(tmp_path) as hub, asyncio.TaskGroup() as group:
        greedy, modest = await hub.enrolled(), await hub.enrolled("Lake School")
        content = greedy.next([*registries(), *map(answered, range(200))])
        drips = [group.create_task(drip(hub, content)) for _ in range(3 * AT_ONCE_MAX)]
        while sum(task.done() for task in drips) < 2 * AT_ONCE_MAX:
            await asyncio.wait(drips, return_when=asyncio.FIRST_COMPLETED, timeout=1)
        assert (await hub.post(modest.next([*registries(), answered(1)]))).vector.through_seq == 1
        done = [task for task in drips if task.done()]
        assert {task.result() for task in done} == {(429, "hub.too_many_at_once", True)}
        for task in drips:
            task.cancel()
    assert list((tmp_path / "uploads").rglob("*.part")) == []


async def drip(hub: TestHub, content: bytes) -> tuple[int, str, bool]:
    """Send a bundle in single bytes behind its start for ever; return what the hub says to it."""

    async def body() -> AsyncIterator[bytes]:
        head_bytes = start_bytes(content)
        yield content[:head_bytes]
        for place in range(head_bytes, len(content) - 1):
            yield content[place : place + 1]
        await asyncio.Event().wait()

    headers = TYPE | {"Content-Length": str(len(content))}
    async with hub.session.post(hub.url + "/api/bundles", data=body(), headers=headers) as response:
        return response.status, (await response.json())["code"], "Retry-After" in response.headers


async def test_absurd_content_under_a_good_signature_changes_nothing_however_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart: list[bytes] = []
    monkeypatch.setattr(opening, "LARGE_MIN_RECORDS", 1 << 40)
    decode = opening.decode_apart

    def noted(packed: bytes, *arguments: Any, **options: Any) -> Any:
        apart.append(packed)
        return decode(packed, *arguments, **options)

    monkeypatch.setattr(opening, "decode_apart", noted)
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next(registries()))
        before = await hub.contents()
        content = absurd(maker, monkeypatch)
        for _ in range(REFUSED_MAX + 2):
            assert await hub.refused(content) == (400, "sync.record_malformed")
        assert len(apart) == 2  # who was refused three times is read elsewhere
        assert await hub.contents() == before
        assert len(list(tmp_path.rglob("*.eb"))) == 1


def absurd(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> bytes:
    wrong = [answered(1), Statement(1, 1, NOW_MS, learner_no=1, device_no=1, device_seq=2, progress=7.0)]
    with monkeypatch.context() as patch:
        patch.setattr(codec1, "check", lambda _records: None)
        return maker.next(list(wrong))


async def test_a_box_that_cost_too_much_waits_and_a_box_that_comes_later_does_not(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        heavy, light = await hub.enrolled(), await hub.enrolled("Lake School")
        await hub.post(light.next(registries()))
        hub.listening.hub.uploads.spend(heavy.key.verify_key.key_id, 2 * CREDIT_MAX_SECONDS)
        waiting = asyncio.ensure_future(hub.post(heavy.next(registries())))
        for seq in range(3):
            await hub.post(light.next([answered(seq)]))
        assert not waiting.done()
        hub.listening.hub.uploads.close()  # a hub that is being stopped serves who waits, and does not wait itself
        assert (await waiting).vector.through_seq == 1


async def test_a_large_bundle_that_is_read_holds_up_no_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, may_go_on = asyncio.Event(), asyncio.Event()
    make_rows = Arrivals._make_rows

    async def slowly(self: Arrivals, *arguments: object) -> object:
        reached.set()
        await may_go_on.wait()
        return await make_rows(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Arrivals, "_make_rows", slowly)
    async with hub_on(tmp_path) as hub:
        large, small = await hub.enrolled(), await hub.enrolled("Lake School")
        long = [*registries(), *map(answered, range(opening.LARGE_MIN_RECORDS))]
        sending = asyncio.ensure_future(hub.post(large.next(long)))
        await reached.wait()
        assert (await hub.post(small.next([*registries(), answered(1)]))).vector.through_seq == 1
        may_go_on.set()
        assert (await sending).vector.through_seq == 1
        await check_statements(hub, opening.LARGE_MIN_RECORDS + 1)


async def check_statements(hub: TestHub, count: int) -> None:
    assert await hub.rows("SELECT count(*) FROM statement") == [(count,)]
