"""Turns of boxes at the hub: none holds up another that has little to send."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from sync.hub import uploads as turns
from sync.hub.errors import TooManyAtOnce
from sync.hub.shares import CREDIT_MAX_SECONDS, Shares
from sync.hub.uploads import AT_ONCE_MAX, PART_SECONDS, SMALL_MAX_BYTES, Uploads


async def test_large_uploads_wait_for_each_other_and_small_ones_for_nobody() -> None:
    uploads = Uploads(1, Shares())
    order: list[str] = []

    async def upload(origin: bytes, size_bytes: int | None, name: str) -> None:
        async with uploads.turn(origin, size_bytes):
            order.append(name)

    async with uploads.turn(b"slow", None):
        large = asyncio.create_task(upload(b"large", SMALL_MAX_BYTES + 1, "large"))
        again = asyncio.create_task(upload(b"slow", 10, "the slow one again"))
        await upload(b"small", SMALL_MAX_BYTES, "small")
        assert order == ["small"]
    await asyncio.gather(large, again)
    assert sorted(order) == ["large", "small", "the slow one again"]


async def test_a_box_that_sends_on_many_connections_is_refused_and_others_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "PLACE_SECONDS", 0.0)
    uploads = Uploads(8, Shares())
    async with AsyncExitStack() as held:
        for _ in range(AT_ONCE_MAX):
            await held.enter_async_context(uploads.place(b"greedy"))
        with pytest.raises(TooManyAtOnce):
            async with uploads.place(b"greedy"):
                pass
        async with uploads.turn(b"modest", 10):
            pass
    async with uploads.place(b"greedy"):
        pass


async def test_who_has_no_place_yet_gets_the_next_one_that_becomes_free() -> None:
    uploads, order = Uploads(8, Shares()), []
    async with AsyncExitStack() as held:
        for _ in range(AT_ONCE_MAX):
            await held.enter_async_context(uploads.place(b"box"))

        async def come() -> None:
            async with uploads.place(b"box"):
                order.append("came")

        waiting = asyncio.create_task(come())
        await asyncio.sleep(0)
        assert order == []
    await waiting
    assert order == ["came"]


async def test_a_body_in_many_small_parts_costs_its_box_even_if_it_never_ends() -> None:
    shares, now_seconds = Shares(), asyncio.get_running_loop().time()
    uploads = Uploads(8, shares)
    shares.come(b"modest", now_seconds)
    with suppress(ConnectionError):
        async with uploads.place(b"dripping") as reading:
            parts = round((CREDIT_MAX_SECONDS + 1) / PART_SECONDS)
            uploads.close()  # so that nobody waits here
            for _ in range(parts):
                await reading.take_part(1)
            raise ConnectionError
    assert shares.wait_seconds(b"dripping", now_seconds) > 0
    assert shares.wait_seconds(b"modest", now_seconds) == 0
