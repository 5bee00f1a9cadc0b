"""What an operator sends arrives on the box, once, whatever is doubled, held up, restarted, restored or forged."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path
from typing import BinaryIO

import pytest

from content_packs.base.signing import SigningKey
from edgebox.services import copy_marks
from edgebox.services.asking import ASK_EVERY_MS
from edgebox.services.receiving import HubForked
from sync.bundle import body, codec1, read
from sync.bundle.errors import BundleForged, BundleUnknownOrigin
from sync.bundle.layout import Notice, Vector
from sync.bundle.read import verify_bundle
from sync.bundle.write import Range, write_bundle
from sync.engine.lanes import Lane, Tariff
from sync.engine.receiver import Verdict
from sync.hub import sending
from sync.hub.store import boxes, reports
from sync.records.rows import Fact, Message
from sync.transport.contract import Waiting
from sync.transport.http import HttpTransport
from tests.support.box import make_tablet
from tests.sync.makers import NOW_MS
from tests.sync.school_scene import WHOLE, SchoolScene, message, school_scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SchoolScene]:
    async with school_scene(tmp_path) as made:
        yield made


async def test_a_roster_an_assignment_and_a_message_appear_on_the_box_once(scene: SchoolScene) -> None:
    await scene.send()
    assert await scene.sync() is None
    assert await scene.told() == WHOLE
    await scene.send()
    assert await scene.sync() is None
    assert await scene.told() == WHOLE
    assert await scene.waiting() == 0


async def test_what_is_to_go_up_does_not_wait_for_what_comes_down(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.send()
    hub, is_asked, may_go_on = scene.hub.listening.hub, asyncio.Event(), asyncio.Event()
    opened = hub.sending.open

    async def slowly(name: bytes) -> BinaryIO | None:
        is_asked.set()
        await may_go_on.wait()
        return await opened(name)

    monkeypatch.setattr(hub.sending, "open", slowly)
    async with asyncio.timeout(20):
        for _ in range(2):
            await scene.box.syncing.sync_when_due()
        await is_asked.wait()
        event = make_tablet().event(scene.school.learners[0], verb="completed", result={"completion": True})
        await scene.box.recording.store_outbox(make_tablet().request(event))
        await scene.box.syncing.sync_when_due()
    assert await scene.hub.rows("SELECT count(*) FROM statement") == [(1,)]
    assert await scene.messages() == []
    may_go_on.set()
    assert await scene.sync() is None
    assert await scene.told() == WHOLE


async def test_a_bundle_that_is_refused_keeps_no_other_back(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    for text in ("one", "two"):
        await scene.send(message(text))
        await scene.prepared()
    receive, seen = scene.box.receiving.receive, list[bytes]()

    async def refuse_the_first(content: bytes) -> Verdict:
        seen.append(content)
        if content == seen[0]:
            raise BundleForged(part="seal")
        return await receive(content)

    monkeypatch.setattr(scene.box.receiving, "receive", refuse_the_first)
    await scene.sync()
    assert (await scene.vector()).ranges == ((2, 2),)


async def test_either_end_may_stop_between_any_two_steps(scene: SchoolScene) -> None:
    await scene.send()
    await scene.restart_hub()
    (content,) = await scene.prepared()
    await scene.restart_hub()
    await scene.box.receiving.receive(content)
    await scene.restart_box()
    assert await scene.told() == WHOLE
    await scene.restart_hub()
    assert await scene.sync() is None
    assert (await scene.waiting(), await scene.told()) == (0, WHOLE)


async def test_bundles_in_any_order_and_twice_make_the_same_box(tmp_path: Path) -> None:
    made = []
    for order in permutations(range(3)):
        async with school_scene(tmp_path / "".join(map(str, order))) as scene:
            contents = []
            for lines in ([], [message("two")], [message("three")]):
                await scene.send(*lines)
                contents = await scene.prepared()
            verdicts = [await scene.box.receiving.receive(contents[number]) for number in (*order, *order)]
            assert verdicts[3:] == [Verdict.DUPLICATE] * 3
            assert (await scene.vector()).through_seq == 3
            made.append((await scene.told(), await scene.rows("SELECT seq, state FROM inbox_bundle ORDER BY seq")))
            assert not list((scene.school.settings.spool / "in").iterdir())
    assert made[0][0] == WHOLE | {"messages": [("Exams begin on Monday.",), ("three",), ("two",)]}
    assert made.count(made[0]) == len(made)


async def test_an_early_bundle_is_kept_and_told_and_survives_a_restart(scene: SchoolScene) -> None:
    await scene.send(message("one"))
    await scene.prepared()
    await scene.send(message("two"))
    first, second = await scene.prepared()
    assert await scene.box.receiving.receive(second) is Verdict.HOLD
    await scene.restart_box()
    vector = await scene.vector()
    assert (vector.through_seq, vector.ranges, await scene.messages()) == (0, ((2, 2),), [])
    await scene.box.receiving.receive(first)
    assert await scene.messages() == ["one", "two"]


async def test_what_a_box_confirmed_goes_a_week_later_and_not_before(scene: SchoolScene) -> None:
    await scene.send()
    await scene.sync()
    folder = scene.hub.listening.hub.settings.outgoing
    for days, files in ((6, 1), (2, 0)):
        scene.clock.advance(days * 86_400_000)
        await scene.sync()
        assert len(list(folder.iterdir())) == files
    await scene.send(message("later"))
    await scene.sync()
    assert (await scene.vector()).through_seq == 2


@pytest.mark.parametrize("days", [1, 30])
async def test_a_box_put_back_from_a_copy_gets_again_what_it_lost(
    scene: SchoolScene, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_marks, "is_moved", lambda keys: False)  # else the copy is a box of its own
    await scene.send(message("one"))
    await scene.sync()
    copy = await scene.back_up("box")
    await scene.send()
    await scene.sync()
    scene.clock.advance(days * 86_400_000)
    await scene.sync()
    await scene.restart_box(copy)
    for _ in range(2):
        await scene.sync()
    assert await scene.told() == WHOLE | {"messages": [("Exams begin on Monday.",), ("one",)]}
    assert await scene.waiting() == 0


async def test_a_hub_put_back_from_a_copy_starts_over_and_doubles_nothing(scene: SchoolScene) -> None:
    await scene.send(message("one"))
    await scene.sync()
    copy = await scene.back_up("hub")
    await scene.send(message("two"))
    await scene.sync()
    await scene.restart_hub(copy)
    await scene.send(message("three"))
    for _ in range(2):
        await scene.sync()
    assert await scene.messages() == ["one", "three", "two"]
    assert (await scene.vector()).epoch > 1
    assert await scene.waiting() == 0


async def test_a_second_history_of_the_hub_is_refused_by_name_and_heals(scene: SchoolScene) -> None:
    await scene.send(message("one"))
    await scene.sync()
    hub = scene.hub.listening.hub
    forged = write_bundle(
        [Message(bytes(16), "another", NOW_MS * 2, 1)],
        Range(1, 1, 1, 1),
        key=hub.keys.signing,
        receiver_public=scene.box.identity.signing.verify_key.sealing_public,
        created_ms=NOW_MS,
    )
    with pytest.raises(HubForked):
        await scene.box.receiving.receive(forged)
    assert await scene.messages() == ["one"]
    assert (await scene.ack()).notice == Notice.FORKED
    await scene.send(message("two"))
    await scene.sync()
    assert await scene.messages() == ["one", "two"]
    assert (await scene.ack()).notice == Notice.NONE


async def test_a_bundle_for_another_box_or_of_another_hub_changes_nothing(scene: SchoolScene, tmp_path: Path) -> None:
    await scene.send()
    (content,) = await scene.prepared()
    hub = scene.hub.listening.hub.keys.signing
    head = verify_bundle(content, {hub.verify_key.key_id: hub.verify_key}).head
    records = [Message(bytes(16), "from a stranger", NOW_MS * 2, 1)]
    stranger = SigningKey.generate()
    here = scene.box.identity.signing.verify_key.sealing_public
    for key, receiver, error in (
        (hub, stranger.verify_key.sealing_public, BundleForged),
        (stranger, here, BundleUnknownOrigin),
        (scene.box.identity.signing, here, BundleUnknownOrigin),
    ):
        span = Range(head.epoch, head.seq, head.from_change, head.through_change)
        forged = write_bundle(records, span, key=key, receiver_public=receiver, created_ms=NOW_MS)
        with pytest.raises(error):
            await scene.box.receiving.receive(forged)
    with pytest.raises(BundleForged):
        await scene.box.receiving.receive(content[:-1] + bytes([content[-1] ^ 1]))
    assert (await scene.vector(), await scene.rows("SELECT * FROM inbox_bundle")) == (
        Vector(hub.verify_key.key_id, 0, 0, 0),
        [],
    )
    await scene.box.receiving.receive(content)
    assert await scene.told() == WHOLE


async def test_a_bundle_of_a_newer_hub_waits_aside_and_stops_no_other(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.send(message("new"))
    with monkeypatch.context() as newer:
        newer.setitem(write_bundle.__kwdefaults__, "codec_no", 7)
        await scene.prepared()
    await scene.send(message("plain"))
    for content in await scene.prepared():
        await scene.box.receiving.receive(content)
    ack = await scene.ack()
    assert (await scene.messages(), ack.vector.through_seq, ack.notice) == (["plain"], 2, Notice.SET_ASIDE)
    await scene.sync()
    found = await scene.hub.listening.hub.store.run(lambda connection: reports.list_boxes(connection, NOW_MS))
    assert [each["notice"] for each in found] == [Notice.SET_ASIDE]
    with monkeypatch.context() as newer:
        newer.setattr(codec1, "CODEC", 7)
        for place in (body, read):
            newer.setattr(place, "check_codec", lambda _head, _codecs: None)
        await scene.restart_box()
    assert await scene.messages() == ["new", "plain"]
    assert (await scene.ack()).notice == Notice.NONE


async def test_records_that_make_no_sense_here_wait_aside_whole(scene: SchoolScene) -> None:
    hub = scene.hub.listening.hub.keys.signing
    box = scene.box.identity.signing.verify_key
    unexplained = Fact(99, bytes(16), 1, "x" * 9, 1)
    records = [Message(bytes(16), "half", NOW_MS * 2, 1), unexplained]
    content = write_bundle(records, Range(1, 1, 1, 2), key=hub, receiver_public=box.sealing_public, created_ms=NOW_MS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgebox.store.inbox.apply_records", _fail)
        assert await scene.box.receiving.receive(content) is Verdict.APPLY
    assert (await scene.messages(), (await scene.vector()).through_seq) == ([], 1)
    assert [row[:1] for row in await scene.rows("SELECT state, reason FROM inbox_bundle")] == [("aside",)]
    await scene.restart_box()
    assert await scene.messages() == ["half"]


def _fail(connection: object, records: object, **_values: object) -> None:
    connection.execute("INSERT INTO message (id, text, until_ms, stamp) VALUES (x'00', 'half', 1, 1)")  # type: ignore[attr-defined]
    raise ValueError("not for this program")


async def when_due(scene: SchoolScene) -> None:
    """Let the box do what it does by itself, and see the end of it."""
    await scene.box.syncing.sync_when_due()
    assert scene.box.syncing._asking.bringing is not None
    await scene.box.syncing._asking.bringing


async def test_an_idle_box_asks_for_nothing_of_its_own(scene: SchoolScene, monkeypatch: pytest.MonkeyPatch) -> None:
    await scene.sync()
    asked: list[bytes] = []
    ask_waiting = HttpTransport.ask_waiting

    async def counted(link: HttpTransport, ack: bytes) -> list[Waiting]:
        asked.append(ack)
        return await ask_waiting(link, ack)

    monkeypatch.setattr(HttpTransport, "ask_waiting", counted)
    await when_due(scene)
    await scene.box.teaching.add_class("Class 6")
    await when_due(scene)
    assert asked == []
    await scene.send()
    await scene.box.teaching.add_class("Class 7")
    await when_due(scene)
    assert len(asked) == 2  # what waits; and once more, which settles it
    assert await scene.told() == WHOLE
    scene.clock.advance(ASK_EVERY_MS)
    await when_due(scene)
    assert len(asked) == 3


async def test_what_did_not_fit_the_budget_is_asked_for_again_when_the_line_opens(scene: SchoolScene) -> None:
    await scene.sync()
    await scene.send(message(secrets.token_hex(2_000)))
    line = scene.box.line
    line.count(Lane.LARGE, 20_000_000)
    left_bytes = line.left_bytes(Lane.CLOSING)
    assert left_bytes is not None
    line.count(Lane.CLOSING, left_bytes - 1_500)
    await scene.prepared()
    scene.clock.advance(1_000)
    scene.box.syncing._asking.has_waiting = True
    await when_due(scene)
    assert await scene.messages() == []
    assert not scene.box.syncing._asking.is_due
    await line.set_tariff(Tariff(is_metered=False))
    await when_due(scene)
    assert len(await scene.messages()) == 1
    assert not scene.box.syncing._asking.is_due


async def test_a_large_letter_goes_in_several_bundles(scene: SchoolScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "RECORDS_PER_BUNDLE", 10)
    lines = [{"kind": "learner", "id": f"N-{no}", "given_name": f"Ann {no}", "classes": ["5B"]} for no in range(40)]
    await scene.send({"kind": "class", "id": "5B", "title": "Class 5B"}, *lines)
    assert await scene.sync() is None
    assert len((await scene.told())["learners"]) == 40
    assert (await scene.vector()).through_seq > 5


async def test_nothing_of_a_letter_with_a_mistake_is_sent(scene: SchoolScene) -> None:
    hub = scene.hub.listening.hub
    text = json.dumps(message("good")) + "\n" + json.dumps({"kind": "assignment", "class": "5B"})
    with pytest.raises(Exception, match="line 2") as refused:
        await hub.posting.send(text, "Hill School")
    assert getattr(refused.value, "code", "") == "hub.letter_malformed"
    await scene.sync()
    assert await scene.messages() == []


async def test_another_school_gets_none_of_it(scene: SchoolScene) -> None:
    maker = await scene.hub.enrolled("Valley School")
    await scene.send()
    await scene.hub.listening.hub.posting.send(json.dumps(message("for all")), None)
    hub = scene.hub.listening.hub
    box = await hub.store.run(lambda connection: boxes.find_box(connection, maker.key.verify_key.key_id))
    assert box is not None
    await hub.sending.make_due(box)
    assert len(await hub.sending.waiting(box)) == 1
    await scene.sync()
    assert await scene.messages() == ["Exams begin on Monday.", "for all"]
