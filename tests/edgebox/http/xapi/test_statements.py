import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edgebox.app import make_app, open_box
from edgebox.domain.xapi.rules import PROGRESS_EXTENSION, check_statement
from edgebox.keys import Box
from edgebox.store import statement_queries
from tests.support.box import Person, School, make_school, make_tablet

Client = TestClient[Any, Any]
URL = "/xapi/statements"
VERSION = {"X-Experience-API-Version": "1.0.3"}
IDS = [f"5b1d1e46-2f5c-4b6a-9a5e-0000000000{number:02}" for number in range(10)]


@pytest.fixture
def school(tmp_path: Path) -> School:
    return make_school(tmp_path / "box", learners=2)


@pytest.fixture
async def box(school: School) -> AsyncIterator[Box]:
    async with open_box(school.settings) as opened:
        yield opened


@pytest.fixture
async def client(box: Box) -> AsyncIterator[Client]:
    async with TestClient(TestServer(make_app(box)), headers=VERSION) as opened:
        yield opened


def statement_of(person: Person, number: int = 0, **changes: Any) -> dict[str, Any]:
    statement = {
        "id": IDS[number],
        "actor": person.actor,
        "verb": {"id": "http://adlnet.gov/expapi/verbs/answered"},
        "object": {"id": "http://example.org/q1"},
        "timestamp": "2026-11-22T08:00:00.000Z",
    }
    return statement | changes


async def send(client: Client, person: Person, body: Any) -> Any:
    return await client.post(URL, json=body, cookies=person.cookies)


async def get(client: Client, person: Person, **params: str) -> Any:
    response = await client.get(URL, params=params, cookies=person.cookies)
    assert response.status == 200, await response.text()
    return await response.json()


async def count(box: Box, table: str = "statement") -> int:
    return int(await box.database.read(lambda c: c.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))


async def test_statement_comes_back_as_it_was_sent(client: Client, school: School) -> None:
    learner = school.learners[0]
    result = {"score": {"raw": 1.5}, "duration": "PT1M30S", "extensions": {"http://example.org/x": [None, "é"]}}
    sent = statement_of(learner, result=result, context={"registration": IDS[9], "platform": "app"})
    response = await send(client, learner, sent)
    assert (response.status, await response.json()) == (200, [IDS[0]])
    found = await get(client, learner, statementId=IDS[0])
    assert {name: found[name] for name in sent} == sent
    assert found.keys() - sent.keys() == {"stored", "authority", "version"}


async def test_answers_name_the_version_of_xapi(client: Client, school: School) -> None:
    for response in (await client.get("/xapi/about"), await client.get(URL)):
        assert response.headers["X-Experience-API-Version"] == "1.0.3"


async def test_request_without_a_known_version_is_refused(box: Box, school: School) -> None:
    async with TestClient(TestServer(make_app(box))) as client:
        for headers in ({}, {"X-Experience-API-Version": "0.95"}):
            response = await client.post(URL, json=[], headers=headers, cookies=school.learners[0].cookies)
            assert (response.status, (await response.json())["code"]) == (400, "record.version_unsupported")


async def test_same_statement_again_is_stored_once(client: Client, box: Box, school: School) -> None:
    learner = school.learners[0]
    for _again in range(2):
        assert (await send(client, learner, statement_of(learner))).status == 200
        params = {"statementId": IDS[0]}
        response = await client.put(URL, params=params, json=statement_of(learner), cookies=learner.cookies)
        assert response.status == 204
    assert await count(box) == 1


async def test_other_content_under_a_known_id_is_refused_and_kept(client: Client, box: Box, school: School) -> None:
    learner = school.learners[0]
    await send(client, learner, statement_of(learner))
    other = statement_of(learner, object={"id": "http://example.org/q2"})
    for _again in range(2):
        response = await send(client, learner, other)
        assert (response.status, (await response.json())["code"]) == (409, "record.statement_conflict")
    assert (await get(client, learner, statementId=IDS[0]))["object"]["id"] == "http://example.org/q1"
    assert await count(box, "statement_conflict") == 1


async def test_batch_is_stored_whole_or_not_at_all(client: Client, box: Box, school: School) -> None:
    learner = school.learners[0]
    good = [statement_of(learner, number) for number in range(3)]
    for bad in (statement_of(learner, 4, verb={}), statement_of(school.learners[1], 4), statement_of(learner, 1)):
        assert (await send(client, learner, [*good, bad])).status in (400, 403)
    assert await count(box) == 0
    await send(client, learner, statement_of(learner, 1, object={"id": "a:b"}))
    assert (await send(client, learner, good)).status == 409
    assert await count(box) == 1


async def test_statement_in_the_name_of_somebody_else_is_refused(client: Client, box: Box, school: School) -> None:
    learner, other = school.learners
    for statement in (
        statement_of(other),
        statement_of(learner, actor={"mbox": "mailto:a@example.org"}),
        statement_of(learner, actor={"objectType": "Group", "member": [learner.actor]}),
    ):
        response = await send(client, learner, statement)
        assert (response.status, (await response.json())["code"]) == (403, "record.actor_refused")
    assert (await send(client, school.teacher, statement_of(school.teacher))).status == 403
    assert await count(box) == 0


async def test_missing_actor_is_an_error_with_its_reason(client: Client, school: School) -> None:
    statement = statement_of(school.learners[0])
    del statement["actor"]
    response = await send(client, school.learners[0], statement)
    assert response.status == 400
    assert (await response.json())["fields"] == {"where": "statement.actor", "reason": "missing"}


async def test_nothing_recorded_is_taken_back(client: Client, school: School) -> None:
    learner = school.learners[0]
    reference = {"objectType": "StatementRef", "id": IDS[0]}
    verb = {"id": "http://adlnet.gov/expapi/verbs/voided"}
    assert (await send(client, learner, statement_of(learner, 1, verb=verb, object=reference))).status == 400


async def test_submit_token_may_record_and_not_read(client: Client, box: Box, school: School) -> None:
    learner = school.learners[0]
    headers = {"Authorization": f"Bearer {learner.token}"}
    assert (await client.post(URL, json=statement_of(learner), headers=headers)).status == 200
    for params in ({"statementId": IDS[0]}, {}):
        response = await client.get(URL, params=params, headers=headers)
        assert (response.status, (await response.json())["code"]) == (403, "record.reading_refused")
    broken = {"Authorization": f"Bearer {learner.token[:-3]}AAA"}
    assert (await client.post(URL, json=statement_of(learner, 1), headers=broken)).status == 401
    assert await count(box) == 1


async def test_nobody_records_without_signing_in(client: Client, school: School) -> None:
    assert (await client.post(URL, json=statement_of(school.learners[0]))).status == 401


async def test_learner_reads_only_own_statements_and_teacher_all(client: Client, school: School) -> None:
    for number, learner in enumerate(school.learners):
        await send(client, learner, statement_of(learner, number))
    first = school.learners[0]
    assert [row["id"] for row in (await get(client, first))["statements"]] == [IDS[0]]
    foreign = await client.get(URL, params={"statementId": IDS[1]}, cookies=first.cookies)
    assert foreign.status == 404
    assert [row["id"] for row in (await get(client, school.teacher))["statements"]] == [IDS[1], IDS[0]]


async def test_list_is_newest_first_in_pages_that_lead_on(client: Client, school: School) -> None:
    learner = school.learners[0]
    await send(client, learner, [statement_of(learner, number) for number in range(5)])
    found: list[str] = []
    page = await get(client, learner, limit="2")
    while True:
        found += [row["id"] for row in page["statements"]]
        if not page["more"]:
            break
        page = await (await client.get(page["more"], cookies=learner.cookies)).json()
    assert found == IDS[4::-1]
    ascending = await get(client, learner, ascending="true")
    assert [row["id"] for row in ascending["statements"]] == IDS[:5]


async def test_page_looks_at_a_bounded_part_of_the_log(
    client: Client, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement_queries, "LOOKED_AT_MAX", 2)
    learner, other = school.learners
    await send(client, learner, statement_of(learner, 0))
    await send(client, other, [statement_of(other, number) for number in range(1, 9)])
    for order in ("true", "false"):
        page, found = await get(client, learner, ascending=order), []
        while page["more"]:
            found += page["statements"]
            page = await (await client.get(page["more"], cookies=learner.cookies)).json()
        assert [row["id"] for row in found + page["statements"]] == [IDS[0]]


async def test_list_is_filtered(client: Client, school: School) -> None:
    learner = school.learners[0]
    passed = {"id": "http://adlnet.gov/expapi/verbs/passed"}
    await send(client, learner, statement_of(learner, 0, context={"registration": IDS[9]}))
    await send(client, learner, statement_of(learner, 1, verb=passed))
    await send(client, learner, statement_of(learner, 2, object={"id": "http://example.org/q2"}))
    first = await get(client, learner, statementId=IDS[0])

    async def ids_of(person: Person, **params: str) -> list[str]:
        return [row["id"] for row in (await get(client, person, **params))["statements"]]

    assert await ids_of(learner, registration=IDS[9]) == [IDS[0]]
    assert await ids_of(learner, verb=passed["id"]) == [IDS[1]]
    assert await ids_of(learner, activity="http://example.org/q2") == [IDS[2]]
    assert await ids_of(learner, until="2020-01-01T00:00:00Z") == []
    assert IDS[0] not in await ids_of(learner, since=first["stored"])
    assert len(await ids_of(school.teacher, agent=json.dumps(learner.actor))) == 3
    assert await ids_of(school.teacher, agent='{"mbox":"mailto:a@example.org"}') == []


@pytest.mark.parametrize(
    "params",
    [
        {"statementId": "x"},
        {"statementId": IDS[0], "limit": "1"},
        {"unknown": "1"},
        {"limit": "-1"},
        {"since": "yesterday"},
        {"verb": "answered"},
        {"agent": "{"},
        {"agent": "{}"},
        {"format": "poem"},
        {"attachments": "yes"},
        {"related_agents": "1"},
        {"ascending": "perhaps"},
    ],
)
async def test_wrong_parameter_is_refused(client: Client, school: School, params: dict[str, str]) -> None:
    response = await client.get(URL, params=params, cookies=school.teacher.cookies)
    assert (response.status, (await response.json())["code"]) == (400, "record.statement_malformed")


async def test_statement_of_our_own_page_is_written_out_as_valid_xapi(client: Client, school: School) -> None:
    learner, tablet = school.learners[0], make_tablet()
    result = {"success": True, "score": 3, "max": 4, "response": "b", "duration_ms": 5300, "progress": 0.4}
    event = tablet.event(learner, item="q 1", result=result)
    await client.post("/api/outbox", json=tablet.request(event))
    (found,) = (await get(client, learner))["statements"]
    check_statement(found)
    assert found["actor"] == learner.actor
    assert found["verb"] == {"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en": "answered"}}
    assert found["object"]["id"] == "urn:x-edgebox:org.edgebox.fractions:halves:q%201"
    assert found["result"] == {
        "score": {"scaled": 0.75, "raw": 3.0, "max": 4.0},
        "success": True,
        "response": "b",
        "duration": "PT5.3S",
        "extensions": {PROGRESS_EXTENSION: 40},
    }
    around = found["context"]["contextActivities"]
    assert around["grouping"][0]["id"] == "urn:x-edgebox:org.edgebox.fractions"
    assert around["parent"][0]["id"] == "urn:x-edgebox:org.edgebox.fractions:halves"
    by_registration = await get(client, learner, registration=found["context"]["registration"])
    assert [row["id"] for row in by_registration["statements"]] == [found["id"]]


async def test_statement_of_our_own_page_sent_back_changed_is_a_conflict(client: Client, school: School) -> None:
    learner, tablet = school.learners[0], make_tablet()
    await client.post("/api/outbox", json=tablet.request(tablet.event(learner)))
    (found,) = (await get(client, learner))["statements"]
    changed = copy.deepcopy(found)
    changed["result"] = {"success": True}
    assert (await send(client, learner, changed)).status == 409


async def test_people_in_a_statement_stay_in_its_body(client: Client, box: Box, school: School) -> None:
    learner = school.learners[0]
    friend = {"objectType": "Agent", "mbox": "mailto:friend@example.org"}
    assert (await send(client, learner, statement_of(learner, object=friend))).status == 200
    iris = await box.database.read(lambda c: [row[0] for row in c.execute("SELECT iri FROM activity")])
    assert not any("friend" in iri for iri in iris)
    assert (await get(client, learner, statementId=IDS[0]))["object"] == friend


async def test_progress_of_an_outside_client_counts_like_our_own(client: Client, box: Box, school: School) -> None:
    learner = school.learners[0]
    verb = {"id": "http://adlnet.gov/expapi/verbs/completed"}
    result = {"score": {"scaled": 0.5}, "duration": "PT10S", "extensions": {PROGRESS_EXTENSION: 60}}
    activity = {"id": "urn:x-edgebox:org.edgebox.fractions:halves"}
    await send(client, learner, statement_of(learner, verb=verb, object=activity, result=result))
    row = await box.database.read(
        lambda c: tuple(
            c.execute(
                "SELECT pack, is_complete, score_scaled, duration_ms FROM progress JOIN activity ON no = activity_no"
            ).fetchone()
        )
    )
    assert row == ("org.edgebox.fractions", 1, 0.5, 10_000)


async def test_body_that_is_not_json_is_refused(client: Client, school: School) -> None:
    learner = school.learners[0]
    for data, content_type in (
        (b"{", "application/json"),
        (b"{}", "multipart/mixed"),
        (b'{"a":NaN}', "application/json"),
    ):
        headers = {"Content-Type": content_type}
        assert (await client.post(URL, data=data, headers=headers, cookies=learner.cookies)).status == 400
