"""What learners hand in reaches the hub: its record with the log, its file by line or stick as its size says."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from sqlite3 import Connection

import pytest

from content_packs.base.hashing import blake2b_256
from content_packs.format.errors import StickGone
from content_packs.format.manifest import Lesson
from content_packs.installer.blobs import BlobStore
from edgebox.keys import Box
from edgebox.services import file_sending
from edgebox.store import marks, own_lessons, teaching
from edgebox.store.catalogue import ListedLesson
from sync.bundle.file import write_file_bundle
from sync.engine.lanes import Lane, Tariff
from sync.hub.sticks import exchange_stick
from sync.hub.sticks_down import fill_stick
from sync.hub.store import reports
from sync.records.lessons import OWN_PACK
from sync.transport.errors import HubRefused, LinkDown
from sync.transport.http import HttpTransport
from tests.support.clock import FakeClock
from tests.support.hand_ins import give_lesson, hand_in, photo
from tests.sync.hub_support import hub_on
from tests.sync.makers import NOW_MS, Maker, registries
from tests.sync.school_scene import SchoolScene, school_scene

SMALL, MIDDLE, LARGE = 50_000, 500_000, 3_000_000
DAY_MS = 86_400_000
# No budget in the way; large files wait for the hours all the same.
ROOMY = Tariff(day_bytes=None)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SchoolScene]:
    (tmp_path / "stick").mkdir()
    async with school_scene(tmp_path) as made:
        await made.box.line.set_tariff(ROOMY)
        await give_lesson(made.box, made.school.class_no)
        assert await made.sync() is None
        yield made


async def give(scene: SchoolScene, text: str = "", file: bytes | None = None, learner: int = 0) -> bool:
    scene.clock.advance(1_000)
    return await hand_in(scene.box, scene.school.learners[learner].no, 1, text, file)


async def hub_records(scene: SchoolScene) -> list[tuple[object, ...]]:
    return await scene.hub.rows("SELECT media_type, size_bytes, hash FROM hand_in ORDER BY no")


async def hub_files(scene: SchoolScene) -> list[bytes]:
    """Return the hashes of the files that the hub has, each read from its disk."""
    noted = await scene.hub.rows("SELECT hash FROM school_file ORDER BY no")
    folder = scene.hub.listening.hub.settings.files
    found = await asyncio.to_thread(lambda: {blake2b_256(p.read_bytes()) for p in folder.rglob("*") if p.is_file()})
    assert found == {row[0] for row in noted}
    return [row[0] for row in noted]


async def due(scene: SchoolScene) -> list[int]:
    """Return the sizes of the files that the hub has not said to have."""
    return [file.size_bytes for file in await scene.box.syncing.files.list_due()]


async def spooled(scene: SchoolScene) -> list[str]:
    folder = scene.school.settings.spool / "files"
    return await asyncio.to_thread(lambda: [path.name for path in folder.glob("*")])


async def at_the_hub(scene: SchoolScene) -> None:
    hub = scene.hub.listening.hub
    await exchange_stick(hub.receiving, scene.folder / "stick")
    await fill_stick(hub.sending, scene.folder / "stick")


async def at_the_box(scene: SchoolScene) -> None:
    scene.clock.advance(1_000)
    await scene.box.exchanging.import_(scene.folder / "stick")
    await scene.box.exchanging.export(scene.folder / "stick")


def on_stick(scene: SchoolScene) -> list[str]:
    return sorted(path.name for path in (scene.folder / "stick" / "edgebox" / "outbox").rglob("*.ebf"))


async def test_a_small_file_goes_with_the_line_and_the_box_hears_that_it_has_arrived(scene: SchoolScene) -> None:
    content = photo(SMALL)
    await give(scene, "My tree", content)
    assert await due(scene) == [SMALL]
    assert await scene.sync() is None
    assert await hub_records(scene) == [("image/jpeg", SMALL, blake2b_256(content))]
    assert await hub_files(scene) == [blake2b_256(content)]
    assert await scene.hub.rows("SELECT value FROM fact WHERE entity = 6 AND field = 1") == [("My tree",)]
    assert await due(scene) == [] == await spooled(scene)


async def test_a_short_text_needs_no_file(scene: SchoolScene) -> None:
    await give(scene, "My tree")
    assert await scene.sync() is None
    assert (await hub_records(scene))[0][:2] == ("text/plain", 7)
    assert await hub_files(scene) == [] == await due(scene)


async def test_no_name_goes_up(scene: SchoolScene) -> None:
    await give(scene, "", photo(SMALL))
    assert await scene.sync() is None
    names = {row[0] for row in await scene.rows("SELECT given_name FROM person")}
    folder = scene.folder / "hub"
    found = await asyncio.to_thread(lambda: b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file()))
    assert names and not any(name.encode() in found for name in names)


async def test_a_larger_file_waits_for_the_hours_and_one_larger_still_for_a_stick(scene: SchoolScene) -> None:
    await give(scene, "", photo(MIDDLE))
    await give(scene, "", photo(LARGE), learner=1)
    now = scene.box.line.moment()
    opens_ms = scene.box.line.next_ms(Lane.LARGE)
    if opens_ms == now.wall_ms:  # it is the night: move on to the day
        scene.clock.advance(12 * 3_600_000)
        opens_ms = scene.box.line.next_ms(Lane.LARGE)
    assert opens_ms > scene.clock.now_ms()
    assert await scene.sync() is None
    assert len(await hub_records(scene)) == 2
    assert await hub_files(scene) == []
    assert (await scene.box.meter.read()).lanes[Lane.LARGE].waiting_bytes == MIDDLE
    scene.clock.advance(opens_ms - scene.clock.now_ms() + 60_000)
    assert await scene.sync() is None
    assert await hub_files(scene) == [blake2b_256(photo(MIDDLE))]
    assert await due(scene) == [LARGE]


async def test_a_large_file_that_staff_release_goes_over_a_line_that_costs_nothing(scene: SchoolScene) -> None:
    await give(scene, "", photo(LARGE))
    await scene.box.hand_ins.release(1)
    assert await scene.sync() is None
    assert await hub_files(scene) == []
    await scene.box.line.set_tariff(Tariff(is_metered=False))
    assert await scene.sync() is None
    assert await hub_files(scene) == [blake2b_256(photo(LARGE))]
    assert await due(scene) == []


async def test_a_stick_takes_every_file_and_brings_the_word_back(scene: SchoolScene) -> None:
    await give(scene, "", photo(LARGE))
    await give(scene, "", photo(SMALL), learner=1)
    await at_the_box(scene)
    assert on_stick(scene) == ["1-1.ebf", "1-2.ebf"]
    whole = b"".join(path.read_bytes() for path in (scene.folder / "stick").rglob("*") if path.is_file())
    assert photo(100)[:10] not in whole
    await at_the_hub(scene)
    assert sorted(await hub_files(scene)) == sorted([blake2b_256(photo(LARGE)), blake2b_256(photo(SMALL))])
    await at_the_box(scene)
    assert await due(scene) == [] == on_stick(scene) == await spooled(scene)


async def test_stick_and_line_at_once_and_twice_store_a_file_once(scene: SchoolScene) -> None:
    await give(scene, "", photo(SMALL))
    await at_the_box(scene)
    assert await scene.sync() is None
    for _ in range(2):
        await at_the_hub(scene)
    assert await hub_files(scene) == [blake2b_256(photo(SMALL))]
    assert await scene.hub.rows("SELECT count(*) FROM fact WHERE entity = 6 AND field = 2") == [(1,)]
    await at_the_box(scene)
    assert await due(scene) == []


async def test_a_file_before_its_record_is_told_of_when_the_record_comes(scene: SchoolScene) -> None:
    content = photo(SMALL)
    await give(scene, "", content)
    files = scene.box.syncing.files
    found = await files.read_for_stick((await files.list_due())[0], scene.folder / "stick")
    assert found is not None
    await scene.hub.listening.hub.receiving.receive(found[1])
    assert await hub_files(scene) == [blake2b_256(content)]
    assert await hub_records(scene) == []
    assert await scene.sync() is None
    assert await due(scene) == []


async def test_a_file_whose_answer_was_lost_is_not_sent_again_in_bytes(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await give(scene, "", photo(SMALL))
    deliver, lost = HttpTransport.deliver, []

    async def deliver_deaf(self: HttpTransport, bundle: bytes, **options: object) -> bytes:
        answer = await deliver(self, bundle, **options)  # type: ignore[arg-type]
        if len(bundle) > SMALL and not lost:
            lost.append(answer)
            raise LinkDown(reason="the line broke")
        return answer

    monkeypatch.setattr(HttpTransport, "deliver", deliver_deaf)
    error = await scene.sync()
    assert error is not None and error["code"] == LinkDown.code
    assert await hub_files(scene) == [blake2b_256(photo(SMALL))]
    before = sum(lane.today_bytes for lane in (await scene.box.meter.read()).lanes)
    assert await scene.sync() is None
    after = sum(lane.today_bytes for lane in (await scene.box.meter.read()).lanes)
    assert await due(scene) == []
    assert after - before < SMALL // 2


async def test_what_the_hub_never_confirms_goes_again_after_a_day(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await give(scene, "", photo(SMALL))
    monkeypatch.setattr("sync.hub.files.Files.take", _take_nothing)
    assert await scene.sync() is None
    assert await due(scene) == [SMALL]
    monkeypatch.undo()
    assert await scene.sync() is None
    assert await hub_files(scene) == []
    scene.clock.advance(file_sending.SENT_AGAIN_MS)
    assert await scene.sync() is None
    assert await due(scene) == []


async def _take_nothing(*_arguments: object) -> None:
    return None


async def test_what_learners_do_goes_between_the_slices_of_a_file(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.box.line.set_tariff(Tariff(is_metered=False))
    await give(scene, "", photo(1_500_000))
    deliver, sent = HttpTransport.deliver, []

    async def deliver_slowly(self: HttpTransport, bundle: bytes, **options: object) -> bytes:
        told = options.pop("on_stored")
        is_file = len(bundle) > 1_000_000

        def on_stored(stored_bytes: int) -> None:
            told(stored_bytes)  # type: ignore[operator]
            if is_file and stored_bytes and "began" not in sent:
                sent.append("began")
                box, assignment = scene.box, 1
                person_no = scene.school.learners[1].no
                tasks.append(asyncio.ensure_future(give_mark(box, scene.school.class_no, assignment, person_no)))

        answer = await deliver(self, bundle, on_stored=on_stored, **options)  # type: ignore[arg-type]
        sent.append("file" if is_file else "records")
        return answer

    tasks: list[asyncio.Future[None]] = []
    monkeypatch.setattr(HttpTransport, "deliver", deliver_slowly)
    assert await scene.sync() is None
    await asyncio.gather(*tasks)
    assert sent == ["records", "began", "records", "file"]
    assert await hub_files(scene) == [blake2b_256(photo(1_500_000))]
    assert await scene.hub.rows("SELECT value FROM mark") == [("7",)]


async def give_mark(box: Box, class_no: int, assignment_no: int, person_no: int) -> None:
    def write(connection: object) -> None:
        assignment = marks.find_assignment_id(connection, class_no, assignment_no)  # type: ignore[arg-type]
        assert assignment is not None
        marks.give_mark(connection, assignment, class_no, person_no, "7", "", seen=[], now_ms=NOW_MS)  # type: ignore[arg-type]

    await box.database.write(write)


async def test_a_hub_of_before_files_gets_all_else(scene: SchoolScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sync.hub.opening.HAS_BODY", frozenset({1, 3}))
    await give(scene, "My tree", photo(SMALL))
    assert await scene.sync() is None
    assert len(await hub_records(scene)) == 1
    await give(scene, "Another")
    assert await scene.sync() is None
    assert len(await hub_records(scene)) == 2
    monkeypatch.undo()
    scene.clock.advance(file_sending.SENT_AGAIN_MS)
    assert await scene.sync() is None
    assert await due(scene) == []


async def test_another_hub_gets_the_files_that_the_first_one_has(scene: SchoolScene, tmp_path: Path) -> None:
    await give(scene, "My tree", photo(SMALL))
    assert await scene.sync() is None
    assert await due(scene) == []
    async with hub_on(tmp_path / "other", scene.clock) as other:
        code = await other.listening.hub.enrolling.make_code("Hill School")
        await scene.box.syncing.enroll(other.url, code)
        assert await due(scene) == [SMALL]
        scene.clock.advance(DAY_MS)
        assert await scene.sync() is None
        assert await due(scene) == []
        assert await other.rows("SELECT count(*) FROM school_file") == [(1,)]


async def test_a_file_that_the_disk_changed_is_not_sent(scene: SchoolScene) -> None:
    content = photo(SMALL)
    await give(scene, "", content)
    path = scene.box.hand_ins.blobs.path_of(blake2b_256(content))
    await asyncio.to_thread(path.write_bytes, photo(SMALL, b"\x01"))
    assert await scene.sync() is None
    assert await hub_files(scene) == []
    await at_the_box(scene)
    assert on_stick(scene) == []


@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC])
async def test_a_file_that_cannot_be_read_keeps_nothing_else_from_the_hub(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch, fault: int
) -> None:
    def broken(*_arguments: object) -> bytes:
        raise OSError(fault, os.strerror(fault))

    await give(scene, "My tree", photo(SMALL))
    with monkeypatch.context() as patched:
        patched.setattr(scene.box.hand_ins.blobs, "is_intact", broken)
        await at_the_box(scene)
        assert on_stick(scene) == []
        await at_the_hub(scene)
        assert len(await hub_records(scene)) == 1
        await give(scene, "Another")
        assert await scene.sync() is None
    assert len(await hub_records(scene)) == 2
    assert await scene.sync() is None
    assert await due(scene) == []


async def test_the_records_are_safe_on_a_stick_before_the_first_file_is_read(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_arguments: object) -> None:
        raise StickGone(place="stick", reason="EIO")

    await give(scene, "My tree", photo(SMALL))
    monkeypatch.setattr(scene.box.syncing.files, "read_for_stick", broken)
    with pytest.raises(StickGone):
        await scene.box.exchanging.export(scene.folder / "stick")
    await at_the_hub(scene)
    assert len(await hub_records(scene)) == 1


async def test_a_number_of_an_epoch_that_was_thrown_away_confirms_nothing(scene: SchoolScene) -> None:
    await give(scene, "", photo(LARGE))
    await at_the_box(scene)
    await at_the_hub(scene)
    mine = next((scene.folder / "stick").rglob("1-1.ebf"))
    await asyncio.to_thread(mine.rename, mine.with_name("7-1.ebf"))
    await at_the_box(scene)
    assert (await due(scene), on_stick(scene)) == ([], ["7-1.ebf"])


async def test_a_file_whose_record_came_back_from_the_hub_is_due_again_after_the_start(scene: SchoolScene) -> None:
    await give(scene, "", photo(LARGE))
    await give(scene, "My tree", learner=1)
    await scene.box.database.write(lambda db: db.execute("DELETE FROM file") and None)
    assert await due(scene) == []
    await scene.box.hand_ins.sweep()
    await scene.box.hand_ins.sweep()
    assert await due(scene) == [LARGE]


async def test_a_file_that_the_hub_refuses_is_asked_about_once_a_day_and_by_itself(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    deliver, asked = HttpTransport.deliver, []

    async def deliver_fussily(self: HttpTransport, bundle: bytes, **options: object) -> bytes:
        if SMALL < len(bundle) < SMALL + 5_000:
            asked.append(len(bundle))
            raise HubRefused(status=422, hub_code="hub.no_such_file")
        return await deliver(self, bundle, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(HttpTransport, "deliver", deliver_fussily)
    await give(scene, "", photo(SMALL))
    await give(scene, "", photo(SMALL // 2), learner=1)
    for _ in range(2):
        assert await scene.sync() is None
    assert (await hub_files(scene), len(asked)) == ([blake2b_256(photo(SMALL // 2))], 1)
    scene.clock.advance(file_sending.SENT_AGAIN_MS)
    assert await scene.sync() is None
    assert len(asked) == 2
    async with hub_on(tmp_path / "other", scene.clock) as other:
        await scene.box.syncing.enroll(other.url, await other.listening.hub.enrolling.make_code("Hill School"))
        assert await scene.sync() is None
        assert len(asked) == 3


def file_of(maker: Maker, content: bytes, **changes: object) -> bytes:
    """Return a file as a bundle of a box; `changes` replace what it is made with."""
    given = {"epoch": 1, "no": 1, "key": maker.key, "receiver_public": maker.receiver.public, "created_ms": NOW_MS}
    return write_file_bundle(content, **(given | changes))  # type: ignore[arg-type]


async def test_a_hub_takes_files_of_its_boxes_only(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        stranger, maker = Maker(), await hub.enrolled()
        stranger.receiver = maker.receiver
        assert await hub.refused(file_of(stranger, b"x")) == (403, "sync.bundle_unknown_origin")
        content = file_of(maker, photo(SMALL))
        for damaged in (content[:-1], content + b"x", content[:-1] + b"\x00"):
            assert (await hub.refused(damaged))[0] in (400, 403)
        elsewhere = file_of(maker, b"x", receiver_public=stranger.key.sealing_key.public)
        assert await hub.refused(elsewhere) == (403, "sync.bundle_forged")
        await hub.post(content)
        assert await hub.rows("SELECT size_bytes FROM school_file") == [(SMALL,)]


async def test_files_use_up_nothing_of_what_a_box_may_send_of_its_records(tmp_path: Path) -> None:
    async with hub_on(tmp_path, day_quota_bytes=2_000) as hub:
        maker = await hub.enrolled()
        await hub.post(file_of(maker, photo(SMALL)))
        assert (await hub.post(maker.next(registries()))).vector.through_seq == 1


async def test_only_files_that_are_new_at_the_hub_use_up_the_quota_of_files(tmp_path: Path) -> None:
    clock = FakeClock(NOW_MS)
    async with hub_on(tmp_path, clock, files_day_quota_bytes=2 * SMALL) as hub:
        greedy, modest = await hub.enrolled(), await hub.enrolled("Lake School")
        first, second, third = (file_of(greedy, photo(SMALL, bytes([no])), no=no) for no in (1, 2, 3))
        for content in (first, first, first, second):
            await hub.post(content)
        assert await hub.refused(third) == (429, "hub.quota_reached")
        await hub.post(first)
        await hub.post(greedy.next(registries()))
        await hub.post(file_of(modest, photo(SMALL)))
        clock.advance(DAY_MS)
        await hub.post(third)


async def test_a_file_that_the_disk_of_the_hub_lost_is_kept_again_when_it_comes_again(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker, content = await hub.enrolled(), photo(SMALL)
        await hub.post(file_of(maker, content))
        path = BlobStore(hub.listening.hub.settings.files / "1").path_of(blake2b_256(content))
        await asyncio.to_thread(path.unlink)
        await hub.post(file_of(maker, content))
        assert await asyncio.to_thread(path.read_bytes) == content


async def test_files_neither_move_nor_fork_the_chain(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next(registries()))
        for content in (photo(100), photo(200)):
            ack = await hub.post(file_of(maker, content, no=1))
            assert (ack.vector.through_seq, ack.notice, ack.express) == (1, 3, ())
        assert (await hub.post(maker.next(registries()[:1]))).vector.through_seq == 2


async def test_a_revoked_box_brings_no_file(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.listening.hub.enrolling.revoke(1)
        assert await hub.refused(file_of(maker, photo(100))) == (403, "hub.box_revoked")
        assert await hub.rows("SELECT count(*) FROM school_file") == [(0,)]


async def test_the_page_of_the_hub_counts_what_came_and_what_is_missing(scene: SchoolScene) -> None:
    await give(scene, "text only")
    await give(scene, "", photo(SMALL))
    await give(scene, "", photo(LARGE), learner=1)
    assert await scene.sync() is None
    hub = scene.hub
    code = await hub.listening.hub.admin.make_code()
    async with hub.session.get(hub.url + "/hand-ins") as response:
        assert "Sign in" in await response.text()
    async with hub.session.post(hub.url + "/sign-in", data={"code": code}):
        pass
    async with hub.session.get(hub.url + "/hand-ins") as response:
        text = await response.text()
    assert "Hill School" in text and "adding" in text and "1 still to come" in text
    assert text.count("<tr>") == 2


async def test_the_page_of_the_hub_calls_a_lesson_that_a_teacher_made_by_its_title(scene: SchoolScene) -> None:
    class_no, now_ms = scene.school.class_no, scene.clock.now_ms()

    def make(connection: Connection) -> None:
        lesson = own_lessons.insert_lesson(connection, "Monday", [("org.example.sums", "read")], now_ms)
        listed = ListedLesson(OWN_PACK, 0, 0, Lesson(lesson, {"und": "Monday"}, {}, ()))
        teaching.insert_assignment(connection, class_no, listed, person_no=None, now_ms=now_ms)

    await scene.box.database.write(make)
    await hand_in(scene.box, scene.school.learners[0].no, 2, "for Monday")
    assert await scene.sync() is None
    rows = await scene.hub.listening.hub.store.run(reports.list_hand_ins)
    assert [(row["lesson"], row["pack"], row["hand_ins"]) for row in rows] == [("Monday", "", 1)]


async def test_a_hub_that_was_restored_asks_again_for_the_files_that_it_had(scene: SchoolScene) -> None:
    """Two: of the first the backup has the record, of the second nothing."""
    first, second = photo(SMALL), photo(SMALL + 1)
    await give(scene, file=first)
    scene.box.syncing.files._refused_ms[1] = scene.clock.monotonic_ms()  # so the record is there without the file
    assert await scene.sync() is None
    backup = await scene.back_up("hub")
    scene.clock.advance(DAY_MS)
    await give(scene, file=second)
    for _ in range(2):
        assert await scene.sync() is None
    assert (await due(scene), len(await hub_files(scene))) == ([], 2)
    await scene.restart_hub(backup)
    assert await hub_files(scene) == []
    await give(scene, "what goes up next tells the box what its hub lost")
    for _ in range(3):
        scene.clock.advance(DAY_MS)
        await scene.sync()
    assert (await due(scene), sorted(await hub_files(scene))) == ([], sorted(map(blake2b_256, (first, second))))
