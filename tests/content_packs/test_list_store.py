"""What a box keeps of a platform: the root it was given, the last whole list, and nothing half after a power cut."""

import contextlib
import shutil
from pathlib import Path

import pytest

from content_packs.trust import publishing, roles
from content_packs.trust.errors import ListBroken, RootRefused
from content_packs.trust.listing import decode_list, encode_list
from content_packs.trust.reading import FolderReader
from content_packs.trust.store import TrustStore
from tests.support.depot import NOW_MS, PACK, PlayBox, PlayDepot, key
from tests.support.power_cut import CuttableDisk, PowerCut


@pytest.fixture
def depot(tmp_path: Path) -> PlayDepot:
    return PlayDepot(tmp_path / "depot")


@pytest.fixture
def box(tmp_path: Path, depot: PlayDepot) -> PlayBox:
    return PlayBox(tmp_path / "box", depot.root)


class CountingReader(FolderReader):
    """Notes what was asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.names: list[str] = []

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a file."""
        self.names.append(name)
        return super().read(name, max_bytes)


def test_the_list_in_use_is_the_old_one_or_the_new_wherever_the_power_is_cut(
    tmp_path: Path, depot: PlayDepot, box: PlayBox
) -> None:
    depot.publish(version=1)
    box.refresh(FolderReader(depot.folder))
    shutil.copytree(box.folder, tmp_path / "before")
    depot.rotate("root-1", "root-4")
    depot.publish(version=2)
    cut_at, has_ended = 0, False
    while not has_ended:
        cut_at += 1
        for contents, names in [(False, False), (True, False), (False, True), (True, True)]:
            shutil.rmtree(box.folder)
            shutil.copytree(tmp_path / "before", box.folder)
            has_ended = False
            with pytest.MonkeyPatch.context() as patch:
                disk = CuttableDisk(box.folder, patch, cut_at)
                with contextlib.suppress(PowerCut):
                    box.refresh(FolderReader(depot.folder))
                    has_ended = True
                disk.settle(lose_contents=contents, lose_names=names)
            assert box.listed() in ([[(PACK, 1), (PACK, 2)]] if has_ended else [[(PACK, 1)], [(PACK, 1), (PACK, 2)]])
            box.refresh(FolderReader(depot.folder))
            assert box.listed() == [(PACK, 1), (PACK, 2)]
            shutil.rmtree(tmp_path / "box.kept")
    assert cut_at > 20


def test_a_list_that_did_not_change_costs_one_small_file(depot: PlayDepot, box: PlayBox) -> None:
    depot.publish()
    box.refresh(FolderReader(depot.folder))
    reader = CountingReader(depot.folder)
    box.refresh(reader)
    assert reader.names == ["metadata/timestamp.json"]


def test_a_newer_list_costs_only_what_changed(depot: PlayDepot, box: PlayBox) -> None:
    box.refresh(FolderReader(depot.folder))
    depot.publish()
    reader = CountingReader(depot.folder)
    box.refresh(reader)
    assert sorted(set(reader.names)) == [
        "metadata/1.org.example.json",
        "metadata/2.root.json",
        "metadata/2.snapshot.json",
        "metadata/timestamp.json",
    ]


def test_the_list_survives_being_written_down(depot: PlayDepot, box: PlayBox) -> None:
    depot.publish(version=1)
    depot.publish(version=2)
    depot.change(lambda one: publishing.withdraw(one, PACK, 1, depot.keys))
    found = box.refresh(FolderReader(depot.folder))
    assert found.withdrawn == {(PACK, 1)}
    assert decode_list(encode_list(found)) == found == box.store.load()


@pytest.mark.parametrize("content", [b"", b"\x80", b"\x81\xa6format\x02", b"{" * 100])
def test_a_damaged_list_is_no_list_and_is_fetched_again(depot: PlayDepot, box: PlayBox, content: bytes) -> None:
    depot.publish()
    box.refresh(FolderReader(depot.folder))
    for name in ("list.ebl", "spare.ebl"):
        (box.folder / name).write_bytes(content)
    assert box.store.load() is None
    box.refresh(FolderReader(depot.folder))
    assert box.listed() == [(PACK, 1)]


@pytest.mark.parametrize("name", ["list.ebl", "spare.ebl"])
def test_what_was_withdrawn_is_known_while_one_copy_of_the_list_is_whole(
    depot: PlayDepot, box: PlayBox, name: str
) -> None:
    depot.publish()
    depot.change(lambda one: publishing.withdraw(one, PACK, 1, depot.keys))
    box.refresh(FolderReader(depot.folder))
    content = (box.folder / name).read_bytes()
    (box.folder / name).write_bytes(b"rotten")
    found = box.store.load()
    assert found is not None
    assert found.withdrawn == {(PACK, 1)}
    box.refresh(FolderReader(depot.folder))
    assert (box.folder / name).read_bytes() == content


def test_a_list_that_may_not_be_read_is_no_pulled_stick(
    depot: PlayDepot, box: PlayBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("content_packs.usb.stick.StickFolder.read", forbid)
    with pytest.raises(ListBroken):
        box.refresh(FolderReader(depot.folder))


def test_a_file_that_is_no_root_is_refused_and_changes_nothing(depot: PlayDepot, box: PlayBox) -> None:
    depot.publish()
    box.refresh(FolderReader(depot.folder))
    half_signed = depot.record("root")
    half_signed.signatures.pop(key("root-1").verify_key.key_id.hex())
    half_signed.signatures.pop(key("root-2").verify_key.key_id.hex())
    timestamp = depot.path("timestamp").read_bytes()
    for content in (b"", b"{}", b"[" * 5000, timestamp, half_signed.to_bytes(), b" " * (roles.ROOT_MAX_BYTES + 1)):
        with pytest.raises(RootRefused):
            box.store.set_root(content)
    assert box.listed() == [(PACK, 1)]


def test_the_same_root_again_keeps_the_list_and_another_one_drops_it(
    tmp_path: Path, depot: PlayDepot, box: PlayBox
) -> None:
    depot.publish()
    box.refresh(FolderReader(depot.folder))
    box.store.set_root(depot.root)
    assert box.listed() == [(PACK, 1)]
    depot.rotate("root-1", "root-4")
    box.store.set_root(depot.path("root").read_bytes())
    assert box.listed() == []
    box.refresh(FolderReader(depot.folder))
    assert box.listed() == [(PACK, 1)]


def test_a_box_without_a_root_takes_no_list(tmp_path: Path, depot: PlayDepot) -> None:
    with pytest.raises(RootRefused):
        TrustStore(tmp_path / "fresh").refresh(FolderReader(depot.folder), NOW_MS)


def test_a_box_hands_its_list_on_and_never_over_a_newer_one_or_anothers(
    tmp_path: Path, depot: PlayDepot, box: PlayBox
) -> None:
    stick = tmp_path / "stick" / "edgebox"
    assert not box.store.write_records(stick)
    depot.publish(version=1)
    depot.rotate("timestamp-1", "timestamp-2")
    box.refresh(FolderReader(depot.folder))
    assert box.store.write_records(stick)
    other = PlayBox(tmp_path / "other", depot.root)
    assert other.refresh(FolderReader(stick)) == box.store.load()
    depot.publish(version=2)
    other.refresh(FolderReader(depot.folder))
    assert other.store.write_records(stick)
    assert not box.store.write_records(stick)
    box.refresh(FolderReader(stick))
    assert box.listed() == [(PACK, 1), (PACK, 2)]
    foreign = tmp_path / "foreign" / "metadata"
    foreign.mkdir(parents=True)
    for name in ("1.root.json", "timestamp.json"):
        foreign.joinpath(name).write_bytes((depot.folder / "metadata" / name).read_bytes())
    foreign.joinpath("1.root.json").write_bytes(b"{}")
    assert not box.store.write_records(foreign.parent)


def test_a_list_is_handed_on_through_no_link_and_over_nothing_endless(
    tmp_path: Path, depot: PlayDepot, box: PlayBox
) -> None:
    depot.publish()
    box.refresh(FolderReader(depot.folder))
    stick, elsewhere = tmp_path / "stick" / "edgebox", tmp_path / "elsewhere"
    stick.mkdir(parents=True)
    elsewhere.mkdir()
    (stick / "metadata").symlink_to(elsewhere)
    assert not box.store.write_records(stick)
    assert list(elsewhere.iterdir()) == []
    (stick / "metadata").unlink()
    (stick / "metadata").mkdir()
    with (stick / "metadata" / "timestamp.json").open("wb") as file:
        file.truncate(10**12)
    assert not box.store.write_records(stick)
    (stick / "metadata" / "timestamp.json").unlink()
    (stick / "metadata" / "timestamp.json.part").symlink_to(elsewhere / "taken")
    assert box.store.write_records(stick)
    assert list(elsewhere.iterdir()) == []
