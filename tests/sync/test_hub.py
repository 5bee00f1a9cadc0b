"""The hub over real sockets with its store on disk: acknowledged means durable, and once."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from sync.bundle.layout import Notice
from sync.enrolment import make_request
from sync.hub import catching_up, chain
from sync.hub.sticks import exchange_stick
from sync.hub.store import bundles
from sync.hub.store.applying import Applier
from sync.hub.store.bundles import Waiting
from sync.hub.store.reports import list_boxes
from sync.hub.store.statement_rows import RecordUnresolved
from sync.hub.store.worker import Transaction
from sync.records.rows import Class, Device, Enrollment, Learner, Verb
from sync.transport import folder
from tests.support.clock import FakeClock
from tests.sync.hub_support import TYPE, TestHub, hub_on
from tests.sync.makers import ANSWERED, NOW_MS, Maker, answered, completed, registries


async def test_a_bundle_is_stored_and_acknowledged(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        records = [*registries(), answered(1), completed(2)]
        ack = await hub.post(maker.next(records))
        assert (ack.vector.origin, ack.vector.epoch) == (maker.key.verify_key.key_id, 1)
        assert (ack.vector.through_seq, ack.vector.through_change, ack.notice) == (1, len(records), Notice.NONE)
        assert len(await hub.rows("SELECT id FROM statement")) == 2
        [kept] = tmp_path.glob("bundles/*/1-1-*.eb")
        assert kept.read_bytes()[:3] == b"EBB"


async def test_the_same_bundle_again_changes_nothing_and_is_acknowledged_again(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        content = maker.next([*registries(), answered(1)])
        first = await hub.post(content)
        before = await hub.contents()
        assert await hub.post(content) == first
        assert await hub.contents() == before


async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next([*registries(), answered(1)]))
        before = await hub.contents()
    async with hub_on(tmp_path) as hub:
        assert await hub.contents() == before
        assert (await hub.post(maker.next([answered(2)]))).vector.through_seq == 2


DIES_BEFORE_THE_ACK = """
import asyncio, os, pathlib, sys
from sync.enrolment import make_request
from sync.hub import receiving
from sync.hub.commands import serve
from sync.hub.settings import HubSettings
receiving.write_ack = lambda *arguments: os._exit(9)
asyncio.run(serve(HubSettings(pathlib.Path(sys.argv[1]), port=0)))
"""


async def test_a_hub_killed_between_store_and_ack_acknowledges_the_same_bundle_later_once(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        content = maker.next([*registries(), answered(1)])
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DIES_BEFORE_THE_ACK, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    address = (await child.stdout.readline()).decode().split()[-1]
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(address + "api/bundles", data=content, headers=TYPE)
    assert await child.wait() == 9
    async with hub_on(tmp_path) as hub:
        assert len(await hub.rows("SELECT id FROM statement")) == 1
        assert (await hub.post(content)).vector.through_seq == 1
        assert len(await hub.rows("SELECT id FROM statement")) == 1


async def test_a_fault_before_the_commit_leaves_no_row_and_no_ack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_more: object) -> None:
        raise OSError("disk full")

    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        content = maker.next([*registries(), answered(1)])
        with monkeypatch.context() as patch:
            patch.setattr(chain.bundles, "move_cursor", fail)
            assert await hub.refused(content) == (500, "hub.fault")
        assert await hub.rows("SELECT * FROM bundle") == []
        assert await hub.rows("SELECT * FROM statement") == []
        assert (await hub.post(content)).vector.through_seq == 1


async def test_a_bundle_that_comes_early_waits_for_the_one_before(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        first, second, third, fourth = (
            maker.next(records)
            for records in ([*registries(), answered(1)], [answered(2)], [answered(3)], [answered(4)])
        )
        assert (await hub.post(second)).vector.ranges == ((2, 2),)
        assert (await hub.post(fourth)).vector.ranges == ((2, 2), (4, 4))
        assert await hub.rows("SELECT * FROM statement") == []
        ack = await hub.post(first)  # what is held is told as such as long as it waits for its turn
        assert (ack.vector.through_seq, ack.vector.ranges) == (1, ((2, 2), (4, 4)))
        await hub.caught_up()
        ack = await hub.post(first)
        assert (ack.vector.through_seq, ack.vector.ranges) == (2, ((4, 4),))
        await hub.post(third)
        await hub.caught_up()
        assert (await hub.post(third)).vector.through_seq == 4
        assert len(await hub.rows("SELECT * FROM statement")) == 4


async def test_a_held_bundle_that_the_disk_lost_is_asked_for_again(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        first, second, third = (
            maker.next(records) for records in ([*registries(), answered(1)], [answered(2)], [answered(3)])
        )
        await hub.post(second)
        [kept] = tmp_path.glob("bundles/*/1-2-*.eb")
        kept.write_bytes(b"EBB\x01damaged")
        assert (await hub.post(first)).vector.through_seq == 1
        await hub.caught_up()
        assert (await hub.post(third)).vector.ranges == ((3, 3),)
        assert (await hub.post(second)).vector.through_seq == 2
        await hub.caught_up()
        assert len(await hub.rows("SELECT id FROM statement")) == 3


async def test_every_order_with_duplicates_by_line_and_stick_gives_the_same_rows(tmp_path: Path) -> None:
    maker = Maker()
    parts = (
        [*registries(), answered(1)],
        [answered(2), completed(3)],
        [answered(4, learner=2), Enrollment(1, 2, False)],
    )
    expected = None
    for number, order in enumerate(itertools.permutations(range(3))):
        stick = tmp_path / f"stick-{number}"
        stick.mkdir()
        async with hub_on(tmp_path / f"hub-{number}") as hub:
            maker.receiver = hub.listening.hub.keys.sealing
            maker = Maker(receiver=maker.receiver, key=maker.key)
            code = await hub.listening.hub.enrolling.make_code("Hill School")
            await hub.listening.hub.enrolling.enroll(make_request(code, maker.key), "here")
            bundles = [maker.next(list(part)) for part in parts]
            for turn, place in enumerate(order):
                if (turn + number) % 2:
                    await hub.post(bundles[place])
                await put_on_stick(stick, maker, place + 1, bundles[place])
                await exchange_stick(hub.listening.hub.receiving, stick)
                await hub.post(bundles[place])
            contents = await hub.contents()
        del contents["bundle"], contents["cursor"]
        expected = expected or contents
        assert contents == expected
    assert expected is not None
    assert len(expected["statement"]) == 4


async def put_on_stick(stick: Path, maker: Maker, seq: int, content: bytes) -> None:
    await asyncio.to_thread(folder.write_bundle, stick, maker.key.verify_key.key_id, 1, seq, content)


async def test_a_stick_brings_back_acks_and_names_what_it_refused(tmp_path: Path) -> None:
    async with hub_on(tmp_path / "hub") as hub:
        maker = await hub.enrolled()
        origin, stick = maker.key.verify_key.key_id, tmp_path / "stick"
        stick.mkdir()
        await put_on_stick(stick, maker, 1, maker.next(registries()))
        await put_on_stick(stick, maker, 2, b"junk")
        result = await exchange_stick(hub.listening.hub.receiving, stick)
        assert result == {"taken": 1, "met": 0, "refused": {f"{origin.hex()}/1-2.eb": "sync.bundle_malformed"}}
        assert len(await asyncio.to_thread(folder.list_acks, stick, origin)) == 1


async def test_two_boxes_with_one_key_are_noticed_and_both_histories_kept(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        original = await hub.enrolled()
        await hub.post(original.next([*registries(), answered(1)]))
        copy = replace(original)
        await hub.post(original.next([answered(2)]))
        ack = await hub.post(copy.next([answered(3)]))
        assert (ack.notice, ack.vector.through_seq) == (Notice.FORKED, 2)
        assert (await hub.post(original.next([answered(4)]))).notice == Notice.FORKED
        states = await hub.rows("SELECT seq, state FROM bundle ORDER BY seq, state")
        assert states == [(1, "applied"), (2, "applied"), (2, "forked"), (3, "forked")]
        assert len(list(tmp_path.glob("bundles/*/*.eb"))) == 4
        for epoch, twin in ((100, original), (200, copy)):
            twin.epoch, twin.seq, twin.through, twin.previous = epoch, 0, 0, None
            await hub.post(twin.next([*registries(), *map(answered, (1, 2, 4) if epoch == 100 else (1, 3))]))
        assert len(await hub.rows("SELECT id FROM statement")) == 4
        boxes = await hub.listening.hub.store.run(lambda connection: list_boxes(connection, NOW_MS))
        assert [box["forked_ms"] for box in boxes] == [NOW_MS]


async def test_a_copy_that_goes_on_from_an_older_state_is_noticed_at_its_first_bundle(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        box = await hub.enrolled()
        await hub.post(box.next(registries()))
        restored = replace(box)
        restored.next([answered(7)])
        await hub.post(box.next([answered(1)]))
        assert (await hub.post(restored.next([answered(8)]))).notice == Notice.FORKED


async def test_a_bundle_of_an_unknown_box_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        stranger = Maker(receiver=hub.listening.hub.keys.sealing)
        assert await hub.refused(stranger.next(registries())) == (403, "sync.bundle_unknown_origin")
        assert await hub.rows("SELECT * FROM bundle") == []
        assert list(tmp_path.glob("bundles/*/*")) == []


async def test_a_captured_bundle_means_nothing_at_another_hub(tmp_path: Path) -> None:
    async with hub_on(tmp_path / "a") as here, hub_on(tmp_path / "b") as there:
        maker = await here.enrolled()
        code = await there.listening.hub.enrolling.make_code("Hill School")
        await there.listening.hub.enrolling.enroll(make_request(code, maker.key), "here")
        content = maker.next(registries())
        await here.post(content)
        assert await there.refused(content) == (403, "sync.bundle_forged")


async def test_one_school_cannot_touch_the_rows_of_another(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        one, other = await hub.enrolled("Hill School"), await hub.enrolled("Lake School")
        await hub.post(one.next([*registries(), answered(1, success=True)]))
        await hub.post(other.next([*registries(), answered(1, success=False), Enrollment(1, 1, False)]))
        found = await hub.rows("SELECT school_no, success FROM statement ORDER BY school_no")
        assert found == [(1, 1), (2, 0)]
        assert await hub.rows("SELECT is_active FROM enrollment ORDER BY class_no, learner_no") == [
            (1,),
            (1,),
            (0,),
            (1,),
        ]
        assert await hub.rows("SELECT * FROM statement_conflict") == []


async def test_the_same_id_with_another_content_is_kept_beside_the_first(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next([*registries(), answered(1, success=True)]))
        await hub.post(maker.next([answered(1, success=False)]))
        await hub.post(maker.next([answered(1, success=True)]))
        assert await hub.rows("SELECT success FROM statement") == [(1,)]
        assert len(await hub.rows("SELECT * FROM statement_conflict")) == 1


async def test_a_bundle_that_names_unknown_numbers_is_set_aside_whole_and_the_box_goes_on(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next([answered(1), Learner(9, bytes(16))]))
        assert await hub.rows("SELECT state, reason FROM bundle") == [("quarantined", "device 1")]
        assert await hub.rows("SELECT * FROM learner") == []
        assert (await hub.post(maker.next([Verb(1, ANSWERED)]))).vector.through_seq == 2
        assert await hub.rows("SELECT iri FROM verb") == [(ANSWERED,)]
        assert await hub.rows("SELECT state FROM bundle ORDER BY seq") == [("quarantined",), ("applied",)]


async def test_what_was_set_aside_is_applied_once_a_later_bundle_explains_it(tmp_path: Path) -> None:
    tablet = [record for record in registries() if isinstance(record, Device)]
    others = [record for record in registries() if not isinstance(record, Device)]
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next([answered(1)]))
        await hub.post(maker.next([*tablet, Enrollment(1, 2)]))
        assert await hub.rows("SELECT state, reason FROM bundle ORDER BY seq") == [
            ("quarantined", "device 1"),
            ("quarantined", "class 1"),
        ]
        await hub.post(maker.next(others))
        await hub.caught_up()
        assert await hub.rows("SELECT DISTINCT state, reason FROM bundle") == [("applied", None)]
        assert len(await hub.rows("SELECT * FROM statement")) == 1


async def test_what_was_set_aside_is_tried_again_when_a_hub_of_another_version_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def give_up(self: Applier, records: object, rows: object) -> None:
        raise RecordUnresolved(kind="verb", no=1)

    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        with monkeypatch.context() as patch:
            patch.setattr(Applier, "apply", give_up)
            await hub.post(maker.next([*registries(), answered(1)]))
            await hub.post(maker.next([answered(2)]))
    async with hub_on(tmp_path) as hub:
        await hub.caught_up()
        assert await hub.rows("SELECT DISTINCT state FROM bundle") == [("quarantined",)]
    monkeypatch.setattr(catching_up, "version", lambda _name: "2.0")
    async with hub_on(tmp_path) as hub:
        await hub.caught_up()
        assert await hub.rows("SELECT DISTINCT state, reason FROM bundle") == [("applied", None)]
        assert len(await hub.rows("SELECT * FROM statement")) == 2


async def test_a_bundle_that_stays_aside_keeps_no_hub_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Applier, records: object, rows: object) -> None:
        raise ValueError("a fault of ours")

    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next([answered(1)]))
    monkeypatch.setattr(Applier, "apply", fail)
    monkeypatch.setattr(catching_up, "version", lambda _name: "2.0")
    async with hub_on(tmp_path) as hub:
        await hub.caught_up()
        assert await hub.rows("SELECT state FROM bundle") == [("quarantined",)]


async def test_every_reason_for_setting_aside_is_looked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hub_on(tmp_path) as hub:
        maker, listed, list_waiting = await hub.enrolled(), list[int](), bundles.list_waiting

        def note(connection: Transaction, box_no: int) -> list[Waiting]:
            found = list_waiting(connection, box_no)
            listed.append(len(found))
            return found

        monkeypatch.setattr(bundles, "list_waiting", note)
        for number in range(5):
            await hub.post(maker.next([answered(number)]))
        await hub.post(maker.next(registries()))
        await hub.caught_up()
        assert listed == [5, 0]
        assert len(await hub.rows("SELECT * FROM statement")) == 5


async def test_a_number_keeps_its_meaning_within_an_epoch(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next(registries()))
        await hub.post(maker.next([Verb(1, "http://example.org/another")]))
        assert await hub.rows("SELECT state FROM bundle ORDER BY seq") == [("applied",), ("quarantined",)]


async def test_a_later_row_of_a_box_replaces_the_earlier_one_whatever_comes_first(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next(registries()))
        newer = replace(maker, epoch=2, seq=0, through=0, previous=None)
        await hub.post(newer.next([Class(1, b"class-four------", "NEWR", False)]))
        await hub.post(maker.next([Class(1, b"class-four------", "OLDR")]))
        assert await hub.rows("SELECT code, is_active FROM class") == [("NEWR", 0)]


async def test_the_daily_quota_stops_one_box_and_not_the_next(tmp_path: Path) -> None:
    clock = FakeClock(NOW_MS)
    async with hub_on(tmp_path, clock, day_quota_bytes=800) as hub:
        greedy, modest = await hub.enrolled(), await hub.enrolled()
        first, second = greedy.next(registries()), greedy.next(registries())
        assert len(first) < 800 < len(first) + len(second)
        await hub.post(first)
        assert await hub.refused(second) == (429, "hub.quota_reached")
        await hub.post(modest.next(registries()))
        clock.advance(86_400_000)
        await hub.post(second)


async def test_a_body_over_the_limit_is_refused_without_being_read(tmp_path: Path) -> None:
    async with (
        hub_on(tmp_path) as hub,
        hub.session.post(
            hub.url + "/api/bundles", data=endless(), headers=TYPE | {"Content-Length": str(1 << 40)}
        ) as response,
    ):
        assert response.status == 413


async def test_who_sends_slowly_keeps_no_other_box_from_sending(tmp_path: Path) -> None:
    async with hub_on(tmp_path, uploads_max=2) as hub, AsyncExitStack() as stack:
        slow, other = await hub.enrolled(), await hub.enrolled()
        stranger = Maker(receiver=hub.listening.hub.keys.sealing)
        for maker in (slow, slow, slow, stranger, stranger):
            await stack.enter_async_context(half_sent(hub, maker.next(registries())))
        async with asyncio.timeout(20):
            assert (await hub.post(other.next(registries()))).vector.through_seq == 1


async def test_a_stranger_is_refused_before_the_body_is_read(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        stranger = Maker(receiver=hub.listening.hub.keys.sealing)
        async with half_sent(hub, stranger.next(registries())) as reader, asyncio.timeout(20):
            assert (await reader.readline()).split()[1] == b"403"


@asynccontextmanager
async def half_sent(hub: TestHub, bundle: bytes) -> AsyncIterator[asyncio.StreamReader]:
    """Send all of a bundle but its last bytes, and hold the line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.listening.port)
    writer.write(
        f"POST /api/bundles HTTP/1.1\r\nHost: localhost\r\nContent-Type: {TYPE['Content-Type']}\r\n"
        f"Content-Length: {len(bundle)}\r\n\r\n".encode()
        + bundle[:-10]
    )
    await writer.drain()
    try:
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def endless() -> object:
    yield b"EBB\x01"


async def test_another_content_type_is_refused(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        assert await hub.refused(b"x", **{"Content-Type": "text/plain"}) == (400, "sync.bundle_malformed")
