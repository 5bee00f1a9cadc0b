"""Turns of boxes at the hub: none holds up another that has little to send."""

import asyncio

from sync.hub.shares import Shares
from sync.hub.uploads import SMALL_MAX_BYTES, Uploads


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
