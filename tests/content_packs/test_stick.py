"""Sticks: a bounded look, nothing followed, nothing but plain files opened (S-24)."""

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from content_packs import builder, installer, usb
from content_packs.format import layout
from content_packs.format.errors import (
    BlobAltered,
    BlobMissing,
    ManifestMalformed,
    PackNotFound,
    SignerUnknown,
    StickGone,
)
from content_packs.format.manifest import FileEntry
from content_packs.usb import scanning
from content_packs.usb.reading import PackFolder
from content_packs.usb.stick import NotPlain, StickFolder
from tests.support.course import PACK, PUBLISHER, STRANGER, TRUSTED, build_course, write_course
from tests.support.stick import fold_names


def test_offers_of_a_stick_are_listed_with_their_signer_and_size(tmp_path: Path) -> None:
    results = [build_course(tmp_path), build_course(tmp_path, version=2)]
    offers = usb.scan(tmp_path / "stick", trusted=TRUSTED)
    assert [offer.folder for offer in offers] == [result.folder for result in results]
    assert [offer.manifest for offer in offers] == [result.manifest for result in results]
    assert all(offer.trusted and offer.error is None for offer in offers)
    assert offers[0].signer == PUBLISHER.verify_key.key_id
    assert offers[0].size_bytes == results[0].size_bytes


def test_pack_of_a_stranger_is_shown_but_not_trusted(tmp_path: Path) -> None:
    build_course(tmp_path, key=STRANGER)
    (offer,) = usb.scan(tmp_path / "stick", trusted=TRUSTED)
    assert isinstance(offer.error, SignerUnknown)
    assert offer.manifest is not None
    assert not offer.trusted


def test_damaged_pack_is_listed_with_its_error(tmp_path: Path) -> None:
    (build_course(tmp_path).folder / "manifest.ebm").write_bytes(b"\xc1")
    (offer,) = usb.scan(tmp_path / "stick", trusted=TRUSTED)
    assert isinstance(offer.error, ManifestMalformed)
    assert offer.manifest is None
    assert offer.size_bytes == 0


@pytest.mark.parametrize("depth", [0, 1, 5, 60])
def test_packs_are_found_however_deep_they_are(tmp_path: Path, depth: int) -> None:
    build_course(tmp_path)
    place = tmp_path / "top"
    inner = place.joinpath(*["folder"] * depth)
    inner.mkdir(parents=True)
    shutil.move(tmp_path / "stick" / "edgebox", inner / "edgebox")
    assert len(usb.scan(place, trusted=TRUSTED)) == 1


def test_folders_deeper_than_any_path_may_be_hide_nothing_else(tmp_path: Path) -> None:
    build_course(tmp_path)
    at = os.open(tmp_path / "stick", os.O_RDONLY)
    try:
        for _ in range(900):
            os.mkdir("deep-folder", dir_fd=at)
            inner = os.open("deep-folder", os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = inner
    finally:
        os.close(at)
    found = usb.look(tmp_path / "stick", trusted=TRUSTED)
    assert len(found.offers) == 1
    assert found.is_whole
    assert subprocess.run(["rm", "-rf", tmp_path / "stick"], check=False).returncode == 0


def test_a_stick_whose_names_were_changed_to_capitals_works(tmp_path: Path) -> None:
    result = builder.build(write_course(tmp_path / "s"), tmp_path / "stick", PUBLISHER, part_bytes=1000)
    fold_names(tmp_path / "stick", str.upper)
    (offer,) = usb.scan(tmp_path / "stick", trusted=TRUSTED)
    assert offer.folder.relative_to(tmp_path / "stick").as_posix() == f"EDGEBOX/PACKS/{PACK.upper()}/1"
    assert offer.manifest == result.manifest
    assert installer.verify(offer.folder, TRUSTED).is_good
    installer.Installer(offer.folder, tmp_path / "data", TRUSTED).run()
    assert list(installer.lost_files(tmp_path / "data")) == []


def test_times_of_files_do_not_matter(tmp_path: Path) -> None:
    folder = build_course(tmp_path).folder
    for number, path in enumerate(sorted(folder.rglob("*"))):
        os.utime(path, ns=(number % 2 * 2**61, number % 3 * 2**60))
    assert installer.verify(usb.scan(tmp_path / "stick", trusted=TRUSTED)[0].folder, TRUSTED).is_good


def test_what_other_systems_leave_on_a_stick_is_passed_over(tmp_path: Path) -> None:
    folder = build_course(tmp_path).folder
    for name in ("System Volume Information", "$RECYCLE.BIN", ".Trashes", ".Spotlight-V100", "LOST.DIR"):
        shutil.copytree(tmp_path / "stick" / "edgebox", tmp_path / "litter" / name / "edgebox")
    shutil.copytree(tmp_path / "litter", tmp_path / "stick", dirs_exist_ok=True)
    for place in (tmp_path / "stick", folder, folder / "blobs"):
        for name in ("._manifest.ebm", ".DS_Store", "Thumbs.db", "desktop.ini", "autorun.inf", "~$manifest.ebm"):
            (place / name).write_bytes(b"litter")
    (tmp_path / "stick" / "edgebox" / "packs" / "._org.example.water").write_bytes(b"litter")
    (offer,) = usb.scan(tmp_path / "stick", trusted=TRUSTED)
    assert offer.folder == folder
    assert installer.verify(folder, TRUSTED).is_good


def test_a_stick_with_a_hundred_thousand_files_is_looked_through(tmp_path: Path) -> None:
    build_course(tmp_path)
    for number in range(100):
        folder = tmp_path / "stick" / "photos" / str(number)
        folder.mkdir(parents=True)
        (folder / "first.jpg").touch()
        for twin in range(999):
            os.link(folder / "first.jpg", folder / f"{twin}.jpg")
    deep = tmp_path / "stick" / "photos" / "99" / "for school"
    deep.mkdir()
    shutil.copytree(tmp_path / "stick" / "edgebox", deep / "edgebox")
    found = usb.look(tmp_path / "stick", trusted=TRUSTED, clock=lambda: 0.0)
    assert len(found.offers) == 2
    assert found.is_whole


def test_a_look_ends_after_a_time_and_says_so(tmp_path: Path) -> None:
    build_course(tmp_path)
    for number in range(700):
        (tmp_path / "stick" / f"a{number}").mkdir()
    seconds = iter(range(0, 10_000, 15))
    found = usb.look(tmp_path / "stick", trusted=TRUSTED, clock=lambda: float(next(seconds)))
    assert len(found.offers) == 1
    assert not found.is_whole


def test_any_folder_on_the_way_to_a_pack_may_be_named(tmp_path: Path) -> None:
    folder = build_course(tmp_path).folder
    for place in (folder, tmp_path / "stick" / "edgebox", tmp_path / "stick", tmp_path):
        assert [offer.folder for offer in usb.scan(place, trusted=TRUSTED)] == [folder]


def test_links_are_never_followed(tmp_path: Path) -> None:
    build_course(tmp_path)
    for number, target in enumerate(["stick", "stick/edgebox", "stick/edgebox/packs", f"stick/edgebox/packs/{PACK}"]):
        place = tmp_path / f"linked-{number}"
        parts = ["edgebox", "packs", PACK][:number]
        place.joinpath(*parts).mkdir(parents=True)
        name = ["inside", "edgebox", "packs", PACK][number] if number else "inside"
        parent = place.joinpath(*parts[: number - 1]) if number else place
        if (parent / name).is_dir():
            shutil.rmtree(parent / name)
        (parent / name).symlink_to(tmp_path / target)
        assert usb.scan(place, trusted=TRUSTED) == []


def test_linked_manifest_is_an_error_not_a_pack(tmp_path: Path) -> None:
    manifest = build_course(tmp_path).folder / "manifest.ebm"
    manifest.rename(tmp_path / "elsewhere")
    manifest.symlink_to(tmp_path / "elsewhere")
    (offer,) = usb.scan(tmp_path / "stick", trusted=TRUSTED)
    assert isinstance(offer.error, ManifestMalformed)


def test_loop_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path)
    assert usb.scan(tmp_path) == []


def test_look_ends_after_a_number_of_entries_but_finds_the_top_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "ENTRIES_MAX", 50)
    build_course(tmp_path)
    for number in range(100):
        (tmp_path / "stick" / f"a{number}").mkdir()
    listed: list[Any] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: _counted(real(path), listed))
    assert len(usb.scan(tmp_path / "stick", trusted=TRUSTED)) == 1
    assert len(listed) <= 51


class _counted:  # noqa: N801 - stands in for a function
    """Counts what a directory listing gave."""

    def __init__(self, entries: Any, listed: list[Any]) -> None:
        self._entries, self._listed = entries, listed

    def __enter__(self) -> "_counted":
        return self

    def __exit__(self, *_: object) -> None:
        self._entries.close()

    def __iter__(self) -> Iterator[Any]:
        for entry in self._entries:
            self._listed.append(entry.name)
            yield entry


def test_no_more_offers_than_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "OFFERS_MAX", 2)
    for version in (1, 2, 3):
        build_course(tmp_path, version=version)
    assert len(usb.scan(tmp_path / "stick", trusted=TRUSTED)) == 2


def test_stick_that_does_not_answer_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_path: object) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(os, "scandir", gone)
    with pytest.raises(StickGone):
        usb.scan(tmp_path)


def test_a_file_that_is_not_found_on_a_pulled_stick_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = build_course(tmp_path)
    entry = result.manifest.files[0]
    (result.folder / layout.blob_name(entry.hash)).unlink()
    with PackFolder(result.folder) as pack:
        with pytest.raises(BlobMissing):
            list(pack.read_blob(entry))
        away = result.folder.rename(tmp_path / "away")
        with pytest.raises(StickGone):
            list(pack.read_blob(entry))
        shutil.copytree(away, result.folder)
        with pytest.raises(StickGone):
            list(pack.read_blob(entry))
    with PackFolder(result.folder) as pack:
        monkeypatch.setattr(os, "read", _fail)
        with pytest.raises(StickGone):
            list(pack.read_blob(entry))


def _fail(*_: object) -> bytes:
    raise OSError(errno.EIO, "I/O error")


def test_place_that_is_no_folder_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(PackNotFound):
        usb.scan(tmp_path / "none")


def test_looking_at_a_stick_opens_manifests_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = build_course(tmp_path).folder
    os.mkfifo(tmp_path / "stick" / "pipe")
    os.mkfifo(folder.parent / "2")
    os.mknod(tmp_path / "stick" / "edgebox" / "null", 0o600 | stat.S_IFIFO)
    (tmp_path / "stick" / "autorun.sh").write_text("#!/bin/sh\n")
    with (tmp_path / "stick" / "sparse.img").open("wb") as file:
        file.truncate(2**43)
    opened: list[str] = []
    real = os.open

    def noted(path: Any, flags: int, *more: Any, **options: Any) -> int:
        descriptor = real(path, flags, *more, **options)
        if not flags & os.O_DIRECTORY:
            opened.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        return descriptor

    monkeypatch.setattr(os, "open", noted)
    assert len(usb.scan(tmp_path / "stick", trusted=TRUSTED)) == 1
    assert opened == [str(folder / "manifest.ebm")]


def test_a_hard_link_is_read_like_any_file_and_judged_by_its_content(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    blob = result.folder / layout.blob_name(result.manifest.files[0].hash)
    blob.unlink()
    (tmp_path / "other").write_bytes(bytes(result.manifest.files[0].size_bytes))
    os.link(tmp_path / "other", blob)
    bad = installer.verify(result.folder, TRUSTED).bad_files
    assert {one.code for one in bad} == {BlobAltered.code}


def test_pipe_device_and_folder_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "away").symlink_to("/etc")
    with StickFolder(tmp_path) as folder:
        for name in ("pipe", "folder", "link", "away/passwd"):
            with pytest.raises(NotPlain):
                folder.size_bytes(name)
            with pytest.raises(NotPlain):
                list(folder.read(name, 10))


def test_reading_stops_at_the_size_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    with StickFolder(tmp_path) as folder:
        assert b"".join(folder.read("file", 4)) == b"0123"
        assert b"".join(folder.read("file", 99)) == b"0123456789"


def test_sparse_giant_is_refused_by_its_size_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = build_course(tmp_path)
    entry: FileEntry = result.manifest.files[0]
    with (result.folder / "blobs" / entry.hash.hex()[:2] / entry.hash.hex()).open("r+b") as file:
        file.truncate(2**42)
    monkeypatch.setattr(os, "read", lambda *_: pytest.fail("read"))
    with PackFolder(result.folder) as pack, pytest.raises(BlobAltered):
        list(pack.read_blob(entry))


def test_endless_parts_end_at_the_limit(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    entry = result.manifest.files[0]
    blob = result.folder / "blobs" / entry.hash.hex()[:2] / entry.hash.hex()
    blob.unlink()
    for number in range(1005):
        blob.with_name(f"{blob.name}.{number:03d}").write_bytes(b"")
    with PackFolder(result.folder) as pack, pytest.raises(BlobAltered):
        pack.check_size(entry)
