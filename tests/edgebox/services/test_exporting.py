"""Filling a stick from a box: goes on when the stick is back, one at a time, and takes what goes with a pack along."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from content_packs import installer, usb
from content_packs.base.signing import SigningKey
from content_packs.format.errors import PackNotFound
from content_packs.format.selection import Selection
from content_packs.installer import InstalledPack
from content_packs.trust.reading import FolderReader
from content_packs.usb.errors import NothingChosen, StickBusy, StickLies
from content_packs.usb.export import Exporter
from edgebox.services.exporting import Exporting, ExportJob, ExportState, choice_of, choose_fitting, matches
from edgebox.services.library import Library
from edgebox.services.sticks import Sticks
from edgebox.settings import Settings, prepare_folders
from tests.support.clock import FakeClock
from tests.support.depot import PlayBox, PlayDepot
from tests.support.packs import small_manifest
from tests.support.small_course import built, trust
from tests.support.stick import LyingStick

KEY = SigningKey(b"k" * 32)
PACKS = ("org.example.one", "org.example.two")
EVERY_PART: dict[str, Selection] = {}


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    settings = Settings(data=tmp_path / "box", stick_folders=(tmp_path / "media",))
    await asyncio.to_thread(prepare_folders, settings)
    await asyncio.to_thread(trust, settings.keys, KEY)
    for pack in PACKS:
        folder = await built(tmp_path / "from", KEY, pack=pack, more=pack)
        trusted = {KEY.verify_key.key_id: KEY.verify_key}
        await asyncio.to_thread(installer.Installer(folder, settings.data, trusted).run)
    (tmp_path / "media" / "NEXT" / "edgebox").mkdir(parents=True)
    return settings


@pytest.fixture
def stick(settings: Settings) -> Path:
    return settings.stick_folders[0] / "NEXT"


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Exporting]:
    library = await Library.open(settings)
    exporting = Exporting(settings, library, Sticks(library, settings, FakeClock()), poll_seconds=0.01)
    try:
        yield exporting
    finally:
        await exporting.close()
        await library.close()


async def ended(exporting: Exporting, *, past: ExportState | None = None) -> ExportJob:
    """Wait until the job has ended or waits for its stick; with `past`, until it has left that state and ended."""
    while True:
        async for job in exporting.watch():
            last = job
        if last.state is not past:
            return last
        await asyncio.sleep(0)


def offered(stick: Path) -> list[str]:
    trusted = {KEY.verify_key.key_id: KEY.verify_key}
    offers = usb.scan(stick, trusted=trusted)
    assert all(installer.verify(offer.folder, trusted).is_good for offer in offers)
    return [offer.manifest.pack for offer in offers if offer.manifest]


async def test_a_stick_is_filled_with_what_was_chosen(settings: Settings, stick: Path) -> None:
    async with opened(settings) as exporting:
        assert [choice.manifest.pack for choice in await exporting.choices()] == list(PACKS)
        await exporting.start(stick, PACKS[1:], EVERY_PART)
        job = await ended(exporting)
        assert (job.state, job.done_bytes) == (ExportState.DONE, job.total_bytes)
        assert await asyncio.to_thread(offered, stick) == ["org.example.two"]


async def test_lists_and_patches_of_the_box_go_along(settings: Settings, stick: Path) -> None:
    for name in ("metadata/1.root.json", f"patches/{PACKS[0]}/{'0' * 32}.ebp", f"patches/{PACKS[1]}/{'1' * 32}.ebp"):
        (settings.data / "depot" / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.data / "depot" / name).write_bytes(name.encode())
    async with opened(settings) as exporting:
        await exporting.start(stick, PACKS[:1], EVERY_PART)
        await ended(exporting)
    found = {
        path.relative_to(stick / "edgebox").as_posix() for path in (stick / "edgebox").rglob("*.*") if path.is_file()
    }
    assert "metadata/1.root.json" in found
    assert f"patches/{PACKS[0]}/{'0' * 32}.ebp" in found
    assert not [name for name in found if PACKS[1] in name]


async def test_the_list_the_box_goes_by_goes_along(settings: Settings, stick: Path, tmp_path: Path) -> None:
    platform = await asyncio.to_thread(PlayDepot, tmp_path / "depot")
    async with opened(settings) as exporting:
        trust = exporting._library.trust
        await asyncio.to_thread(trust.set_root, platform.root)
        await asyncio.to_thread(trust.refresh, FolderReader(platform.folder))
        await exporting.start(stick, PACKS[:1], EVERY_PART)
        assert (await ended(exporting)).state is ExportState.DONE
    next_school = await asyncio.to_thread(PlayBox, tmp_path / "next", platform.root)
    found = await asyncio.to_thread(next_school.refresh, FolderReader(stick / "edgebox"))
    assert found == trust.pack_list


async def test_a_pulled_stick_is_waited_for_and_filling_goes_on_by_itself(
    settings: Settings, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = settings.data.parent / "away"
    real = Exporter._read_back

    def pull(self: Exporter, cargo: object) -> None:
        if not away.exists():
            stick.rename(away)
        real(self, cargo)  # type: ignore[arg-type]

    monkeypatch.setattr(Exporter, "_read_back", pull)
    async with opened(settings) as exporting:
        await exporting.start(stick, PACKS, EVERY_PART)
        assert (await ended(exporting)).state is ExportState.STICK_GONE
        with pytest.raises(StickBusy):
            await exporting.start(stick, PACKS, EVERY_PART)
        monkeypatch.setattr(Exporter, "_read_back", real)
        away.rename(stick.with_name("AGAIN"))
        assert (await ended(exporting, past=ExportState.STICK_GONE)).state is ExportState.DONE
        assert await asyncio.to_thread(offered, stick.with_name("AGAIN")) == list(PACKS)


async def test_a_stick_that_does_not_keep_what_is_written_is_told_by_name(
    settings: Settings, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(settings) as exporting:
        LyingStick(stick, monkeypatch, 600)
        await exporting.start(stick, PACKS, EVERY_PART)
        job = await ended(exporting)
        assert job.state is ExportState.FAILED
        assert job.error is not None
        assert (job.error["code"], job.error["fields"]["stick"]) == (StickLies.code, "NEXT")


async def test_a_waiting_export_can_be_stopped(
    settings: Settings, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Exporter, "_read_back", lambda *_: stick.rename(settings.data.parent / "away"))
    async with opened(settings) as exporting:
        await exporting.start(stick, PACKS, EVERY_PART)
        assert (await ended(exporting)).state is ExportState.STICK_GONE
        await exporting.cancel()
        assert (await ended(exporting)).state is ExportState.CANCELLED


async def test_what_is_damaged_on_the_box_is_named_and_the_rest_is_exported(settings: Settings, stick: Path) -> None:
    async with opened(settings) as exporting:
        first, second = (pack.manifest for pack in await asyncio.to_thread(installer.installed, settings.data))
        (lost, *_) = set(first.blobs) - set(second.blobs)
        installer.blob_store(settings.data).path_of(lost).unlink()
        await exporting.start(stick, PACKS, EVERY_PART)
        job = await ended(exporting)
        assert [manifest.pack for manifest in job.exported] == ["org.example.two"]
        assert [(manifest.pack, error["code"]) for manifest, error in job.refused] == [
            ("org.example.one", "pack.blob_missing")
        ]


async def test_nothing_and_unknown_packs_are_refused(settings: Settings, stick: Path) -> None:
    async with opened(settings) as exporting:
        with pytest.raises(NothingChosen):
            await exporting.start(stick, [], EVERY_PART)
        with pytest.raises(PackNotFound):
            await exporting.start(stick, ["org.example.none"], EVERY_PART)
        assert exporting.job is None


async def test_a_form_that_is_sent_twice_fills_the_stick_once(settings: Settings, stick: Path) -> None:
    async with opened(settings) as exporting:
        twice = [exporting.start(stick, PACKS, EVERY_PART) for _ in range(2)]
        found = await asyncio.gather(*twice, return_exceptions=True)
        assert [type(each) for each in found] == [type(None), StickBusy]
        assert (await ended(exporting)).state is ExportState.DONE


async def test_a_manifest_is_read_again_only_when_it_changed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with opened(settings) as exporting:
        before = await exporting.choices()
        read: list[str] = []
        real = installer.find_installed

        def noted(data: Path, pack: str, version: int) -> InstalledPack:
            read.append(f"{pack} {version}")
            return real(data, pack, version)

        monkeypatch.setattr(installer, "find_installed", noted)
        assert (await exporting.choices(), read) == (before, [])
        newer = await built(tmp_path / "from", KEY, pack=PACKS[0], version=2)
        trusted = {KEY.verify_key.key_id: KEY.verify_key}
        await asyncio.to_thread(installer.Installer(newer, settings.data, trusted).run)
        await exporting._library.reload()
        assert [choice.manifest.version for choice in await exporting.choices()] == [2, 1]
        assert read == [f"{PACKS[0]} 2"]


def test_as_many_packs_as_fit_are_chosen() -> None:
    packs = [InstalledPack(small_manifest(pack=f"org.example.{name}"), Path()) for name in "ab"]
    choices = [choice_of(pack) for pack in packs]
    assert choose_fitting(choices, 100) == ["org.example.a", "org.example.b"]
    assert choose_fitting(choices, choices[0].size_bytes) == ["org.example.a"]
    assert choose_fitting(choices, 0) == []


@pytest.mark.parametrize(
    ("languages", "levels", "fits"),
    [([], [], True), (["en"], [], True), (["fr"], [], False), ([], ["P1"], True), (["en"], ["P2"], False)],
)
def test_packs_are_found_by_language_and_level(languages: list[str], levels: list[str], fits: bool) -> None:
    manifest = small_manifest(languages=("en-GB", "ar"), educational_level="P1")
    assert matches(manifest, languages, levels) is fits
