"""A box with the services that fetch, a neighbour, and patches put into a depot."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from content_packs.base import sockets
from content_packs.base.signing import SigningKey
from content_packs.format import layout
from content_packs.format.envelope import open_unverified
from content_packs.patch.making import make_patch
from edgebox.content.app import serving_content
from edgebox.services.fetching import Fetching, Update
from edgebox.services.library import Library
from edgebox.services.line import Line
from edgebox.services.loading import Loading
from edgebox.services.trust import Trust
from edgebox.settings import Settings, prepare_folders
from edgebox.store.database import Database
from edgebox.store.jobs import JobState
from tests.support.clock import FakeClock
from tests.support.small_course import PACK, trust

KEY = SigningKey(b"k" * 32)


@dataclass
class Bench:
    """A box with its services, without pages."""

    database: Database
    library: Library
    loading: Loading
    fetching: Fetching
    line: Line
    settings: Settings
    clock: FakeClock

    async def install(self, folder: Path, parts: Sequence[str] | None = None) -> None:
        """Install a pack, or these parts of it, or a patch, and wait for it."""
        async for job in self.loading.watch(await self.loading.start(folder, parts)):
            last = job
        assert last.state is JobState.DONE, last.error

    @property
    def version(self) -> int:
        """Return the version of the course that is shown, 0 for none."""
        found = self.library.shelf.current.get(PACK)
        return found.version if found else 0

    async def update(self, *, is_asked: bool = False) -> Update | None:
        """Look and fetch; return how that went with the first pack."""
        await self.fetching.update_all(is_asked=is_asked)
        return next(iter(self.fetching.updates()), None)

    async def rows(self) -> list[tuple[str, int]]:
        """Return the packs the database calls active."""
        rows = await self.database.read(
            lambda connection: connection.execute("SELECT id, version FROM pack WHERE is_active = 1").fetchall()
        )
        return [(row[0], row[1]) for row in rows]


@asynccontextmanager
async def box(
    data: Path, *, key: SigningKey | None = KEY, root: bytes | None = None, clock_is_set: bool = True, **settings: Any
) -> AsyncIterator[Bench]:
    """Give a box that trusts the publisher with `key`, and the platform with `root`."""
    chosen = Settings(data=data, **{"stick_folders": ()} | settings)
    await asyncio.to_thread(prepare_folders, chosen)
    if key is not None:
        await asyncio.to_thread(trust, chosen.keys, key)
    clock, mark = FakeClock(), data / "clock-is-set"
    if clock_is_set:
        mark.touch()
    database = await asyncio.to_thread(Database, data / "box.db")
    library = await Library.open(chosen, Trust(chosen, clock, clock_is_set=mark.exists))
    loading = Loading(database, chosen, clock, library, poll_seconds=0.01)
    line = await Line.open(database, clock, chosen)
    fetching = Fetching(database, chosen, clock, library, loading, line)
    try:
        if root is not None:
            await loading.trust(root)
        yield Bench(database, library, loading, fetching, line, chosen, clock)
    finally:
        await fetching.close()
        await line.close()
        await loading.close()
        await library.close()
        await asyncio.to_thread(database.close)


@asynccontextmanager
async def neighbour(data: Path) -> AsyncIterator[str]:
    """Serve the packs of another box and give the address of its depot."""
    listener = sockets.listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    async with serving_content(Settings(data=data, content_port=port), listener):
        yield f"http://127.0.0.1:{port}/depot"


async def publish(depot: Path, old: Path | None, new: Path, key: SigningKey = KEY) -> Path:
    """Put the patch between two packs into a depot."""
    return await asyncio.to_thread(_publish, depot, old, new, key)


def _publish(depot: Path, old: Path | None, new: Path, key: SigningKey) -> Path:
    path = depot / layout.patch_name(PACK, root_of(old) if old else b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    return make_patch(old, new, path, key).path


def root_of(folder: Path) -> bytes:
    """Return the Merkle root of a pack."""
    return open_unverified((folder / layout.MANIFEST_NAME).read_bytes()).root
