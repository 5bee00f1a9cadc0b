"""Installing: only what was verified becomes visible, all of it at once, and nothing of the box is lost on the way."""

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from content_packs import builder, installer
from content_packs.base import ahead, codec
from content_packs.base.errors import EdgeboxError
from content_packs.builder import BuildResult
from content_packs.format import layout
from content_packs.format.errors import (
    BlobAltered,
    BlobMissing,
    FileTooLarge,
    InstallCancelled,
    PackDiffers,
    PackNotFound,
    PackRollback,
    PackSpace,
    PackUnsigned,
    SignerUnknown,
    StickGone,
)
from content_packs.installer import DiskSpace, Installer
from content_packs.installer.planning import reserve_bytes
from content_packs.usb import stick as sticks
from tests.support.course import PACK, PUBLISHER, STRANGER, TRUSTED, build_course, tree_bytes, write_course
from tests.support.packs import GB, installer_of, visible
from tests.support.stick import PullableStick

BLOBS = 12


def blob_of(result: BuildResult, path: str) -> Path:
    entry = next(entry for entry in result.manifest.files if entry.path == path)
    return result.folder / layout.blob_name(entry.hash)


def test_installed_pack_is_listed_and_all_its_files_are_intact(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    done = installer_of(result, tmp_path / "data").run()
    assert done.manifest == result.manifest
    assert len(result.manifest.blobs) == BLOBS
    assert done.signer == PUBLISHER.verify_key.key_id
    assert done.bytes_copied == result.size_bytes
    assert visible(tmp_path / "data") == [(PACK, 1)]
    assert list(installer.lost_files(tmp_path / "data")) == []


def test_progress_counts_up_to_the_whole_and_names_the_file(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    seen: list[tuple[int, int, str]] = []
    installer_of(result, tmp_path / "data").run(lambda done, total, file: seen.append((done, total, file)))
    assert [done for done, _, _ in seen] == sorted(done for done, _, _ in seen)
    assert seen[-1] == (result.size_bytes, result.size_bytes, "")
    assert "states/film.mp4" in {file for _, _, file in seen}


def test_parted_files_are_whole_on_the_box(tmp_path: Path) -> None:
    result = builder.build(write_course(tmp_path / "s"), tmp_path / "stick", PUBLISHER, part_bytes=1000)
    installer_of(result, tmp_path / "data").run()
    assert not list((tmp_path / "data" / "blobs").rglob("*.0*"))
    assert list(installer.lost_files(tmp_path / "data")) == []


def test_installing_again_copies_nothing(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    installer_of(result, tmp_path / "data").run()
    before = tree_bytes(tmp_path / "data")
    assert installer_of(result, tmp_path / "data").run().bytes_copied == 0
    assert tree_bytes(tmp_path / "data") == before


def test_installing_again_repairs_what_was_damaged_on_the_box(tmp_path: Path) -> None:
    result, data = build_course(tmp_path), tmp_path / "data"
    installer_of(result, data).run()
    film = next(entry for entry in result.manifest.files if entry.path == "states/film.mp4")
    installer.blob_store(data).path_of(film.hash).write_bytes(bytes(film.size_bytes))
    assert [lost.path for lost in installer.lost_files(data)] == ["states/film.mp4"]
    installer_of(result, data).run()
    assert list(installer.lost_files(data)) == []


def test_newer_version_copies_only_what_changed_and_leaves_the_old_one(tmp_path: Path) -> None:
    first, second = build_course(tmp_path), build_course(tmp_path, version=2)
    installer_of(first, tmp_path / "data").run()
    to_copy = installer_of(second, tmp_path / "data").plan()
    assert {entry.path for entry in to_copy.missing.values()} == {"states/read.en.html"}
    installer_of(second, tmp_path / "data").run()
    assert visible(tmp_path / "data") == [(PACK, 1), (PACK, 2)]


def test_older_version_is_refused(tmp_path: Path) -> None:
    first, second = build_course(tmp_path), build_course(tmp_path, version=2)
    installer_of(second, tmp_path / "data").run()
    before = tree_bytes(tmp_path / "data")
    with pytest.raises(PackRollback) as caught:
        installer_of(first, tmp_path / "data").run()
    assert (caught.value.fields["installed"], caught.value.fields["offered"]) == (2, 1)
    assert tree_bytes(tmp_path / "data") == before


def test_older_version_is_refused_even_after_the_newer_one_was_removed(tmp_path: Path) -> None:
    first, second = build_course(tmp_path), build_course(tmp_path, version=2)
    installer_of(second, tmp_path / "data").run()
    installer.remove(tmp_path / "data", PACK)
    with pytest.raises(PackRollback):
        installer_of(first, tmp_path / "data").run()
    assert installer_of(second, tmp_path / "data").run().manifest.version == 2


def test_other_content_under_the_same_version_is_refused(tmp_path: Path) -> None:
    installer_of(build_course(tmp_path), tmp_path / "data").run()
    other = builder.build(write_course(tmp_path / "other", film_bytes=2000), tmp_path / "b", PUBLISHER)
    with pytest.raises(PackDiffers):
        installer_of(other, tmp_path / "data").run()


@pytest.mark.parametrize("key", [STRANGER, None])
def test_pack_nobody_here_vouches_for_is_refused_before_anything_is_copied(tmp_path: Path, key: object) -> None:
    result = build_course(tmp_path, key=STRANGER)
    if key is None:
        envelope = codec.decode((result.folder / "manifest.ebm").read_bytes(), max_bytes=10**6)
        (result.folder / "manifest.ebm").write_bytes(codec.encode(envelope | {"signatures": []}))
    with pytest.raises(SignerUnknown if key else PackUnsigned):
        installer_of(result, tmp_path / "data").run()
    assert not (tmp_path / "data" / "blobs").exists()


def flip(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def link(path: Path) -> None:
    twin = path.with_name("twin")
    path.rename(twin)
    path.symlink_to(twin)


def build_other(tmp_path: Path) -> BuildResult:
    """Build a course that has no file in common with the small one."""
    source = tmp_path / "source of another"
    source.mkdir()
    (source / "a.svg").write_bytes(b"<svg/>")
    resource = "[[lesson]]\nid='a'\ntitle='A'\n[[lesson.resource]]\nid='a'\nkind='image'\ntitle='A'\npath='a.svg'\n"
    top = "id='org.example.other'\nversion=1\ninLanguage=['en']\nlicense='CC0-1.0'\ntitle='A'\n"
    (source / "pack.toml").write_text(top + resource)
    return builder.build(source, tmp_path / "stick", PUBLISHER)


DAMAGES: dict[str, tuple[Callable[[Path], object], type[EdgeboxError]]] = {
    "one bit": (flip, BlobAltered),
    "missing": (Path.unlink, BlobMissing),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-1]), BlobAltered),
    "empty": (lambda path: path.write_bytes(b""), BlobAltered),
    "oversized": (lambda path: path.write_bytes(path.read_bytes() + b"\0"), BlobAltered),
    "a link": (link, BlobAltered),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), BlobAltered),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("number", range(BLOBS))
def test_every_damaged_file_is_refused_by_name_and_the_box_is_untouched(
    tmp_path: Path, damage: str, number: int
) -> None:
    result = build_course(tmp_path)
    installer_of(build_other(tmp_path), tmp_path / "data").run()
    before = tree_bytes(tmp_path / "data" / "packs")
    entry = list(result.manifest.blobs.values())[number]
    spoil, error = DAMAGES[damage]
    spoil(result.folder / layout.blob_name(entry.hash))
    report = installer.verify(result.folder, TRUSTED)
    assert [bad.file for bad in report.bad_files] == [
        one.path for one in result.manifest.files if one.hash == entry.hash
    ]
    assert {bad.code for bad in report.bad_files} == {error.code}
    with pytest.raises(error) as caught:
        installer_of(result, tmp_path / "data").run()
    assert caught.value.fields["file"] == entry.path
    assert tree_bytes(tmp_path / "data" / "packs") == before
    assert list(installer.lost_files(tmp_path / "data")) == []


def test_every_bad_file_is_in_the_report(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    flip(blob_of(result, "rain.mp3"))
    blob_of(result, "sheet.pdf").unlink()
    bad = installer.verify(result.folder, TRUSTED).bad_files
    assert [(one.file, one.code) for one in bad] == [
        ("rain.mp3", "pack.blob_altered"),
        ("sheet.pdf", "pack.blob_missing"),
    ]


def test_missing_file_is_found_before_anything_is_copied(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    blob_of(result, "states/read.en.html").unlink()
    with pytest.raises(BlobMissing):
        installer_of(result, tmp_path / "data").run()
    assert not (tmp_path / "data" / "blobs").exists()


def test_manifest_of_impossible_size_is_refused_unread(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    with (result.folder / "manifest.ebm").open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(FileTooLarge):
        installer_of(result, tmp_path / "data").run()


def test_folder_without_a_pack_is_said_so(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(PackNotFound):
            Installer(folder, tmp_path / "data", TRUSTED).run()


def test_reserve_is_five_percent_and_at_least_500_mb() -> None:
    assert reserve_bytes(1 * GB) == 500_000_000
    assert reserve_bytes(10 * GB) == 500_000_000
    assert reserve_bytes(64 * GB) == 3_200_000_000


@pytest.mark.parametrize(("spare_bytes", "fits"), [(0, False), (-1, False), (60_000, False), (200_000, True)])
def test_pack_that_would_eat_the_reserve_is_refused_before_anything_is_copied(
    tmp_path: Path, spare_bytes: int, fits: bool
) -> None:
    result = build_course(tmp_path)
    space = DiskSpace(reserve_bytes(10 * GB) + spare_bytes, 10 * GB)
    work = Installer(result.folder, tmp_path / "data", TRUSTED, measure=lambda _: space)
    assert work.plan().fits is fits
    if fits:
        assert work.run().manifest.version == 1
        return
    with pytest.raises(PackSpace) as caught:
        work.run()
    assert caught.value.fields["needed_bytes"] >= result.size_bytes
    assert not (tmp_path / "data" / "blobs").exists()


def test_disk_that_fills_up_on_the_way_is_said_so_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = build_course(tmp_path)
    with monkeypatch.context() as patch:
        calls = iter([None, None, None])

        def full(descriptor: int, data: bytes) -> None:
            if next(calls, "full") == "full":
                raise OSError(errno.ENOSPC, "no space")

        patch.setattr("content_packs.installer.intake.write_all", full)
        with pytest.raises(PackSpace):
            installer_of(result, tmp_path / "data").run()
    assert visible(tmp_path / "data") == []
    assert list((tmp_path / "data" / "blobs" / "incoming").iterdir()) == []
    installer_of(result, tmp_path / "data").run()


def test_cancelled_installation_shows_nothing_and_goes_on_later(tmp_path: Path) -> None:
    result, data = build_course(tmp_path), tmp_path / "data"
    runs = 0
    while visible(data) == []:
        answers = iter([False, False])
        try:
            copied = installer_of(result, data).run(cancelled=lambda answers=answers: next(answers, True)).bytes_copied
        except InstallCancelled:
            runs += 1
    assert runs > 3
    assert copied < result.size_bytes
    assert list(installer.lost_files(data)) == []


def test_installation_cancelled_at_the_last_moment_shows_nothing(tmp_path: Path) -> None:
    result, data = build_course(tmp_path), tmp_path / "data"
    answers = iter([False] * len(result.manifest.blobs))
    with pytest.raises(InstallCancelled):
        installer_of(result, data).run(cancelled=lambda: next(answers, True))
    assert visible(data) == []
    assert installer_of(result, data).run().bytes_copied == 0


@pytest.mark.parametrize("code", [errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM])
def test_stick_pulled_at_any_read_keeps_what_was_verified_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(sticks, "CHUNK_BYTES", 1000)
    result, data = build_course(tmp_path), tmp_path / "data"
    kept = 0
    for pull_at in range(1, 30):
        with monkeypatch.context() as patch:
            pulled = PullableStick(tmp_path / "stick", patch, pull_at, code)
            try:
                installer_of(result, data).run()
            except StickGone as gone:
                assert gone.retryable
            else:
                break
        now = len(list(installer.blob_store(data).hashes()))
        assert now >= kept
        kept = now
        assert visible(data) == []
    assert pulled.reads < pull_at
    assert kept > 0
    assert list(installer.lost_files(data)) == []


def test_folder_that_vanishes_while_copying_is_a_stick_that_was_pulled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "GROUP_ITEMS", 1)
    monkeypatch.setattr(ahead, "GROUPS_WAITING", 1)
    result, data = build_course(tmp_path), tmp_path / "data"
    shutil.copytree(tmp_path / "stick", tmp_path / "other stick")

    def pull(done_bytes: int, _total_bytes: int, _file: str) -> None:
        if done_bytes > 100:
            shutil.rmtree(tmp_path / "stick", ignore_errors=True)

    with pytest.raises(StickGone):
        installer_of(result, data).run(pull)
    kept = len(list(installer.blob_store(data).hashes()))
    assert kept > 0
    again = Installer(tmp_path / "other stick" / layout.pack_folder(PACK, 1), data, TRUSTED)
    assert again.run().bytes_copied < result.size_bytes
