import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edgebox.app import make_app, open_box
from edgebox.services import documents
from tests.support.box import Person, School, make_school

Client = TestClient[Any, Any]
URL = "/xapi/activities/state"
VERSION = {"X-Experience-API-Version": "1.0.3"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def school(tmp_path: Path) -> School:
    return make_school(tmp_path / "box", learners=2)


@pytest.fixture
async def client(school: School) -> AsyncIterator[Client]:
    async with (
        open_box(school.settings) as box,
        TestClient(TestServer(make_app(box)), headers=VERSION) as opened,
    ):
        yield opened


def place(person: Person, **more: str) -> dict[str, str]:
    return {"activityId": "urn:x-edgebox:a.b.c:pizza", "agent": json.dumps(person.actor), **more}


async def call(client: Client, method: str, person: Person, params: dict[str, str], **more: Any) -> Any:
    return await client.request(method, URL, params=params, cookies=person.cookies, **more)


async def test_document_comes_back_with_its_type_and_tag(client: Client, school: School) -> None:
    learner, params = school.learners[0], place(school.learners[0], stateId="position")
    assert (await call(client, "GET", learner, params)).status == 404
    assert (await call(client, "PUT", learner, params, data=b'{"at":5}', headers=JSON)).status == 204
    response = await call(client, "GET", learner, params)
    assert (await response.read(), response.content_type) == (b'{"at":5}', "application/json")
    assert response.headers["ETag"] == documents.etag(b'{"at":5}')
    assert response.headers["Content-Disposition"] == "attachment"


async def test_write_under_a_condition_that_fails_changes_nothing(client: Client, school: School) -> None:
    learner, params = school.learners[0], place(school.learners[0], stateId="s")
    new, old = documents.etag(b"new"), documents.etag(b"old")
    steps = [
        ("PUT", b"none", {"If-Match": old}, 412),
        ("PUT", b"old", {"If-None-Match": "*"}, 204),
        ("PUT", b"twice", {"If-None-Match": "*"}, 412),
        ("PUT", b"new", {"If-Match": old}, 204),
        ("PUT", b"late", {"If-Match": old}, 412),
        ("DELETE", b"", {"If-Match": old}, 412),
        ("PUT", b"any", {"If-Match": f"{old}, {new}"}, 204),
    ]
    for method, data, headers, status in steps:
        assert (await call(client, method, learner, params, data=data, headers=headers)).status == status
    assert await (await call(client, "GET", learner, params)).read() == b"any"


async def test_posted_object_is_merged(client: Client, school: School) -> None:
    learner, params = school.learners[0], place(school.learners[0], stateId="s")
    for part in ({"a": 1, "b": 1}, {"b": 2, "c": 3}):
        assert (await call(client, "POST", learner, params, json=part)).status == 204
    assert await (await call(client, "GET", learner, params)).json() == {"a": 1, "b": 2, "c": 3}
    assert (await call(client, "POST", learner, params, json=[1])).status == 400
    assert (
        await call(client, "POST", learner, params, data=b"x", headers={"Content-Type": "text/plain"})
    ).status == 400


async def test_documents_are_listed_and_removed(client: Client, school: School) -> None:
    learner = school.learners[0]
    for state_id in ("b", "a"):
        await call(client, "PUT", learner, place(learner, stateId=state_id), data=b"1")
    other = place(learner, stateId="c", registration="5b1d1e46-2f5c-4b6a-9a5e-000000000000")
    await call(client, "PUT", learner, other, data=b"1")
    assert await (await call(client, "GET", learner, place(learner))).json() == ["a", "b", "c"]
    assert await (await call(client, "GET", learner, place(learner, since="2100-01-01T00:00:00Z"))).json() == []
    assert (await call(client, "DELETE", learner, place(learner, stateId="a"))).status == 204
    assert await (await call(client, "GET", learner, place(learner))).json() == ["b", "c"]
    assert (await call(client, "GET", learner, other)).status == 200
    assert (await call(client, "DELETE", learner, place(learner))).status == 204
    assert await (await call(client, "GET", learner, place(learner))).json() == []


async def test_nobody_reaches_the_documents_of_somebody_else(client: Client, school: School) -> None:
    learner, other = school.learners
    await call(client, "PUT", learner, place(learner, stateId="s"), data=b"1")
    for method in ("GET", "PUT", "POST", "DELETE"):
        assert (await call(client, method, other, place(learner, stateId="s"))).status == 403
    assert (await call(client, "GET", other, place(other, stateId="s"))).status == 404
    assert (await client.get(URL, params=place(learner, stateId="s"))).status == 401


async def test_submit_token_that_stays_on_a_tablet_reaches_no_document(client: Client, school: School) -> None:
    learner = school.learners[0]
    headers = {"Authorization": f"Bearer {learner.token}"}
    params = place(learner, stateId="s")
    await call(client, "PUT", learner, params, data=b"1")
    for method in ("GET", "PUT", "POST", "DELETE"):
        assert (await client.request(method, URL, params=params, data=b"2", headers=headers)).status == 403
    assert await (await call(client, "GET", learner, params)).read() == b"1"


async def test_large_or_broken_document_is_refused(client: Client, school: School) -> None:
    learner, params = school.learners[0], place(school.learners[0], stateId="s")
    assert (await call(client, "PUT", learner, params, data=b"x" * 65_536)).status == 204
    assert (await call(client, "PUT", learner, params, data=b"x" * 65_537)).status == 413
    assert (await call(client, "PUT", learner, params, data=b"{", headers=JSON)).status == 400


async def test_learner_cannot_fill_the_disk_with_documents(
    client: Client, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgebox.store.documents.DOCUMENTS_MAX", 2)
    learner = school.learners[0]
    statuses = [
        (await call(client, "PUT", learner, place(learner, stateId=f"s{number}"), data=b"1")).status
        for number in (1, 2, 3, 2)
    ]
    assert statuses == [204, 204, 413, 204]


@pytest.mark.parametrize(
    "change", [{"agent": ""}, {"activityId": "x"}, {"registration": "x"}, {"stateId": "\n"}, {"more": "1"}]
)
async def test_wrong_parameter_is_refused(client: Client, school: School, change: dict[str, str]) -> None:
    params = place(school.learners[0], stateId="s") | change
    assert (await call(client, "GET", school.learners[0], params)).status == 400
