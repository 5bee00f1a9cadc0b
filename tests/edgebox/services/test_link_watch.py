"""A way out that appears is heard, once; what is no way out is none. The radio is one end of a pair of sockets."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from edgebox.domain.way_out import interfaces_out
from edgebox.services.link_watch import _netlink, watching_link

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t0000A8C0\t00000000\t0001\t0\t0\t600\t00FFFFFF\t0\t0\t0
"""
DEFAULT = "ppp0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
DOWN = "eth0\t00000000\t0101A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n"
NOWHERE = "0" * 32
IPV6_LOOP = f"{NOWHERE} 00 {NOWHERE} 00 {NOWHERE} ffffffff 00000001 00000000 00200200 lo\n"
IPV6_REJECT = f"{NOWHERE} 00 {NOWHERE} 00 {NOWHERE} ffffffff 00000001 00000000 00200201 eth0\n"
IPV6_DEFAULT = f"{NOWHERE} 00 {NOWHERE} 00 fe80{'0' * 27}1 00000400 00000001 00000000 00000003 wwan0\n"


@dataclass
class Radio:
    """A link that is there or not, and the other end of what tells of it."""

    end: socket.socket
    is_up: bool = False
    fault: Exception | None = None
    looks: int = 0
    ups: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)

    def has_way_out(self) -> bool:
        self.looks += 1
        if self.fault is not None:
            raise self.fault
        return self.is_up

    def note(self) -> None:
        self.ups += 1
        self.up.set()

    async def turn(self, *, is_up: bool, messages: int = 1) -> None:
        """Change the link, say so, and wait until it was looked at."""
        self.is_up, looks = is_up, self.looks
        for _ in range(messages):
            self.end.send(b"something changed")
        while self.looks == looks:
            await asyncio.sleep(0)


@asynccontextmanager
async def radio_with(*, is_up: bool) -> AsyncIterator[Radio]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    radio = Radio(far, is_up)
    try:
        async with watching_link(radio.note, near, radio.has_way_out, settle_seconds=0):
            while not radio.looks:
                await asyncio.sleep(0)
            yield radio
    finally:
        far.close()


async def test_a_link_that_comes_up_is_heard_once_however_much_is_said_about_it() -> None:
    async with radio_with(is_up=False) as radio:
        await radio.turn(is_up=True, messages=5)
        await radio.up.wait()
        await radio.turn(is_up=True)
        assert radio.ups == 1


async def test_a_link_that_was_there_before_is_no_news_and_one_that_comes_back_is() -> None:
    async with radio_with(is_up=True) as radio:
        await radio.turn(is_up=True)
        await radio.turn(is_up=False)
        assert radio.ups == 0
        await radio.turn(is_up=True)
        await radio.up.wait()
        assert radio.ups == 1


@pytest.mark.parametrize("fault", [OSError(errno.EIO, "broken"), ValueError("no route")])
async def test_a_look_that_fails_ends_no_watch_and_is_no_link_that_went(fault: Exception) -> None:
    async with asyncio.timeout(20), radio_with(is_up=True) as radio:
        radio.fault = fault
        await radio.turn(is_up=False)
        radio.fault = None
        await radio.turn(is_up=True)
        assert radio.ups == 0
        await radio.turn(is_up=False)
        await radio.turn(is_up=True)
        await radio.up.wait()
        assert radio.ups == 1


async def test_where_the_system_tells_the_watch_begins_and_ends() -> None:
    (is_told := _netlink()) and is_told.close()
    before = asyncio.all_tasks()
    async with watching_link(lambda: None):
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks() - before) == (is_told is not None)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("routes", "ipv6_routes", "found"),
    [
        ("", "", set()),
        (ROUTES, IPV6_LOOP, set()),
        (ROUTES + DEFAULT, "", {"ppp0"}),
        (ROUTES + DOWN, IPV6_REJECT, set()),
        (ROUTES + DEFAULT, IPV6_LOOP + IPV6_DEFAULT, {"ppp0", "wwan0"}),
    ],
)
def test_a_way_out_is_a_default_route_that_is_up(routes: str, ipv6_routes: str, found: set[str]) -> None:
    assert interfaces_out(routes, ipv6_routes) == found
