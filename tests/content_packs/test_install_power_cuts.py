"""The power is cut at every single write of an installation or removal: afterwards every listed pack is whole."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from content_packs import installer
from content_packs.builder import BuildResult
from content_packs.format.errors import PackNotFound
from content_packs.installer import DiskSpace, Installer, intake
from tests.support.course import PACK, TRUSTED, build_course
from tests.support.power_cut import CuttableDisk, PowerCut

LOSSES = [(False, False), (True, False), (False, True), (True, True)]


def install(result: BuildResult, data: Path) -> None:
    Installer(result.folder, data, TRUSTED, measure=lambda _: DiskSpace(10**12, 10**12)).run()


def versions(data: Path) -> list[int]:
    return [pack.manifest.version for pack in installer.installed(data)]


def cut_everywhere(before: Path, work: Callable[[Path], None], check: Callable[[Path, bool], None]) -> int:
    """Run `work` on copies of `before`, cut at its first write, its second, and so on, and right after its end.

    `check` also gets whether the work had come to its end; returns how many writes there were.
    """
    cut_at = 0
    while True:
        cut_at += 1
        for contents, names in LOSSES:
            data = before.parent / "cut"
            shutil.copytree(before, data, dirs_exist_ok=True)
            has_ended = False
            with pytest.MonkeyPatch.context() as patch:
                disk = CuttableDisk(data, patch, cut_at)
                with contextlib.suppress(PowerCut):
                    work(data)
                    has_ended = True
                disk.settle(lose_contents=contents, lose_names=names)
            check(data, has_ended)
            shutil.rmtree(data)
            shutil.rmtree(before.parent / "cut.kept")
        if has_ended:
            return cut_at - 1


@pytest.mark.parametrize("batch_files", [1, 5, 1000])
def test_first_installation_is_whole_or_absent_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch_files: int
) -> None:
    monkeypatch.setattr(intake, "BATCH_FILES", batch_files)
    result = build_course(tmp_path)
    (tmp_path / "data").mkdir()

    def check(data: Path, has_ended: bool) -> None:
        assert versions(data) in ([[1]] if has_ended else [[], [1]])
        assert installer.damaged(data) == []
        assert list(installer.lost_files(data)) == []
        install(result, data)
        assert versions(data) == [1]
        assert list(installer.lost_files(data)) == []

    assert cut_everywhere(tmp_path / "data", lambda data: install(result, data), check) > 50


def test_update_leaves_the_old_version_and_perhaps_the_new(tmp_path: Path) -> None:
    first, second = build_course(tmp_path), build_course(tmp_path, version=2, film_bytes=2500)
    install(first, tmp_path / "data")

    def check(data: Path, has_ended: bool) -> None:
        assert versions(data) in ([[1, 2]] if has_ended else [[1], [1, 2]])
        assert installer.damaged(data) == []
        assert list(installer.lost_files(data)) == []
        install(second, data)
        assert versions(data) == [1, 2]

    assert cut_everywhere(tmp_path / "data", lambda data: install(second, data), check) > 10


def test_removal_never_leaves_a_listed_pack_without_its_files(tmp_path: Path) -> None:
    for result in (build_course(tmp_path), build_course(tmp_path, pack="org.example.other", film_bytes=2000)):
        install(result, tmp_path / "data")

    def check(data: Path, has_ended: bool) -> None:
        assert list(installer.lost_files(data)) == []
        assert installer.damaged(data) == []
        assert not has_ended or [pack.manifest.pack for pack in installer.installed(data)] == ["org.example.other"]
        try:
            installer.remove(data, PACK)
        except PackNotFound:
            installer.sweep(data)
        assert [pack.manifest.pack for pack in installer.installed(data)] == ["org.example.other"]
        assert list(installer.lost_files(data)) == []

    assert cut_everywhere(tmp_path / "data", lambda data: installer.remove(data, PACK), check) > 5


def test_removing_an_old_version_never_touches_the_new_one(tmp_path: Path) -> None:
    for version in (1, 2):
        install(build_course(tmp_path, version=version, film_bytes=2000 + version), tmp_path / "data")

    def check(data: Path, has_ended: bool) -> None:
        assert versions(data) in ([[2]] if has_ended else [[2], [1, 2]])
        assert list(installer.lost_files(data)) == []
        with contextlib.suppress(PackNotFound):
            installer.remove(data, PACK, 1)
        installer.sweep(data)
        assert versions(data) == [2]
        assert list(installer.lost_files(data)) == []
        needed = {entry.hash for pack in installer.installed(data) for entry in pack.manifest.files}
        assert set(installer.blob_store(data).hashes()) == needed

    assert cut_everywhere(tmp_path / "data", lambda data: installer.remove(data, PACK, 1), check) > 5


def test_a_damaged_file_is_either_put_aside_or_found_again(tmp_path: Path) -> None:
    install(build_course(tmp_path), tmp_path / "data")
    store = installer.blob_store(tmp_path / "data")
    broken = next(iter(store.hashes()))
    store.path_of(broken).write_bytes(b"rotten")

    def run(data: Path) -> None:
        installer.scrub(data, budget_ms=None, monotonic_ms=lambda: 0)

    def check(data: Path, has_ended: bool) -> None:
        run(data)
        assert installer.blob_store(data).aside() == [broken]
        assert [wanted.entry.hash for wanted in installer.wanted_blobs(data)] == [broken]

    assert cut_everywhere(tmp_path / "data", run, check) > 3


def test_a_repaired_file_is_whole_or_still_wanted(tmp_path: Path) -> None:
    result = build_course(tmp_path)
    install(result, tmp_path / "data")
    store = installer.blob_store(tmp_path / "data")
    broken = next(iter(store.hashes()))
    content = store.path_of(broken).read_bytes()
    store.path_of(broken).write_bytes(b"rotten")
    store.put_aside(broken)

    def repair(data: Path) -> None:
        installer.blob_store(data).add(broken, [content], "file")
        installer.blob_store(data).forget_aside(broken)

    def check(data: Path, has_ended: bool) -> None:
        wanted = [each.entry.hash for each in installer.wanted_blobs(data)]
        assert wanted in ([[]] if has_ended else [[], [broken]])
        repair(data)
        assert installer.wanted_blobs(data) == []
        assert list(installer.lost_files(data)) == []
        assert installer.blob_store(data).aside() == []

    assert cut_everywhere(tmp_path / "data", repair, check) > 5
