"""Updates on a stick: patches for what the box has are offered and installed like packs, others are left alone."""

import asyncio
import shutil
from pathlib import Path

import pytest

from content_packs.base.signing import SigningKey
from content_packs.format.selection import Selection
from content_packs.installer.library import selection_of
from content_packs.patch import PatchFile
from content_packs.trust import publishing
from edgebox.services.stick_offers import Change, Offer
from edgebox.store.jobs import InstallJob, JobState
from tests.support.course import tree_bytes
from tests.support.depot import PlayDepot
from tests.support.fetching_box import KEY, Bench, box, publish, root_of
from tests.support.small_course import PACK, built
from tests.support.stick import PullableStick, fold_names

OTHER = "org.example.other"


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    """Give an empty stick with the folder of ours."""
    stick = tmp_path / "media" / "STICK"
    (stick / "edgebox").mkdir(parents=True)
    return stick


@pytest.fixture
async def one(tmp_path: Path) -> Path:
    return await built(tmp_path / "built", KEY, more="one " * 500)


@pytest.fixture
async def two(tmp_path: Path) -> Path:
    return await built(tmp_path / "built", KEY, version=2, more="one " * 500 + "and two")


@pytest.fixture
def depot(tmp_path: Path) -> PlayDepot:
    """Give a stick that holds a depot with a list."""
    return PlayDepot(tmp_path / "media" / "STICK", tmp_path / "work")


async def put(stick: Path, old: Path | None, new: Path, key: SigningKey = KEY) -> Path:
    return await publish(stick / "edgebox", old, new, key)


async def offers(bench: Bench) -> list[Offer]:
    return [offer for stick in await bench.loading.sticks.look(afresh=True) for offer in stick.offers]


async def ended(bench: Bench, no: int) -> InstallJob:
    async for job in bench.loading.watch(no):
        last = job
    return last


def at_stick(tmp_path: Path) -> dict[str, tuple[Path, ...]]:
    return {"stick_folders": (tmp_path / "media",)}


async def test_a_patch_for_the_version_on_the_box_is_offered_as_an_update_and_installed(
    tmp_path: Path, stick: Path, one: Path, two: Path
) -> None:
    patch = await put(stick, one, two)
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        assert await offers(bench) == []
        await bench.install(one)
        (offer,) = await offers(bench)
        assert (offer.change, offer.version, offer.installed_version) == (Change.UPDATE, 2, 1)
        assert (offer.title["fr"], offer.size_bytes) == ("Des parts égales", patch.stat().st_size)
        assert (offer.fits, offer.signer_name) == (True, "Example Press")
        no = await bench.loading.start(offer.folder)
        job = await ended(bench, no)
        assert (job.state, job.done_bytes, bench.version) == (JobState.DONE, job.total_bytes, 2)
        assert job.total_bytes > 0
        assert await offers(bench) == []


async def test_a_patch_for_a_pack_that_was_taken_in_part_is_offered_and_the_choice_stays(
    tmp_path: Path, stick: Path
) -> None:
    one, two = [await built(tmp_path / "built", KEY, version=version, has_parts=True) for version in (1, 2)]
    await put(stick, one, two)
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        await bench.install(one, parts=())
        (offer,) = await offers(bench)
        assert (offer.change, offer.version, offer.fits) == (Change.UPDATE, 2, True)
        await bench.install(offer.folder)
        assert bench.version == 2
        assert await asyncio.to_thread(selection_of, bench.settings.data, PACK, 2) == Selection(frozenset())


async def test_a_full_patch_makes_a_pack_the_box_does_not_have(tmp_path: Path, stick: Path, two: Path) -> None:
    await put(stick, None, two)
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        (offer,) = await offers(bench)
        assert (offer.change, offer.pack, offer.version, offer.title["en"]) == (Change.NEW, PACK, 2, "Equal parts")
        await bench.install(offer.folder)
        assert bench.version == 2


async def test_of_two_patches_to_one_version_the_smaller_is_offered(
    tmp_path: Path, stick: Path, one: Path, two: Path
) -> None:
    await put(stick, None, two)
    small = await put(stick, one, two)
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        await bench.install(one)
        assert [offer.folder for offer in await offers(bench)] == [small]


async def test_a_patch_for_another_version_or_of_another_pack_is_not_offered(
    tmp_path: Path, stick: Path, one: Path, two: Path
) -> None:
    three = await built(tmp_path / "built", KEY, version=3, more="three")
    other = await put(stick, two, three)
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        await bench.install(one)
        # One that calls itself something else than its name says is none of the box's either.
        await asyncio.to_thread(shutil.copy, other, other.with_name(f"{root_of(one)[:16].hex()}.ebp"))
        await asyncio.to_thread(shutil.copytree, other.parent, stick / "edgebox" / "patches" / OTHER)
        assert await offers(bench) == []


@pytest.mark.parametrize("is_little_to_copy", [True, False])
async def test_of_a_pack_folder_and_a_patch_what_is_read_sooner_is_offered(
    tmp_path: Path, stick: Path, one: Path, two: Path, is_little_to_copy: bool
) -> None:
    await asyncio.to_thread(shutil.copytree, two, stick / "edgebox" / "packs" / PACK / "2")
    patch = await put(stick, one, two)
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        await bench.install(one)
        if is_little_to_copy:
            for path in two.glob("blobs/*/*"):
                there = bench.settings.data / "blobs" / path.parent.name / path.name
                await asyncio.to_thread(there.parent.mkdir, exist_ok=True)
                await asyncio.to_thread(shutil.copy, path, there)
        (found,) = await bench.loading.sticks.look(afresh=True)
        (offer,) = found.offers
        folder = stick / "edgebox" / "packs" / PACK / "2"
        assert offer.folder == (folder if is_little_to_copy else patch)
        assert found.packs == ((PACK, folder),)


@pytest.mark.parametrize(
    ("at", "code"),
    [(0, "patch.malformed"), (60, "patch.signature_invalid"), (-1, "patch.malformed")],
    ids=["no patch", "head", "body"],
)
async def test_a_damaged_patch_is_refused_with_its_code_and_changes_nothing(
    tmp_path: Path, stick: Path, one: Path, two: Path, at: int, code: str
) -> None:
    patch = await put(stick, one, two)
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        await bench.install(one)
        content = bytearray(await asyncio.to_thread(patch.read_bytes))
        content[at] ^= 0xFF
        await asyncio.to_thread(patch.write_bytes, bytes(content))
        before = await asyncio.to_thread(tree_bytes, bench.settings.packs)
        (offer,) = await offers(bench)
        assert offer.change is Change.UNUSABLE
        assert offer.error is not None
        assert offer.error.code == code
        (job,) = [await ended(bench, no) for no in await bench.loading.start_all([patch])]
        assert (job.state, (job.error or {})["code"]) == (JobState.FAILED, code)
        assert (bench.version, await asyncio.to_thread(tree_bytes, bench.settings.packs)) == (1, before)


async def test_a_patch_of_a_stranger_is_shown_and_refused(tmp_path: Path, stick: Path, one: Path, two: Path) -> None:
    await put(stick, one, two, SigningKey(b"s" * 32))
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        await bench.install(one)
        (offer,) = await offers(bench)
        assert (offer.change, offer.signer_name) == (Change.UNUSABLE, None)
        assert offer.error is not None
        assert offer.error.code == "pack.signer_unknown"


async def test_a_patch_is_taken_by_the_list_on_its_stick(tmp_path: Path, depot: PlayDepot) -> None:
    first = await asyncio.to_thread(depot.publish)
    second = await asyncio.to_thread(depot.publish, 2, more="new")
    await put(tmp_path / "media" / "STICK", first, second, depot.press)
    await asyncio.to_thread(shutil.rmtree, depot.folder / "packs" / PACK / "2")
    async with box(tmp_path / "box", key=None, root=depot.root, **at_stick(tmp_path)) as bench:
        await bench.loading.sticks.look()
        await bench.install(depot.folder / "packs" / PACK / "1")
        offer = next(offer for offer in await offers(bench) if offer.version == 2)
        await bench.install(offer.folder)
        assert bench.version == 2


async def test_a_withdrawn_update_is_refused_before_it_is_read(tmp_path: Path, depot: PlayDepot) -> None:
    first = await asyncio.to_thread(depot.publish)
    second = await asyncio.to_thread(depot.publish, 2, more="new")
    await put(tmp_path / "media" / "STICK", first, second, depot.press)
    await asyncio.to_thread(depot.change, lambda one: publishing.withdraw(one, PACK, 2, depot.keys))
    await asyncio.to_thread(shutil.rmtree, depot.folder / "packs")
    async with box(tmp_path / "box", key=None, root=depot.root, **at_stick(tmp_path)) as bench:
        await bench.loading.sticks.look()
        await bench.install(first)
        (offer,) = await offers(bench)
        assert offer.error is not None
        assert offer.error.code == "pack.withdrawn"


async def test_a_pulled_stick_is_found_again_in_another_place_and_the_update_goes_on(
    tmp_path: Path, stick: Path, one: Path, two: Path
) -> None:
    patch = await put(stick, one, two)
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        await bench.install(one)
        assert len(await offers(bench)) == 1
        with pytest.MonkeyPatch.context() as patching:
            PullableStick(stick, patching, 2)
            job = await ended(bench, await bench.loading.start(patch))
            assert (job.state, bench.version) == (JobState.STICK_GONE, 1)
            await asyncio.to_thread(stick.rename, stick.with_name("elsewhere"))
        while (job := await bench.loading.job(job.no)).state.is_open:
            await asyncio.sleep(0.01)
        assert (job.state, bench.version) == (JobState.DONE, 2)


async def test_a_stick_with_another_update_under_the_same_name_is_not_taken_for_the_one_that_was_pulled(
    tmp_path: Path, stick: Path, one: Path, two: Path
) -> None:
    patch = await put(stick, one, two)
    three = await built(tmp_path / "built", KEY, version=3, more="three")
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        await bench.install(one)
        with pytest.MonkeyPatch.context() as patching:
            PullableStick(stick, patching, 2)
            no = await bench.loading.start(patch)
            assert (await ended(bench, no)).state is JobState.STICK_GONE
            await asyncio.to_thread(stick.rename, tmp_path / "away")
        await put(tmp_path / "media" / "NEXT", one, three)
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert (await bench.loading.job(no)).state is JobState.STICK_GONE
        await asyncio.to_thread((tmp_path / "away").rename, stick)
        while (job := await bench.loading.job(no)).state.is_open:
            await asyncio.sleep(0.01)
        assert (job.state, bench.version) == (JobState.DONE, 2)


async def test_capitals_do_not_hide_a_patch_and_links_are_not_followed(
    tmp_path: Path, stick: Path, one: Path, two: Path
) -> None:
    await put(stick, one, two)
    async with box(tmp_path / "box", **at_stick(tmp_path)) as bench:
        await bench.install(one)
        await asyncio.to_thread(fold_names, stick / "edgebox", str.upper)
        (offer,) = await offers(bench)
        path = next((stick / "edgebox").rglob("*.EBP"))
        await asyncio.to_thread(path.rename, tmp_path / "patch")
        await asyncio.to_thread(path.symlink_to, tmp_path / "patch")
        assert await offers(bench) == []
        await asyncio.to_thread(path.unlink)
        await asyncio.to_thread((tmp_path / "patch").rename, path)
        await bench.install(offer.folder)
        assert bench.version == 2


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    import os

    from content_packs.format.errors import PackNotFound

    os.mkfifo(tmp_path / "full.ebp")
    with pytest.raises(PackNotFound):
        PatchFile(tmp_path / "full.ebp", {})
