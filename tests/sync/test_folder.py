"""A stick carries whole files or none, and nothing on it leads anywhere else."""

import errno
import os
from pathlib import Path

import pytest

from content_packs.format.errors import StickGone
from content_packs.usb.errors import StickLies, StickPlaceTaken
from sync.bundle.errors import BundleTooLarge
from sync.bundle.limits import FILE_MAX_BYTES
from sync.transport import folder
from sync.transport.errors import StickFilled, StickMissing, StickUnwritable
from sync.transport.stick_writing import StickWriter
from tests.support.power_cut import CuttableDisk, PowerCut
from tests.support.stick import LyingStick, fold_names

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
    with pytest.raises(StickPlaceTaken):
        folder.write_bundle(tmp_path, ORIGIN, 1, 1, b"x")


def test_a_removed_bundle_is_gone_and_may_be_removed_again(tmp_path: Path) -> None:
    path = folder.write_bundle(tmp_path, ORIGIN, 1, 1, b"x")
    writer = StickWriter(tmp_path)
    writer.remove(path)
    writer.remove(path)
    assert folder.list_bundles(tmp_path) == []


def test_names_that_lost_their_small_letters_on_the_road_are_found(tmp_path: Path) -> None:
    folder.write_bundle(tmp_path, ORIGIN, 1, 1, b"bundle")
    folder.write_ack(tmp_path, ORIGIN, 1, b"ack")
    fold_names(tmp_path, str.upper)
    assert [folder.read_bundle(path) for path in folder.list_bundles(tmp_path, ORIGIN)] == [b"bundle"]
    assert [folder.read_ack(path) for path in folder.list_acks(tmp_path, ORIGIN)] == [b"ack"]
    assert folder.list_origins(tmp_path) == [ORIGIN]


@pytest.mark.parametrize("lose_names", [False, True])
@pytest.mark.parametrize("lose_contents", [False, True])
def test_a_power_cut_at_any_write_leaves_whole_files_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, lose_names: bool, lose_contents: bool
) -> None:
    contents = {seq: bytes([seq]) * 5000 for seq in (1, 2, 3)}

    def write(stick: Path) -> None:
        writer = StickWriter(stick)
        for seq, content in contents.items():
            writer.put(folder.bundle_place(ORIGIN, 1, seq), content)
        writer.finish()

    cut_at, is_done = 0, False
    while not is_done:
        cut_at += 1
        stick = tmp_path / f"stick-{cut_at}"
        stick.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            disk = CuttableDisk(stick, patch, cut_at)
            try:
                write(stick)
                is_done = True
            except PowerCut:
                pass
            disk.settle(lose_contents=lose_contents, lose_names=lose_names)
        for path in folder.list_bundles(stick):
            assert folder.read_bundle(path) == contents[(folder.bundle_numbers(path.name) or (0, 0))[1]]
        write(stick)
        assert len(folder.list_bundles(stick)) == 3
        folder.remove_left(StickWriter(stick), stick / OUTBOX)
        assert not list(stick.rglob("*.part"))
    assert cut_at > 10


def test_a_full_stick_keeps_what_fits_whole_and_says_that_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left_bytes = os.write, 2500

    def write(descriptor: int, content: bytes) -> int:
        nonlocal left_bytes
        if left_bytes < len(content):
            raise OSError(errno.ENOSPC, "full")
        left_bytes -= len(content)
        return real(descriptor, content)

    monkeypatch.setattr(os, "write", write)
    writer = StickWriter(tmp_path)
    with pytest.raises(StickFilled):
        for seq in (1, 2, 3):
            writer.put(folder.bundle_place(ORIGIN, 1, seq), bytes([seq]) * 1000)
    assert [folder.read_bundle(path)[0] for path in folder.list_bundles(tmp_path)] == [1, 2]
    assert not list(tmp_path.rglob("*.part"))


def test_a_stick_that_does_not_keep_what_it_is_given_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LyingStick(tmp_path, monkeypatch, 1500)
    writer = StickWriter(tmp_path)
    for seq in (1, 2):
        writer.put(folder.bundle_place(ORIGIN, 1, seq), bytes([seq]) * 1000)
    with pytest.raises(StickLies):
        writer.finish()
    assert [path.name for path in folder.list_bundles(tmp_path)] == ["1-1.eb"]


def test_nothing_is_written_through_a_link_or_over_what_is_not_ours(tmp_path: Path) -> None:
    stick, elsewhere = tmp_path / "stick", tmp_path / "elsewhere"
    stick.mkdir()
    elsewhere.mkdir()
    (stick / "edgebox").symlink_to(elsewhere)
    with pytest.raises(StickPlaceTaken):
        folder.write_bundle(stick, ORIGIN, 1, 1, b"x")
    (stick / "edgebox").unlink()
    (stick / OUTBOX / "1-1.eb").mkdir(parents=True)
    with pytest.raises(StickPlaceTaken):
        folder.write_bundle(stick, ORIGIN, 1, 1, b"x")
    (stick / OUTBOX / "1-2.eb").symlink_to(elsewhere / "x")
    with pytest.raises(StickPlaceTaken):
        folder.write_bundle(stick, ORIGIN, 1, 2, b"x")
    assert not list(elsewhere.iterdir())


def test_a_folder_that_is_left_of_a_stick_gets_nothing(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    writer = StickWriter(stick)
    stick.rename(tmp_path / "pulled")
    stick.mkdir()
    with pytest.raises(StickGone):
        writer.put(folder.bundle_place(ORIGIN, 1, 1), b"x")
    assert not list(stick.iterdir())
