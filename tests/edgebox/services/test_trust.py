"""By whose word a box takes packs, and that what it took it keeps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from content_packs.format.errors import SignerUnknown
from content_packs.format.vouching import ListExpired, PackNotListed, PackWithdrawn
from content_packs.trust import publishing, roles
from content_packs.trust.errors import ListBroken, RootRefused
from edgebox.services.identity import open_identity
from edgebox.services.library import Library
from edgebox.services.loading import Loading
from edgebox.services.stick_offers import Change
from edgebox.services.trust import Standing, Trust
from edgebox.settings import Settings, prepare_folders
from edgebox.store.database import Database
from edgebox.store.jobs import JobState
from tests.support.clock import FakeClock
from tests.support.depot import DAY_MS, NOW_MS, PACK, PREFIX, PlayDepot, key
from tests.support.small_course import trust as trust_locally

OWN = key("box")


class Bench:
    """A box, and a stick that holds a depot."""

    def __init__(self, settings: Settings, loading: Loading, library: Library, clock: FakeClock) -> None:
        self.settings = settings
        self.loading = loading
        self.library = library
        self.clock = clock

    async def install(self, folder: Path) -> None:
        """Install a pack and wait for it."""
        async for job in self.loading.watch(await self.loading.start(folder)):
            last = job
        assert last.state is JobState.DONE, last.error

    async def standing(self, version: int = 1) -> Standing:
        """Return what is said about a version on the box."""
        installed = await self.library.installed(PACK, version)
        return self.library.trust.standing(installed.manifest, installed.signer)


@pytest.fixture
def depot(tmp_path: Path) -> PlayDepot:
    return PlayDepot(tmp_path / "media" / "STICK", tmp_path / "work")


@pytest.fixture
def settings(tmp_path: Path, depot: PlayDepot) -> Settings:
    settings = Settings(data=tmp_path / "box", stick_folders=(tmp_path / "media",))
    prepare_folders(settings)
    return settings


@asynccontextmanager
async def opened(settings: Settings, root: bytes | None, *, clock_is_set: bool = True) -> AsyncIterator[Bench]:
    clock, mark = FakeClock(NOW_MS), settings.data / "clock-is-set"
    if clock_is_set:
        mark.touch()
    database = await asyncio.to_thread(Database, settings.data / "box.db")
    await asyncio.to_thread((settings.keys / "box.key").write_bytes, OWN.seed)
    identity = await asyncio.to_thread(open_identity, settings.keys)
    library = await Library.open(settings, Trust(settings, clock, identity, clock_is_set=mark.exists))
    loading = Loading(database, settings, clock, library, poll_seconds=0.01)
    try:
        if root is not None:
            await loading.trust(root)
        yield Bench(settings, loading, library, clock)
    finally:
        await loading.close()
        await library.close()
        await asyncio.to_thread(database.close)


async def step(work: Callable[[], object]) -> None:
    await asyncio.to_thread(work)


async def test_a_pack_on_the_list_is_offered_and_installed_without_a_publishers_key_file(
    settings: Settings, depot: PlayDepot
) -> None:
    await step(depot.publish)
    async with opened(settings, depot.root) as bench:
        (stick,) = await bench.loading.sticks.look()
        (offer,) = stick.offers
        assert (offer.change, offer.signer_name, stick.list_error) == (Change.NEW, "Example Press", None)
        await bench.install(offer.folder)
        assert (await bench.standing(), bench.library.trust.name_of(depot.press.verify_key.key_id)) == (
            Standing.GOOD,
            "Example Press",
        )


async def test_without_a_root_a_list_means_nothing(settings: Settings, depot: PlayDepot) -> None:
    await step(depot.publish)
    async with opened(settings, None) as bench:
        (stick,) = await bench.loading.sticks.look()
        assert isinstance(stick.offers[0].error, SignerUnknown)
        assert bench.library.trust.pack_list is None


async def test_a_publishers_key_file_is_enough_without_a_list(settings: Settings, depot: PlayDepot) -> None:
    folder = await asyncio.to_thread(depot.build)
    await asyncio.to_thread(trust_locally, settings.keys, depot.press)
    async with opened(settings, depot.root) as bench:
        await bench.install(folder)
        assert await bench.standing() is Standing.GOOD


async def test_a_pack_that_is_not_on_the_list_is_refused_with_what_it_says_of_itself(
    settings: Settings, depot: PlayDepot
) -> None:
    await step(depot.publish)
    folder = await asyncio.to_thread(depot.build, 2)
    async with opened(settings, depot.root) as bench:
        await bench.loading.sticks.look()
        with pytest.raises(PackNotListed):
            await bench.loading.start(folder)
        found = await bench.loading.sticks.look_at(folder)
        assert found.offers[0].manifest is not None
        assert found.offers[0].change is Change.UNUSABLE


@pytest.mark.parametrize("change", ["new key", "no right any more", "withdrawn", "ten years later", "clock at 1970"])
async def test_an_installed_pack_goes_on_working_whatever_a_later_list_or_clock_says(
    settings: Settings, depot: PlayDepot, change: str
) -> None:
    await step(depot.publish)
    async with opened(settings, depot.root) as bench:
        (stick,) = await bench.loading.sticks.look()
        await bench.install(stick.offers[0].folder)
    steps = {
        "new key": lambda one: publishing.delegate(one, PREFIX, key("new press").verify_key, "Example Press"),
        "no right any more": lambda one: publishing.undelegate(one, PREFIX),
        "withdrawn": lambda one: publishing.withdraw(one, PACK, 1, depot.keys),
    }
    if change in steps:
        await step(lambda: depot.change(steps[change]))
    async with opened(settings, None) as bench:
        bench.clock.wall_ms = {"ten years later": NOW_MS + 3650 * DAY_MS, "clock at 1970": 0}.get(change, NOW_MS)
        await bench.loading.sticks.look()
        await bench.library.reload()
        assert (await bench.library.pack(PACK)).version == 1
        expected = {
            "withdrawn": Standing.WITHDRAWN,
            "new key": Standing.UNLISTED,
            "no right any more": Standing.UNLISTED,
        }
        assert await bench.standing() is expected.get(change, Standing.GOOD)
    async with opened(settings, None) as bench:
        assert (await bench.library.pack(PACK)).version == 1


async def test_removing_a_publishers_key_file_takes_its_packs_away_and_nobody_elses(
    settings: Settings, depot: PlayDepot
) -> None:
    other = key("other")
    folder = await asyncio.to_thread(depot.build, 1, "net.other.water", other)
    key_file = await asyncio.to_thread(trust_locally, settings.keys, other)
    await step(depot.publish)
    async with opened(settings, depot.root) as bench:
        (stick,) = await bench.loading.sticks.look()
        for place in (folder, stick.offers[0].folder):
            await bench.install(place)
        assert len(bench.library.packs()) == 2
        key_file.unlink()
        await bench.library.notice_publishers()
        assert [manifest.pack for manifest in bench.library.packs()] == [PACK]


async def test_a_withdrawn_version_is_not_installed_any_more(settings: Settings, depot: PlayDepot) -> None:
    await step(depot.publish)
    await step(lambda: depot.change(lambda one: publishing.withdraw(one, PACK, 1, depot.keys)))
    async with opened(settings, depot.root) as bench:
        (stick,) = await bench.loading.sticks.look()
        assert isinstance(stick.offers[0].error, PackWithdrawn)
        with pytest.raises(PackWithdrawn):
            await bench.loading.start(stick.offers[0].folder)


async def test_an_older_stick_is_no_trouble_and_a_broken_one_says_so(settings: Settings, depot: PlayDepot) -> None:
    old = await asyncio.to_thread(depot.saved)
    await step(depot.publish)
    async with opened(settings, depot.root) as bench:
        await bench.loading.sticks.look()
        before = bench.library.trust.pack_list
        assert before is not None
        assert (await bench.loading.sticks.look_at(old)).list_error is None
        assert bench.library.trust.pack_list == before
        await step(depot.change)
        await step(lambda: depot.path("snapshot").write_bytes(b"{"))
        (stick,) = await bench.loading.sticks.look(afresh=True)
        assert isinstance(stick.list_error, ListBroken)
        assert len(stick.offers) == 1
        assert bench.library.trust.pack_list == before


async def test_an_old_list_only_warns_until_the_clock_is_set(settings: Settings, depot: PlayDepot) -> None:
    await step(depot.publish)
    late_ms = NOW_MS + (roles.DAYS["timestamp"] + 1) * DAY_MS
    async with opened(settings, depot.root, clock_is_set=False) as bench:
        bench.clock.wall_ms = late_ms
        (stick,) = await bench.loading.sticks.look()
        assert stick.offers[0].error is None
        (settings.data / "clock-is-set").touch()
        (stick,) = await bench.loading.sticks.look(afresh=True)
        assert isinstance(stick.offers[0].error, ListExpired)


async def test_a_file_that_is_neither_key_nor_root_is_not_trusted(settings: Settings) -> None:
    async with opened(settings, None) as bench:
        with pytest.raises(RootRefused):
            await bench.loading.trust(b'{"signed": {}}')
