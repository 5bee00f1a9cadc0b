"""The files of the installed packs by their addresses, read from the manifests in the folder `packs`."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from content_packs.format.envelope import open_unverified
from content_packs.format.layout import parse_installed_name
from content_packs.format.manifest import FileEntry

LOOK_AGAIN_SECONDS = 1.0

log = logging.getLogger(__name__)

Files = dict[str, FileEntry]


class InstalledPacks:
    """Every installed version, under the name `id@version`.

    The installer verified a manifest before it put it into the folder, so signatures are not checked again here.
    """

    def __init__(self, folder: Path, on_change: Callable[[], None]) -> None:
        self._folder = folder
        self._on_change = on_change
        self._packs: dict[str, Files] = {}
        self._folder_mtime_ns = -1
        self._looked_at = float("-inf")
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def find(self, pack: str, path: str) -> FileEntry | None:
        """Return the file at `path` of a pack; a pack installed a moment ago is found."""
        files = self._packs.get(pack)
        now = asyncio.get_running_loop().time()
        if files is None:
            await self.look()
            files = self._packs.get(pack, {})
        elif now - self._looked_at > LOOK_AGAIN_SECONDS and (self._task is None or self._task.done()):
            self._looked_at = now
            self._task = asyncio.create_task(self.look())
        return files.get(path)

    async def look(self) -> None:
        """Read what was installed and forget what was removed since the last look."""
        async with self._looking:
            self._looked_at = asyncio.get_running_loop().time()
            mtime_ns, packs = await asyncio.to_thread(self._read)
            if mtime_ns != self._folder_mtime_ns:
                self._folder_mtime_ns, self._packs = mtime_ns, packs
                self._on_change()

    async def close(self) -> None:
        """Wait for a look that is under way."""
        if self._task is not None:
            await self._task

    def _read(self) -> tuple[int, dict[str, Files]]:
        try:
            mtime_ns = self._folder.stat().st_mtime_ns
        except FileNotFoundError:
            return -1, {}
        if mtime_ns == self._folder_mtime_ns:
            return mtime_ns, self._packs
        names = {path.stem: path for path in self._folder.iterdir() if parse_installed_name(path.name)}
        return mtime_ns, {name: self._packs.get(name) or _read_files(path) for name, path in names.items()}


def _read_files(path: Path) -> Files:
    try:
        manifest = open_unverified(path.read_bytes())
    except (OSError, EdgeboxError) as error:
        log.error("content.manifest_unreadable pack=%s error=%s", path.stem, error)
        return {}
    return {entry.path: entry for entry in manifest.files}
