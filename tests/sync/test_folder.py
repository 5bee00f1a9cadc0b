"""A stick carries whole files or none, and nothing on it leads anywhere else."""

import os
from pathlib import Path

import pytest

from sync.bundle.errors import BundleTooLarge
from sync.bundle.limits import FILE_MAX_BYTES
from sync.transport import folder
from sync.transport.errors import StickMissing, StickUnwritable

ORIGIN = bytes(range(16))
OUTBOX = Path("edgebox/outbox") / ORIGIN.hex()


def test_what_was_written_is_listed_in_order_and_read_back(tmp_path: Path) -> None:
    for epoch, seq in ((1, 10), (1, 9), (2, 1)):
        folder.write_bundle(tmp_path, ORIGIN, epoch, seq, f"{epoch}-{seq}".encode())
    found = [folder.read_bundle(path) for path in folder.list_bundles(tmp_path)]
    assert found == [b"1-9", b"1-10", b"2-1"]


def test_names_are_short_lower_case_and_fit_for_fat32(tmp_path: Path) -> None:
    path = folder.write_bundle(tmp_path, ORIGIN, 1, 1, b"x")
    assert path.relative_to(tmp_path) == OUTBOX / "1-1.eb"
    assert all(part == part.lower() and part.isascii() for part in path.relative_to(tmp_path).parts)


def test_writing_the_same_again_touches_nothing(tmp_path: Path) -> None:
    path = folder.write_bundle(tmp_path, ORIGIN, 1, 1, b"x")
    before = path.stat().st_ino
    folder.write_bundle(tmp_path, ORIGIN, 1, 1, b"x")
    assert path.stat().st_ino == before


def test_links_and_strange_names_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    stick = tmp_path / "stick"
    inside = stick / OUTBOX
    inside.mkdir(parents=True)
    (inside / "1-1.eb").symlink_to(secret)
    (inside / "1-02.eb").write_bytes(b"x")
    (inside / "1-3.eb.part").write_bytes(b"x")
    (inside / "1-4.EB").write_bytes(b"x")
    (inside / "1-5.eb").mkdir()
    os.mkfifo(inside / "1-6.eb")
    (stick / "edgebox/outbox/other").mkdir()
    assert folder.list_bundles(stick) == []
    with pytest.raises(StickUnwritable):
        folder.read_bundle(inside / "1-1.eb")
    with pytest.raises(StickUnwritable):
        folder.read_bundle(inside / "1-6.eb")


def test_a_linked_folder_is_not_entered(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder.write_bundle(tmp_path / "elsewhere", ORIGIN, 1, 1, b"x")
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "edgebox").symlink_to(tmp_path / "elsewhere" / "edgebox")
    assert folder.list_bundles(tmp_path / "stick") == []


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = folder.write_bundle(tmp_path, ORIGIN, 1, 1, b"x")
    with path.open("r+b") as file:
        file.truncate(FILE_MAX_BYTES + 1)
    with pytest.raises(BundleTooLarge):
        folder.read_bundle(path)


def test_a_box_sees_only_its_own_acks(tmp_path: Path) -> None:
    folder.write_ack(tmp_path, ORIGIN, 1, b"mine")
    folder.write_ack(tmp_path, bytes(16), 1, b"other")
    assert [folder.read_ack(path) for path in folder.list_acks(tmp_path, ORIGIN)] == [b"mine"]


def test_an_empty_stick_has_nothing_and_a_missing_one_is_said_so(tmp_path: Path) -> None:
    assert folder.list_bundles(tmp_path) == []
    assert folder.list_acks(tmp_path, ORIGIN) == []
    with pytest.raises(StickMissing):
        folder.list_bundles(tmp_path / "gone")
    with pytest.raises(StickMissing):
        folder.list_acks(tmp_path / "gone", ORIGIN)


def test_a_stick_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StickMissing):
        folder.write_bundle(tmp_path / "stick", ORIGIN, 1, 1, b"x")
    with pytest.raises(StickMissing):
        folder.write_ack(tmp_path / "stick", ORIGIN, 1, b"x")
    assert not (tmp_path / "stick").exists()


def test_a_stick_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "edgebox").write_bytes(b"a file in the way")
    with pytest.raises(StickUnwritable):
        folder.write_bundle(tmp_path, ORIGIN, 1, 1, b"x")


def test_a_removed_bundle_is_gone_and_may_be_removed_again(tmp_path: Path) -> None:
    folder.write_bundle(tmp_path, ORIGIN, 1, 1, b"x")
    folder.remove_bundle(tmp_path, ORIGIN, 1, 1)
    folder.remove_bundle(tmp_path, ORIGIN, 1, 1)
    assert folder.list_bundles(tmp_path) == []
