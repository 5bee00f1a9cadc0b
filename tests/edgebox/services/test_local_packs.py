"""Packs that teachers make: built or brought, signed by the box, installed, and never more than the school allows."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from content_packs.base.signing import SigningKey
from content_packs.format.errors import SignerUnknown, SourceInvalid
from content_packs.format.vouching import LocalPackRefused
from content_packs.trust.local import HAS_APP
from edgebox.services.identity import open_identity
from edgebox.services.library import Library
from edgebox.services.loading import Loading
from edgebox.services.local_packs import LocalPacks
from edgebox.services.trust import Standing, Trust
from edgebox.settings import Settings, prepare_folders
from edgebox.store.database import Database
from edgebox.store.jobs import JobState
from tests.support.clock import FakeClock
from tests.support.course import write_course
from tests.support.small_course import build_small


class Bench:
    """A box at which packs are made."""

    def __init__(self, settings: Settings, library: Library, loading: Loading, made: LocalPacks) -> None:
        self.settings = settings
        self.library = library
        self.loading = loading
        self.made = made

    async def ended(self, no: int) -> JobState:
        """Wait for an install."""
        async for job in self.loading.watch(no):
            last = job
        return last.state

    def left_over(self) -> list[Path]:
        """Return what lies where packs are made."""
        return sorted((self.settings.data / "local").glob("*"))


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Bench]:
    settings, clock = Settings(data=data), FakeClock()
    await asyncio.to_thread(prepare_folders, settings)
    identity = await asyncio.to_thread(open_identity, settings.keys)
    database = await asyncio.to_thread(Database, data / "box.db")
    library = await Library.open(settings, Trust(settings, clock, identity))
    loading = Loading(database, settings, clock, library, poll_seconds=0.01)
    try:
        yield Bench(settings, library, loading, LocalPacks(database, settings, clock, identity, loading))
    finally:
        await loading.close()
        await library.close()
        await asyncio.to_thread(database.close)


def bringing(pack: str, version: int = 1) -> "object":
    """Return what an importer is to `add_pack`: it writes a pack signed by anybody."""
    return lambda folder: build_small(folder / "out", SigningKey.generate(), pack=pack, version=version)


async def test_a_course_of_a_teacher_is_installed_under_the_boxs_own_name(tmp_path: Path) -> None:
    async with opened(tmp_path / "box") as bench:
        pack = await asyncio.to_thread(bench.made.new_id, "Water")
        no = await bench.made.add_pack(bringing(pack))
        assert await bench.ended(no) is JobState.DONE
        installed = await bench.library.installed(pack)
        assert bench.library.trust.name_of(installed.signer) == ""
        assert bench.library.trust.standing(installed.manifest, installed.signer) is Standing.GOOD
        assert await asyncio.to_thread(bench.made.next_version, pack) == 2
        await bench.made.sweep()
        assert bench.left_over() == []


async def test_programs_come_in_only_after_the_school_allowed_them(tmp_path: Path) -> None:
    async with opened(tmp_path / "box") as bench:
        pack = await asyncio.to_thread(bench.made.new_id, "Kettle")
        source = await asyncio.to_thread(write_course, tmp_path / "source", pack=pack)
        with pytest.raises(LocalPackRefused) as caught:
            await bench.made.add_course(source)
        assert caught.value.fields == {"pack": pack, "reason": HAS_APP}
        assert bench.left_over() == []
        await bench.made.allow_scripts(on=True)
        assert await bench.made.scripts_allowed()
        assert await bench.ended(await bench.made.add_course(source)) is JobState.DONE
        await bench.made.allow_scripts(on=False)
        assert not await bench.made.scripts_allowed()
        assert (await bench.library.pack(pack)).version == 1


async def test_a_pack_of_a_publisher_cannot_be_made_here(tmp_path: Path) -> None:
    async with opened(tmp_path / "box") as bench:
        with pytest.raises(LocalPackRefused):
            await bench.made.add_pack(bringing("org.example.parts"))
        assert bench.left_over() == []


async def test_what_fails_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "box") as bench:
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "pack.toml").write_text("id = ")
        with pytest.raises(SourceInvalid):
            await bench.made.add_course(tmp_path / "source")
        assert bench.left_over() == []


async def test_no_other_box_takes_what_was_made_here(tmp_path: Path) -> None:
    async with opened(tmp_path / "box") as bench, opened(tmp_path / "other") as other:
        pack = await asyncio.to_thread(bench.made.new_id, "Water")
        await bench.ended(await bench.made.add_pack(bringing(pack)))
        (place,) = bench.left_over()
        with pytest.raises(SignerUnknown):
            await other.loading.start(place / "out" / "edgebox" / "packs" / pack / "1")


async def test_a_box_with_a_new_key_still_reads_what_was_made_with_the_old_one(tmp_path: Path) -> None:
    async with opened(tmp_path / "box") as bench:
        pack = await asyncio.to_thread(bench.made.new_id, "Water")
        await bench.ended(await bench.made.add_pack(bringing(pack)))
    (tmp_path / "box" / "keys" / "box.key").unlink()
    async with opened(tmp_path / "box") as bench:
        assert (await bench.library.pack(pack)).version == 1


async def test_what_was_made_before_the_box_got_a_new_key_goes_on_under_its_id(tmp_path: Path) -> None:
    async with opened(tmp_path / "box") as bench:
        pack = await asyncio.to_thread(bench.made.new_id, "Water")
        await bench.ended(await bench.made.add_pack(bringing(pack)))
        identity = await asyncio.to_thread(open_identity, bench.settings.keys)
        before = await asyncio.to_thread(bench.made.new_id, "Kettle")
        await asyncio.to_thread(identity.renew)
    async with opened(tmp_path / "box") as bench:
        assert (await bench.library.pack(pack)).version == 1
        assert await asyncio.to_thread(bench.made.new_id, "Water") == pack
        assert await bench.ended(await bench.made.add_pack(bringing(pack, version=2))) is JobState.DONE
        assert await asyncio.to_thread(bench.made.new_id, "Kettle") != before


async def test_what_is_being_made_stays_when_another_pack_is_done(tmp_path: Path) -> None:
    async with opened(tmp_path / "box") as bench:
        loop = asyncio.get_running_loop()

        def slow(folder: Path) -> Path:
            made = build_small(folder / "out", SigningKey.generate(), pack=bench.made.new_id("Water"))
            asyncio.run_coroutine_threadsafe(bench.made.sweep(), loop).result()
            return made

        assert await bench.ended(await bench.made.add_pack(slow)) is JobState.DONE
        await bench.made.sweep()
        assert bench.left_over() == []
