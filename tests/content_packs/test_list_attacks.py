"""One test per attack of the TUF specification (part 1.5.2) and a few more, each by line and from a stick (S-21, S-22).

A refused list leaves the box with the one it had.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import DelegatedRole, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp

from content_packs.base.errors import EdgeboxError
from content_packs.format.envelope import open_envelope
from content_packs.format.errors import PackSignatureInvalid, SignerUnknown, StickGone
from content_packs.format.vouching import ListExpired, PackNotListed, PackWithdrawn
from content_packs.trust import publishing, roles
from content_packs.trust.errors import ListBroken, ListRollback, ListTooLarge, ListUnsigned
from content_packs.trust.keyring import BoxKeyring
from content_packs.trust.reading import DepotReader, FolderReader
from tests.support.depot import DAY_MS, NOW_MS, PACK, PREFIX, HttpReader, PlayBox, PlayDepot, envelope, key, serving

Over = Callable[[Path], DepotReader]


@pytest.fixture(params=["line", "stick"])
def over(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Over]:
    """Give the way a box reads a depot that is somewhere below `tmp_path`."""
    if request.param == "stick":
        yield FolderReader
        return
    with serving(tmp_path) as address:
        yield lambda folder: HttpReader(f"{address}/{folder.relative_to(tmp_path).as_posix()}")


@pytest.fixture
def depot(tmp_path: Path) -> PlayDepot:
    return PlayDepot(tmp_path / "depot")


@pytest.fixture
def box(tmp_path: Path, depot: PlayDepot) -> PlayBox:
    return PlayBox(tmp_path / "box", depot.root)


def assert_refused(box: PlayBox, reader: DepotReader, error: type[EdgeboxError], now_ms: int | None = NOW_MS) -> None:
    """Assert that the list is refused for this reason, and that the box keeps the one it has."""
    before = box.store.load()
    with pytest.raises(error):
        box.refresh(reader, now_ms)
    assert box.store.load() == before


def test_a_listed_pack_is_taken(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    folder = depot.publish()
    box.refresh(over(depot.folder))
    manifest, signer = open_envelope(envelope(folder), box.keyring())
    assert (manifest.pack, signer) == (PACK, depot.press.verify_key.key_id)
    assert envelope(depot.folder / f"packs/{PACK}/1") == envelope(folder)


def test_arbitrary_software_is_refused(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    depot.publish()
    box.refresh(over(depot.folder))
    with pytest.raises(SignerUnknown):
        open_envelope(envelope(depot.build(version=2, by=key("stranger"))), box.keyring())
    with pytest.raises(PackNotListed):
        open_envelope(envelope(depot.build(version=2)), box.keyring())
    with pytest.raises(PackNotListed):
        open_envelope(envelope(depot.build(version=1, more="other content")), box.keyring())
    changed = bytearray(envelope(depot.folder / f"packs/{PACK}/1"))
    changed[changed.index(b"Halves")] ^= 1
    with pytest.raises(PackSignatureInvalid):
        open_envelope(bytes(changed), box.keyring())


def test_a_list_signed_by_a_stranger_is_refused(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    box.refresh(over(depot.folder))
    depot.forge(Timestamp.type, lambda signed: setattr(signed, "version", 9), key("stranger"))
    assert_refused(box, over(depot.folder), ListUnsigned)


def test_rollback_of_the_whole_list_is_refused(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    depot.publish(version=1)
    old = depot.saved()
    depot.publish(version=2)
    box.refresh(over(depot.folder))
    assert_refused(box, over(old), ListRollback)
    assert box.listed() == [(PACK, 1), (PACK, 2)]


def test_rollback_of_the_snapshot_under_a_new_timestamp_is_refused(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    old_meta = depot.record(Timestamp.type).signed.snapshot_meta
    depot.publish()
    box.refresh(over(depot.folder))

    def change(signed: Any) -> None:
        signed.version += 1
        signed.snapshot_meta = old_meta

    depot.forge(Timestamp.type, change, key("timestamp-1"))
    assert_refused(box, over(depot.folder), ListRollback)


def sign_snapshot(depot: PlayDepot, change: Callable[[Snapshot], object]) -> None:
    """Do what somebody with both keys of the hub can do: another snapshot under a new timestamp."""

    def raised(signed: Any) -> None:
        signed.version += 1
        change(signed)

    depot.forge(Snapshot.type, raised, key("snapshot-1"))
    content, version = depot.path(Snapshot.type).read_bytes(), depot.record(Snapshot.type).signed.version

    def named(signed: Any) -> None:
        signed.version += 1
        signed.snapshot_meta = MetaFile.from_data(version, content, ["sha256"])

    depot.forge(Timestamp.type, named, key("timestamp-1"))


def test_rollback_of_a_publishers_record_by_the_hub_is_refused(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    depot.publish(version=1)
    older = depot.record(Snapshot.type).signed.meta[f"{PREFIX}.json"]
    depot.publish(version=2)
    box.refresh(over(depot.folder))
    sign_snapshot(depot, lambda signed: signed.meta.update({f"{PREFIX}.json": older}))
    assert_refused(box, over(depot.folder), ListRollback)


def test_rollback_of_the_platforms_record_by_the_hub_is_refused(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    older = depot.record(Snapshot.type).signed.meta["targets.json"]
    depot.change(lambda one: publishing.delegate(one, "net.other", key("other").verify_key, "Other"))
    box.refresh(over(depot.folder))
    sign_snapshot(depot, lambda signed: signed.meta.update({"targets.json": older}))
    assert_refused(box, over(depot.folder), ListRollback)


def test_a_hub_cannot_make_a_publisher_vanish(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    depot.publish()
    box.refresh(over(depot.folder))
    sign_snapshot(depot, lambda signed: signed.meta.pop(f"{PREFIX}.json"))
    assert_refused(box, over(depot.folder), ListBroken)


def test_a_frozen_list_is_seen_by_its_age_and_then_refused(
    depot: PlayDepot, box: PlayBox, over: Over, tmp_path: Path
) -> None:
    folder = depot.publish()
    assert box.refresh(over(depot.folder)).made_ms == NOW_MS
    late_ms = NOW_MS + (roles.DAYS[Timestamp.type] + 1) * DAY_MS
    assert_refused(PlayBox(tmp_path / "new box", depot.root), over(depot.folder), ListExpired, late_ms)
    assert box.refresh(over(depot.folder), late_ms).made_ms == NOW_MS
    with pytest.raises(ListExpired) as caught:
        open_envelope(envelope(folder), box.keyring(late_ms))
    assert caught.value.fields == {"since": "2026-03-22"}


@pytest.mark.parametrize("role", [Root.type, Targets.type, Snapshot.type])
def test_every_record_of_the_platform_goes_out_of_date(depot: PlayDepot, box: PlayBox, over: Over, role: str) -> None:
    late_ms = NOW_MS + (roles.DAYS[role] + 1) * DAY_MS
    depot.now_ms = late_ms
    if role == Root.type:
        depot.change(lambda one: one.touch(Targets.type))
    elif role == Targets.type:
        depot.change(lambda one: one.touch(Root.type))
    else:
        signed = depot.record(Timestamp.type).signed
        depot.forge(Timestamp.type, lambda one: setattr(one, "expires", roles.to_time(2 * late_ms)), key("timestamp-1"))
        assert signed.version == depot.record(Timestamp.type).signed.version
    assert_refused(box, over(depot.folder), ListExpired, late_ms)


def test_a_publisher_who_is_late_keeps_no_other_from_boxes(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    late = depot.publish()
    depot.now_ms = NOW_MS + (roles.PUBLISHER_DAYS + 1) * DAY_MS
    other = key("other")
    depot.hold(other)
    depot.change(
        lambda one: publishing.delegate(one, "net.other", other.verify_key, "Other"), lambda one: one.touch(Root.type)
    )
    fresh = depot.publish(pack="net.other.water", by=other)
    box.refresh(over(depot.folder), depot.now_ms)
    assert open_envelope(envelope(fresh), box.keyring(depot.now_ms))
    with pytest.raises(ListExpired):
        open_envelope(envelope(late), box.keyring(depot.now_ms))


def test_records_of_different_lists_are_not_mixed(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    depot.publish(version=1)
    old = depot.saved()
    depot.publish(version=2)
    for role in (Snapshot.type, PREFIX):
        new, place = depot.path(role), depot.path(role).read_bytes()
        number = int(new.name.partition(".")[0])
        new.write_bytes((old / "metadata" / f"{number - 1}.{role}.json").read_bytes())
        assert_refused(box, over(depot.folder), ListBroken)
        new.write_bytes(place)
    box.refresh(over(depot.folder))


def test_a_list_with_a_missing_part_is_refused_and_taken_when_it_is_whole(
    depot: PlayDepot, box: PlayBox, over: Over
) -> None:
    depot.publish(version=1)
    box.refresh(over(depot.folder))
    depot.publish(version=2)
    for role in (Timestamp.type, Snapshot.type, PREFIX):
        path, content = depot.path(role), depot.path(role).read_bytes()
        path.unlink()
        assert_refused(box, over(depot.folder), ListBroken)
        path.write_bytes(content[: len(content) // 2])
        assert_refused(box, over(depot.folder), ListBroken)
        path.write_bytes(content)
    assert box.listed() == [(PACK, 1)]
    box.refresh(over(depot.folder))
    assert box.listed() == [(PACK, 1), (PACK, 2)]


@pytest.mark.parametrize("role", [Root.type, Timestamp.type, Snapshot.type, Targets.type, PREFIX])
def test_endless_data_is_cut_off(depot: PlayDepot, box: PlayBox, over: Over, role: str) -> None:
    depot.publish()
    path = depot.folder / "metadata/2.root.json" if role == Root.type else depot.path(role)
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert_refused(box, over(depot.folder), ListTooLarge)


def test_a_record_that_is_nested_without_end_is_refused(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    depot.path(Timestamp.type).write_bytes(b"[" * (roles.TIMESTAMP_MAX_BYTES - 1))
    assert_refused(box, over(depot.folder), ListBroken)


def test_slow_retrieval_changes_nothing(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    """The reader keeps the time, because only it knows the line; whatever it gives up with is passed on."""
    depot.publish()
    box.refresh(over(depot.folder))
    depot.publish(version=2)

    class Stalled:
        def read(self, name: str, max_bytes: int) -> bytes:
            if PREFIX in name:
                raise StickGone(place=name, reason="ETIMEDOUT")
            return over(depot.folder).read(name, max_bytes)

    assert_refused(box, Stalled(), StickGone)
    assert box.listed() == [(PACK, 1)]
    box.refresh(over(depot.folder))
    assert box.listed() == [(PACK, 1), (PACK, 2)]


def test_a_publisher_cannot_list_packs_of_others(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    """Extraneous dependencies: what is listed outside the paths of its role is as if it were not there."""
    folder = depot.build(pack="net.other.water")
    path = roles.target_path("net.other.water", 1)

    def listing(one: Any) -> None:
        target = TargetFile.from_data(path, envelope(folder), ["sha256"])
        target.unrecognized_fields["custom"] = {"signer": depot.press.verify_key.raw.hex()}
        one.publishers[PREFIX].signed.targets[path] = target
        one.publishers[PREFIX].signed.unrecognized_fields[roles.WITHDRAWN_FIELD] = [roles.target_path("net.x", 1)]
        one.touch(PREFIX)

    depot.change(listing)
    found = box.refresh(over(depot.folder))
    assert (found.packs, found.withdrawn) == ({}, frozenset())
    with pytest.raises(PackNotListed):
        open_envelope(envelope(folder), box.keyring())


def test_a_publisher_cannot_let_others_in(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    depot.publish()

    def letting_in(one: Any) -> None:
        friend = DelegatedRole("friend", [], 1, False, ["packs/*/*/manifest.ebm"])
        signed = one.publishers[PREFIX].signed
        signed.delegations = type(one.delegations)({}, {"friend": friend})
        one.touch(PREFIX)

    depot.change(letting_in)
    assert [publisher.prefix for publisher in box.refresh(over(depot.folder)).publishers] == [PREFIX]


def test_the_platform_itself_lists_no_packs(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    """What is not signed by the publisher of an id is not taken, whoever lists it."""
    folder = depot.build()
    path = roles.target_path(PACK, 1)

    def listing(one: Any) -> None:
        one.targets.signed.targets[path] = TargetFile.from_data(path, envelope(folder), ["sha256"])
        one.touch(Targets.type)

    depot.change(listing)
    assert box.refresh(over(depot.folder)).packs == {}


@pytest.mark.parametrize("role", [Root.type, Targets.type])
def test_one_stolen_key_of_three_is_not_enough(depot: PlayDepot, box: PlayBox, over: Over, role: str) -> None:
    box.refresh(over(depot.folder))
    depot.publish()
    stolen = key(f"{role}-1")
    depot.forge(role, lambda signed: setattr(signed, "version", signed.version + 1), stolen, key("stranger"))
    if role == Targets.type:
        content = depot.path(role).read_bytes()
        sign_snapshot(depot, lambda one: one.meta.update({"targets.json": MetaFile.from_data(2, content, ["sha256"])}))
    assert_refused(box, over(depot.folder), ListUnsigned)


def test_one_key_under_two_names_counts_once(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    stolen = key("root-1")

    def two_names(signed: Any) -> None:
        signed.version += 1
        twin = type(signed.keys[stolen.verify_key.key_id.hex()])(stolen.verify_key)
        twin.keyid = "ff" * 16
        signed.keys[twin.keyid] = twin
        signed.roles[Root.type].keyids.append(twin.keyid)

    depot.forge(Root.type, two_names, stolen, key("root-2"))
    assert_refused(box, over(depot.folder), ListBroken)


def test_fast_forward_is_recovered_from_by_new_keys(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    depot.publish()
    before = depot.saved()

    def ahead(signed: Any) -> None:
        signed.version = 2**31

    depot.forge(Snapshot.type, ahead, key("snapshot-1"))
    content = (depot.folder / f"metadata/{2**31}.snapshot.json").read_bytes()

    def named(signed: Any) -> None:
        ahead(signed)
        signed.snapshot_meta = MetaFile.from_data(2**31, content, ["sha256"])

    depot.forge(Timestamp.type, named, key("timestamp-1"))
    box.refresh(over(depot.folder))
    depot.folder = before
    depot.publish(version=2)
    assert_refused(box, over(depot.folder), ListRollback)
    depot.rotate("snapshot-1", "snapshot-2")
    depot.rotate("timestamp-1", "timestamp-2")
    box.refresh(over(depot.folder))
    assert box.listed() == [(PACK, 1), (PACK, 2)]


@pytest.mark.parametrize("role", [Root.type, Targets.type, Snapshot.type, Timestamp.type])
def test_after_a_change_of_keys_the_old_one_is_worth_nothing(
    depot: PlayDepot, box: PlayBox, over: Over, role: str
) -> None:
    box.refresh(over(depot.folder))
    depot.rotate(f"{role}-1", f"{role}-9")
    folder = depot.publish()
    box.refresh(over(depot.folder))
    assert open_envelope(envelope(folder), box.keyring())
    depot.publish(version=2)
    old, others = key(f"{role}-1"), [key(f"{role}-2")] if roles.THRESHOLDS[role] == 2 else []
    depot.forge(role, lambda signed: setattr(signed, "version", signed.version + 1), old, *others)
    if role in (Targets.type, Snapshot.type):
        content, version = depot.path(role).read_bytes(), depot.record(role).signed.version
        meta = MetaFile.from_data(version, content, ["sha256"])
        if role == Targets.type:
            sign_snapshot(depot, lambda signed: signed.meta.update({"targets.json": meta}))
        else:

            def named(signed: Any) -> None:
                signed.version += 1
                signed.snapshot_meta = meta

            depot.forge(Timestamp.type, named, key("timestamp-1"))
    assert_refused(box, over(depot.folder), ListUnsigned)


def test_a_publisher_with_a_new_key_keeps_what_was_listed(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    first = depot.publish(version=1)
    box.refresh(over(depot.folder))
    new = key("new press")
    depot.change(lambda one: publishing.delegate(one, PREFIX, new.verify_key, "Example Press"))
    assert box.refresh(over(depot.folder)).packs == {}
    depot.hold(new)
    second = depot.publish(version=2, by=new)
    box.refresh(over(depot.folder))
    assert open_envelope(envelope(first), box.keyring())[1] == depot.press.verify_key.key_id
    assert open_envelope(envelope(second), box.keyring())[1] == new.verify_key.key_id
    with pytest.raises(PackNotListed):
        open_envelope(envelope(depot.build(version=3)), box.keyring())


def test_a_publisher_who_lost_the_right_is_refused(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    folder = depot.publish()
    box.refresh(over(depot.folder))
    depot.change(lambda one: publishing.undelegate(one, PREFIX))
    assert box.refresh(over(depot.folder)).packs == {}
    with pytest.raises(SignerUnknown):
        open_envelope(envelope(folder), box.keyring())


@pytest.mark.parametrize("by_publisher", [True, False])
def test_a_withdrawn_version_is_refused_by_its_own_name(
    depot: PlayDepot, box: PlayBox, over: Over, by_publisher: bool
) -> None:
    first, second = depot.publish(version=1), depot.publish(version=2)
    keys = depot.keys if by_publisher else {name: one for name, one in depot.keys.items() if one != depot.press}
    depot.change(lambda one: publishing.withdraw(one, PACK, 1, keys))
    box.refresh(over(depot.folder))
    with pytest.raises(PackWithdrawn):
        open_envelope(envelope(first), box.keyring())
    assert open_envelope(envelope(second), box.keyring())
    known = {depot.press.verify_key.key_id: depot.press.verify_key}
    with pytest.raises(PackWithdrawn):
        open_envelope(envelope(first), BoxKeyring(known, pack_list=box.store.load()))


@pytest.mark.parametrize("missed", [3, 5, 200])
def test_a_box_that_missed_changes_of_the_root_finds_its_way(
    depot: PlayDepot, box: PlayBox, over: Over, missed: int
) -> None:
    box.refresh(over(depot.folder))
    for number in range(missed):
        depot.rotate(f"root-{number + 1}", f"root-{number + 4}")
    folder = depot.publish()
    box.refresh(over(depot.folder))
    assert open_envelope(envelope(folder), box.keyring())
    assert box.refresh(over(depot.folder)).packs


def test_a_gap_between_roots_is_not_jumped_over(depot: PlayDepot, box: PlayBox, over: Over) -> None:
    for number in range(3):
        depot.rotate(f"root-{number + 1}", f"root-{number + 4}")
    depot.rotate("timestamp-1", "timestamp-2")
    depot.publish()
    (depot.folder / "metadata/3.root.json").unlink()
    assert_refused(box, over(depot.folder), ListUnsigned)


@pytest.mark.parametrize("now_ms", [0, NOW_MS + 10 * 365 * DAY_MS, None])
def test_without_a_trusted_clock_age_is_shown_and_everything_else_holds(
    depot: PlayDepot, box: PlayBox, over: Over, now_ms: int | None
) -> None:
    """1970, ten years ahead: a clock that is not trusted is not passed on, whatever it shows."""
    is_trusted = now_ms == 0
    old = depot.saved()
    folder = depot.publish()
    found = box.refresh(over(depot.folder), now_ms if is_trusted else None)
    assert found.made_ms == NOW_MS
    assert open_envelope(envelope(folder), box.keyring(now_ms if is_trusted else None))
    assert_refused(box, over(old), ListRollback, None)
    depot.forge(Timestamp.type, lambda signed: setattr(signed, "version", 9), key("stranger"))
    assert_refused(box, over(depot.folder), ListUnsigned, None)


def test_a_list_that_expired_while_offline_is_followed_by_a_newer_one(
    depot: PlayDepot, box: PlayBox, over: Over
) -> None:
    folder = depot.publish()
    box.refresh(over(depot.folder))
    depot.now_ms = NOW_MS + 2 * 366 * DAY_MS
    with pytest.raises(ListExpired):
        open_envelope(envelope(folder), box.keyring(depot.now_ms))
    depot.change(lambda one: publishing.renew(one, depot.keys, depot.now_ms))
    folder = depot.publish(version=2)
    box.refresh(over(depot.folder), depot.now_ms)
    assert open_envelope(envelope(folder), box.keyring(depot.now_ms))


def test_line_and_stick_are_one_depot_in_any_order(depot: PlayDepot, box: PlayBox, tmp_path: Path) -> None:
    with serving(tmp_path) as address:
        line = HttpReader(f"{address}/depot/edgebox")
        depot.publish(version=1)
        box.refresh(line)
        depot.publish(version=2)
        stick = FolderReader(depot.saved())
        assert box.refresh(stick) == box.refresh(line)
        depot.publish(version=3)
        box.refresh(line)
        assert_refused(box, stick, ListRollback)
        assert [version for _, version in box.listed()] == [1, 2, 3]
