"""What strangers with a phone may do: carry, bring answers back, and nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path, PurePosixPath

import pytest
from aiohttp import ClientSession, FormData

from content_packs.base import sockets
from content_packs.base.signing import SigningKey
from edgebox.app import listening, make_app
from edgebox.http import courier
from edgebox.services import carrying
from edgebox.services.carrying import MAKE_EVERY_MS
from sync.bundle.layout import AckHead, Vector
from sync.bundle.write import write_ack
from sync.transport import archive, folder
from sync.transport.archive import ArchiveReader, Begun, Whole
from sync.transport.http import ACK_TYPE
from tests.support.hand_ins import give_lesson, hand_in, photo
from tests.sync.test_syncing import Scene, box_and_hub


class Phone:
    """A browser that nobody is signed in with, in the box's Wi-Fi."""

    def __init__(self, scene: Scene, session: ClientSession, address: str) -> None:
        self.scene = scene
        self.session = session
        self.address = address

    async def bundles(self) -> list[str]:
        async with self.session.get("/courier/bundles") as response:
            assert response.status == 200
            return [name for name, _size in (await response.json())["bundles"]]

    async def take(self, name: str) -> tuple[int, bytes]:
        async with self.session.get(f"/courier/bundles/{name}") as response:
            return response.status, await response.read()

    async def bring(self, answer: bytes, **headers: str) -> int:
        async with self.session.post(
            "/courier/answers", data=answer, headers={"Content-Type": ACK_TYPE} | headers
        ) as response:
            return response.status

    async def give_file(self, content: bytes) -> tuple[int, str]:
        form = FormData()
        form.add_field("file", content, filename="answers.tar")
        headers = {"Accept": "text/html", "Origin": self.address}
        async with self.session.post("/courier/file", data=form, headers=headers) as response:
            return response.status, await response.text()

    async def carry(self, name: str) -> bytes:
        """Bring a bundle to the hub and return its answer."""
        _, content = await self.take(name)
        return (await self.scene.hub.listening.hub.receiving.receive(content)).ack

    async def waiting(self) -> int:
        return (await self.scene.box.syncing.status()).waiting_changes


@pytest.fixture
async def phone(tmp_path: Path) -> AsyncIterator[Phone]:
    async with box_and_hub(tmp_path) as scene:
        await scene.enroll()
        await scene.work()
        with sockets.listen("127.0.0.1", 0) as listener:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with listening(make_app(scene.box), listener), ClientSession(address) as session:
                yield Phone(scene, session, address)


def members(content: bytes) -> dict[str, bytes]:
    reader, found = ArchiveReader(), {}
    for one in [*_kept(reader, reader.feed(content)), *_kept(reader, reader.finish())]:
        found[one.name] = one.content
    return found


def _kept(reader: ArchiveReader, steps: object) -> list[Whole]:
    found = []
    for one in steps:  # type: ignore[attr-defined]
        reader.keep = isinstance(one, Begun)
        found += [one] if isinstance(one, Whole) else []
    return found


def packed(files: dict[str, bytes]) -> bytes:
    parts = []
    for name, content in files.items():
        parts += [archive.member_header(PurePosixPath(name), len(content)), content, archive.padding(len(content))]
    return b"".join([*parts, archive.END])


async def test_what_waits_is_handed_out_and_the_answer_settles_it(phone: Phone) -> None:
    assert await phone.bundles() == ["1-1.eb"]
    answer = await phone.carry("1-1.eb")
    assert await phone.waiting() > 0
    assert await phone.bring(answer) == 204
    assert await phone.waiting() == 0
    assert await phone.bring(answer) == 204
    assert await phone.bundles() == []
    assert (await phone.take("1-1.eb"))[0] == 404


async def test_a_courier_who_never_comes_back_keeps_nothing_from_anybody(phone: Phone) -> None:
    await phone.take((await phone.bundles())[0])
    status = await phone.scene.box.syncing.sync_now()
    assert (status.waiting_changes, status.last_error) == (0, None)
    assert await phone.scene.hub_statements() == 1


async def test_a_phone_carries_no_file_and_the_page_says_so(phone: Phone) -> None:
    box, school = phone.scene.box, phone.scene.school
    number = await give_lesson(box, school.class_no)
    assert await hand_in(box, school.learners[0].no, number, "", photo(50_000))
    phone.scene.clock.advance(MAKE_EVERY_MS)
    assert all(name.endswith(".eb") for name in await phone.bundles())
    assert len(await box.syncing.files.list_due()) == 1
    async with phone.session.get("/courier") as response:
        assert "do not go on a phone" in await response.text()


async def test_nobody_chops_the_log_into_small_bundles_by_asking_often(phone: Phone) -> None:
    assert await phone.bundles() == ["1-1.eb"]
    for _ in range(5):
        await phone.scene.work()
        assert await phone.bundles() == ["1-1.eb"]
    phone.scene.clock.advance(MAKE_EVERY_MS)
    assert await phone.bundles() == ["1-1.eb", "1-2.eb"]
    await phone.scene.work()
    assert await phone.bundles() == ["1-1.eb", "1-2.eb"]


async def test_a_phone_is_given_no_more_than_it_can_keep(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    await phone.bundles()
    await phone.scene.work()
    await phone.scene.box.syncing.prepare()
    monkeypatch.setattr(carrying, "LOAD_MAX_BYTES", 10)
    assert await phone.bundles() == ["1-1.eb"]


@pytest.mark.parametrize("name", ["1-2.eb", "1-01.eb", "..%2f..%2fkeys%2fbox.key", "1-1.eb.part", "box.db", "x" * 300])
async def test_nothing_but_waiting_bundles_is_handed_out(phone: Phone, name: str) -> None:
    await phone.bundles()
    assert (await phone.take(name))[0] == 404


async def test_a_bundle_that_the_disk_changed_is_not_handed_out(phone: Phone) -> None:
    await phone.bundles()
    (spooled,) = (phone.scene.box.settings.spool / "out").iterdir()
    spooled.write_bytes(spooled.read_bytes()[:-1] + b"x")
    assert (await phone.take("1-1.eb"))[0] == 404
    (again,) = await phone.bundles()
    assert again != "1-1.eb"
    await phone.bring(await phone.carry(again))
    assert await phone.waiting() == 0


async def test_forged_foreign_and_endless_answers_are_refused_and_change_nothing(phone: Phone) -> None:
    await phone.bundles()
    box_id = phone.scene.box.identity.box_id
    ack = AckHead(maker=bytes(16), vector=Vector(box_id, 1, 99, 99), created_ms=0, notice=0)
    forged = write_ack(ack, SigningKey.generate())
    keys = phone.scene.hub.listening.hub.keys
    foreign = write_ack(AckHead(keys.signing.verify_key.key_id, Vector(bytes(16), 1, 99, 99), 0, 0), keys.signing)
    before = await phone.waiting()
    for answer, status in ((forged, 403), (foreign, 403), (b"", 400), (b"<html>", 400), (bytes(5000), 413)):
        assert await phone.bring(answer) == status
    assert await phone.bring(forged, **{"Content-Type": "text/plain"}) == 400
    assert await phone.bring(forged, Origin="http://elsewhere.example") == 403
    assert await phone.waiting() == before


async def test_an_old_answer_brought_again_and_again_makes_the_box_send_nothing_twice(phone: Phone) -> None:
    scene = phone.scene
    hub = scene.hub.listening.hub.receiving
    await phone.bundles()
    await scene.work()
    await scene.box.syncing.prepare()
    first, second = [(await phone.take(name))[1] for name in await phone.bundles()]
    with_a_hole = (await hub.receive(second)).ack
    scene.clock.advance(1000)
    answer = (await hub.receive(first)).ack
    assert await phone.bring(with_a_hole) == 204
    assert await phone.bundles() == ["1-1.eb"]
    assert await phone.bring(answer) == 204
    scene.clock.advance(8 * 86_400_000)
    await scene.work()
    await scene.box.syncing.sync_now()
    for _ in range(3):
        assert await phone.bring(with_a_hole) == 204
    assert await phone.waiting() == 0
    assert await scene.hub.rows("SELECT DISTINCT epoch FROM bundle") == [(1,)]


async def test_few_answers_are_waited_for_at_once(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    await phone.bundles()
    answer = await phone.carry("1-1.eb")
    monkeypatch.setattr(carrying, "TAKE_PATIENCE_SECONDS", 0.05)
    async with phone.scene.box.syncing._books:
        statuses = await asyncio.gather(*(phone.bring(answer) for _ in range(20)))
        assert set(statuses) == {503}
        assert len(phone.scene.box.carrying._taking) == carrying.TAKES_AT_ONCE
    assert await phone.bring(answer) in (204, 503)


async def test_one_file_goes_and_one_comes_back(phone: Phone) -> None:
    async with phone.session.get("/courier/bundles.tar") as response:
        assert "attachment" in response.headers["Content-Disposition"]
        content = await response.read()
        assert response.content_length == len(content)
    box_id = phone.scene.box.identity.box_id
    name, word = (place.as_posix() for place in (folder.bundle_place(box_id, 1, 1), folder.word_place(box_id, 0)))
    found = members(content)
    assert set(found) == {name, word}
    bundle = found[name]
    answer = (await phone.scene.hub.listening.hub.receiving.receive(bundle)).ack
    other = folder.ack_place(bytes(16), 1).as_posix()
    ours = folder.ack_place(box_id, 1).as_posix()
    status, text = await phone.give_file(packed({other: b"junk", "README": b"x" * 100_000, ours: answer}))
    assert (status, await phone.waiting()) == (200, 0)
    assert "The box has the receipts now." in text


async def test_a_file_brings_what_the_hub_says_and_takes_back_that_it_was_read(phone: Phone) -> None:
    hub, box = phone.scene.hub.listening.hub, phone.scene.box
    await hub.posting.send_message("Exams begin on Monday.", "Hill School")

    async def carry() -> dict[str, bytes]:
        """Bring the box's file to the hub's page, and its answers back."""
        async with phone.session.get("/courier/bundles.tar") as response:
            content = await response.read()
        form = FormData()
        form.add_field("file", content, filename="bundles.tar")
        async with phone.session.post(f"{phone.scene.hub.url}/carry", data=form) as response:
            link = (await response.text()).partition('href="/carry/answers.tar')[2].partition('"')[0]
        async with phone.session.get(
            f"{phone.scene.hub.url}/carry/answers.tar{link.replace('&amp;', '&')}"
        ) as response:
            answers = await response.read()
        assert (await phone.give_file(answers))[0] == 200
        return members(answers)

    down = folder.INBOX.as_posix()
    assert [name for name in await carry() if name.startswith(down) and name.endswith(".eb")]
    told = await box.database.read(lambda db: [row[0] for row in db.execute("SELECT text FROM message")])
    assert told == ["Exams begin on Monday."]
    phone.scene.clock.advance(MAKE_EVERY_MS)
    await carry()
    assert not [name for name in await carry() if name.endswith(".eb")]
    assert await phone.waiting() == 0


async def test_a_bundle_that_the_hub_did_not_make_for_this_box_is_not_even_kept(phone: Phone) -> None:
    await phone.bundles()
    _, own = await phone.take("1-1.eb")
    place = folder.down_place(phone.scene.box.identity.box_id, 1, 1).as_posix()
    for content in (own, b"EBB" + bytes(5000), own[:-1]):
        status, text = await phone.give_file(packed({place: content}))
        assert status == 200
        assert "nothing in this file for this box" in text


async def test_a_receipt_alone_is_a_file_as_well(phone: Phone) -> None:
    answer = await phone.carry((await phone.bundles())[0])
    status, _ = await phone.give_file(answer)
    assert (status, await phone.waiting()) == (200, 0)


async def test_a_file_that_is_none_or_not_for_this_box_is_explained(phone: Phone) -> None:
    await phone.bundles()
    before = await phone.waiting()
    for content in (b"", b"PK\x03\x04" + bytes(1000), packed({"a": b"b"})[:600]):
        status, text = await phone.give_file(content)
        assert status == 400
        assert "damaged" in text
    status, text = await phone.give_file(packed({folder.ack_place(bytes(16), 1).as_posix(): b"junk"}))
    assert status == 200
    assert "nothing in this file for this box" in text
    assert await phone.waiting() == before


async def test_an_endless_file_is_cut_off(phone: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier, "FILE_MAX_BYTES", 100_000)
    status, _ = await phone.give_file(packed({"a": bytes(200_000)}))
    assert status == 413


async def test_the_page_may_talk_to_the_hub_and_to_nobody_else_and_may_be_kept(phone: Phone) -> None:
    async with phone.session.get("/courier", headers={"Accept": "text/html"}) as response:
        policy = response.headers["Content-Security-Policy"]
        assert f"connect-src 'self' {phone.scene.hub.url};" in policy
        assert response.headers["Cache-Control"] == f"private, max-age={7 * 86_400}"
        assert json.dumps(phone.scene.hub.url)[1:-1] in await response.text()
    async with phone.session.get("/") as response:
        assert phone.scene.hub.url not in response.headers["Content-Security-Policy"]


async def test_an_address_that_was_given_with_a_slash_leads_to_the_same_pages(phone: Phone) -> None:
    hub = phone.scene.hub
    await phone.scene.box.syncing.enroll(f"{hub.url}/", await hub.listening.hub.enrolling.make_code("Hill School"))
    async with phone.session.get("/courier", headers={"Accept": "text/html"}) as response:
        text = await response.text()
    assert f'data-hub="{hub.url}"' in text
    assert f'href="{hub.url}/carry"' in text
    assert (await phone.scene.box.syncing.sync_now()).last_error is None


@pytest.mark.parametrize(
    "url", ["http://hub.example; script-src *", "http://hub.example 'unsafe-inline'", "http://a,b"]
)
async def test_an_address_cannot_change_the_policy(phone: Phone, url: str) -> None:
    await phone.scene.box.database.write(lambda db: db.execute("UPDATE hub SET url = ?", (url,)) and None)
    async with phone.session.get("/courier") as response:
        policy = response.headers["Content-Security-Policy"]
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert "," not in policy


async def test_a_box_without_a_hub_has_nothing_to_carry_and_its_page_is_not_kept(tmp_path: Path) -> None:
    async with box_and_hub(tmp_path) as scene:
        with sockets.listen("127.0.0.1", 0) as listener:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            async with listening(make_app(scene.box), listener), ClientSession(address) as session:
                phone = Phone(scene, session, address)
                assert await phone.bundles() == []
                async with session.get("/courier") as response:
                    assert response.headers["Cache-Control"] == "no-store"
                    assert "does not know a hub" in await response.text()
                assert await phone.bring(b"EBB") == 409
