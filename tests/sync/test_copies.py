"""Two boxes from one card, and a box restored from a backup: each gets its own key, nothing is lost, staff are told."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from edgebox.app import open_box
from edgebox.services import copy_marks
from edgebox.services.identity import open_identity
from edgebox.settings import Settings
from edgebox.store import changes
from edgebox.store.identities import Reason
from sync.hub.sticks import exchange_stick
from sync.hub.store.reports import list_boxes
from tests.support.box import School, make_tablet
from tests.support.clock import FakeClock
from tests.support.power_cut import CuttableDisk, PowerCut
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS
from tests.sync.test_syncing import Scene, box_and_hub


@pytest.fixture
def same_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make copies look like the original, as on boards without a number whose cards were copied bit by bit."""
    monkeypatch.setattr(copy_marks, "is_moved", lambda keys: False)


@pytest.fixture
async def origin(tmp_path: Path) -> School:
    """Make a box that has sent two statements of its own to a hub, and is switched off."""
    async with box_and_hub(tmp_path) as scene:
        await scene.enroll()
        await scene.work(2)
        await scene.box.syncing.sync_now()
        return scene.school


@asynccontextmanager
async def running(hub: TestHub, school: School, data: Path, tablet: int) -> AsyncIterator[Scene]:
    clock = FakeClock(NOW_MS + 60_000)
    async with open_box(Settings(data=data), clock) as box:
        await box.database.write(lambda db: db.execute("UPDATE hub SET url = ?", (hub.url,)) and None)
        yield Scene(box, school, hub, make_tablet(tablet), clock)


@asynccontextmanager
async def twins(tmp_path: Path, origin: School) -> AsyncIterator[tuple[Scene, Scene]]:
    copy = tmp_path / "copy"
    await asyncio.to_thread(shutil.copytree, origin.settings.data, copy)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(hub_on(tmp_path / "hub"))
        places = enumerate((origin.settings.data, copy), 2)
        scenes = [await stack.enter_async_context(running(hub, origin, data, no)) for no, data in places]
        yield scenes[0], scenes[1]


async def send(scene: Scene) -> None:
    assert (await scene.box.syncing.sync_now()).last_error is None


async def carry(scene: Scene) -> None:
    """Send by stick: to the hub and back."""
    stick = scene.box.settings.data.parent / "stick"
    await asyncio.to_thread(stick.mkdir, exist_ok=True)
    await scene.box.exchanging.export(stick)
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    await scene.box.exchanging.import_(stick)


async def epochs_are_used_once(hub: TestHub) -> bool:
    """Return whether no number of an epoch was applied with two contents."""
    query = "SELECT count(*) FROM bundle WHERE state = 'applied' GROUP BY box_no, epoch, seq"
    return all(row == (1,) for row in await hub.rows(query))


@pytest.mark.parametrize("deliver", [send, carry])
@pytest.mark.parametrize("is_copy_first", [False, True])
async def test_two_boxes_from_one_card_end_with_a_key_each_and_everything_at_the_hub(
    tmp_path: Path, origin: School, same_machine: None, is_copy_first: bool, deliver: object
) -> None:
    assert callable(deliver)
    async with twins(tmp_path, origin) as pair:
        first, second = pair[::-1] if is_copy_first else pair
        shared = first.box.identity.box_id
        await first.work(2)
        await second.work(3)
        await deliver(first)
        assert first.box.identity.box_id == second.box.identity.box_id == shared
        await deliver(second)
        assert second.box.identity.box_id != shared, "seen at the first contact of the second"
        await first.work(1)
        for _ in range(2):
            for scene in (first, second):
                await deliver(scene)
        ids = {shared, first.box.identity.box_id, second.box.identity.box_id}
        assert len(ids) == 3
        assert await first.hub_statements() == 2 + 2 + 3 + 1
        assert await epochs_are_used_once(first.hub)
        for scene in (first, second):
            status = await scene.box.syncing.status()
            assert (status.renewed_reason, status.waiting_changes, status.last_error) == ("hub", 0, None)
        boxes = await first.hub.listening.hub.store.run(lambda connection: list_boxes(connection, NOW_MS))
        assert [(box["no"], box["succeeds_no"], box["successors"]) for box in boxes] == [
            (1, None, [2, 3]),
            (2, 1, []),
            (3, 1, []),
        ]
        assert {box["school"] for box in boxes} == {"Hill School"}


async def test_tablets_of_either_copy_are_still_believed(tmp_path: Path, origin: School, same_machine: None) -> None:
    async with twins(tmp_path, origin) as pair:
        for scene in (*pair, *pair):
            await scene.work()
            await send(scene)
        page = origin.home_page
        assert {scene.box.identity.home_page for scene in pair} == {page}
        for scene in pair:
            await scene.work(2)
            await send(scene)
        assert await pair[0].hub_statements() == 2 + 4 + 4


async def test_no_tablet_lets_go_of_what_only_the_others_history_covers(
    tmp_path: Path, origin: School, same_machine: None
) -> None:
    """An ack that speaks of the other copy's bundles settles none of ours, by whichever way it comes."""
    async with twins(tmp_path, origin) as (first, second):
        stick = tmp_path / "stick"
        stick.mkdir()
        await first.work(4)
        await first.box.exchanging.export(stick)
        await exchange_stick(first.hub.listening.hub.receiving, stick)
        await second.work(3)
        await second.box.exchanging.export(tmp_path)
        before = second.box.identity.box_id
        await second.box.exchanging.import_(stick)
        assert second.box.identity.box_id != before
        rows = await second.box.database.read(lambda db: db.execute("SELECT max(hub_seq) FROM device").fetchone())
        assert rows[0] == 2, "what was confirmed before the card was copied, and no more"
        await send(second)
        assert await second.hub_statements() == 2 + 4 + 3


async def test_a_copied_folder_is_noticed_without_a_hub(tmp_path: Path, origin: School) -> None:
    before = await asyncio.to_thread(open_identity, origin.settings.keys)
    async with twins(tmp_path, origin) as (original, copy):
        assert original.box.identity.box_id == before.box_id
        assert copy.box.identity.box_id != before.box_id
        assert (await original.box.syncing.status()).renewed_reason is None
        assert (await copy.box.syncing.status()).renewed_reason == "copied"
        await copy.work(2)
        await send(copy)
        await original.work(2)
        await send(original)
        assert await copy.hub_statements() == 6
        assert original.box.identity.box_id != before.box_id, "its key has a successor that it is not"
        assert await epochs_are_used_once(copy.hub)
        assert await copy.hub.rows("SELECT count(*) FROM bundle WHERE state = 'forked'") == [(0,)]


async def test_a_restart_is_no_copy(tmp_path: Path, origin: School) -> None:
    async with hub_on(tmp_path / "hub") as hub:
        for _ in range(3):
            async with running(hub, origin, origin.settings.data, 2) as scene:
                await send(scene)
                assert (await scene.box.syncing.status()).renewed_reason is None
        assert await hub.rows("SELECT no FROM box") == [(1,)]


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_card_in_another_machine_is_a_copy(
    tmp_path: Path, origin: School, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    (tmp_path / "serial").write_bytes(b"10000000abcdef01\0")
    files = (tmp_path / "serial",) if is_known else (tmp_path / "none",)
    monkeypatch.setattr(copy_marks, "MACHINE_FILES", files)
    async with hub_on(tmp_path / "hub") as hub, running(hub, origin, origin.settings.data, 2) as scene:
        assert (await scene.box.syncing.status()).renewed_reason == "copied"
        await send(scene)
        assert await scene.hub_statements() == 2


async def test_a_database_put_back_beneath_its_keys_is_noticed_without_a_hub(tmp_path: Path, origin: School) -> None:
    data = origin.settings.data
    old = await asyncio.to_thread((data / "box.db").read_bytes)
    async with hub_on(tmp_path / "hub") as hub:
        async with running(hub, origin, data, 2) as scene:
            before = scene.box.identity.box_id
            await scene.work(2)
            await send(scene)
        await asyncio.to_thread((data / "box.db").write_bytes, old)
        async with running(hub, origin, data, 3) as scene:
            assert (await scene.box.syncing.status()).renewed_reason == "restored"
            assert scene.box.identity.box_id != before
            await scene.work(3)
            await send(scene)
            assert await scene.hub_statements() == 2 + 2 + 3
            assert await epochs_are_used_once(hub)


async def test_a_hub_put_back_from_before_the_new_key_is_told_again(tmp_path: Path, origin: School) -> None:
    backup, copy = tmp_path / "hub-backup", tmp_path / "copy"
    await asyncio.to_thread(shutil.copytree, tmp_path / "hub", backup, ignore=shutil.ignore_patterns("*.sock"))
    await asyncio.to_thread(shutil.copytree, origin.settings.data, copy)
    async with hub_on(tmp_path / "hub") as hub, running(hub, origin, copy, 2) as scene:
        await scene.work(2)
        await send(scene)
        assert await scene.box.syncing.introducing.pending() == []
    async with hub_on(backup) as hub, running(hub, origin, copy, 3) as scene:
        await scene.work(2)
        status = await scene.box.syncing.sync_now()
        assert status.last_error is not None
        await send(scene)
        assert await scene.hub_statements() == 6


@pytest.mark.parametrize("lose_contents", [False, True])
@pytest.mark.parametrize("lose_names", [False, True])
def test_whatever_moment_the_power_goes_while_a_key_is_made_one_whole_identity_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lose_contents: bool, lose_names: bool
) -> None:
    cut_at, is_cut = 1, True
    while is_cut:
        folder = tmp_path / str(cut_at)
        folder.mkdir()
        before = open_identity(folder)
        page, submit_key = before.home_page, before.submit_key
        with monkeypatch.context() as patch:
            disk = CuttableDisk(folder, patch, cut_at)
            try:
                before.renew()
                copy_marks.note_place(folder)
                is_cut = False
            except PowerCut:
                pass
            disk.settle(lose_contents=lose_contents, lose_names=lose_names)
        after = open_identity(folder)
        assert after.keys[-1].seed == before.keys[-1].seed
        assert len(after.keys) in ((1, 2) if is_cut else (2,))
        assert (after.home_page, after.submit_key) == (page, submit_key)
        cut_at += 1
    assert cut_at > 5


@pytest.mark.parametrize("step", ["renew", "note_place", "begin_life"])
async def test_a_power_cut_between_key_and_database_is_mended_at_the_next_start(
    tmp_path: Path, origin: School, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    data = origin.settings.data

    def cut(*_arguments: object) -> None:
        raise InterruptedError(step)

    async with hub_on(tmp_path / "hub") as hub:
        async with running(hub, origin, data, 2) as scene:
            await scene.work(2)
            places = {
                "renew": "edgebox.services.introducing.copy_marks.note_place",
                "note_place": "edgebox.services.introducing.introduction.write_succession",
                "begin_life": "edgebox.services.introducing.identities.begin_life",
            }
            with monkeypatch.context() as patch:
                patch.setattr(places[step], cut)
                with pytest.raises(InterruptedError):
                    await scene.box.syncing.introducing.renew(Reason.HUB)
        async with running(hub, origin, data, 3) as scene:
            life = await scene.box.syncing.introducing.last_life()
            assert life is not None
            assert life.key_id == scene.box.identity.box_id
            await send(scene)
            assert await scene.hub_statements() == 4
            epoch = await scene.box.database.read(changes.find_epoch)
            assert epoch > 1
