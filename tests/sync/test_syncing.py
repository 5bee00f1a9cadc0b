"""A real box and a real hub: what the box records arrives once, by line or stick, and is forgotten by neither."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.signing import SigningKey
from content_packs.fetch import FolderSource
from edgebox.app import open_box
from edgebox.domain.xapi.version import Version
from edgebox.keys import Box
from edgebox.services import spool
from edgebox.services.sync_state import NotEnrolled
from edgebox.store import changes
from sync.bundle.errors import BundleUnknownOrigin
from sync.bundle.layout import AckHead, Vector
from sync.bundle.read import read_ack
from sync.bundle.write import write_ack
from sync.enrolment import EnrolmentRefused
from sync.hub.enrolling import TRIES_MAX
from sync.hub.sticks import exchange_stick
from sync.transport import folder
from sync.transport.contract import Waiting
from sync.transport.errors import HubUnreached, LinkCaptured
from sync.transport.http import HttpTransport
from tests.support.box import School, Tablet, make_school, make_tablet
from tests.support.clock import FakeClock
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS, registries


@dataclass
class Scene:
    """A box with two learners and a tablet, and a hub."""

    box: Box
    school: School
    hub: TestHub
    tablet: Tablet
    clock: FakeClock

    async def work(self, count: int = 1, learner: int = 0) -> None:
        """Let a learner answer questions."""
        events = [
            self.tablet.event(
                self.school.learners[learner], item="q1", result={"success": True, "response": "b", "duration_ms": 900}
            )
            for _ in range(count)
        ]
        answer = await self.box.recording.store_outbox(self.tablet.request(*events))
        assert len(answer.acked) == count, answer

    async def enroll(self) -> None:
        code = await self.hub.listening.hub.enrolling.make_code("Hill School")
        await self.box.syncing.enroll(self.hub.url, code)

    async def hub_statements(self) -> int:
        return int((await self.hub.rows("SELECT count(*) FROM statement"))[0][0])

    async def device(self) -> tuple[int, int]:
        """Return box_seq and hub_seq of the tablet."""
        row = await self.box.database.read(lambda db: db.execute("SELECT box_seq, hub_seq FROM device").fetchone())
        return row[0], row[1]


class DeadLink:
    """A line on which only a sign-in page answers."""

    async def open_bundles(self) -> FolderSource:
        return FolderSource(Path("nowhere"))

    async def ask_waiting(self, ack: bytes) -> list[Waiting]:
        raise LinkCaptured(reason="text/html")

    async def deliver(self, bundle: bytes, **options: Any) -> bytes:
        return b"<html>Welcome</html>"

    async def enroll(self, request: dict[str, Any]) -> dict[str, Any]:
        raise LinkCaptured(reason="text/html")

    async def introduce(self, content: bytes) -> bytes:
        return b"<html>Welcome</html>"

    async def close(self) -> None:
        return None


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with box_and_hub(tmp_path) as made:
        yield made


@asynccontextmanager
async def box_and_hub(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = FakeClock(NOW_MS)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(hub_on(tmp_path / "hub", clock))
        box = await stack.enter_async_context(open_box(school.settings, clock))
        yield Scene(box, school, hub, make_tablet(), clock)


async def test_what_a_learner_did_arrives_at_the_hub_and_the_tablet_may_let_go(scene: Scene) -> None:
    await scene.enroll()
    await scene.work(3)
    assert await scene.device() == (3, 0)
    status = await scene.box.syncing.sync_now()
    assert (status.waiting_changes, status.last_error, status.last_success_ms) == (0, None, NOW_MS)
    assert await scene.hub_statements() == 3
    assert await scene.device() == (3, 3)
    assert await scene.hub.rows("SELECT code FROM class") == [
        tuple(row) for row in await scene.box.database.read(lambda db: db.execute("SELECT code FROM class").fetchall())
    ]


async def test_the_hub_derives_the_ids_that_the_box_has(scene: Scene) -> None:
    await scene.enroll()
    await scene.work(2)
    await scene.box.syncing.sync_now()
    query = "SELECT id FROM statement ORDER BY id"
    ours = await scene.box.database.read(lambda db: [tuple(row) for row in db.execute(query)])
    assert await scene.hub.rows(query) == ours


async def test_no_name_is_found_in_anything_the_hub_keeps(scene: Scene, tmp_path: Path) -> None:
    await scene.enroll()
    await scene.work(2)
    await scene.box.syncing.sync_now()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "hub").rglob("*") if path.is_file())
    for name in (b"Learner 0", b"Learner 1", b"Class 4", b"Teacher"):
        assert name not in kept


async def test_a_box_without_a_hub_sends_nothing_and_loses_nothing(scene: Scene) -> None:
    await scene.work(3)
    status = await scene.box.syncing.sync_now()
    assert (status.hub_url, status.last_error) == (None, None)
    assert status.waiting_changes > 3
    with pytest.raises(NotEnrolled):
        await scene.box.exchanging.export(Path("/nowhere"))
    await scene.enroll()
    await scene.box.syncing.sync_now()
    assert await scene.hub_statements() == 3


async def test_work_done_while_the_line_is_down_goes_in_one_bundle(tmp_path: Path) -> None:
    async with box_and_hub(tmp_path) as scene:
        await scene.enroll()
        await scene.hub.session.close()
        scene.box.syncing._uploading.make_link = lambda url: DeadLink()  # type: ignore[assignment,return-value]
        await scene.work()
        for _ in range(5):
            await scene.box.syncing.sync_now()
            await scene.work(2)
        status = await scene.box.syncing.status()
        assert status.waiting_bundles == 1
        assert status.last_error is not None
        assert status.last_error["code"] == "sync.link_captured"
        assert status.next_try_ms is not None
        await scene.box.syncing.close()
        scene.box.syncing._uploading.make_link = HttpTransport
        await scene.box.syncing.sync_now()
        assert await scene.hub_statements() == 11
        assert len(await scene.hub.rows("SELECT * FROM bundle")) == 2


async def test_nothing_is_tried_before_its_time_unless_somebody_asks(tmp_path: Path) -> None:
    async with box_and_hub(tmp_path) as scene:
        await scene.enroll()
        link = CountingLink()
        scene.box.syncing._uploading.make_link = lambda url: link  # type: ignore[assignment,return-value]
        await scene.work()
        due_ms = await scene.box.syncing.sync_when_due()
        assert due_ms is not None
        await scene.box.syncing.sync_when_due()
        assert link.deliveries == 1
        scene.clock.advance(due_ms - scene.box.clock.now_ms())
        await scene.box.syncing.sync_when_due()
        await scene.box.syncing.sync_now()
        assert link.deliveries == 3


async def test_a_fault_in_the_middle_of_sending_does_not_end_the_sending(scene: Scene) -> None:
    await scene.enroll()
    await scene.work()
    scene.box.syncing._uploading.make_link = lambda url: FaultyLink()  # type: ignore[assignment,return-value]
    with pytest.raises(ZeroDivisionError):
        await scene.box.syncing.sync_now()
    await scene.box.syncing.close()
    scene.box.syncing._uploading.make_link = HttpTransport
    await scene.box.syncing.sync_now()
    assert await scene.hub_statements() == 1


class FaultyLink(DeadLink):
    """A mistake of ours."""

    async def deliver(self, bundle: bytes, **options: Any) -> bytes:
        raise ZeroDivisionError


class CountingLink(DeadLink):
    """Counts what is delivered."""

    deliveries = 0

    async def deliver(self, bundle: bytes, **options: Any) -> bytes:
        self.deliveries += 1
        return await super().deliver(bundle)


async def test_a_wrong_code_enrols_nowhere(scene: Scene) -> None:
    for _ in range(TRIES_MAX):
        with pytest.raises(EnrolmentRefused):
            await scene.box.syncing.enroll(scene.hub.url, "A" * 24)
    with pytest.raises(HubUnreached) as refused:
        await scene.box.syncing.enroll(scene.hub.url, "A" * 24)
    assert "ten minutes" in refused.value.fields["reason"]
    assert (await scene.box.syncing.status()).hub_url is None


async def test_an_ack_that_another_key_signed_moves_nothing(scene: Scene) -> None:
    await scene.enroll()
    await scene.work()
    scene.box.syncing._uploading.make_link = lambda url: ForgingLink(scene.box.identity.box_id)  # type: ignore[assignment,return-value]
    status = await scene.box.syncing.sync_now()
    assert status.last_error is not None
    assert status.last_error["code"] == "sync.link_captured"
    assert (status.waiting_bundles, await scene.device()) == (1, (1, 0))


class ForgingLink(DeadLink):
    """Answers with an ack of everything, signed by somebody."""

    def __init__(self, origin: bytes) -> None:
        self.origin = origin
        self.key = SigningKey.generate()

    async def deliver(self, bundle: bytes, **options: Any) -> bytes:
        vector = Vector(self.origin, 1, 9, 999)
        return write_ack(AckHead(self.key.verify_key.key_id, vector, NOW_MS, 0), self.key)


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


async def test_a_stick_carries_bundles_there_and_acks_back(scene: Scene, stick: Path) -> None:
    await scene.enroll()
    await scene.work(3)
    assert await scene.box.exchanging.export(stick) == 1
    assert await scene.hub_statements() == 0
    assert (await exchange_stick(scene.hub.listening.hub.receiving, stick))["taken"] == 1
    assert await scene.box.exchanging.import_(stick) == 1
    assert (await scene.box.syncing.status()).waiting_changes == 0
    assert await scene.device() == (3, 3)
    assert await scene.hub_statements() == 3


async def test_while_much_waits_tablets_keep_their_copies(
    scene: Scene, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "CHANGES_PER_BUNDLE", 10)
    monkeypatch.setattr(changes, "_SETTLED_WITHIN_CHANGES", 0)
    await scene.enroll()
    await scene.work(20)
    await scene.box.exchanging.export(stick)
    last = (await asyncio.to_thread(folder.list_bundles, stick))[-1]
    await asyncio.to_thread(last.rename, tmp_path / "kept")
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    await scene.box.exchanging.import_(stick)
    assert 0 < await scene.hub_statements() < 20
    assert await scene.device() == (20, 0)
    await asyncio.to_thread((tmp_path / "kept").rename, last)
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    await scene.box.exchanging.import_(stick)
    assert await scene.device() == (20, 20)


async def test_stick_and_line_together_give_the_same_rows_as_the_line_alone(scene: Scene, stick: Path) -> None:
    await scene.enroll()
    for turn in range(3):
        await scene.work(2)
        await scene.box.exchanging.export(stick)
        if turn == 1:
            await scene.box.syncing.sync_now()
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    await scene.box.syncing.sync_now()
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    assert await scene.box.exchanging.import_(stick) == 1
    assert await scene.hub_statements() == 6
    assert (await scene.box.syncing.status()).waiting_changes == 0


async def test_after_an_ack_by_stick_a_line_that_comes_back_goes_on_where_the_stick_ended(
    scene: Scene, stick: Path
) -> None:
    await scene.enroll()
    await scene.work(3)
    scene.box.syncing._uploading.make_link = lambda url: DeadLink()  # type: ignore[assignment,return-value]
    await scene.box.syncing.sync_now()
    await scene.box.exchanging.export(stick)
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    assert (await scene.box.syncing.status()).last_error is not None
    await scene.box.exchanging.import_(stick)
    status = await scene.box.syncing.status()
    assert (status.waiting_changes, status.last_error) == (0, None)
    await scene.box.syncing.close()
    scene.box.syncing._uploading.make_link = HttpTransport
    await scene.box.syncing.sync_now()
    await scene.work()
    await scene.box.syncing.sync_now()
    assert await scene.box.database.read(changes.find_epoch) == 1
    assert await scene.hub.rows("SELECT epoch, seq FROM bundle ORDER BY seq") == [(1, 1), (1, 2)]


@pytest.mark.parametrize("is_kept_on_the_box", [True, False])
async def test_a_hub_restored_from_a_backup_gets_again_what_it_lost(tmp_path: Path, is_kept_on_the_box: bool) -> None:
    clock = FakeClock(NOW_MS)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with open_box(school.settings, clock) as box:
        async with hub_on(tmp_path / "hub", clock) as hub:
            scene = Scene(box, school, hub, make_tablet(), clock)
            await scene.enroll()
            await scene.work()
            await box.syncing.sync_now()
            await box.syncing.close()
        await asyncio.to_thread(back_up, tmp_path / "hub", tmp_path / "backup")
        await work_and_sync(scene, tmp_path / "hub", turns=3)
        if not is_kept_on_the_box:
            clock.advance(spool.KEEP_ACKNOWLEDGED_MS + 1)
        statements = await work_and_sync(scene, tmp_path / "backup", turns=2)
    assert statements == 1 + 3 + 2


def back_up(folder: Path, backup: Path) -> None:
    shutil.copytree(folder, backup, ignore=shutil.ignore_patterns("*.sock"))


async def work_and_sync(scene: Scene, data: Path, turns: int) -> int:
    """Run a hub on a folder, send it something a few times, and return how many statements it has."""
    async with hub_on(data, scene.clock) as scene.hub:
        url = scene.hub.url
        await scene.box.database.write(lambda db: db.execute("UPDATE hub SET url = ?", (url,)) and None)
        for _ in range(turns):
            await scene.work()
            status = await scene.box.syncing.sync_now()
            assert (status.last_error, status.waiting_changes) == (None, 0)
        await scene.box.syncing.close()
        return await scene.hub_statements()


async def test_an_ack_for_another_box_or_from_another_hub_is_not_taken_off_a_stick(
    scene: Scene, stick: Path, tmp_path: Path
) -> None:
    await scene.enroll()
    await scene.work()
    origin = scene.box.identity.box_id
    async with hub_on(tmp_path / "other") as other:
        stranger = await other.enrolled()
        ack = await other.listening.hub.receiving.receive(stranger.next(registries()))
    await asyncio.to_thread(folder.write_ack, stick, origin, 1, ack.ack)
    assert await scene.box.exchanging.import_(stick) == 0
    with pytest.raises(BundleUnknownOrigin):
        read_ack(ack.ack, scene.hub.listening.hub.keys.signing.verify_key)


async def test_a_copy_of_a_box_and_the_box_end_with_everything_at_the_hub(tmp_path: Path) -> None:
    async with box_and_hub(tmp_path) as scene:
        await scene.enroll()
        await scene.work(2)
        await scene.box.syncing.sync_now()
        settings = scene.school.settings
    await asyncio.to_thread(shutil.copytree, settings.data, tmp_path / "copy")
    clock = FakeClock(NOW_MS + 60_000)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(hub_on(tmp_path / "hub", clock))
        boxes = []
        for number, data in enumerate((settings.data, tmp_path / "copy"), 1):
            box = await stack.enter_async_context(open_box(type(settings)(data=data), clock))
            found = Scene(box, scene.school, hub, make_tablet(number + 1), clock)
            await box.database.write(lambda db: db.execute("UPDATE hub SET url = ?", (hub.url,)) and None)
            boxes.append(found)
        for _ in range(3):
            for found in boxes:
                await found.work(2)
                status = await found.box.syncing.sync_now()
                assert status.last_error is None
        for found in boxes:
            await found.box.syncing.sync_now()
            assert (await found.box.syncing.status()).waiting_changes == 0
        assert await boxes[0].hub_statements() == 2 + 2 * 3 * 2
        epochs = [await found.box.database.read(changes.find_epoch) for found in boxes]
        assert epochs[1] > 1
        assert epochs[0] != epochs[1]


async def test_a_bundle_that_the_card_lost_is_replaced_under_a_new_epoch(scene: Scene) -> None:
    await scene.enroll()
    await scene.work(2)
    scene.box.syncing._uploading.make_link = lambda url: DeadLink()  # type: ignore[assignment,return-value]
    await scene.box.syncing.sync_now()
    for path in (scene.school.settings.spool / "out").iterdir():
        await asyncio.to_thread(path.write_bytes, b"EBB\x01damaged")
    await scene.box.syncing.close()
    scene.box.syncing._uploading.make_link = HttpTransport
    await scene.box.syncing.sync_now()
    assert await scene.hub_statements() == 2
    assert await scene.device() == (2, 2)
    epoch = await scene.box.database.read(changes.find_epoch)
    assert [path.name for path in (scene.school.settings.spool / "out").iterdir()] == [f"{epoch}-1.eb"]


async def test_what_waits_for_another_hub_leaves_the_card_when_the_box_changes_hubs(
    scene: Scene, tmp_path: Path
) -> None:
    await scene.enroll()
    await scene.work()
    scene.box.syncing._uploading.make_link = lambda url: DeadLink()  # type: ignore[assignment,return-value]
    await scene.box.syncing.sync_now()
    await scene.box.syncing.close()
    files = scene.school.settings.spool / "out"
    assert [path.name for path in files.iterdir()] == ["1-1.eb"]
    scene.box.syncing._uploading.make_link = HttpTransport
    async with hub_on(tmp_path / "other", scene.clock) as other:
        scene.hub = other
        await scene.enroll()
        assert list(files.iterdir()) == []


async def test_files_that_a_power_cut_left_without_a_row_are_swept(scene: Scene) -> None:
    await scene.enroll()
    await scene.work()
    await scene.box.syncing.sync_now()
    files = scene.school.settings.spool / "out"
    for name in ("7-1.eb", "1-2.eb.part"):
        await asyncio.to_thread((files / name).write_bytes, b"left")
    await scene.box.syncing.sync_when_due()
    assert [path.name for path in files.iterdir()] == ["1-1.eb"]


async def test_a_large_log_goes_in_several_bundles_in_one_run(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "CHANGES_PER_BUNDLE", 4)
    await scene.enroll()
    await scene.work(15)
    await scene.box.syncing.sync_now()
    assert await scene.hub_statements() == 15
    assert len(await scene.hub.rows("SELECT * FROM bundle WHERE state = 'applied'")) > 4


async def test_a_statement_of_an_outside_client_travels_without_its_actor(scene: Scene, tmp_path: Path) -> None:
    await scene.enroll()
    learner = scene.school.learners[0]
    caller = await scene.box.recording.caller_of_token(learner.token)
    statement = {
        "actor": {"objectType": "Agent", "name": "Amina"} | learner.actor,
        "verb": {"id": "http://example.org/verbs/tried", "display": {"en": "tried"}},
        "object": {"id": "http://example.org/thing"},
    }
    [given] = await scene.box.record_store.store(caller, Version.ONE, [statement])
    await scene.box.syncing.sync_now()
    [(found, body)] = await scene.hub.rows("SELECT id, body FROM statement")
    assert found.hex() == given.replace("-", "")
    assert b"tried" in body
    assert b"Amina" not in body


async def test_old_bundles_leave_the_card_a_week_after_the_ack(scene: Scene) -> None:
    await scene.enroll()
    files = scene.school.settings.spool / "out"
    for _ in range(3):
        await scene.work()
        await scene.box.syncing.sync_now()
    assert len(list(files.iterdir())) == 3
    scene.clock.advance(spool.KEEP_ACKNOWLEDGED_MS + 1)
    await scene.work()
    await scene.box.syncing.sync_now()
    assert [path.name for path in files.iterdir()] == ["1-4.eb"]
