"""What a box has: listed, checked, removed and swept without taking a file from a pack that needs it."""

import errno
import fcntl
import shutil
from pathlib import Path

import pytest

from content_packs import installer
from content_packs.base.hashing import blake2b_256
from content_packs.format.errors import BlobAltered, InstallCancelled, LibraryBusy, PackNotFound
from content_packs.format.manifest import FileEntry
from content_packs.installer import BlobStore
from tests.support.course import PACK, build_course
from tests.support.packs import GB, installer_of, visible


def test_only_one_installation_runs_at_a_time(tmp_path: Path) -> None:
    result, data = build_course(tmp_path), tmp_path / "data"
    installer_of(result, data).run()
    with (data / "packs" / "install.lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for work in (
            installer_of(result, data).run,
            lambda: installer.remove(data, PACK),
            lambda: installer.sweep(data),
        ):
            with pytest.raises(LibraryBusy):
                work()
    assert visible(data) == [(PACK, 1)]


def test_removing_takes_only_files_no_other_pack_uses(tmp_path: Path) -> None:
    one, two, data = build_course(tmp_path), build_course(tmp_path, pack="org.example.other"), tmp_path / "data"
    for result in (one, two):
        installer_of(result, data).run()
    installer.remove(data, PACK)
    assert visible(data) == [("org.example.other", 1)]
    assert list(installer.lost_files(data)) == []
    installer.remove(data, "org.example.other")
    assert list(installer.blob_store(data).hashes()) == []
    with pytest.raises(PackNotFound):
        installer.remove(data, PACK)


def test_one_version_can_be_removed_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for version in (1, 2):
        installer_of(build_course(tmp_path, version=version), data).run()
    installer.remove(data, PACK, 1)
    assert visible(data) == [(PACK, 2)]
    assert list(installer.lost_files(data)) == []


def test_damaged_manifest_on_the_box_is_reported_and_its_files_are_kept(tmp_path: Path) -> None:
    one, two, data = build_course(tmp_path), build_course(tmp_path, pack="org.example.other"), tmp_path / "data"
    for result in (one, two):
        installer_of(result, data).run()
    (data / "packs" / "notes.txt").write_bytes(b"not ours")
    (data / "packs" / f"{PACK}@1.ebm").write_bytes(b"\xc1")
    shutil.copyfile(data / "packs" / "org.example.other@1.ebm", data / "packs" / "org.example.copy@1.ebm")
    assert [bad.path.name for bad in installer.damaged(data)] == ["org.example.copy@1.ebm", f"{PACK}@1.ebm"]
    assert visible(data) == [("org.example.other", 1)]
    before = len(list(installer.blob_store(data).hashes()))
    installer.remove(data, "org.example.other")
    assert installer.sweep(data) == 0
    assert len(list(installer.blob_store(data).hashes())) == before
    installer.remove(data, "org.example.copy")
    installer_of(one, data).run()
    assert visible(data) == [(PACK, 1)]


def test_sweep_removes_what_cancelled_installations_left(tmp_path: Path) -> None:
    kept, other, data = build_course(tmp_path), build_course(tmp_path, version=2), tmp_path / "data"
    installer_of(kept, data).run()
    answers = iter([False])
    with pytest.raises(InstallCancelled):
        installer_of(other, data).run(cancelled=lambda: next(answers, True))
    (data / "blobs" / "incoming" / "left.part").write_bytes(b"x")
    assert installer.sweep(data) > 0
    assert list(installer.lost_files(data)) == []
    assert list((data / "blobs" / "incoming").iterdir()) == []


def test_store_shows_nothing_under_a_wrong_hash(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    with pytest.raises(BlobAltered):
        store.add(blob := blake2b_256(b"right"), [b"wrong"], "a.png")
    assert not store.has(blob, 5)
    assert list((tmp_path / "blobs" / "incoming").iterdir()) == []
    store.add(blob, [b"ri", b"ght"], "a.png")
    with store.open(blob) as file:
        assert file.read() == b"right"
    assert store.is_intact(blob)
    assert not store.has(blob, 6)
    store.remove(blob)
    store.remove(blob)
    assert not store.is_intact(blob)


def test_plan_counts_shared_content_once(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    store = BlobStore(tmp_path / "blobs")
    to_copy = installer.plan(result.manifest, store, 10 * GB, 20 * GB)
    assert to_copy.bytes_to_copy == to_copy.bytes_total == result.size_bytes
    assert isinstance(next(iter(to_copy.missing.values())), FileEntry)
    assert to_copy.usable_bytes == 9 * GB


def test_manifest_the_disk_does_not_give_is_damaged_and_hides_no_other_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    for version in (1, 2):
        installer_of(build_course(tmp_path, version=version), data).run()
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        if path.name == f"{PACK}@1.ebm":
            raise OSError(errno.EIO, "the card", str(path))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    assert visible(data) == [(PACK, 2)]
    assert [each.path.name for each in installer.damaged(data)] == [f"{PACK}@1.ebm"]
    assert installer.only_in_bytes(data, PACK, [1]) == 0
    assert installer.sweep(data) == 0
    assert list(installer.lost_files(data)) == []


def test_version_that_is_removed_while_packs_are_listed_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    for version in (1, 2):
        installer_of(build_course(tmp_path, version=version), data).run()
    packs = installer.iterate_installed(data)
    assert next(packs).manifest.version == 1
    installer.remove(data, PACK, 2)
    assert list(packs) == []
