"""Installing and removing packs: progress, pulled sticks, restarts, refusals."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from content_packs.base.signing import SigningKey
from content_packs.format import keyfile
from content_packs.format.errors import (
    BlobAltered,
    LibraryBusy,
    PackNotFound,
    PackRollback,
    PackSpace,
    PartUnknown,
    SignerUnknown,
    StickGone,
)
from content_packs.installer import DiskSpace, measure_disk
from content_packs.installer.library import library_lock
from content_packs.installer.planning import RESERVE_MIN_BYTES, MeasureDisk
from edgebox.services.library import Library
from edgebox.services.loading import Loading
from edgebox.services.retiring import Retiring
from edgebox.services.stick_offers import Change, Offer
from edgebox.settings import Settings, prepare_folders
from edgebox.store.database import Database
from edgebox.store.jobs import InstallJob, JobState
from sync.records.kinds import Kind
from tests.support.clock import FakeClock
from tests.support.course import PUBLISHER, tree_bytes
from tests.support.shelf import WATER, build_water, hold_only
from tests.support.small_course import PACK, built, trust

KEY = SigningKey(b"k" * 32)


class Bench:
    """The services under test and where their stick is."""

    def __init__(self, database: Database, library: Library, loading: Loading, settings: Settings) -> None:
        self.database = database
        self.library = library
        self.loading = loading
        self.settings = settings

    async def install(self, folder: Path) -> InstallJob:
        """Ask for a pack and wait until the job has ended or waits for its stick."""
        return await self.wait(await self.loading.start(folder))

    async def wait(self, no: int, *, past: JobState | None = None) -> InstallJob:
        """Wait until the job has ended; with `past`, until it has left that state and ended."""
        while True:
            async for job in self.loading.watch(no):
                last = job
            if last.state is not past:
                return last

    async def changes(self) -> list[bytes]:
        """Return the keys of all logged installs."""
        rows = await self.database.read(
            lambda connection: connection.execute(
                "SELECT key FROM change WHERE kind = ? ORDER BY seq", (int(Kind.PACK_INSTALL),)
            ).fetchall()
        )
        return [row[0] for row in rows]

    async def active(self) -> list[tuple[str, int]]:
        """Return the packs the database calls active."""
        rows = await self.database.read(
            lambda connection: connection.execute("SELECT id, version FROM pack WHERE is_active = 1").fetchall()
        )
        return [(row[0], row[1]) for row in rows]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    sticks = tmp_path / "media"
    sticks.mkdir()
    settings = Settings(data=tmp_path / "box", stick_folders=(sticks,))
    prepare_folders(settings)
    trust(settings.keys, KEY)
    return settings


@pytest.fixture
def stick(settings: Settings) -> Path:
    return settings.stick_folders[0] / "STICK"


@asynccontextmanager
async def opened(
    settings: Settings, measure: MeasureDisk = measure_disk, clock: FakeClock | None = None
) -> AsyncIterator[Bench]:
    database = await asyncio.to_thread(Database, settings.data / "box.db")
    library = await Library.open(settings)
    loading = Loading(database, settings, clock or FakeClock(), library, poll_seconds=0.01, measure=measure)
    try:
        yield Bench(database, library, loading, settings)
    finally:
        await loading.close()
        await library.close()
        await asyncio.to_thread(database.close)


class Gate:
    """Holds an install back just before it copies, until it is opened."""

    def __init__(self, passes: int = 1) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        self._passes = passes
        self._calls = 0

    def __call__(self, folder: Path) -> DiskSpace:
        """Measure the disk; the first calls are the checks when installs are asked for, and pass."""
        self._calls += 1
        if self._calls > self._passes:
            self.reached.set()
            assert self.open.wait(20)
        return measure_disk(folder)


async def test_an_installed_pack_can_be_used_and_is_logged_once(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    async with opened(settings) as bench:
        job = await bench.install(folder)
        assert (job.state, job.done_bytes) == (JobState.DONE, job.total_bytes)
        assert job.total_bytes == bench.library.shelf.find(PACK).size_bytes
        assert await bench.library.search("pizza", "en")
        await bench.install(folder)
        assert await bench.changes() == [f"{PACK}@1".encode()]
        assert await bench.active() == [(PACK, 1)]


async def test_an_update_keeps_the_versions_before_for_those_who_use_them(settings: Settings, stick: Path) -> None:
    async with opened(settings) as bench:
        for version in (1, 2, 3):
            await bench.install(await built(stick, KEY, version=version, more=f"Edition {version}."))
        assert [shelved.version for shelved in bench.library.packs()] == [3]
        assert bench.library.shelf.versions[PACK] == (1, 2, 3)
        assert await bench.active() == [(PACK, 3)]
        path = (await bench.library.resource(PACK, "halves-read")).paths["en"]
        assert b"Edition 2" in await bench.library.read_file(PACK, path, 2)


async def test_old_versions_make_room_for_a_pack_that_would_not_fit(settings: Settings, stick: Path) -> None:
    folders = [await built(stick, KEY, version=version, more=f"Edition {version}.") for version in (1, 2, 3)]
    free_bytes = [10**12, 10**12, 10**12, 10**12, 0]

    def measure(_folder: Path) -> DiskSpace:
        return DiskSpace(free_bytes.pop(0) if free_bytes else 10**12, 10**12)

    async with opened(settings, measure) as bench:
        retiring = Retiring(bench.database, settings, FakeClock(), bench.library)
        for folder in folders[:2]:
            await bench.install(folder)
        with pytest.raises(PackSpace):
            await bench.loading.start(folders[2])
        free_bytes.append(0)
        bench.loading.make_room = retiring.make_room
        await bench.install(folders[2])
        assert bench.library.shelf.versions[PACK] == (2, 3)


async def test_an_older_version_is_refused(settings: Settings, stick: Path) -> None:
    old = await built(stick, KEY, version=1)
    new = await built(stick, KEY, version=2)
    async with opened(settings) as bench:
        await bench.install(new)
        with pytest.raises(PackRollback):
            await bench.loading.start(old)
        await bench.loading.remove(PACK)
        with pytest.raises(PackRollback):
            await bench.loading.start(old)


async def test_an_unknown_signer_is_refused_until_the_key_is_trusted(settings: Settings, stick: Path) -> None:
    stranger = SigningKey(b"s" * 32)
    folder = await built(stick, stranger)
    async with opened(settings) as bench:
        with pytest.raises(SignerUnknown):
            await bench.loading.start(folder)
        assert await bench.loading.recent() == []
        content = keyfile.format_public(stranger.verify_key, "A stranger").encode()
        assert await bench.loading.trust(content) == "A stranger"
        assert (await bench.install(folder)).state is JobState.DONE
    async with opened(settings) as bench:
        assert [manifest.pack for manifest in bench.library.packs()] == [PACK]


async def test_a_key_file_that_was_copied_into_place_counts_at_once_and_so_does_its_removal(
    settings: Settings, stick: Path
) -> None:
    stranger = SigningKey(b"s" * 32)
    folder = await built(stick, stranger)
    key_file = settings.keys / "publishers" / "stranger.pub"
    async with opened(settings) as bench:
        with pytest.raises(SignerUnknown):
            await bench.loading.start(folder)
        key_file.write_text(keyfile.format_public(stranger.verify_key, "A stranger"))
        (found,) = await bench.loading.sticks.look()
        assert found.offers[0].signer_name == "A stranger"
        assert (await bench.install(folder)).state is JobState.DONE
        key_file.unlink()
        (found,) = await bench.loading.sticks.look(afresh=True)
        assert isinstance(found.offers[0].error, SignerUnknown)
        assert bench.library.packs() == []
        key_file.write_text(keyfile.format_public(stranger.verify_key, "A stranger"))
        await bench.loading.start(folder)
        key_file.unlink()
        assert (await bench.loading.sticks.look_at(stick)).offers[0].signer_name is None


async def test_a_found_stick_does_nothing_by_itself(settings: Settings, stick: Path) -> None:
    await built(stick, KEY)
    before = await asyncio.to_thread(tree_bytes, stick)
    async with opened(settings) as bench:
        bench.loading.resume()
        for _ in range(3):
            (found,) = await bench.loading.sticks.look(afresh=True)
        assert found.offers[0].change is Change.NEW
        assert await bench.loading.recent() == []
        assert bench.library.packs() == []
    assert await asyncio.to_thread(tree_bytes, stick) == before


async def test_a_full_disk_is_refused_before_anything_is_copied(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    async with opened(settings, measure=lambda _: DiskSpace(500_000_100, 10**10)) as bench:
        with pytest.raises(PackSpace):
            await bench.loading.start(folder)
        assert await bench.loading.recent() == []
        assert not any(path.is_file() for path in settings.blobs.rglob("*"))


async def test_an_altered_file_fails_the_install_and_is_named(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    blob = max((path for path in (folder / "blobs").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    blob.write_bytes(b"x" * blob.stat().st_size)
    async with opened(settings) as bench:
        job = await bench.install(folder)
        assert job.state is JobState.FAILED
        assert job.error is not None
        assert job.error["code"] == BlobAltered.code
        assert job.error["fields"]["file"]
        assert bench.library.packs() == []
        assert await bench.changes() == []


async def test_a_pulled_stick_is_waited_for_and_goes_on_by_itself(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    async with opened(settings) as bench:
        no = await bench.loading.start(folder)
        stick.rename(stick.with_name("pulled"))
        settings.stick_folders[0].joinpath("pulled").rename(settings.data.parent / "pulled")
        job = await bench.wait(no)
        assert job.state is JobState.STICK_GONE
        assert job.error is not None
        assert job.error["code"] == StickGone.code
        (settings.data.parent / "pulled").rename(stick)
        assert (await bench.wait(no, past=JobState.STICK_GONE)).state is JobState.DONE


async def test_a_stick_that_comes_back_in_another_place_is_found(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    async with opened(settings) as bench:
        no = await bench.loading.start(folder)
        elsewhere = settings.stick_folders[0] / "teacher" / "STICK1"
        elsewhere.parent.mkdir()
        stick.rename(elsewhere)
        await bench.wait(no)
        assert (await bench.wait(no, past=JobState.STICK_GONE)).state is JobState.DONE


async def test_an_install_that_was_stopped_by_a_restart_goes_on(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    gate = Gate()
    async with opened(settings, measure=gate) as bench:
        no = await bench.loading.start(folder)
        assert await asyncio.to_thread(gate.reached.wait, 20)
        closing = asyncio.create_task(bench.loading.close())
        assert bench.loading._running is not None
        assert await asyncio.to_thread(bench.loading._running.stop.wait, 20)
        gate.open.set()
        await closing
    async with opened(settings) as bench:
        assert (await bench.loading.job(no)).state is JobState.COPYING
        assert bench.library.packs() == []
        bench.loading.resume()
        assert (await bench.wait(no)).state is JobState.DONE
        assert [manifest.pack for manifest in bench.library.packs()] == [PACK]
        assert await bench.changes() == [f"{PACK}@1".encode()]


async def test_a_cancelled_install_leaves_no_pack(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    gate = Gate()
    async with opened(settings, measure=gate) as bench:
        no = await bench.loading.start(folder)
        assert await asyncio.to_thread(gate.reached.wait, 20)
        await bench.loading.cancel(no)
        gate.open.set()
        assert (await bench.wait(no)).state is JobState.CANCELLED
        await bench.loading.close()
        await bench.library.reload()
        assert bench.library.packs() == []
        assert await bench.changes() == []


async def test_an_install_that_waits_for_its_stick_can_be_cancelled(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    async with opened(settings) as bench:
        no = await bench.loading.start(folder)
        stick.rename(settings.data.parent / "pulled")
        await bench.wait(no)
        await bench.loading.cancel(no)
        (settings.data.parent / "pulled").rename(stick)
        other = await bench.install(await built(stick, KEY, pack="org.example.second"))
        assert other.state is JobState.DONE
        assert (await bench.loading.job(no)).state is JobState.CANCELLED
        assert [manifest.pack for manifest in bench.library.packs()] == ["org.example.second"]


async def test_a_pack_that_is_asked_for_twice_is_one_install(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    async with opened(settings) as bench:
        first = await bench.loading.start(folder)
        assert await bench.loading.start(folder) == first
        assert (await bench.wait(first)).state is JobState.DONE


async def test_installs_wait_for_each_other(settings: Settings, stick: Path) -> None:
    folders = [await built(stick, KEY, pack=f"org.example.{name}") for name in ("one", "two", "three")]
    async with opened(settings) as bench:
        numbers = [await bench.loading.start(folder) for folder in folders]
        assert [(await bench.wait(no)).state for no in numbers] == [JobState.DONE] * 3


async def test_one_of_several_packs_that_fails_is_named_and_the_others_are_loaded(
    settings: Settings, stick: Path
) -> None:
    folders = [await built(stick, KEY, pack=f"org.example.{name}", more=name) for name in ("one", "two", "three")]
    for blob in [path for path in (folders[1] / "blobs").rglob("*") if path.is_file()]:
        blob.write_bytes(b"x" * blob.stat().st_size)
    folders.append(await built(stick, SigningKey(b"s" * 32), pack="org.example.strange"))
    folders.append(stick / "edgebox" / "packs" / "org.example.gone" / "1")
    async with opened(settings) as bench:
        async for run in bench.loading.watch_all(await bench.loading.start_all(folders)):
            last = run
        assert [(job.pack, job.state) for job in last] == [
            ("org.example.one", JobState.DONE),
            ("org.example.two", JobState.FAILED),
            ("org.example.three", JobState.DONE),
            ("org.example.strange", JobState.FAILED),
            ("org.example.gone", JobState.FAILED),
        ]
        codes = [job.error["code"] for job in last if job.error]
        assert codes == [BlobAltered.code, SignerUnknown.code, PackNotFound.code]
        assert await bench.loading.run() == last
        assert [manifest.pack for manifest in bench.library.packs()] == ["org.example.one", "org.example.three"]


async def test_parts_are_chosen_of_each_of_several_packs(settings: Settings, stick: Path, tmp_path: Path) -> None:
    trust(settings.keys, PUBLISHER, "Water Press")
    water = await asyncio.to_thread(build_water, tmp_path, stick)
    folders = [water, await built(stick, KEY)]
    async with opened(settings) as bench:
        async for _run in bench.loading.watch_all(await bench.loading.start_all(folders, {water: ["arabic"]})):
            pass
        taken = {part.id: part.is_taken for part in bench.library.shelf.current[WATER].parts}
        assert taken == {"films": False, "arabic": True}
        assert PACK in bench.library.shelf.current
        (no,) = await bench.loading.start_all([water], {water: ["sounds"]})
        assert ((await bench.wait(no)).error or {})["code"] == PartUnknown.code


async def test_an_offer_says_what_each_part_takes_and_whether_it_is_taken_unless_somebody_chooses(
    settings: Settings, stick: Path, tmp_path: Path
) -> None:
    trust(settings.keys, PUBLISHER, "Water Press")
    water = await asyncio.to_thread(build_water, tmp_path, stick)

    async def offer() -> tuple[Offer, dict[str, bool]]:
        (found,) = (await bench.loading.sticks.look(afresh=True))[0].offers
        return found, {part.part.id: part.is_taken for part in found.parts}

    async with opened(settings) as bench:
        new, parts = await offer()
        assert parts == {"films": True, "arabic": True}
        assert new.needed_bytes == new.least_bytes + sum(part.needed_bytes for part in new.parts)
        assert new.parts[0].needed_bytes > 3_000_000
        await bench.wait(await bench.loading.start(water, ["arabic"]))
        here, parts = await offer()
        assert (here.change, parts, here.can_install) == (Change.HERE, {"films": True}, True)
        assert (here.least_bytes, here.needed_bytes) == (0, 0)
        water = await asyncio.to_thread(build_water, tmp_path, tmp_path / "newer", 2)
        await asyncio.to_thread(shutil.rmtree, stick)
        await asyncio.to_thread((tmp_path / "newer").rename, stick)
        newer, parts = await offer()
        assert (newer.change, parts) == (Change.UPDATE, {"films": False, "arabic": True})


async def test_of_a_stick_that_holds_some_parts_only_these_are_offered_and_counted(
    settings: Settings, stick: Path, tmp_path: Path
) -> None:
    trust(settings.keys, PUBLISHER, "Water Press")
    hold_only(await asyncio.to_thread(build_water, tmp_path, stick), "arabic")
    async with opened(settings) as bench:
        (offer,) = (await bench.loading.sticks.look())[0].offers
        assert offer.size_bytes < 10_000
        assert offer.needed_bytes < 100_000
        assert [part.part.id for part in offer.parts] == ["arabic"]
        assert [part.id for part in offer.left_out] == ["films"]


async def test_a_pack_that_fits_without_a_part_can_be_loaded_without_it(
    settings: Settings, stick: Path, tmp_path: Path
) -> None:
    trust(settings.keys, PUBLISHER, "Water Press")
    await asyncio.to_thread(build_water, tmp_path, stick)
    space = DiskSpace(RESERVE_MIN_BYTES + 1_000_000, 2 * RESERVE_MIN_BYTES)
    async with opened(settings) as bench:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("edgebox.services.sticks.measure_disk", lambda _: space)
            (offer,) = (await bench.loading.sticks.look())[0].offers
        assert (offer.fits, offer.can_install) == (False, True)


async def test_a_run_is_what_is_on_its_way_together(settings: Settings, stick: Path) -> None:
    clock = FakeClock()
    folders = [await built(stick, KEY, pack=f"org.example.{name}") for name in ("one", "two", "three")]
    async with opened(settings, clock=clock) as bench:
        await bench.wait((await bench.loading.start_all(folders[:1]))[0])
        clock.advance(1000)
        stick.rename(settings.data.parent / "pulled")
        for folder in (settings.data.parent / "pulled" / folder.relative_to(stick) for folder in folders[1:]):
            clock.advance(1000)
            await bench.loading.start_all([folder])
        assert [job.pack for job in await bench.loading.run()][-1] == "org.example.three"
        assert "org.example.one" not in [job.pack for job in await bench.loading.run()]


async def test_all_that_is_on_its_way_can_be_stopped(settings: Settings, stick: Path) -> None:
    folders = [await built(stick, KEY, pack=f"org.example.{name}") for name in ("one", "two", "three")]
    gate = Gate(passes=3)
    async with opened(settings, measure=gate) as bench:
        numbers = await bench.loading.start_all(folders)
        assert await asyncio.to_thread(gate.reached.wait, 20)
        await bench.loading.cancel_all()
        gate.open.set()
        assert [(await bench.wait(no)).state for no in numbers] == [JobState.CANCELLED] * 3


async def test_several_packs_go_on_when_their_stick_is_back(settings: Settings, stick: Path) -> None:
    folders = [await built(stick, KEY, pack=f"org.example.{name}") for name in ("one", "two")]
    gate = Gate(passes=2)
    async with opened(settings, measure=gate) as bench:
        numbers = await bench.loading.start_all(folders)
        assert await asyncio.to_thread(gate.reached.wait, 20)
        stick.rename(settings.data.parent / "pulled")
        gate.open.set()
        assert [(await bench.wait(no)).state for no in numbers][1] is JobState.STICK_GONE
        (settings.data.parent / "pulled").rename(stick)
        for no in numbers:
            await bench.wait(no, past=JobState.STICK_GONE)
        assert [job.state for job in await bench.loading.run()] == [JobState.DONE] * 2


async def test_a_pulled_stick_whose_packs_are_deep_in_it_is_found_in_another_place(
    settings: Settings, stick: Path
) -> None:
    folder = await built(stick / "edgebox-packs" / "grade 4" / "maths", KEY)
    (stick / "edgebox").mkdir()
    async with opened(settings) as bench:
        no = await bench.loading.start(folder)
        stick.rename(settings.data.parent / "pulled")
        assert (await bench.wait(no)).state is JobState.STICK_GONE
        (settings.data.parent / "pulled").rename(stick.with_name("OTHER"))
        bench.loading.sticks.forget()
        assert (await bench.wait(no, past=JobState.STICK_GONE)).state is JobState.DONE


async def test_an_install_waits_while_another_program_changes_the_packs(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    async with opened(settings) as bench:
        lock = library_lock(settings.data)
        await asyncio.to_thread(lock.__enter__)
        no = await bench.loading.start(folder)
        with pytest.raises(LibraryBusy):
            await bench.loading.remove(PACK)
        lock.__exit__(None, None, None)
        assert (await bench.wait(no)).state is JobState.DONE


async def test_a_removed_pack_is_gone_with_its_files_and_logged(settings: Settings, stick: Path) -> None:
    async with opened(settings) as bench:
        await bench.install(await built(stick, KEY))
        await bench.loading.remove(PACK)
        assert bench.library.packs() == []
        assert await bench.active() == []
        assert await bench.changes() == [f"{PACK}@1".encode()] * 2
        assert not await bench.library.search("pizza", "en")
        assert not any(path.is_file() for path in settings.blobs.rglob("*"))
        with pytest.raises(PackNotFound):
            await bench.loading.remove(PACK)


async def test_an_offer_says_what_it_would_change(settings: Settings, stick: Path) -> None:
    first = await built(stick, KEY, version=1)
    second = await built(stick, KEY, version=2)
    await built(stick, SigningKey(b"s" * 32), pack="org.example.strange")
    async with opened(settings) as bench:

        async def changes() -> list[Change]:
            (found,) = await bench.loading.sticks.look()
            return [offer.change for offer in found.offers]

        assert await changes() == [Change.NEW, Change.NEW, Change.UNUSABLE]
        await bench.install(first)
        assert await changes() == [Change.HERE, Change.UPDATE, Change.UNUSABLE]
        await bench.install(second)
        assert await changes() == [Change.OLDER, Change.HERE, Change.UNUSABLE]
        (found,) = await bench.loading.sticks.look()
        assert found.path == stick
        assert [offer.signer_name for offer in found.offers] == ["Example Press", "Example Press", None]
        assert found.offers[2].error is not None
        assert found.offers[2].error.code == SignerUnknown.code


async def test_sticks_are_looked_at_again_when_an_install_ends_whichever_way(settings: Settings, stick: Path) -> None:
    folder = await built(stick, KEY)
    blob = next(path for path in (folder / "blobs").rglob("*") if path.is_file())
    blob.write_bytes(b"x" * blob.stat().st_size)
    async with opened(settings) as bench:
        (found,) = await bench.loading.sticks.look()
        assert len(found.offers) == 1
        await built(stick, KEY, pack="org.example.second")
        assert (await bench.install(folder)).state is JobState.FAILED
        (found,) = await bench.loading.sticks.look()
        assert len(found.offers) == 2


async def test_sticks_are_looked_at_again_only_after_a_while(settings: Settings, stick: Path) -> None:
    async with opened(settings) as bench:
        assert await bench.loading.sticks.look() == []
        await built(stick, KEY)
        assert await bench.loading.sticks.look() == []
        assert len(await bench.loading.sticks.look(afresh=True)) == 1
