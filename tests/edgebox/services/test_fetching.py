"""Updates of packs from a hub and from neighbours: how many requests they take, what stops them, what is shown."""

import asyncio
import errno
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from content_packs.base.budget import Window
from content_packs.base.signing import SigningKey
from content_packs.fetch import want
from content_packs.fetch.bringing import Bringing
from content_packs.fetch.errors import AddressInvalid, NotOffered
from content_packs.format import layout
from content_packs.format.errors import SignerUnknown
from content_packs.format.selection import Selection
from content_packs.installer import DiskSpace, WantedBlob, blob_store, installed, measure_disk
from content_packs.installer.library import library_lock, selection_of
from content_packs.installer.planning import RESERVE_MIN_BYTES
from content_packs.patch.head import PREFACE_BYTES, head_length
from content_packs.patch.making import make_patch
from edgebox.services.fetching import Update, UpdateState
from edgebox.services.network_source import NetworkSource
from edgebox.services.retiring import Retiring
from edgebox.store.jobs import JobState
from sync.engine.lanes import SMALL_MAX_BYTES, Lane
from tests.support.depot import PlayDepot
from tests.support.fetching_box import KEY, Bench, box, neighbour, publish, root_of
from tests.support.file_servers import Server, serving
from tests.support.small_course import PACK, built, trust
from tests.sync.hub_support import TestHub, hub_on

# Of it, a tenth and room for headers are kept for what is urgent.
DAY_BYTES = 10_000


@pytest.fixture
async def one(tmp_path: Path) -> Path:
    return await built(tmp_path / "stick", KEY, more="one " * 500)


@pytest.fixture
async def two(tmp_path: Path) -> Path:
    return await built(tmp_path / "stick", KEY, version=2, more="one " * 500 + "and two")


async def list_in(depot: Path, pack: Path) -> None:
    """Put the manifest of a pack into a depot, so that the hub lists it."""
    folder = depot / "packs" / PACK / pack.name
    await asyncio.to_thread(folder.mkdir, parents=True)
    content = await asyncio.to_thread((pack / layout.MANIFEST_NAME).read_bytes)
    await asyncio.to_thread((folder / layout.MANIFEST_NAME).write_bytes, content)


@asynccontextmanager
async def hub_with(tmp_path: Path) -> AsyncIterator[tuple[TestHub, Path]]:
    async with hub_on(tmp_path / "hub") as hub:
        yield hub, tmp_path / "hub" / "depot"


async def test_an_update_comes_from_the_hub_and_is_shown_and_recorded(tmp_path: Path, one: Path, two: Path) -> None:
    async with hub_with(tmp_path) as (hub, depot), box(tmp_path / "box", depots=(f"{hub.url}/depot",)) as bench:
        await bench.install(one)
        await publish(depot, one, two)
        await list_in(depot, two)
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)
        assert bench.version == 2
        assert await bench.rows() == [(PACK, 2)]
        assert not list(bench.settings.fetched.glob("*.part"))


async def test_with_a_known_base_a_pack_takes_one_request_beside_the_list(tmp_path: Path, one: Path, two: Path) -> None:
    patch = await publish(tmp_path / "depot", one, two)
    content = await asyncio.to_thread(patch.read_bytes)
    async with serving(content) as server, box(tmp_path / "box", depots=(server.address,)) as bench:
        await bench.install(one)
        server.absent = ["index.ebl"]
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)
        assert asked(server) == ["/packs/index.ebl", f"/{layout.patch_name(PACK, root_of(one))}"]


async def test_an_update_of_a_pack_with_parts_left_out_is_one_request_and_keeps_the_choice(tmp_path: Path) -> None:
    one, two = [await built(tmp_path / "stick", KEY, version=version, has_parts=True) for version in (1, 2)]
    content = await asyncio.to_thread((await publish(tmp_path / "depot", one, two)).read_bytes)
    async with serving(content) as server, box(tmp_path / "box", depots=(server.address,)) as bench:
        await bench.install(one, parts=())
        server.absent = ["index.ebl"]
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)
        assert asked(server) == [
            "/packs/index.ebl",
            f"/{layout.patch_name(PACK, await asyncio.to_thread(root_of, one))}",
        ]
        assert await asyncio.to_thread(selection_of, bench.settings.data, PACK, 2) == Selection(frozenset())
        assert not await asyncio.to_thread(has_chinese, bench)


def has_chinese(bench: Bench) -> bool:
    store = blob_store(bench.settings.data)
    manifest = installed(bench.settings.data)[-1].manifest
    return any(store.has(entry.hash, entry.size_bytes) for entry in manifest.files if entry.part)


def asked(server: Server) -> list[str]:
    return [request["line"].split(" ")[1] for request in server.requests]


async def test_without_a_known_base_two_requests_bring_the_full_patch(tmp_path: Path, one: Path, two: Path) -> None:
    async with hub_with(tmp_path) as (hub, depot), box(tmp_path / "box") as bench:
        await publish(depot, None, two)
        result = await bench.fetching.install(f"{hub.url}/depot/packs/{PACK}")
        assert (result.manifest.pack, bench.version) == (PACK, 2)


@pytest.mark.parametrize("has_base", [True, False])
async def test_an_unknown_base_takes_at_most_three_requests(
    tmp_path: Path, one: Path, two: Path, has_base: bool
) -> None:
    content = await asyncio.to_thread((await publish(tmp_path / "depot", None, two)).read_bytes)
    root = layout.patch_name(PACK, await asyncio.to_thread(root_of, one))
    async with serving(content) as server, box(tmp_path / "box") as bench:
        server.absent = ["index.ebl", root]
        if has_base:
            await bench.install(one)
        await bench.fetching.install(f"{server.address}/packs/{PACK}")
        assert bench.version == 2
        wanted = ["packs/index.ebl", *([root] if has_base else []), f"patches/{PACK}/full.ebp"]
        assert asked(server) == [f"/{name}" for name in wanted]


async def test_a_box_gets_a_pack_from_a_neighbour_whatever_the_budget(tmp_path: Path, one: Path, two: Path) -> None:
    async with (
        box(tmp_path / "other") as other,
        neighbour(tmp_path / "other") as address,
        box(tmp_path / "box", neighbours=(address,), line_day_bytes=0) as bench,
    ):
        await bench.install(one)
        await other.install(two)
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)
        assert bench.version == 2
        assert not bench.line.rules.ledger.days


async def test_what_a_neighbour_changed_is_not_installed(tmp_path: Path, one: Path, two: Path) -> None:
    async with (
        box(tmp_path / "other") as other,
        neighbour(tmp_path / "other") as address,
        box(tmp_path / "box", neighbours=(address,)) as bench,
    ):
        await bench.install(one)
        await other.install(two)
        spoil(tmp_path / "other" / "blobs", tmp_path / "box" / "blobs")
        update = await bench.update()
        assert update is not None
        assert update.state is UpdateState.FAILED
        assert update.error is not None
        assert update.error["code"] == "fetch.source_lied"
        assert bench.version == 1


def spoil(blobs: Path, but: Path) -> None:
    """Change what is in a store and not in the other one."""
    known = {path.name for path in but.glob("*/*")}
    for path in blobs.glob("*/*"):
        if path.name not in known:
            path.write_bytes(b"x" * path.stat().st_size)


async def test_a_neighbour_that_promises_more_than_it_has_keeps_nobody_from_the_hub(
    tmp_path: Path, one: Path, two: Path
) -> None:
    three = await built(tmp_path / "stick", KEY, version=3, more="three " * 500)
    async with (
        box(tmp_path / "other") as other,
        neighbour(tmp_path / "other") as address,
        hub_with(tmp_path) as (hub, depot),
        box(tmp_path / "box", neighbours=(address,), depots=(f"{hub.url}/depot",)) as bench,
    ):
        await bench.install(one)
        await other.install(three)
        spoil(tmp_path / "other" / "blobs", tmp_path / "box" / "blobs")
        await publish(depot, one, two)
        await list_in(depot, two)
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)


async def test_a_patch_of_an_unknown_signer_is_refused_before_its_body_is_read(
    tmp_path: Path, one: Path, two: Path
) -> None:
    stranger = SigningKey(b"s" * 32)
    async with hub_with(tmp_path) as (hub, depot), box(tmp_path / "box", depots=(f"{hub.url}/depot",)) as bench:
        await bench.install(one)
        await publish(depot, one, two, stranger)
        update = await bench.update()
        assert update is not None
        assert update.state is UpdateState.FAILED
        assert bench.version == 1


async def test_a_pack_of_an_unknown_publisher_is_not_installed_from_an_address(tmp_path: Path) -> None:
    stranger = SigningKey(b"s" * 32)
    folder = await built(tmp_path / "stick", stranger)
    async with box(tmp_path / "other") as other, neighbour(tmp_path / "other") as address:
        trust(other.settings.keys, stranger, "Stranger")
        await other.install(folder)
        async with box(tmp_path / "box") as bench:
            with pytest.raises(SignerUnknown):
                await bench.fetching.install(f"{address}/packs/{PACK}")


@pytest.mark.parametrize(
    "address", ["http://hub.example/depot", "http://hub.example/packs/", "packs/one", "ftp://a/packs/b"]
)
async def test_an_address_that_names_no_pack_is_refused(tmp_path: Path, address: str) -> None:
    async with box(tmp_path / "box") as bench:
        with pytest.raises((AddressInvalid, NotOffered)):
            await bench.fetching.install(address)


async def test_a_used_up_budget_pauses_and_the_next_day_goes_on(tmp_path: Path, one: Path, two: Path) -> None:
    async with (
        hub_with(tmp_path) as (hub, depot),
        box(tmp_path / "box", depots=(f"{hub.url}/depot",), line_day_bytes=DAY_BYTES) as bench,
    ):
        await bench.install(one)
        await publish(depot, one, two)
        await list_in(depot, two)
        states = [UpdateState.AVAILABLE]
        while states[-1] is not UpdateState.DONE and len(states) < 20:
            update = await bench.update()
            states += [update.state] if update is not None else []
            now = bench.line.moment()
            assert bench.line.rules.ledger.spent_bytes(bench.line.rules.ledger.day(now)) <= DAY_BYTES
            bench.clock.wall_ms += 86_400_000
        del states[0]
        assert states[0] is UpdateState.PAUSED
        assert states[-1] is UpdateState.DONE
        assert bench.version == 2


async def test_without_bytes_for_today_nothing_is_asked_for(tmp_path: Path) -> None:
    async with (
        serving(b"", status=404) as server,
        box(tmp_path / "box", depots=(server.address,), line_day_bytes=0) as bench,
    ):
        await bench.fetching.fetch_when_due()
        assert not bench.fetching.updates()
        assert not server.requests


async def test_a_small_update_comes_at_any_hour(tmp_path: Path, one: Path, two: Path) -> None:
    async with (
        hub_with(tmp_path) as (hub, depot),
        box(tmp_path / "box", depots=(f"{hub.url}/depot",), line_windows=(Window(0, 0),)) as bench,
    ):
        await bench.install(one)
        await publish(depot, one, two)
        update = await bench.update()
        assert update is not None
        assert update.state is UpdateState.DONE
        ledger = bench.line.rules.ledger
        day = ledger.day(bench.line.moment())
        assert ledger.spent_bytes(day, [Lane.SMALL]) == ledger.spent_bytes(day) > 0


async def test_a_large_update_waits_for_its_hours_and_comes_at_any_when_asked_for(tmp_path: Path, one: Path) -> None:
    large = await built(tmp_path / "stick", KEY, version=2, more=random.Random(1).randbytes(400_000).hex())
    async with (
        hub_with(tmp_path) as (hub, depot),
        box(tmp_path / "box", depots=(f"{hub.url}/depot",), line_windows=(Window(0, 60),)) as bench,
    ):
        await bench.install(one)
        patch = await publish(depot, one, large)
        assert patch.stat().st_size > SMALL_MAX_BYTES + 100_000
        for _ in range(3):
            update = await bench.update()
            assert update is not None
            assert update.state is UpdateState.PAUSED
        ledger = bench.line.rules.ledger
        day = ledger.day(bench.line.moment())
        assert ledger.spent_bytes(day) < SMALL_MAX_BYTES + 50_000
        left_bytes = bench.fetching.waiting()[Lane.LARGE]
        assert 100_000 < left_bytes < patch.stat().st_size
        midnight_ms = (day + 1) * 86_400_000 - ledger.offset_minutes * 60_000
        assert await bench.fetching.fetch_when_due() == midnight_ms
        update = await bench.update(is_asked=True)
        assert update is not None
        assert update.state is UpdateState.DONE
        assert bench.fetching.waiting() == {}
        assert ledger.spent_bytes(day, [Lane.LARGE]) > 100_000


async def test_somebody_stops_a_fetch_and_it_stays_stopped_until_asked_for(
    tmp_path: Path, one: Path, two: Path
) -> None:
    content = await asyncio.to_thread((await publish(tmp_path / "depot", one, two)).read_bytes)
    async with (
        serving(content, stall_after=len(content) - 20) as server,
        box(tmp_path / "box", depots=(server.address,)) as bench,
    ):
        server.absent = ["index.ebl"]
        await bench.install(one)
        bench.fetching.begin(is_asked=False)
        while not any(update.done_bytes for update in bench.fetching.updates()):
            await asyncio.sleep(0.01)
        shown = bench.fetching.updates()[0]
        assert shown.state is UpdateState.FETCHING
        assert shown.sources == (server.address.removeprefix("http://"),)
        await bench.fetching.cancel(PACK)
        server.manners.stall_after = None
        update = await bench.update()
        assert update is not None
        assert update.state is UpdateState.STOPPED
        assert await bench.update(is_asked=True) == Update(PACK, 2, UpdateState.DONE)
        assert server.sent_bytes == len(content)


async def test_a_box_that_is_up_to_date_shows_nothing(tmp_path: Path, one: Path) -> None:
    async with hub_with(tmp_path) as (hub, depot), box(tmp_path / "box", depots=(f"{hub.url}/depot",)) as bench:
        await bench.install(one)
        await list_in(depot, one)
        await publish(depot, None, one)
        assert await bench.update() is None


async def test_looking_fetches_nothing(tmp_path: Path, one: Path, two: Path) -> None:
    async with hub_with(tmp_path) as (hub, depot), box(tmp_path / "box", depots=(f"{hub.url}/depot",)) as bench:
        await bench.install(one)
        await publish(depot, one, two)
        await list_in(depot, two)
        [update] = await bench.fetching.look()
        assert (update.version, update.state, bench.version) == (2, UpdateState.AVAILABLE, 1)


async def test_a_damaged_file_is_brought_from_a_neighbour(tmp_path: Path, one: Path) -> None:
    async with (
        box(tmp_path / "other") as other,
        neighbour(tmp_path / "other") as address,
        box(tmp_path / "box", neighbours=(address,)) as bench,
    ):
        await other.install(one)
        await bench.install(one)
        entry = (await bench.library.pack(PACK)).files[0]
        store = blob_store(bench.settings.data)
        await asyncio.to_thread(store.path_of(entry.hash).write_bytes, b"rotten")
        await bench.fetching.repair(PACK, 1, entry)
        assert await asyncio.to_thread(store.is_intact, entry.hash)
        with pytest.raises(NotOffered):
            await bench.fetching.repair(PACK, 7, entry)


async def test_old_versions_make_room_for_an_update_that_would_not_fit(tmp_path: Path, one: Path, two: Path) -> None:
    three = await built(tmp_path / "stick", KEY, version=3, more="one " * 500 + "and three")
    content = await asyncio.to_thread((await publish(tmp_path / "depot", two, three)).read_bytes)
    async with serving(content) as server, box(tmp_path / "box", depots=(server.address,)) as bench:
        await bench.install(one)
        await bench.install(two)
        server.absent = ["index.ebl"]
        retiring = Retiring(bench.database, bench.settings, bench.clock, bench.library)
        # The file fits, what it makes does not until somebody made room.
        spaces = [DiskSpace(10**12, 10**12), DiskSpace(0, 10**12)]
        bench.fetching._measure = lambda _folder: spaces.pop(0) if spaces else DiskSpace(10**12, 10**12)
        update = await bench.update()
        assert update is not None
        assert (update.state, bench.version) == (UpdateState.FAILED, 2)
        spaces += [DiskSpace(0, 10**12)] * 2
        bench.loading.make_room = retiring.make_room
        assert await bench.update() == Update(PACK, 3, UpdateState.DONE)
        assert bench.library.shelf.versions[PACK] == (2, 3)
        patch = f"/{layout.patch_name(PACK, await asyncio.to_thread(root_of, two))}"
        assert asked(server).count(patch) == 1, "what was fetched is not fetched again"


async def test_a_patch_that_does_not_fit_is_not_fetched(tmp_path: Path, one: Path, two: Path) -> None:
    patch = await publish(tmp_path / "depot", one, two)
    content = await asyncio.to_thread(patch.read_bytes)
    async with serving(content) as server, box(tmp_path / "box", depots=(server.address,)) as bench:
        await bench.install(one)
        server.absent = ["index.ebl"]
        bench.fetching._measure = lambda _folder: DiskSpace(RESERVE_MIN_BYTES + 10, 2 * RESERVE_MIN_BYTES)
        update = await bench.update()
        assert update is not None
        assert update.error is not None
        assert (update.state, update.error["code"]) == (UpdateState.FAILED, "pack.space")
        assert bench.version == 1
        assert await asyncio.to_thread(blocks_in, bench.settings.fetched) == 0
        bench.fetching._measure = measure_disk
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)


def blocks_in(folder: Path) -> int:
    """Return the bytes of bodies of patches that are on their way."""
    total_bytes = 0
    for path in folder.glob("*.part"):
        content = path.read_bytes()
        total_bytes += len(content) - PREFACE_BYTES - head_length(content[:PREFACE_BYTES])
    return total_bytes


async def test_a_disk_that_fails_keeps_one_pack_back_and_not_the_others(
    tmp_path: Path, one: Path, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = await built(tmp_path / "stick", KEY, pack="org.example.zebra")
    async with hub_with(tmp_path) as (hub, depot), box(tmp_path / "box", depots=(f"{hub.url}/depot",)) as bench:
        await bench.install(one)
        await bench.install(other)
        await publish(depot, one, two)
        await list_in(depot, two)
        with monkeypatch.context() as patched:
            patched.setattr(Bringing, "from_depots", failing)
            await bench.fetching.update_all(is_asked=False)
        assert next(update.state for update in bench.fetching.updates()) is UpdateState.FAILED
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)


async def failing(*_arguments: object, **_named: object) -> None:
    raise OSError(errno.EIO, "the card")


async def test_nothing_is_taken_in_from_a_neighbour_while_something_else_is_installed(
    tmp_path: Path, one: Path, two: Path
) -> None:
    async with (
        box(tmp_path / "other") as other,
        neighbour(tmp_path / "other") as address,
        box(tmp_path / "box", neighbours=(address,)) as bench,
    ):
        await bench.install(one)
        await other.install(two)
        store = blob_store(bench.settings.data)
        before = await asyncio.to_thread(lambda: list(store.hashes()))
        lock = library_lock(bench.settings.data)
        await asyncio.to_thread(lock.__enter__)
        update = await bench.update()
        await asyncio.to_thread(lock.__exit__, None, None, None)
        assert update is not None
        assert update.state is UpdateState.PAUSED
        assert await asyncio.to_thread(lambda: list(store.hashes())) == before
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)


async def test_more_files_than_one_request_may_name_come_from_a_neighbour(
    tmp_path: Path, one: Path, two: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(want, "WANT_HASHES_MAX", 1)
    async with (
        box(tmp_path / "other") as other,
        neighbour(tmp_path / "other") as address,
        box(tmp_path / "box") as bench,
    ):
        await other.install(two)
        await bench.fetching.install(f"{address}/packs/{PACK}")
        assert bench.version == 2


async def test_a_repair_asks_nobody_while_updates_are_fetched(tmp_path: Path, one: Path) -> None:
    async with box(tmp_path / "box") as bench:
        await bench.install(one)
        manifest = await bench.library.pack(PACK)
        wanted = WantedBlob(manifest.files[0], ((PACK, 1),))
        async with bench.fetching._busy:
            source = NetworkSource(bench.fetching)
            assert not await source.bring(wanted, blob_store(bench.settings.data))


async def test_the_platforms_list_comes_over_the_line_before_its_packs(tmp_path: Path) -> None:
    platform = await asyncio.to_thread(PlayDepot, tmp_path / "hub" / "STICK", tmp_path / "work")
    folder = await asyncio.to_thread(platform.publish)
    async with hub_on(tmp_path / "hub", depot=platform.folder) as hub, box_of(tmp_path, hub) as bench:
        await publish(platform.folder, None, folder, platform.press)
        await asyncio.to_thread(bench.library.trust.set_root, platform.root)
        await bench.fetching.install(f"{hub.url}/depot/packs/{PACK}")
        assert bench.version == 1
        newer = await asyncio.to_thread(platform.publish, 2, more="two")
        await publish(platform.folder, folder, newer, platform.press)
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)
        assert bench.library.trust.pack_list is not None
        assert (PACK, 2) in bench.library.trust.pack_list.packs


def box_of(tmp_path: Path, hub: TestHub) -> AbstractAsyncContextManager[Bench]:
    """Return a box that fetches from the depot of a hub."""
    return box(tmp_path / "box", depots=(f"{hub.url}/depot",))


async def test_a_list_that_is_not_signed_changes_nothing(tmp_path: Path, one: Path, two: Path) -> None:
    platform = await asyncio.to_thread(PlayDepot, tmp_path / "hub" / "STICK", tmp_path / "work")
    stranger = await asyncio.to_thread(PlayDepot, tmp_path / "other", tmp_path / "more")
    await asyncio.to_thread(stranger.forge, "timestamp", lambda _signed: None, KEY)
    async with hub_on(tmp_path / "hub", depot=stranger.folder) as hub, box_of(tmp_path, hub) as bench:
        await asyncio.to_thread(bench.library.trust.set_root, platform.root)
        await bench.install(one)
        await publish(stranger.folder, one, two)
        await list_in(stranger.folder, two)
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)
        assert bench.library.trust.pack_list is None


async def test_two_depots_of_one_server_are_two_places(tmp_path: Path, one: Path, two: Path) -> None:
    async with hub_with(tmp_path) as (hub, depot), serving(b"", status=404) as empty:
        address = f"{hub.url}/depot"
        async with box(tmp_path / "box", depots=(f"{address}/packs", empty.address, address)) as bench:
            await bench.install(one)
            await publish(depot, one, two)
            await list_in(depot, two)
            assert await bench.update() == Update(PACK, 2, UpdateState.DONE)


async def test_another_patch_in_the_place_of_the_one_asked_for_is_not_applied(
    tmp_path: Path, one: Path, two: Path
) -> None:
    zebra = await built(tmp_path / "stick", KEY, pack="org.example.zebra")
    wanted = (await asyncio.to_thread(make_patch, one, two, tmp_path / "wanted.ebp", KEY)).path
    other = (await asyncio.to_thread(make_patch, None, zebra, tmp_path / "other.ebp", KEY)).path
    async with box(tmp_path / "box") as bench:
        await bench.install(one)
        lock = library_lock(bench.settings.data)
        await asyncio.to_thread(lock.__enter__)
        no = await bench.loading.start(wanted)
        await asyncio.to_thread(other.replace, wanted)
        await asyncio.to_thread(lock.__exit__, None, None, None)
        async for _job in bench.loading.watch(no):
            bench.loading.resume()
        assert (await bench.loading.job(no)).state is JobState.STICK_GONE
        assert list(bench.library.shelf.current) == [PACK]
