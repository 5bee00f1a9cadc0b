"""The platform's list over a line: taken over before packs are looked for, never back, and nobody else waits for it."""

import asyncio
from pathlib import Path

import pytest

from content_packs.fetch.errors import FetchPaused
from content_packs.format import layout
from content_packs.format.vouching import ListExpired, PackWithdrawn
from content_packs.trust import publishing
from content_packs.trust.errors import ListUnsigned
from content_packs.trust.listing import PackList
from content_packs.trust.reading import FolderReader
from edgebox.services.fetching import Update, UpdateState
from tests.support.depot import DAY_MS, PACK, PlayDepot
from tests.support.depot_server import DepotServer, serving_depot
from tests.support.fetching_box import Bench, box, publish, root_of

TIMESTAMP = "metadata/timestamp.json"
INDEX = "packs/index.ebl"
FULL = layout.patch_name(PACK, b"")

# Of it, a tenth and room for headers are kept for what is urgent.
DAY_BYTES = 11_000


@pytest.fixture
def depot(tmp_path: Path) -> PlayDepot:
    """Give a depot with version 1 of a course."""
    depot = PlayDepot(tmp_path / "hub", tmp_path / "work")
    depot.publish()
    return depot


async def release(depot: PlayDepot, version: int, before: int | None = None) -> None:
    """Publish a version, with the patch that makes it of an earlier one or of nothing."""
    folder = await asyncio.to_thread(depot.publish, version, more="new" if version > 1 else "")
    old = None if before is None else depot.folder / "packs" / PACK / str(before)
    await publish(depot.folder, old, folder, depot.press)


def pack_list(bench: Bench) -> PackList:
    found = bench.library.trust.pack_list
    assert found is not None
    return found


def patch_of(depot: PlayDepot, version: int = 1) -> str:
    return layout.patch_name(PACK, root_of(depot.folder / "packs" / PACK / str(version)))


async def have_one(bench: Bench, depot: PlayDepot, server: DepotServer) -> None:
    """Let the box have version 1 and the list that goes with it."""
    await asyncio.to_thread(bench.library.trust.refresh, FolderReader(depot.folder))
    await bench.install(depot.folder / "packs" / PACK / "1")
    server.asked_again()


async def test_a_pack_that_only_the_list_vouches_for_is_installed_from_an_address(
    tmp_path: Path, depot: PlayDepot
) -> None:
    await release(depot, 2)
    async with serving_depot(depot.folder) as server, box(tmp_path / "box", key=None, root=depot.root) as bench:
        result = await bench.fetching.install(f"{server.address}/packs/{PACK}")
        assert (result.manifest.version, bench.version) == (2, 2)
        assert bench.library.trust.name_of(result.signer) == "Example Press"


async def test_an_update_comes_although_the_platforms_keys_changed_while_the_box_was_away(
    tmp_path: Path, depot: PlayDepot
) -> None:
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", key=None, root=depot.root, depots=(server.address,)) as bench,
    ):
        await have_one(bench, depot, server)
        for old, new in (("root-1", "root-4"), ("targets-1", "targets-4"), ("timestamp-1", "timestamp-2")):
            await asyncio.to_thread(depot.rotate, old, new)
        await release(depot, 2, before=1)
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)


async def test_an_unchanged_list_costs_one_small_request_and_the_pack_itself_one(
    tmp_path: Path, depot: PlayDepot
) -> None:
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", key=None, root=depot.root, depots=(server.address,)) as bench,
    ):
        await have_one(bench, depot, server)
        assert await bench.update() is None
        assert server.asked_again() == [TIMESTAMP, INDEX, patch_of(depot)]
        await release(depot, 2, before=1)
        await asyncio.to_thread(bench.library.trust.refresh, FolderReader(depot.folder))
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)
        assert server.asked_again() == [TIMESTAMP, INDEX, patch_of(depot)]


async def test_a_version_that_was_withdrawn_meanwhile_is_not_fetched(tmp_path: Path, depot: PlayDepot) -> None:
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", root=depot.root, depots=(server.address,)) as bench,
    ):
        await release(depot, 2, before=1)
        await release(depot, 3)
        server.changed[INDEX] = index_of((PACK, 2))
        await have_one(bench, depot, server)
        await asyncio.to_thread(depot.change, lambda one: publishing.withdraw(one, PACK, 2, depot.keys))
        await asyncio.to_thread(depot.change, lambda one: publishing.withdraw(one, PACK, 3, depot.keys))
        assert await bench.update() is None
        assert patch_of(depot) not in server.asked_again()
        with pytest.raises(PackWithdrawn):
            await bench.fetching.install(f"{server.address}/packs/{PACK}")
        assert bench.version == 1


def index_of(*packs: tuple[str, int]) -> bytes:
    from content_packs.fetch.offers import Offered, write_index

    return write_index([Offered(*pack) for pack in packs])


async def test_without_an_index_only_the_head_of_a_withdrawn_patch_tells_and_nothing_is_shown(
    tmp_path: Path, depot: PlayDepot
) -> None:
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", key=depot.press, root=depot.root, depots=(server.address,)) as bench,
    ):
        await have_one(bench, depot, server)
        await release(depot, 2, before=1)
        await asyncio.to_thread(depot.change, lambda one: publishing.withdraw(one, PACK, 2, depot.keys))
        assert await bench.update() is None
        assert bench.version == 1


async def test_a_depot_without_a_list_serves_packs_of_publishers_the_technician_trusts(
    tmp_path: Path, depot: PlayDepot
) -> None:
    folder = await asyncio.to_thread(depot.build, 2)
    await publish(tmp_path / "plain", None, folder, depot.press)
    async with (
        serving_depot(tmp_path / "plain") as server,
        box(tmp_path / "box", key=depot.press, root=depot.root) as bench,
    ):
        await bench.fetching.install(f"{server.address}/packs/{PACK}")
        assert (bench.version, server.asked) == (2, [TIMESTAMP, INDEX, FULL])


@pytest.mark.parametrize("clock_is_set", [True, False])
async def test_a_list_that_is_out_of_date_counts_only_while_the_clock_is_not_trusted(
    tmp_path: Path, depot: PlayDepot, clock_is_set: bool
) -> None:
    await release(depot, 2)
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", key=None, root=depot.root, clock_is_set=clock_is_set) as bench,
    ):
        bench.clock.wall_ms += 121 * DAY_MS
        address = f"{server.address}/packs/{PACK}"
        if clock_is_set:
            with pytest.raises(ListExpired):
                await bench.fetching.install(address)
            assert bench.library.trust.pack_list is None
        else:
            await bench.fetching.install(address)
            assert bench.version == 2


async def test_a_newer_list_from_a_stick_is_not_taken_back_by_an_older_one_over_the_line(
    tmp_path: Path, depot: PlayDepot
) -> None:
    await asyncio.to_thread(depot.saved)
    before = tmp_path / "work" / "saved-0"
    await release(depot, 2)
    async with serving_depot(before) as server:
        sticks = (tmp_path / "hub",)
        async with box(
            tmp_path / "box", key=None, root=depot.root, depots=(server.address,), stick_folders=sticks
        ) as bench:
            await bench.loading.sticks.look()
            newer = pack_list(bench)
            await bench.install(depot.folder / "packs" / PACK / "1")
            assert await bench.update() is None
            assert pack_list(bench) == newer
            assert (PACK, 2) in newer.packs


async def test_packs_of_a_stick_are_taken_by_a_list_that_came_over_the_line(tmp_path: Path, depot: PlayDepot) -> None:
    folder = await asyncio.to_thread(depot.publish, 2)
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", key=None, root=depot.root, depots=(server.address,)) as bench,
    ):
        await bench.fetching.look()
        await bench.install(folder)
        assert bench.version == 2


async def test_a_list_that_nobody_signed_is_refused_and_named_when_a_pack_needs_it(
    tmp_path: Path, depot: PlayDepot
) -> None:
    await release(depot, 2)
    await asyncio.to_thread(depot.forge, "timestamp", lambda signed: setattr(signed, "version", 99))
    async with serving_depot(depot.folder) as server, box(tmp_path / "box", key=None, root=depot.root) as bench:
        with pytest.raises(ListUnsigned):
            await bench.fetching.install(f"{server.address}/packs/{PACK}")
        assert bench.version == 0


async def test_a_sign_in_page_is_never_taken_for_a_record(tmp_path: Path, depot: PlayDepot) -> None:
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", key=None, root=depot.root, depots=(server.address,)) as bench,
    ):
        await have_one(bench, depot, server)
        known = pack_list(bench)
        server.page = "<html>Sign in</html>"
        assert await bench.update() is None
        assert server.asked == [TIMESTAMP, INDEX]
        assert pack_list(bench) == known


async def test_a_line_that_goes_silent_in_a_list_is_given_up_and_nobody_waits_for_it(
    tmp_path: Path, depot: PlayDepot
) -> None:
    await release(depot, 2)
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", key=None, root=depot.root, depots=(server.address,)) as bench,
    ):
        server.stalls_at = f"metadata/{depot.path('targets').name}"
        look = asyncio.create_task(bench.fetching.look())
        await server.stalled.wait()
        # A stick brings the list meanwhile.
        await asyncio.to_thread(bench.library.trust.refresh_from, [depot.folder])
        assert (PACK, 2) in pack_list(bench).packs
        while not look.done():
            bench.clock.advance(1_000)
            await asyncio.sleep(0.01)
        assert await look == []


async def test_a_box_that_is_switched_off_in_the_middle_of_a_list_goes_on_with_the_one_it_has(
    tmp_path: Path, depot: PlayDepot
) -> None:
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", key=None, root=depot.root, depots=(server.address,)) as bench,
    ):
        await have_one(bench, depot, server)
        await release(depot, 2, before=1)
        server.stalls_at = f"metadata/{depot.path('snapshot').name}"
        bench.fetching.begin(is_asked=False)
        await server.stalled.wait()
        await bench.fetching.close()
        assert (PACK, 2) not in pack_list(bench).packs
        server.stalls_at = ""
        assert await bench.update() == Update(PACK, 2, UpdateState.DONE)


async def test_lists_count_in_the_budget_and_go_on_the_next_day(tmp_path: Path, depot: PlayDepot) -> None:
    await release(depot, 2)
    async with (
        serving_depot(depot.folder) as server,
        box(tmp_path / "box", key=None, root=depot.root, line_day_bytes=DAY_BYTES) as bench,
    ):
        address, days = f"{server.address}/packs/{PACK}", 0
        while not bench.version and days < 20:
            before_bytes = server.sent_bytes
            try:
                await bench.fetching.install(address)
            except FetchPaused:
                days += 1
            ledger = bench.line.rules.ledger
            spent_bytes = ledger.spent_bytes(ledger.day(bench.line.moment()))
            assert DAY_BYTES >= spent_bytes >= server.sent_bytes - before_bytes > 0
            bench.clock.wall_ms += DAY_MS
        assert 3 <= days < 20
