"""Boxes in the same network find each other by mDNS (RFC 6762): `_edgebox._tcp.local.`, the port of the content origin.

The library for it, python-zeroconf, is under the LGPL and not part of a plain installation: `edgebox[neighbours]`.
A name in the network proves nothing; what a neighbour gives is checked like anything else.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from content_packs.base.errors import N_, EdgeboxError

if TYPE_CHECKING:
    from zeroconf import ServiceStateChange, Zeroconf
    from zeroconf.asyncio import AsyncServiceInfo

KIND = "_edgebox._tcp.local."
ASK_MS = 3_000
NEIGHBOURS_MAX = 16

log = logging.getLogger(__name__)


class FinderMissing(EdgeboxError):
    """The optional library is not installed."""

    code = "fetch.finder_missing"
    status = 501
    exit_code = 248
    sentence = N_("This box was installed without the part that finds other boxes.")
    remedy = N_("Install it with: pip install 'edgebox[neighbours]', or name neighbours by their address.")


class Neighbours:
    """The boxes that were found, by the name each announces."""

    def __init__(self, own_name: str, on_change: Callable[[tuple[str, ...]], None]) -> None:
        self._own_name = own_name
        self._on_change = on_change
        self._addresses: dict[str, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, zeroconf: "Zeroconf", service_type: str, name: str, state_change: "ServiceStateChange") -> None:
        """Take note of a box that comes or goes."""
        from zeroconf import ServiceStateChange

        if name == self._own_name or service_type != KIND:
            return
        if state_change is ServiceStateChange.Removed:
            if self._addresses.pop(name, None) is not None:
                self._on_change(tuple(self._addresses.values()))
            return
        task = asyncio.get_running_loop().create_task(self._ask(zeroconf, name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop asking; safe to repeat."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _ask(self, zeroconf: "Zeroconf", name: str) -> None:
        from zeroconf.asyncio import AsyncServiceInfo

        told = AsyncServiceInfo(KIND, name)
        if await told.async_request(zeroconf, ASK_MS) and len(self._addresses) < NEIGHBOURS_MAX:
            addresses = told.parsed_addresses()
            if addresses and told.port:
                host = f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]
                self._addresses[name] = f"http://{host}:{told.port}/depot"
                log.info("neighbours.found name=%s address=%s", name, self._addresses[name])
                self._on_change(tuple(self._addresses.values()))


@asynccontextmanager
async def finding_neighbours(
    name: bytes, port: int, addresses: Sequence[str], on_change: Callable[[tuple[str, ...]], None]
) -> AsyncIterator[None]:
    """Announce this box by `name` on the interfaces with these addresses, and tell which others are there.

    Raises:
        FinderMissing: the library is not installed.
    """
    try:
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf
    except ImportError as error:
        raise FinderMissing from error
    own = _own_service(name, port, addresses)
    neighbours = Neighbours(own.name, on_change)
    zeroconf = AsyncZeroconf(interfaces=list(addresses))
    try:
        await (await zeroconf.async_register_service(own))
        browser = AsyncServiceBrowser(zeroconf.zeroconf, KIND, handlers=[neighbours.hear])
        yield
        await browser.async_cancel()
    finally:
        await neighbours.close()
        await zeroconf.async_close()


def _own_service(name: bytes, port: int, addresses: Sequence[str]) -> "AsyncServiceInfo":
    """Return what is announced: a name that says nothing of the school."""
    from zeroconf.asyncio import AsyncServiceInfo

    label = f"edgebox-{name.hex()[:16]}"
    return AsyncServiceInfo(
        KIND,
        f"{label}.{KIND}",
        port=port,
        server=f"{label}.local.",
        addresses=[socket.inet_aton(address) for address in addresses],
    )
