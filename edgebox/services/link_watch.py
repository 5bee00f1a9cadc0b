"""Hears when the box gets a way out: a cable, a dongle, a hotspot. Linux tells by a netlink socket, without polling."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from edgebox.domain.way_out import interfaces_out

# A dial-up changes a dozen things within a moment; what counts is how it ends.
SETTLE_SECONDS = 0.5
# Of `/proc`, a service on the image sees processes and nothing else.
_PROC = Path("/proc/self/net")
_INTERFACES = Path("/sys/class/net")
# linux/rtnetlink.h: links, and routes of both families.
_GROUPS = 0x1 | 0x40 | 0x400
_ROUTE_FAMILY = 0
_MESSAGE_BYTES = 64 * 1024
_CARRYING = frozenset({"up", "unknown"})

log = logging.getLogger(__name__)


class LinkWatch:
    """Calls `on_up` when there is a way out and there was none before."""

    def __init__(
        self, radio: socket.socket, on_up: Callable[[], None], has_way_out: Callable[[], bool], settle_seconds: float
    ) -> None:
        self._radio = radio
        self._on_up = on_up
        self._has_way_out = has_way_out
        self._settle_seconds = settle_seconds
        self._is_up = True
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Listen until cancelled."""
        loop = asyncio.get_running_loop()
        self._is_up = await self._look()
        loop.add_reader(self._radio, self._hear)
        try:
            while True:
                await self._news.wait()
                await asyncio.sleep(self._settle_seconds)
                self._news.clear()
                before, self._is_up = self._is_up, await self._look()
                if self._is_up and not before:
                    log.info("link.up")
                    self._on_up()
        finally:
            loop.remove_reader(self._radio)

    async def _look(self) -> bool:
        """Return whether there is a way out; when that cannot be read, whether there was one."""
        try:
            return await asyncio.to_thread(self._has_way_out)
        except (OSError, ValueError) as error:
            log.warning("link.not_read %s", error)
            return self._is_up

    def _hear(self) -> None:
        """Take what the kernel says; that it says something is enough, also when it was too much to keep."""
        with contextlib.suppress(OSError):
            self._radio.recv(_MESSAGE_BYTES)
        self._news.set()


@asynccontextmanager
async def watching_link(
    on_up: Callable[[], None],
    radio: socket.socket | None = None,
    has_way_out: Callable[[], bool] | None = None,
    settle_seconds: float = SETTLE_SECONDS,
) -> AsyncIterator[None]:
    """Watch while the context lasts; where the system does not tell, nothing is heard."""
    radio = radio or _netlink()
    if radio is None:
        yield
        return
    watch = LinkWatch(radio, on_up, has_way_out or is_way_out, settle_seconds)
    task = asyncio.get_running_loop().create_task(watch.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        radio.close()


def is_way_out() -> bool:
    """Return whether an interface that carries something leads out. Blocks."""
    texts = [path.read_text() if path.exists() else "" for path in (_PROC / "route", _PROC / "ipv6_route")]
    return any(_state(name) in _CARRYING for name in interfaces_out(*texts))


def _state(name: str) -> str:
    try:
        return (_INTERFACES / name / "operstate").read_text().strip()
    except OSError:
        return ""


def _netlink() -> socket.socket | None:
    """Return a socket on which the kernel tells of links and routes, None where it may not or cannot."""
    if not hasattr(socket, "AF_NETLINK"):
        return None
    try:
        radio = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _ROUTE_FAMILY)
        radio.bind((0, _GROUPS))
    except OSError as error:
        log.info("link.not_watched error=%s", error)
        return None
    return radio
