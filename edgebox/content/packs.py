"""The files of the installed packs by their addresses, read from the manifests in the folder `packs`."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from content_packs.format.cmi5 import KIND
from content_packs.format.envelope import open_unverified
from content_packs.format.layout import parse_installed_name
from content_packs.format.manifest import FileEntry

LOOK_AGAIN_SECONDS = 1.0
FILES_MAX = 20_000  # about 8 MB

log = logging.getLogger(__name__)

Files = dict[str, FileEntry]


class InstalledPacks:
    """Every installed version, under the name `id@version`; the files of those asked for last are in memory.

    The installer verified a manifest before it put it into the folder, so signatures are not checked again here.
    """

    def __init__(self, folder: Path, on_change: Callable[[], None], most_files: int = FILES_MAX) -> None:
        self._folder = folder
        self._on_change = on_change
        self._most_files = most_files
        self._names: frozenset[str] = frozenset()
        self._opened: OrderedDict[str, Files] = OrderedDict()
        self._launched: set[str] = set()
        self._folder_mtime_ns = -1
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def find(self, pack: str, path: str) -> FileEntry | None:
        """Return the file at `path` of a pack; a pack installed a moment ago is found."""
        return (await self.files(pack)).get(path)

    def is_launched(self, pack: str) -> bool:
        """Tell whether a pack whose files were asked for has units that are launched."""
        return pack in self._launched

    async def names(self) -> list[str]:
        """Return the installed versions as they are now, in order."""
        await self.look()
        return sorted(self._names)

    async def files(self, pack: str) -> Files:
        """Return all files of a pack by path, none when it is not there."""
        now = asyncio.get_running_loop().time()
        if pack not in self._names:
            await self.look()
            if pack not in self._names:
                return {}
        elif now - self._looked_at > LOOK_AGAIN_SECONDS and (self._task is None or self._task.done()):
            self._looked_at = now
            self._task = asyncio.create_task(self.look())
        return await self._files(pack)

    async def look(self) -> None:
        """Notice what was installed and forget what was removed since the last look."""
        async with self._looking:
            self._looked_at = asyncio.get_running_loop().time()
            mtime_ns, names = await asyncio.to_thread(self._list)
            if mtime_ns != self._folder_mtime_ns:
                self._folder_mtime_ns, self._names = mtime_ns, names
                for gone in self._opened.keys() - names:
                    del self._opened[gone]
                self._on_change()

    async def close(self) -> None:
        """Wait for a look that is under way."""
        if self._task is not None:
            await self._task

    async def _files(self, pack: str) -> Files:
        if (files := self._opened.get(pack)) is None:
            async with self._reading:
                if (files := self._opened.get(pack)) is None:
                    path = self._folder / f"{pack}.ebm"
                    read, is_launched = await asyncio.to_thread(_read_files, path)
                    files = self._opened[pack] = read
                    (self._launched.add if is_launched else self._launched.discard)(pack)
                    self._close_others(pack)
        else:
            self._opened.move_to_end(pack)
        return files

    def _close_others(self, pack: str) -> None:
        """Forget the packs that were not asked for lately, until what is in memory is within its limit."""
        kept = sum(map(len, self._opened.values()))
        for other in [name for name in self._opened if name != pack]:
            if kept <= self._most_files:
                break
            kept -= len(self._opened.pop(other))

    def _list(self) -> tuple[int, frozenset[str]]:
        try:
            mtime_ns = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return -1, frozenset()
        if mtime_ns == self._folder_mtime_ns:
            return mtime_ns, self._names
        return mtime_ns, frozenset(path.stem for path in self._folder.iterdir() if parse_installed_name(path.name))


def _read_files(path: Path) -> tuple[Files, bool]:
    try:
        manifest = open_unverified(path.read_bytes())
    except (OSError, EdgeboxError) as error:
        log.error("content.manifest_unreadable pack=%s error=%s", path.stem, error)
        return {}, False
    is_launched = any(resource.kind == KIND for resource in manifest.resources)
    return {entry.path: entry for entry in manifest.files}, is_launched
