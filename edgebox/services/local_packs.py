"""Packs that are made at the school: built or brought here, looked through, signed by this box, and installed.

What is being made lies in `<data>/local` until its install has ended; at the next start the rest is removed.
"""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from content_packs import builder
from content_packs.base import atomic, ids
from content_packs.base.clock import Clock
from content_packs.base.signing import SigningKey
from content_packs.format import layout
from content_packs.format.envelope import open_unverified
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.installer.library import highest_version
from content_packs.trust.local import local_id, seal_local
from content_packs.usb.reading import PackFolder
from edgebox.services.identity import Identity
from edgebox.services.loading import Loading
from edgebox.settings import Settings
from edgebox.store import jobs, switches
from edgebox.store.database import Database

FOLDER = "local"


class LocalPacks:
    """Takes in what teachers bring. Nothing leaves the school by itself: no other box knows this one's key."""

    def __init__(
        self, database: Database, settings: Settings, clock: Clock, identity: Identity, loading: Loading
    ) -> None:
        self._database = database
        self._clock = clock
        self._settings = settings
        self._identity = identity
        self._loading = loading
        self._folder = settings.data / FOLDER
        self._making: set[Path] = set()

    async def scripts_allowed(self) -> bool:
        """Return whether the school allows programs in packs made here; it does not at first."""
        return await self._database.read(lambda connection: switches.is_on(connection, switches.LOCAL_SCRIPTS))

    async def allow_scripts(self, *, on: bool) -> None:
        """Allow programs in packs made here from now on, or no more; packs that are on the box stay as they are."""
        now_ms = self._clock.now_ms()
        await self._database.write(
            lambda connection: switches.turn(connection, switches.LOCAL_SCRIPTS, on=on, now_ms=now_ms)
        )

    def new_id(self, name: str) -> str:
        """Return the id of a pack of this name; the same for the same name, so that it can be brought again. Blocks.

        What was brought under an earlier key of this box keeps its id.
        """
        own = [local_id(key.key_id, name) for key in self._identity.verify_keys]
        return next((pack for pack in own if highest_version(self._settings.data, pack)), own[0])

    def next_version(self, pack: str) -> int:
        """Return the number of a pack's next version. Blocks."""
        return highest_version(self._settings.data, pack) + 1

    async def add_course(self, source: Path) -> int:
        """Build the folder of a course, as `edgebox pack build` has it, and begin to install it; return the job.

        Raises:
            SourceInvalid, PathRefused, FileTooLarge: what has to be corrected in the source.
            LocalPackRefused: its id is not a local one, or there is a program in it.
            PackRollback, PackSpace and the other refusals of `Loading.start`.
        """
        return await self._add(lambda out: builder.build(source, out, SigningKey.generate()).folder)

    async def add_pack(self, bring: Callable[[Path], Path]) -> int:
        """Let `bring` write a pack below the folder it is given, unsigned or signed by anybody, and install it.

        `bring` returns the pack's folder and may block. Raises like `add_course`, and what `bring` raises.
        """
        return await self._add(bring)

    async def sweep(self) -> None:
        """Remove what was made and is not being installed any more; what is being made meanwhile stays."""
        # The folders first: what is made by then has a job that the look at the jobs finds.
        places = await asyncio.to_thread(lambda: sorted(self._folder.glob("*")))
        left = [place for place in places if place not in self._making]
        open_jobs = await self._database.read(jobs.list_open_jobs)
        await asyncio.to_thread(_remove_others, left, [Path(job.folder) for job in open_jobs])

    async def _add(self, bring: Callable[[Path], Path]) -> int:
        await self.sweep()
        scripts_allowed = await self.scripts_allowed()
        place = self._folder / ids.new_token()

        def make() -> Path:
            place.mkdir(parents=True)
            folder = bring(place)
            sign_local(folder, self._identity.signing, scripts_allowed=scripts_allowed)
            return folder

        self._making.add(place)
        try:
            return await self._loading.start(await asyncio.to_thread(make))
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
            raise
        finally:
            self._making.discard(place)


def sign_local(folder: Path, key: SigningKey, *, scripts_allowed: bool) -> Manifest:
    """Put the box's signature in the place of whatever signature the pack in `folder` has. Blocks.

    Raises:
        LocalPackRefused: the pack breaks a rule for packs made at a school; its signature is as before then.
        ManifestMalformed and the other refusals of a manifest; BlobMissing, BlobAltered.
    """
    with PackFolder(folder) as pack:
        manifest = open_unverified(pack.read_manifest())

        def read(entry: FileEntry) -> bytes:
            return b"".join(pack.read_blob(entry))

        envelope = seal_local(manifest, key, read, scripts_allowed=scripts_allowed)
    atomic.write_file(folder / layout.MANIFEST_NAME, envelope)
    return manifest


def _remove_others(places: list[Path], used: list[Path]) -> None:
    for place in places:
        if not any(one.is_relative_to(place) for one in used):
            shutil.rmtree(place, ignore_errors=True)
