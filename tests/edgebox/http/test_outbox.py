import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from content_packs.base import ids
from edgebox.app import make_app, open_box
from edgebox.keys import Box
from edgebox.store.connections import StoreUnavailable
from tests.support.box import School, Tablet, make_school, make_tablet

Client = TestClient[Any, Any]


@pytest.fixture
def school(tmp_path: Path) -> School:
    return make_school(tmp_path / "box", learners=3)


@pytest.fixture
async def box(school: School) -> AsyncIterator[Box]:
    async with open_box(school.settings) as opened:
        yield opened


@pytest.fixture
async def client(box: Box) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(box))) as opened:
        yield opened


async def post(client: Client, body: Any) -> Any:
    response = await client.post("/api/outbox", json=body)
    assert response.status == 200, await response.text()
    return await response.json()


async def rows(box: Box, query: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await box.database.read(lambda connection: connection.execute(query).fetchall())]


async def test_event_is_stored_and_acknowledged(client: Client, box: Box, school: School) -> None:
    tablet, learner = make_tablet(), school.learners[0]
    event = tablet.event(learner, item="q1", result={"success": True, "score": 1, "max": 2, "response": "b"})
    answer = await post(client, tablet.request(event))
    assert (answer["acked"], answer["rejected"], answer["box_seq"], answer["hub_seq"]) == ([1], [], 1, 0)
    stored = await rows(box, "SELECT id, person_no, device_seq, attempt_seq, timestamp_ms, score_scaled FROM statement")
    statement_id = ids.derive_statement_id(bytes.fromhex(tablet.device), 1, event["t"])
    assert stored == [(statement_id, learner.no, 1, 1, event["t"], 0.5)]


async def test_what_is_durable_is_acknowledged_though_the_listener_fails(
    client: Client, box: Box, school: School
) -> None:
    def fail() -> None:
        raise OverflowError

    box.recording.on_stored = fail
    tablet = make_tablet()
    assert (await post(client, tablet.request(tablet.event(school.learners[0]))))["acked"] == [1]


async def test_event_sent_again_is_acknowledged_and_stored_once(client: Client, box: Box, school: School) -> None:
    tablet = make_tablet()
    request = tablet.request(tablet.event(school.learners[0]))
    first, second = await post(client, request), await post(client, request)
    assert first["acked"] == second["acked"] == [1]
    assert await rows(box, "SELECT count(*) FROM statement") == [(1,)]
    assert await rows(box, "SELECT attempts FROM progress") == [(1,)]


async def test_another_content_under_a_known_id_is_kept_as_a_conflict(client: Client, box: Box, school: School) -> None:
    tablet = make_tablet()
    event = tablet.event(school.learners[0], item="q1", result={"response": "a"})
    other = event | {"result": {"response": "b"}}
    await post(client, tablet.request(event))
    for _again in range(2):
        assert (await post(client, tablet.request(other)))["acked"] == [1]
    assert await rows(box, "SELECT response FROM statement") == [("a",)]
    kept = [json.loads(body) for (body,) in await rows(box, "SELECT body FROM statement_conflict")]
    assert kept == [{name: value for name, value in other.items() if name != "token"}]


async def test_bad_event_is_refused_alone_with_a_code(client: Client, box: Box, school: School) -> None:
    tablet, learner = make_tablet(), school.learners[0]
    good = tablet.event(learner)
    malformed = tablet.event(learner, verb="hacked")
    foreign = tablet.event(learner, token=learner.token[:-2] + "AA")
    last = tablet.event(learner)
    answer = await post(client, tablet.request(good, malformed, foreign, last))
    assert answer["acked"] == [1, 4]
    assert answer["rejected"] == [
        {"seq": 2, "code": "record.event_malformed"},
        {"seq": 3, "code": "record.token_invalid"},
    ]
    # What was refused is no gap: the tablet will never send it again under that number.
    assert answer["box_seq"] == 4
    assert await rows(box, "SELECT device_seq FROM statement ORDER BY device_seq") == [(1,), (4,)]


async def test_work_of_an_erased_learner_is_refused(client: Client, box: Box, school: School) -> None:
    gone, stays = school.learners[:2]
    await box.database.write(
        lambda connection: connection.execute("UPDATE person SET pseudonym = zeroblob(16) WHERE no = ?", (gone.no,))
    )
    tablet = make_tablet()
    answer = await post(client, tablet.request(tablet.event(gone), tablet.event(stays)))
    assert (answer["acked"], answer["rejected"]) == ([2], [{"seq": 1, "code": "record.person_unknown"}])


async def test_work_of_a_removed_learner_is_kept(client: Client, box: Box, school: School) -> None:
    await box.database.write(lambda connection: connection.execute("UPDATE person SET removed_ms = 1"))
    tablet = make_tablet()
    assert (await post(client, tablet.request(tablet.event(school.learners[0]))))["acked"] == [1]


async def test_teacher_cannot_hand_in_work(client: Client, box: Box, school: School) -> None:
    tablet = make_tablet()
    answer = await post(client, tablet.request(tablet.event(school.teacher)))
    assert answer["rejected"] == [{"seq": 1, "code": "record.person_unknown"}]
    assert await rows(box, "SELECT count(*) FROM device") == [(0,)]


async def test_learners_share_a_tablet_without_mixing(client: Client, box: Box, school: School) -> None:
    tablet = make_tablet()
    await post(client, tablet.request(*(tablet.event(learner) for learner in school.learners)))
    expected = [(learner.no, seq) for seq, learner in enumerate(school.learners, 1)]
    assert await rows(box, "SELECT person_no, device_seq FROM statement ORDER BY device_seq") == expected


async def test_empty_request_asks_how_far_the_box_is(client: Client, school: School) -> None:
    tablet = make_tablet()
    assert (await post(client, tablet.request()))["box_seq"] == 0
    await post(client, tablet.request(tablet.event(school.learners[0]), tablet.event(school.learners[0])))
    assert (await post(client, tablet.request()))["box_seq"] == 2


async def test_new_box_does_not_wait_for_what_the_tablet_gave_up(client: Client, school: School) -> None:
    tablet = make_tablet()
    events = [tablet.event(school.learners[0]) for _ in range(12)]
    answer = await post(client, tablet.request(events[11], held_from=10))
    assert answer["box_seq"] == 9
    answer = await post(client, tablet.request(events[9], events[10], held_from=10))
    assert answer["box_seq"] == 12


async def test_everything_stored_is_in_the_log_after_what_it_needs(client: Client, box: Box, school: School) -> None:
    tablet = make_tablet()
    await post(client, tablet.request(tablet.event(school.learners[0], item="q1")))
    kinds = [kind for (kind,) in await rows(box, "SELECT kind FROM change WHERE kind IN (1, 5, 6, 7) ORDER BY seq")]
    assert sorted(kinds) == [1, 5, 5, 6, 7]
    assert kinds.index(1) > max(kinds.index(6), kinds.index(5), kinds.index(7))


async def test_progress_follows_the_events(client: Client, box: Box, school: School) -> None:
    tablet, learner = make_tablet(), school.learners[0]
    await post(
        client,
        tablet.request(
            tablet.event(learner, "launched"),
            tablet.event(learner, "answered", item="q1", result={"success": True, "score": 1, "max": 1}),
            tablet.event(learner, "completed", result={"completion": True, "duration_ms": 90_000}),
            tablet.event(learner, "passed", result={"score": 3, "max": 4}),
        ),
    )
    query = "SELECT activity.iri, progress, is_complete, score_scaled, attempts, duration_ms FROM progress"
    assert await rows(box, query + " JOIN activity ON activity.no = activity_no") == [
        ("urn:x-edgebox:org.edgebox.fractions:halves", 1.0, 1, 0.75, 1, 90_000)
    ]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"device":"x","events":[]}', 400),
        (b" " * (64 * 1024 + 1), 413),
        (b"[" * 50_000, 400),
    ],
)
async def test_unusable_request_is_refused_with_a_code(client: Client, body: bytes, status: int) -> None:
    response = await client.post("/api/outbox", data=body, headers={"Content-Type": "application/json"})
    assert response.status == status
    assert "code" in await response.json()


async def test_request_of_another_origin_is_refused(client: Client, school: School) -> None:
    tablet = make_tablet()
    headers = {"Origin": "http://evil.example"}
    response = await client.post("/api/outbox", json=tablet.request(tablet.event(school.learners[0])), headers=headers)
    assert response.status == 403


async def test_full_disk_is_told_with_a_time_to_come_back_and_nothing_is_lost(
    client: Client, box: Box, school: School
) -> None:
    tablet, learner = make_tablet(), school.learners[0]
    acked: list[int] = []

    def limit(connection: sqlite3.Connection, more_pages: int) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + more_pages}").fetchone()

    await box.database.write(lambda connection: limit(connection, 2))
    while True:
        request = tablet.request(*(tablet.event(learner, result={"response": "x" * 500}) for _ in range(20)))
        response = await client.post("/api/outbox", json=request)
        if response.status != 200:
            break
        acked += (await response.json())["acked"]
    assert response.status == 503
    assert int(response.headers["Retry-After"]) > 0
    assert (await response.json())["code"] == "store.unavailable"
    await box.database.write(lambda connection: limit(connection, 1000))
    acked += (await post(client, request))["acked"]
    stored = await rows(box, "SELECT device_seq FROM statement ORDER BY device_seq")
    assert [seq for (seq,) in stored] == acked == list(range(1, len(acked) + 1))


async def test_client_that_goes_away_changes_nothing_for_the_others(box: Box, client: Client, school: School) -> None:
    """The request is written and the socket closed at once, so the handler is cancelled wherever it is."""
    port = client.server.port
    tablets = [make_tablet(number) for number in range(1, 21)]
    events = [tablet.event(school.learners[0]) for tablet in tablets]
    for tablet, event in zip(tablets, events, strict=True):
        body = json.dumps(tablet.request(event)).encode()
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /api/outbox HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
    for tablet, event in zip(tablets, events, strict=True):
        assert (await post(client, tablet.request(event)))["acked"] == [1]
    assert await rows(box, "SELECT count(*), count(DISTINCT device_no) FROM statement") == [(20, 20)]
    assert await rows(box, "SELECT count(*) FROM statement_conflict") == [(0,)]


async def test_handler_cancelled_between_write_and_answer_can_be_repeated(box: Box, school: School) -> None:
    tablet = make_tablet()
    request = tablet.request(tablet.event(school.learners[0]))
    for turns in range(6):
        task = asyncio.create_task(box.recording.store_outbox(request))
        for _turn in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    answer = await box.recording.store_outbox(request)
    assert answer.acked == [1]
    assert await rows(box, "SELECT count(*) FROM statement") == [(1,)]
    assert await rows(box, "SELECT count(*) FROM change WHERE kind IN (1, 7)") == [(2,)]


async def test_failed_write_leaves_no_number_in_memory(box: Box, school: School) -> None:
    """A number that was rolled back must not be used later: it may mean something else by then."""
    tablet = make_tablet()
    request = tablet.request(tablet.event(school.learners[0]))
    trigger = "CREATE TRIGGER stop BEFORE INSERT ON progress BEGIN SELECT RAISE(ABORT, 'stop'); END"
    await box.database.write(lambda connection: connection.execute(trigger).rowcount)
    with pytest.raises(sqlite3.IntegrityError):
        await box.recording.store_outbox(request)
    await box.database.write(lambda connection: connection.execute("DROP TRIGGER stop").rowcount)
    await box.database.write(lambda connection: connection.execute("INSERT INTO verb (iri) VALUES ('a:b')").rowcount)
    await box.recording.store_outbox(request)
    assert await rows(box, "SELECT iri FROM verb JOIN statement ON verb_no = no") == [
        ("http://adlnet.gov/expapi/verbs/answered",)
    ]


async def test_store_that_refuses_is_told_to_the_caller(box: Box, school: School) -> None:
    tablet = make_tablet()
    await box.database.write(lambda connection: connection.execute("PRAGMA max_page_count = 1").fetchone())
    big = {"response": "x" * 8000}
    with pytest.raises(StoreUnavailable):
        await box.recording.store_outbox(
            tablet.request(*(tablet.event(school.learners[0], result=big) for _ in range(7)))
        )


def batches_of(tablet: Tablet, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [tablet.request(*events[start : start + 50]) for start in range(0, len(events), 50)]


async def test_request_of_fifty_is_stored_whole(client: Client, school: School) -> None:
    tablet = make_tablet()
    events = [tablet.event(school.learners[0]) for _ in range(100)]
    for request in batches_of(tablet, events):
        answer = await post(client, request)
    assert answer["box_seq"] == 100


async def test_the_box_keeps_how_much_refused_work_a_tablet_holds(client: Client, box: Box, school: School) -> None:
    tablet = make_tablet()
    await post(client, tablet.request(refused=2))
    assert await rows(box, "SELECT * FROM device") == []
    await post(client, tablet.request(tablet.event(school.learners[0]), refused=2))
    assert await rows(box, "SELECT refused FROM device") == [(2,)]
    await post(client, tablet.request(tablet.event(school.learners[0])))
    assert await rows(box, "SELECT refused FROM device") == [(2,)]
    await post(client, tablet.request(refused=0))
    assert await rows(box, "SELECT refused FROM device") == [(0,)]


@pytest.mark.parametrize("refused", [-1, 1.5, "2", True])
async def test_a_count_of_refused_work_that_is_none_is_refused(client: Client, refused: object) -> None:
    response = await client.post("/api/outbox", json=make_tablet().request(refused=refused))
    assert response.status == 400
