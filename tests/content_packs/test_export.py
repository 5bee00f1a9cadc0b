"""Filling a stick: a pack is offered only when the stick was seen to keep it, and nothing of others is touched."""

import contextlib
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from content_packs import installer, usb
from content_packs.builder import BuildResult
from content_packs.format import layout
from content_packs.format.errors import BlobMissing, StickGone
from content_packs.format.manifest import FileEntry
from content_packs.usb.errors import ExportCancelled, StickFull, StickLies, StickPlaceTaken, StickReadOnly
from content_packs.usb.export import Cargo, Exporter, ExportResult
from tests.support.course import PACK, TRUSTED, build_course, tree_bytes
from tests.support.packs import installer_of, visible
from tests.support.power_cut import CuttableDisk, PowerCut
from tests.support.stick import LyingStick, PullableStick


def reader(store: Path) -> Callable[[FileEntry], Iterator[bytes]]:
    def read(entry: FileEntry) -> Iterator[bytes]:
        try:
            yield (store / layout.blob_name(entry.hash)).read_bytes()
        except FileNotFoundError as error:
            raise BlobMissing(file=entry.path) from error

    return read


def cargo_of(result: BuildResult) -> Cargo:
    return Cargo(result.manifest, (result.folder / "manifest.ebm").read_bytes(), reader(result.folder))


@pytest.fixture
def cargo(tmp_path: Path) -> Cargo:
    return cargo_of(build_course(tmp_path / "box"))


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    (tmp_path / "STICK").mkdir()
    return tmp_path / "STICK"


def export(stick: Path, *cargo: Cargo, part_bytes: int = layout.PART_BYTES) -> ExportResult:
    return Exporter(stick, cargo, part_bytes=part_bytes).run()


def offered(stick: Path) -> list[str]:
    """Return the packs that are offered, after checking that each of them is whole."""
    offers = usb.scan(stick, trusted=TRUSTED)
    assert all(installer.verify(offer.folder, TRUSTED).is_good for offer in offers)
    return [offer.manifest.pack for offer in offers if offer.manifest]


def test_a_filled_stick_installs_on_another_box(cargo: Cargo, stick: Path, tmp_path: Path) -> None:
    result = export(stick, cargo)
    assert result.exported == (cargo.manifest,)
    assert result.written_bytes == cargo.manifest.size_bytes
    installer.Installer(stick / cargo.place, tmp_path / "other", TRUSTED).run()
    assert visible(tmp_path / "other") == [(PACK, 1)]


def test_large_files_go_in_parts_that_fat_can_hold(cargo: Cargo, stick: Path) -> None:
    export(stick, cargo, part_bytes=1000)
    sizes = [path.stat().st_size for path in (stick / cargo.place / "blobs").rglob("*") if path.is_file()]
    assert max(sizes) <= 1000
    assert offered(stick) == [PACK]


def test_filling_again_writes_nothing(cargo: Cargo, stick: Path) -> None:
    export(stick, cargo)
    before = tree_bytes(stick)
    assert export(stick, cargo).written_bytes == 0
    assert tree_bytes(stick) == before


def test_what_goes_with_a_pack_is_put_beside_it(cargo: Cargo, stick: Path, tmp_path: Path) -> None:
    (tmp_path / "root.json").write_bytes(b"{}")
    (tmp_path / "full.ebp").write_bytes(b"patch")
    beside = {"metadata/root.json": tmp_path / "root.json", f"patches/{PACK}/full.ebp": tmp_path / "full.ebp"}
    export(stick, replace(cargo, beside=beside))
    assert (stick / "edgebox/metadata/root.json").read_bytes() == b"{}"
    assert (stick / f"edgebox/patches/{PACK}/full.ebp").read_bytes() == b"patch"


def test_progress_counts_what_is_written_and_what_is_read_back(cargo: Cargo, stick: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    Exporter(stick, [cargo]).run(lambda *step: seen.append(step))
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1] == (2 * cargo.manifest.size_bytes, 2 * cargo.manifest.size_bytes, "")


@pytest.mark.parametrize("capacity_bytes", [0, 100, 2000, 4000])
def test_a_stick_that_keeps_less_than_it_says_is_named_and_offers_nothing(
    cargo: Cargo, stick: Path, monkeypatch: pytest.MonkeyPatch, capacity_bytes: int
) -> None:
    LyingStick(stick, monkeypatch, capacity_bytes)
    with pytest.raises(StickLies) as caught:
        export(stick, cargo)
    assert caught.value.fields["stick"] == "STICK"
    assert caught.value.fields["kept_mb"] <= capacity_bytes
    assert offered(stick) == []


def test_a_stick_that_loses_the_manifest_is_named_too(
    cargo: Cargo, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LyingStick(stick, monkeypatch, cargo.manifest.size_bytes)
    with pytest.raises(StickLies):
        export(stick, cargo)
    assert offered(stick) == []


def test_a_pull_at_any_read_or_write_offers_nothing_and_the_next_try_goes_on(
    cargo: Cargo, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    for pull_at in range(1, 200):
        with monkeypatch.context() as patch:
            pulled = PullableStick(stick, patch, pull_at, writes=True)
            try:
                export(stick, cargo)
            except StickGone:
                pass
            else:
                break
        assert offered(stick) in ([], [PACK])
        now = len([path for path in stick.rglob("*") if len(path.name) == 64])
        assert now >= written
        written = now
    assert pulled.reads < pull_at
    assert written > 0
    assert offered(stick) == [PACK]


def test_a_power_cut_at_any_write_leaves_whole_packs_or_none(cargo: Cargo, tmp_path: Path) -> None:
    cut_at, has_ended = 0, False
    while not has_ended:
        cut_at += 1
        for contents, names in [(True, False), (True, True)]:
            stick = tmp_path / "cut"
            stick.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                disk = CuttableDisk(stick, patch, cut_at)
                with contextlib.suppress(PowerCut):
                    export(stick, cargo)
                    has_ended = True
                disk.settle(lose_contents=contents, lose_names=names)
            assert offered(stick) in ([[PACK]] if has_ended else [[], [PACK]])
            if cut_at % 5 == 0:
                export(stick, cargo)
                assert offered(stick) == [PACK]
            shutil.rmtree(stick)
            shutil.rmtree(tmp_path / "cut.kept")
    assert cut_at > 30


def test_what_an_earlier_run_left_damaged_is_written_again(cargo: Cargo, stick: Path) -> None:
    export(stick, cargo)
    (stick / cargo.place / "manifest.ebm").unlink()
    blob = max((stick / cargo.place / "blobs").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    blob.write_bytes(bytes(blob.stat().st_size))
    export(stick, cargo)
    assert offered(stick) == [PACK]


def test_a_folder_that_is_left_of_an_unmounted_stick_is_not_written(cargo: Cargo, stick: Path, tmp_path: Path) -> None:
    def unmount(_done: int, _total: int, _file: str) -> None:
        if stick.exists() and any(stick.iterdir()):
            stick.rename(tmp_path / "away")
            stick.mkdir()

    with pytest.raises(StickGone):
        Exporter(stick, [cargo]).run(unmount)
    assert not list(stick.rglob("manifest.ebm"))
    assert not list(stick.rglob("[0-9a-f]" * 64))


def test_a_pack_that_is_damaged_on_the_box_does_not_stop_the_others(cargo: Cargo, stick: Path, tmp_path: Path) -> None:
    other = build_course(tmp_path / "box", pack="org.example.other", film_bytes=2000)
    entry = next(entry for entry in other.manifest.files if entry.path == "states/film.mp4")
    (other.folder / layout.blob_name(entry.hash)).unlink()
    result = export(stick, cargo_of(other), cargo)
    assert offered(stick) == [PACK]
    assert [refused.manifest.pack for refused in result.refused] == ["org.example.other"]
    assert result.refused[0].error.fields["file"] == "states/film.mp4"


def test_a_cancelled_export_offers_nothing_and_goes_on_later(cargo: Cargo, stick: Path) -> None:
    answers = iter([False] * 5)
    with pytest.raises(ExportCancelled):
        Exporter(stick, [cargo]).run(cancelled=lambda: next(answers, True))
    assert offered(stick) == []
    assert 0 < export(stick, cargo).written_bytes < cargo.manifest.size_bytes
    assert offered(stick) == [PACK]


def test_a_stick_with_too_little_space_is_refused_unwritten(
    cargo: Cargo, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SimpleNamespace(f_bavail=20_000, f_frsize=1000, f_blocks=64_000_000)
    monkeypatch.setattr(os, "statvfs", lambda _: space)
    assert not Exporter(stick, [cargo] * 20).plan().fits
    with pytest.raises(StickFull):
        export(stick, *[cargo] * 20)
    assert list(stick.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "error"),
    [(errno.ENOSPC, StickFull), (errno.EROFS, StickReadOnly), (errno.EACCES, StickReadOnly), (errno.EIO, StickGone)],
)
def test_what_goes_wrong_while_writing_has_its_own_words(
    cargo: Cargo, stick: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[Exception]
) -> None:
    PullableStick(stick, monkeypatch, 3, code, writes=True)
    with pytest.raises(error):
        export(stick, cargo)


@pytest.mark.parametrize("place", ["edgebox", "edgebox/packs", f"edgebox/packs/{PACK}", f"edgebox/packs/{PACK}/1"])
@pytest.mark.parametrize("kind", ["link", "file", "pipe"])
def test_nothing_is_written_through_what_is_not_a_folder(
    cargo: Cargo, stick: Path, tmp_path: Path, place: str, kind: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    path = stick / place
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        path.write_bytes(b"a letter")
    else:
        os.mkfifo(path)
    with pytest.raises(StickPlaceTaken):
        export(stick, cargo)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert kind != "file" or path.read_bytes() == b"a letter"


def test_a_link_beside_the_manifest_is_not_followed(cargo: Cargo, stick: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"a letter")
    (stick / cargo.place).mkdir(parents=True)
    (stick / cargo.place / "manifest.ebm.part").symlink_to(tmp_path / "elsewhere")
    export(stick, cargo)
    assert (tmp_path / "elsewhere").read_bytes() == b"a letter"
    assert offered(stick) == [PACK]


def test_another_manifest_under_the_same_name_is_left_alone(cargo: Cargo, stick: Path, tmp_path: Path) -> None:
    other = build_course(tmp_path / "second", film_bytes=2000)
    shutil.copytree(tmp_path / "second" / "stick", stick, dirs_exist_ok=True)
    before = tree_bytes(stick)
    with pytest.raises(StickPlaceTaken):
        export(stick, cargo)
    assert tree_bytes(stick) == before
    assert other.manifest != cargo.manifest


def test_files_of_others_stay_as_they_are(cargo: Cargo, stick: Path) -> None:
    letters = {"letter.odt": b"Dear", "edgebox/outbox/a/1-1.eb": b"bundle", "edgebox/packs/notes.txt": b"notes"}
    for name, content in letters.items():
        (stick / name).parent.mkdir(parents=True, exist_ok=True)
        (stick / name).write_bytes(content)
    export(stick, cargo)
    assert {name: (stick / name).read_bytes() for name in letters} == letters


def test_names_and_sizes_hold_on_fat32(cargo: Cargo, stick: Path, tmp_path: Path) -> None:
    if shutil.which("mcopy", path="/usr/bin") is None or shutil.which("mkfs.vfat", path="/usr/sbin") is None:
        pytest.skip("install Debian packages mtools and dosfstools")
    export(stick, cargo, part_bytes=1000)
    image = tmp_path / "stick.img"
    with image.open("wb") as file:
        file.truncate(64 * 1024**2)
    subprocess.run(["/usr/sbin/mkfs.vfat", "-F", "32", image], check=True, capture_output=True)
    subprocess.run(["/usr/bin/mcopy", "-i", image, "-s", stick / "edgebox", "::"], check=True)
    (tmp_path / "back").mkdir()
    subprocess.run(["/usr/bin/mcopy", "-i", image, "-s", "-n", "::edgebox", tmp_path / "back"], check=True)
    assert tree_bytes(tmp_path / "back") == tree_bytes(stick)
    assert offered(tmp_path / "back") == [PACK]


def test_an_installed_pack_and_one_on_a_stick_are_the_same_bytes(stick: Path, tmp_path: Path) -> None:
    result = build_course(tmp_path / "box")
    installer_of(result, tmp_path / "data").run()
    envelope = (tmp_path / "data" / "packs" / layout.installed_name(PACK, 1)).read_bytes()
    export(stick, Cargo(result.manifest, envelope, reader(tmp_path / "data")))
    assert tree_bytes(stick) == tree_bytes(tmp_path / "box" / "stick")
