"""Publishing: what may be in a depot, and the power cut at every write of it: old depot or new, never between."""

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from content_packs.base.signing import VerifyKey
from content_packs.format.envelope import open_envelope
from content_packs.format.errors import BlobAltered, SignerUnknown
from content_packs.installer import verify
from content_packs.trust import publishing, roles
from content_packs.trust.depot import Depot
from content_packs.trust.errors import DepotRefused
from content_packs.trust.listing import PackList
from content_packs.trust.reading import FolderReader
from tests.support.course import tree_bytes
from tests.support.depot import DAY_MS, NOW_MS, PACK, PREFIX, PlayBox, PlayDepot, envelope, key, platform_keys
from tests.support.power_cut import CuttableDisk, PowerCut

LOSSES = [(False, False), (True, False), (False, True), (True, True)]


@pytest.fixture
def depot(tmp_path: Path) -> PlayDepot:
    return PlayDepot(tmp_path / "depot")


def read(tmp_path: Path, depot: PlayDepot) -> PackList:
    """Return what a box that never saw the depot reads in it."""
    shutil.rmtree(tmp_path / "box", ignore_errors=True)
    return PlayBox(tmp_path / "box", depot.root).refresh(FolderReader(depot.folder))


def open_keys(depot: PlayDepot) -> dict[bytes, VerifyKey]:
    return {depot.press.verify_key.key_id: depot.press.verify_key}


def reason_of(work: Callable[[], object]) -> str:
    with pytest.raises(DepotRefused) as caught:
        work()
    return str(caught.value.fields["reason"])


def cut_everywhere(depot: PlayDepot, tmp_path: Path, work: Callable[[], object], check: Callable[[bool], None]) -> int:
    """Cut the power at the first write of `work`, the second, and so on; return how many writes there were."""
    before = depot.saved()
    cut_at, has_ended = 0, False
    while not has_ended:
        cut_at += 1
        for contents, names in LOSSES:
            shutil.rmtree(depot.folder, ignore_errors=True)
            shutil.copytree(before, depot.folder)
            has_ended = False
            with pytest.MonkeyPatch.context() as patch:
                disk = CuttableDisk(depot.folder, patch, cut_at)
                with contextlib.suppress(PowerCut):
                    work()
                    has_ended = True
                disk.settle(lose_contents=contents, lose_names=names)
            check(has_ended)
            shutil.rmtree(depot.folder.parent / f"{depot.folder.name}.kept")
    return cut_at - 1


def test_publishing_leaves_the_old_depot_or_the_new_and_a_second_run_finishes(depot: PlayDepot, tmp_path: Path) -> None:
    depot.publish(version=1)
    folder = depot.build(version=2)

    def check(has_ended: bool) -> None:
        found = read(tmp_path, depot)
        assert sorted(found.packs) in ([[(PACK, 1), (PACK, 2)]] if has_ended else [[(PACK, 1)], [(PACK, 1), (PACK, 2)]])
        for pack, version in found.packs:
            place = depot.folder / f"packs/{pack}/{version}"
            assert verify(place, open_keys(depot)).is_good
        again()
        assert sorted(read(tmp_path, depot).packs) == [(PACK, 1), (PACK, 2)]
        assert verify(depot.folder / f"packs/{PACK}/2", open_keys(depot)).is_good

    def again() -> None:
        depot.change(lambda one: publishing.add_pack(one, folder, depot.keys))

    assert cut_everywhere(depot, tmp_path, again, check) > 40


def test_a_depot_is_begun_whole_or_not_at_all(tmp_path: Path, depot: PlayDepot) -> None:
    root = depot.root
    shutil.rmtree(depot.folder)
    depot.folder.mkdir()

    def begin() -> None:
        verify_keys = {role: [one.verify_key for one in keys] for role, keys in platform_keys().items()}
        Depot.create(depot.folder, verify_keys, NOW_MS).commit(depot.keys, NOW_MS)

    def check(has_ended: bool) -> None:
        if not (depot.folder / "metadata/1.root.json").exists():
            assert not has_ended
            begin()
        assert depot.root == root
        assert read(tmp_path, depot).packs == {}

    assert cut_everywhere(depot, tmp_path, begin, check) >= 12


@pytest.mark.parametrize("role", [Root.type, Targets.type, Snapshot.type, Timestamp.type])
def test_a_change_of_keys_leaves_a_depot_that_old_and_new_boxes_read(
    depot: PlayDepot, tmp_path: Path, role: str
) -> None:
    depot.publish()
    old_box = PlayBox(tmp_path / "old box", depot.root)
    old_box.refresh(FolderReader(depot.folder))

    def check(has_ended: bool) -> None:
        assert sorted(read(tmp_path, depot).packs) == [(PACK, 1)]
        box = PlayBox(tmp_path / "seen", depot.root)
        shutil.rmtree(box.folder)
        shutil.copytree(old_box.folder, box.folder)
        box.refresh(FolderReader(depot.folder))
        with contextlib.suppress(DepotRefused):
            depot.rotate(f"{role}-1", f"{role}-4")
        keyids = depot.record(Root.type).signed.roles[role].keyids
        assert key(f"{role}-1").verify_key.key_id.hex() not in keyids
        depot.change()
        assert sorted(read(tmp_path, depot).packs) == [(PACK, 1)]

    assert cut_everywhere(depot, tmp_path, lambda: depot.rotate(f"{role}-1", f"{role}-4"), check) >= 12


def test_a_lost_key_is_replaced_by_those_that_are_left_and_a_second_run_finishes(
    depot: PlayDepot, tmp_path: Path
) -> None:
    depot.publish()
    for role in (Timestamp.type, Targets.type):
        del depot.keys[key(f"{role}-1").verify_key.key_id.hex()]

    def check(has_ended: bool) -> None:
        with contextlib.suppress(DepotRefused):
            depot.rotate("timestamp-1", "timestamp-2")
        depot.change()
        assert sorted(read(tmp_path, depot).packs) == [(PACK, 1)]

    assert cut_everywhere(depot, tmp_path, lambda: depot.rotate("timestamp-1", "timestamp-2"), check) >= 12


def test_publishing_twice_changes_no_file_but_those_of_the_list(depot: PlayDepot) -> None:
    folder = depot.publish()
    before = tree_bytes(depot.folder / "packs")
    depot.change(lambda one: publishing.add_pack(one, folder, depot.keys))
    assert tree_bytes(depot.folder / "packs") == before
    assert depot.path(PREFIX).name == "1.org.example.json"


def test_names_in_a_depot_are_safe_on_fat(depot: PlayDepot) -> None:
    depot.publish()
    names = {Path(name).name for name in tree_bytes(depot.folder)}
    assert all(len(name) <= 100 and name == name.lower() and not set(name) & set('\\:*?"<>|%') for name in names)


def test_only_the_publisher_of_an_id_puts_packs_into_a_depot(depot: PlayDepot) -> None:
    stranger = depot.build(by=key("stranger"))
    with pytest.raises(SignerUnknown):
        depot.change(lambda one: publishing.add_pack(one, stranger, depot.keys))
    other = depot.build(pack="net.other.water")
    assert reason_of(lambda: depot.change(lambda one: publishing.add_pack(one, other, depot.keys))) == (
        publishing.NO_PUBLISHER
    )
    near = depot.build(pack="org.examples.water")
    assert reason_of(lambda: depot.change(lambda one: publishing.add_pack(one, near, depot.keys))) == (
        publishing.NO_PUBLISHER
    )


def test_a_version_has_one_content_for_ever(depot: PlayDepot) -> None:
    depot.publish(version=1)
    other = depot.build(version=1, more="other")
    assert reason_of(lambda: depot.change(lambda one: publishing.add_pack(one, other, depot.keys))) == (
        publishing.OTHER_CONTENT
    )
    depot.change(lambda one: publishing.withdraw(one, PACK, 1, depot.keys))
    folder = depot.build(version=1)
    assert reason_of(lambda: depot.change(lambda one: publishing.add_pack(one, folder, depot.keys))) == (
        publishing.WITHDRAWN
    )


def test_a_pack_that_is_not_whole_is_not_listed(depot: PlayDepot, tmp_path: Path) -> None:
    folder = depot.build()
    blob = next(path for path in (folder / "blobs").rglob("*") if path.is_file())
    blob.write_bytes(bytes(blob.stat().st_size))
    with pytest.raises(BlobAltered):
        depot.change(lambda one: publishing.add_pack(one, folder, depot.keys))
    assert read(tmp_path, depot).packs == {}


@pytest.mark.parametrize("prefix", ["local", "local.school", "root", "timestamp", "Org.Example", "org..x", "a/b", ""])
def test_a_prefix_that_is_reserved_or_unsafe_is_not_given(depot: PlayDepot, prefix: str) -> None:
    reason = reason_of(lambda: depot.change(lambda one: publishing.delegate(one, prefix, key("x").verify_key, "X")))
    assert reason == publishing.BAD_PREFIX


@pytest.mark.parametrize("prefix", ["org.example.parts", "org"])
def test_publishers_share_no_ids(depot: PlayDepot, prefix: str) -> None:
    reason = reason_of(lambda: depot.change(lambda one: publishing.delegate(one, prefix, key("x").verify_key, "X")))
    assert reason == publishing.OVERLAPS


def test_a_publisher_without_the_keys_of_the_hub_leaves_a_record_that_the_hub_takes_up(
    depot: PlayDepot, tmp_path: Path
) -> None:
    folder, keys = depot.build(), depot.keys
    depot.keys = {depot.press.verify_key.key_id.hex(): depot.press}
    depot.change(lambda one: publishing.add_pack(one, folder, depot.keys))
    assert read(tmp_path, depot).packs == {}
    depot.keys = {name: one for name, one in keys.items() if one is not depot.press}
    depot.change()
    assert sorted(read(tmp_path, depot).packs) == [(PACK, 1)]


def test_without_enough_keys_nothing_is_written(depot: PlayDepot) -> None:
    before = tree_bytes(depot.folder)
    del depot.keys[key("root-2").verify_key.key_id.hex()]
    del depot.keys[key("root-3").verify_key.key_id.hex()]
    with pytest.raises(DepotRefused):
        depot.rotate("root-2", "root-4")
    depot.keys = {}
    with pytest.raises(DepotRefused):
        depot.change()
    assert tree_bytes(depot.folder) == before


def test_renewing_signs_what_is_half_over_and_leaves_the_rest(depot: PlayDepot) -> None:
    depot.publish()
    depot.now_ms = NOW_MS + 10 * DAY_MS
    depot.change(lambda one: publishing.renew(one, depot.keys, depot.now_ms))
    assert (depot.path(Root.type).name, depot.path(Targets.type).name) == ("1.root.json", "1.targets.json")
    depot.now_ms = NOW_MS + 200 * DAY_MS
    depot.change(lambda one: publishing.renew(one, depot.keys, depot.now_ms))
    assert (depot.path(Root.type).name, depot.path(PREFIX).name) == ("2.root.json", "2.org.example.json")


def test_a_depot_is_begun_once(depot: PlayDepot) -> None:
    with pytest.raises(DepotRefused):
        Depot.create(depot.folder, {}, NOW_MS)


def test_a_folder_without_a_depot_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DepotRefused):
        Depot.open(tmp_path)


def test_a_publisher_let_in_again_goes_on_with_higher_numbers(depot: PlayDepot, tmp_path: Path) -> None:
    folder = depot.publish()
    box = PlayBox(tmp_path / "box", depot.root)
    box.refresh(FolderReader(depot.folder))
    depot.change(lambda one: publishing.undelegate(one, PREFIX))
    box.refresh(FolderReader(depot.folder))
    depot.change(lambda one: publishing.delegate(one, PREFIX, depot.press.verify_key, "Example Press"))
    depot.change(lambda one: publishing.add_pack(one, folder, depot.keys))
    box.refresh(FolderReader(depot.folder))
    assert open_envelope(envelope(folder), box.keyring())
    assert roles.file_name(PREFIX, 2) in tree_bytes(depot.folder)
