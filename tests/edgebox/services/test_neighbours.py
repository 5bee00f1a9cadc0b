"""Boxes find each other by mDNS; here on the loopback interface only."""

import asyncio

import pytest

from edgebox.services.neighbours import finding_neighbours

LOOPBACK = ["127.0.0.1"]


@pytest.mark.timeout(30)
async def test_two_boxes_find_each_other_and_not_themselves() -> None:
    found: dict[str, tuple[str, ...]] = {}
    both = asyncio.Event()

    def take(box: str, addresses: tuple[str, ...]) -> None:
        found[box] = addresses
        if len(found) == 2:
            both.set()

    async with (
        finding_neighbours(b"1" * 16, 8101, LOOPBACK, lambda addresses: take("one", addresses)),
        finding_neighbours(b"2" * 16, 8102, LOOPBACK, lambda addresses: take("two", addresses)),
    ):
        await both.wait()
        assert found == {"one": ("http://127.0.0.1:8102/depot",), "two": ("http://127.0.0.1:8101/depot",)}
