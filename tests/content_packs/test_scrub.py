"""Reading in turn: damage is found, put aside, and put back when it was none."""

import os
from pathlib import Path

import pytest

from content_packs import installer
from content_packs.installer import ScrubReport, Verdict
from content_packs.installer.library import library_lock
from tests.support.course import build_course
from tests.support.packs import installer_of


@pytest.fixture
def data(tmp_path: Path) -> Path:
    installer_of(build_course(tmp_path), tmp_path / "data").run()
    return tmp_path / "data"


def scrub(data: Path, *, step_ms: int = 0, budget_ms: int | None = None) -> ScrubReport:
    """Scrub with a clock that goes on by `step_ms` whenever somebody looks at it."""
    looks = iter(range(0, 10**9, step_ms) if step_ms else iter(int, 1))
    return installer.scrub(data, budget_ms=budget_ms, monotonic_ms=lambda: next(looks))


def blobs(data: Path) -> list[bytes]:
    return list(installer.blob_store(data).hashes())


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_every_single_damaged_file_is_found_and_put_out_of_sight(data: Path) -> None:
    store = installer.blob_store(data)
    for content_hash in blobs(data):
        damage(store.path_of(content_hash))
    found = scrub(data)
    assert found.damaged_files == found.checked_files > 5
    assert blobs(data) == []
    assert len(installer.wanted_blobs(data)) == found.damaged_files
    assert len(store.aside()) == found.damaged_files


def test_a_file_of_another_length_is_damaged_too(data: Path) -> None:
    path = installer.blob_store(data).path_of(blobs(data)[0])
    os.truncate(path, path.stat().st_size - 1)
    assert scrub(data).damaged_files == 1


def test_short_runs_go_on_where_the_last_one_stopped(data: Path) -> None:
    count = len(blobs(data))
    reports = [scrub(data, step_ms=10, budget_ms=15) for _ in range(count)]
    assert all(1 <= report.checked_files < count for report in reports)
    last = blobs(data)[-1]
    damage(installer.blob_store(data).path_of(last))
    assert sum(scrub(data, step_ms=10, budget_ms=15).damaged_files for _ in range(count)) == 1


def test_a_run_without_a_limit_goes_round_once(data: Path) -> None:
    found = scrub(data)
    assert (found.checked_files, found.damaged_files, found.has_gone_round) == (len(blobs(data)), 0, True)


def test_a_run_that_is_stopped_says_nothing_of_the_file_it_was_in(data: Path) -> None:
    damage(installer.blob_store(data).path_of(blobs(data)[0]))
    found = installer.scrub(data, budget_ms=None, monotonic_ms=lambda: 0, stopped=lambda: True)
    assert found == ScrubReport(0, 0, 0, has_gone_round=False)
    assert installer.blob_store(data).aside() == []


def test_nothing_is_put_aside_while_something_is_installed(data: Path) -> None:
    damage(installer.blob_store(data).path_of(blobs(data)[0]))
    with library_lock(data):
        assert scrub(data).damaged_files == 0
    assert scrub(data).damaged_files == 1


def test_a_file_that_can_be_read_after_all_is_put_back(data: Path) -> None:
    store, content_hash = installer.blob_store(data), blobs(data)[0]
    store.put_aside(content_hash)
    assert [wanted.entry.hash for wanted in installer.wanted_blobs(data)] == [content_hash]
    scrub(data)
    assert store.aside() == []
    assert store.check(content_hash) is Verdict.INTACT


def test_an_installation_of_the_same_pack_repairs_it(tmp_path: Path) -> None:
    data, result = tmp_path / "data", build_course(tmp_path)
    installer_of(result, data).run()
    damage(installer.blob_store(data).path_of(blobs(data)[0]))
    scrub(data)
    installer_of(result, data).run()
    assert installer.wanted_blobs(data) == []


def test_what_was_put_aside_goes_with_its_pack(data: Path) -> None:
    store, content_hash = installer.blob_store(data), blobs(data)[0]
    store.put_aside(content_hash)
    installer.remove(data, installer.installed(data)[0].manifest.pack)
    assert store.aside() == []


def test_a_damaged_cursor_starts_from_the_beginning(data: Path) -> None:
    (data / "blobs" / "scrub.cursor").write_text("not hexadecimal")
    assert scrub(data).has_gone_round
