"""The installed packs under the names of a depot, for neighbour boxes: manifests, files by hash, and a list.

What was made at this school stays there: packs whose id begins with `local.` are not passed on.
"""

import asyncio
import re
from dataclasses import dataclass, replace
from pathlib import Path

from content_packs.base.hashing import blake2b_256
from content_packs.fetch.offers import INDEX_NAME, Offered, Want, write_index
from content_packs.format import layout
from content_packs.format.fields import is_local
from content_packs.format.manifest import FileEntry
from edgebox.content.packs import InstalledPacks

PREFIX = "/depot/"
_PLAIN = "application/octet-stream"
_IN_PACK = re.compile(
    r"packs/([a-z0-9.-]{3,80})/([1-9][0-9]{0,9})/(?:(manifest\.ebm)|blobs/([0-9a-f]{2})/(\4[0-9a-f]{62}))"
)


@dataclass(frozen=True)
class SmallFile:
    """A file that is made or read in one piece."""

    content: bytes
    etag: str


class Depot:
    """Finds what neighbours ask for."""

    def __init__(self, packs: InstalledPacks, folder: Path) -> None:
        self._packs = packs
        self._folder = folder
        # Of the pack that was asked for last: neighbours take one after the other, and a box has little memory.
        self._last: tuple[str, object, dict[bytes, FileEntry]] | None = None

    async def find(self, name: str) -> FileEntry | SmallFile | None:
        """Return the file with this name, None when there is none to be passed on."""
        if name == INDEX_NAME:
            return _small(await self._index())
        match = _IN_PACK.fullmatch(name)
        if match is None or is_local(match[1]):
            return None
        pack, version = match[1], int(match[2])
        if match[3]:
            return await self._manifest(layout.installed_name(pack, version))
        return (await self._entries(pack, version)).get(bytes.fromhex(match[5]))

    async def wanted(self, want: Want) -> list[FileEntry]:
        """Return those of the wanted files that are here, in the order in which they are wanted."""
        if is_local(want.pack):
            return []
        entries = await self._entries(want.pack, want.version)
        return [entries[content_hash] for content_hash in dict.fromkeys(want.hashes) if content_hash in entries]

    async def _index(self) -> bytes:
        names = [name.partition("@") for name in await self._packs.names()]
        return write_index([Offered(pack, int(version)) for pack, _, version in names if not is_local(pack)])

    async def _manifest(self, name: str) -> SmallFile | None:
        try:
            return _small(await asyncio.to_thread((self._folder / name).read_bytes))
        except FileNotFoundError:
            return None

    async def _entries(self, pack: str, version: int) -> dict[bytes, FileEntry]:
        name = f"{pack}@{version}"
        files = await self._packs.files(name)
        if self._last is None or self._last[0] != name or self._last[1] is not files:
            entries = {entry.hash: replace(entry, media_type=_PLAIN) for entry in files.values()}
            self._last = name, files, entries
        return self._last[2]


def _small(content: bytes) -> SmallFile:
    return SmallFile(content, f'"{blake2b_256(content).hex()}"')
