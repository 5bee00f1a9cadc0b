"""State and profiles: tags, conditions and merging (1.0.3 part 3, 2.2 and 3.1; 2.0, 4.1.4)."""

import asyncio
from hashlib import sha1
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support.records import Records

AGENT = {"mbox": "mailto:amina@example.org"}
PLACES = {
    "/xapi/activities/state": {"activityId": "http://example.org/page", "agent": AGENT, "stateId": "place"},
    "/xapi/activities/profile": {"activityId": "http://example.org/page", "profileId": "colours"},
    "/xapi/agents/profile": {"agent": AGENT, "profileId": "colours"},
}
JSON = {"Content-Type": "application/json; charset=utf-8"}

everywhere = pytest.mark.parametrize(("path", "place"), PLACES.items(), ids=list(PLACES))


async def put(records: Records, path: str, place: dict[str, Any], content: bytes, **headers: str) -> int:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    response = await records.ask("PUT", path, params=place, data=content, headers={**JSON, **given})
    return response.status


@everywhere
async def test_document_comes_back_with_type_tag_and_time(records: Records, path: str, place: dict[str, Any]) -> None:
    assert await put(records, path, place, b'{"at":5}', If_None_Match="*") == 204
    response = await records.ask("GET", path, params=place)
    assert await response.read() == b'{"at":5}'
    assert response.headers["Content-Type"] == JSON["Content-Type"]
    assert response.headers["ETag"].strip('"') == sha1(b'{"at":5}').hexdigest()
    assert response.headers["Last-Modified"].endswith("GMT")
    assert "sandbox" in response.headers["Content-Security-Policy"]
    head = await records.ask("HEAD", path, params=place)
    assert (head.status, head.headers["ETag"]) == (200, response.headers["ETag"])


@everywhere
async def test_condition_that_does_not_hold_changes_nothing(records: Records, path: str, place: dict[str, Any]) -> None:
    await put(records, path, place, b'"old"', If_None_Match="*")
    tag = (await records.ask("GET", path, params=place)).headers["ETag"]
    assert await put(records, path, place, b'"new"', If_None_Match="*") == 412
    assert await put(records, path, place, b'"new"', If_Match='"other"') == 412
    wrong = {"headers": {"If-Match": '"other"'}}
    assert (await records.ask("DELETE", path, params=place, **wrong)).status == 412
    assert (await records.ask("POST", path, params=place, json={}, **wrong)).status == 412
    assert await (await records.ask("GET", path, params=place)).read() == b'"old"'
    assert await put(records, path, place, b'"new"', If_Match=tag) == 204
    assert await (await records.ask("GET", path, params=place)).read() == b'"new"'


@everywhere
async def test_who_does_not_say_what_is_replaced_is_told_so(
    records: Records, records_two: Records, path: str, place: dict[str, Any]
) -> None:
    await put(records, path, place, b'"old"', If_None_Match="*")
    assert await put(records_two, path, place, b'"new"') == 409
    assert await put(records, path, place, b'"new"') == (204 if path.endswith("state") else 409)


@everywhere
async def test_json_is_merged_name_by_name(records: Records, path: str, place: dict[str, Any]) -> None:
    await put(records, path, place, b'{"a":1,"b":{"c":1}}', If_None_Match="*")
    assert (await records.ask("POST", path, params=place, json={"b": {"d": 2}, "e": 3})).status == 204
    assert await records.get(path, **place) == {"a": 1, "b": {"d": 2}, "e": 3}
    for body, kind in ((b"[1]", "application/json"), (b"{}", "text/plain"), (b"{", "application/json")):
        response = await records.ask("POST", path, params=place, data=body, headers={"Content-Type": kind})
        assert response.status == 400
    assert await records.get(path, **place) == {"a": 1, "b": {"d": 2}, "e": 3}


@everywhere
async def test_what_is_no_json_is_not_merged_into(records: Records, path: str, place: dict[str, Any]) -> None:
    headers = {"Content-Type": "text/plain", "If-None-Match": "*"}
    await records.ask("PUT", path, params=place, data=b"text", headers=headers)
    assert (await records.ask("POST", path, params=place, json={"a": 1})).status == 400
    assert await (await records.ask("GET", path, params=place)).read() == b"text"


@everywhere
async def test_names_are_those_changed_since_a_time(records: Records, path: str, place: dict[str, Any]) -> None:
    name = "stateId" if "stateId" in place else "profileId"
    for value in ("b", "a"):
        await put(records, path, {**place, name: value}, b"1", If_None_Match="*")
    rest = {key: value for key, value in place.items() if key != name}
    assert await records.get(path, **rest) == ["a", "b"]
    assert await records.get(path, **rest, since="2100-01-01T00:00:00Z") == []
    assert (await records.ask("DELETE", path, params={**place, name: "a"})).status == 204
    assert await records.get(path, **rest) == ["b"]


async def test_state_of_one_registration_is_a_state_of_its_own(records: Records) -> None:
    path, place = "/xapi/activities/state", PLACES["/xapi/activities/state"]
    registration = "5b1d1e46-2f5c-4b6a-9a5e-0123456789ab"
    await put(records, path, place, b"1")
    await put(records, path, {**place, "registration": registration}, b"2")
    assert await records.get(path, **place) == 1
    assert await records.get(path, **place, registration=registration) == 2
    rest = {key: value for key, value in place.items() if key != "stateId"}
    assert (await records.ask("DELETE", path, params={**rest, "registration": registration})).status == 204
    assert await records.get(path, **rest) == ["place"]


async def test_state_of_somebody_else_is_another(records: Records) -> None:
    path, place = "/xapi/activities/state", PLACES["/xapi/activities/state"]
    await put(records, path, place, b"1")
    other = {**place, "agent": {"mbox": "mailto:omar@example.org"}}
    assert (await records.ask("GET", path, params=other)).status == 404
    assert await records.get(path, **{**place, "agent": {**AGENT, "name": "Amina"}}) == 1


PROFILE = "/xapi/activities/profile"
STATUS_OF_NO_TEXT = {"Content-Type": 400, "Authorization": 401, "X-Experience-API-Version": 400, "If-None-Match": 204}
NAMED = {"activityId": "http://example.org/a", "profileId": "p"}


async def test_content_type_that_is_no_header_is_refused_in_a_form(records: Records) -> None:
    meant = {**NAMED, **records.headers, "content": "x", "If-None-Match": "*"}
    meant["Content-Type"] = "text/plain\r\nSet-Cookie: a=b"
    response = await records.client.post(f"{PROFILE}?method=PUT", data=meant)
    assert (response.status, (await response.json())["fields"]["where"]) == (400, "Content-Type")
    assert (await records.ask("GET", PROFILE, params=NAMED)).status == 404


@pytest.mark.parametrize("name", STATUS_OF_NO_TEXT)
async def test_header_that_is_no_text_is_no_fault_of_the_server(records: Records, name: str) -> None:
    host, port = records.client.host, records.client.port
    headers = {**records.headers, "Host": f"{host}:{port}", "Content-Length": "1", "Connection": "close"}
    headers["If-None-Match"] = "*"
    lines = [f"{each}: {value}".encode() for each, value in headers.items() if each != name]
    head = f"PUT {PROFILE}?{urlencode(NAMED)} HTTP/1.1".encode()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"\r\n".join([head, *lines, f"{name}: ".encode() + b"a\xff", b"", b"x"]))
    answer = await reader.read()
    writer.close()
    assert int(answer.split(b" ")[1]) == STATUS_OF_NO_TEXT[name]
