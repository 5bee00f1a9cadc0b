"""Manifests that were opened lately, so that a class that opens one lesson reads its manifest once."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from edgebox.domain.catalogue import Shelved
from edgebox.services.shelf import Installed

OPENED_MAX_BYTES = 3 * 1024 * 1024  # of files; in memory they take about seven times as much


class OpenedManifests:
    """Keeps the manifests used last, up to a size, and at least one."""

    def __init__(self, read: Callable[[str, int], Installed], most_bytes: int = OPENED_MAX_BYTES) -> None:
        self._read = read
        self._most_bytes = most_bytes
        self._opened: OrderedDict[tuple[str, int, str], Installed] = OrderedDict()
        self._bytes = 0
        self._reading = asyncio.Lock()

    async def get(self, shelved: Shelved) -> Installed:
        """Return the manifest of a version.

        Raises:
            Like `open_manifest`.
        """
        key = (shelved.pack, shelved.version, shelved.stamp)
        if key not in self._opened:
            async with self._reading:
                if key not in self._opened:
                    self._keep(key, await asyncio.to_thread(self._read, shelved.pack, shelved.version))
        self._opened.move_to_end(key)
        return self._opened[key]

    def forget(self) -> None:
        """Read all of them again when they are asked for."""
        self._opened.clear()
        self._bytes = 0

    def _keep(self, key: tuple[str, int, str], installed: Installed) -> None:
        self._opened[key] = installed
        self._bytes += installed.envelope_bytes
        while self._bytes > self._most_bytes and len(self._opened) > 1:
            self._bytes -= self._opened.popitem(last=False)[1].envelope_bytes
