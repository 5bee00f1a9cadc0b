"""Requests that the two specifications say how to answer, each by the place where they say it.

`1.0.3 3` is part 3 of xAPI 1.0.3, `2.0` the text of IEEE 9274.1.1.
"""

import json
from typing import Any

from tests.support.records import STATEMENTS, Records, make_id, make_statement

AGENT = {"mbox": "mailto:amina@example.org"}
STATE = {"activityId": "http://example.org/page", "agent": AGENT, "stateId": "place"}
ACTIVITY_PROFILE = {"activityId": "http://example.org/page", "profileId": "colours"}
AGENT_PROFILE = {"agent": AGENT, "profileId": "colours"}
NEW = {"If-None-Match": "*"}
DOCUMENTS = (
    ("/xapi/activities/state", STATE),
    ("/xapi/activities/profile", ACTIVITY_PROFILE),
    ("/xapi/agents/profile", AGENT_PROFILE),
)

# requirement, method, path, parameters, headers, JSON, status
Case = tuple[str, str, str, dict[str, Any], dict[str, str], Any, int]


def without(source: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in source.items() if key != name}


BOTH: list[Case] = [
    ("1.0.3 3, 3.3: a version is needed", "GET", STATEMENTS, {}, {"X-Experience-API-Version": ""}, None, 400),
    ("1.0.3 3, 3.3: an unknown version", "GET", STATEMENTS, {}, {"X-Experience-API-Version": "0.95"}, None, 400),
    ("1.0.3 3, 2.8: about needs none", "GET", "/xapi/about", {}, {"X-Experience-API-Version": ""}, None, 200),
    ("1.0.3 3, 2.8: about needs no credential", "GET", "/xapi/about", {}, {"Authorization": ""}, None, 200),
    ("1.0.3 3, 4: no credential", "GET", STATEMENTS, {}, {"Authorization": ""}, None, 401),
    ("1.0.3 3, 4: a wrong one", "GET", STATEMENTS, {}, {"Authorization": "Basic YTpi"}, None, 401),
    ("1.0.3 3, 4: one that is no Basic", "GET", STATEMENTS, {}, {"Authorization": "Basic %"}, None, 401),
    ("1.0.3 3, 2.1.1: PUT needs statementId", "PUT", STATEMENTS, {}, {}, make_statement(), 400),
    ("1.0.3 3, 2.1.1: PUT answers 204", "PUT", STATEMENTS, {"statementId": make_id(0)}, {}, make_statement(), 204),
    ("1.0.3 3, 2.1.1: another id", "PUT", STATEMENTS, {"statementId": make_id(1)}, {}, make_statement(), 400),
    ("1.0.3 3, 2.1.1: a list is no statement", "PUT", STATEMENTS, {"statementId": make_id(0)}, {}, [], 400),
    ("1.0.3 3, 2.1.2: POST takes one", "POST", STATEMENTS, {}, {}, make_statement(), 200),
    ("1.0.3 3, 2.1.2: POST takes a list", "POST", STATEMENTS, {}, {}, [make_statement()], 200),
    ("1.0.3 3, 2.1.2: an id twice", "POST", STATEMENTS, {}, {}, [make_statement(), make_statement()], 400),
    ("1.0.3 3, 2.1.3: an unknown id", "GET", STATEMENTS, {"statementId": make_id(9)}, {}, None, 404),
    (
        "1.0.3 3, 2.1.3: both ids",
        "GET",
        STATEMENTS,
        {"statementId": make_id(0), "voidedStatementId": make_id(0)},
        {},
        None,
        400,
    ),
    (
        "1.0.3 3, 2.1.3: an id with a filter",
        "GET",
        STATEMENTS,
        {"statementId": make_id(0), "limit": "1"},
        {},
        None,
        400,
    ),
    (
        "1.0.3 3, 2.1.3: an id with a format",
        "GET",
        STATEMENTS,
        {"voidedStatementId": make_id(0), "format": "ids"},
        {},
        None,
        404,
    ),
    ("1.0.3 3, 2.1.3: an unknown format", "GET", STATEMENTS, {"format": "poem"}, {}, None, 400),
    ("1.0.3 3, 3.2: an unknown parameter", "GET", STATEMENTS, {"colour": "red"}, {}, None, 400),
    ("1.0.3 3, 3.2: other letters are unknown", "GET", STATEMENTS, {"Limit": "1"}, {}, None, 400),
    ("1.0.3 3, 3.2: no such method", "DELETE", STATEMENTS, {}, {}, None, 405),
    ("1.0.3 3, 2.5: activityId is needed", "GET", "/xapi/activities", {}, {}, None, 400),
    ("1.0.3 3, 2.5: and an IRI", "GET", "/xapi/activities", {"activityId": "page"}, {}, None, 400),
    ("1.0.3 3, 2.4: agent is needed", "GET", "/xapi/agents", {}, {}, None, 400),
    ("1.0.3 3, 2.4: a group is no agent", "GET", "/xapi/agents", {"agent": {"objectType": "Group"}}, {}, None, 400),
    ("1.0.3 3, 1.1: HEAD where GET is", "HEAD", "/xapi/agents", {"agent": AGENT}, {}, None, 200),
]
for path, place in DOCUMENTS:
    name = "stateId" if "stateId" in place else "profileId"
    BOTH += [
        (f"1.0.3 3, 2.2: no such document at {path}", "GET", path, place, {}, None, 404),
        (f"1.0.3 3, 2.2: names without {name} at {path}", "GET", path, without(place, name), {}, None, 200),
        (f"1.0.3 3, 2.2: {name} is needed to write at {path}", "PUT", path, without(place, name), NEW, {}, 400),
        (f"1.0.3 3, 2.2: PUT answers 204 at {path}", "PUT", path, place, NEW, {}, 204),
        (f"1.0.3 3, 2.2: POST answers 204 at {path}", "POST", path, place, {}, {}, 204),
        (f"1.0.3 3, 2.2: DELETE answers 204 at {path}", "DELETE", path, place, {}, None, 204),
        (f"1.0.3 3, 3.1: a document that is not there at {path}", "PUT", path, place, {"If-Match": '"x"'}, {}, 412),
        (f"1.0.3 3, 2.2: an unknown parameter at {path}", "GET", path, {**place, "a": "b"}, {}, None, 400),
        (
            f"1.0.3 3, 2.2: since is a time at {path}",
            "GET",
            path,
            {**without(place, name), "since": "now"},
            {},
            None,
            400,
        ),
    ]
    for needed in without(place, name):
        BOTH.append((f"1.0.3 3, 2.2: {needed} is needed at {path}", "GET", path, without(place, needed), {}, None, 400))

ONE: list[Case] = [
    (f"1.0.3 3, 2.6 and 2.7: a profile needs a condition at {path}", "PUT", path, place, {}, {}, 400)
    for path, place in DOCUMENTS[1:]
] + [
    ("1.0.3 3, 2.3: state needs none", "PUT", "/xapi/activities/state", STATE, {}, {}, 204),
    ("1.0.3 2, 2.4.10: version", "POST", STATEMENTS, {}, {}, make_statement(version="1.0.9"), 200),
    ("1.0.3 2, 2.4.10: another version", "POST", STATEMENTS, {}, {}, make_statement(version="2.0.0"), 400),
    (
        "1.0.3 knows no context agents",
        "POST",
        STATEMENTS,
        {},
        {},
        make_statement(context={"contextAgents": [{"objectType": "contextAgent", "agent": AGENT}]}),
        400,
    ),
]


def in_context(**context: Any) -> dict[str, Any]:
    return make_statement(context=context)


AROUND = {"objectType": "contextAgent", "agent": AGENT, "relevantTypes": ["http://example.org/tutor"]}
GROUP = {"objectType": "Group", "member": [AGENT]}
TWO: list[Case] = [
    ("2.0, 4.2.2.5: context agents", "POST", STATEMENTS, {}, {}, in_context(contextAgents=[AROUND]), 200),
    (
        "2.0, 4.2.2.5: context groups",
        "POST",
        STATEMENTS,
        {},
        {},
        in_context(contextGroups=[{"objectType": "contextGroup", "group": GROUP}]),
        200,
    ),
    ("2.0, 4.2.2.5: in a list", "POST", STATEMENTS, {}, {}, in_context(contextAgents=AROUND), 400),
    (
        "2.0, 4.2.2.5: types are not empty",
        "POST",
        STATEMENTS,
        {},
        {},
        in_context(contextAgents=[{**AROUND, "relevantTypes": []}]),
        400,
    ),
    (
        "2.0, 4.2.2.5: types are IRIs",
        "POST",
        STATEMENTS,
        {},
        {},
        in_context(contextAgents=[{**AROUND, "relevantTypes": ["tutor"]}]),
        400,
    ),
    ("2.0, 4.2.4.3: version", "POST", STATEMENTS, {}, {}, make_statement(version="2.0.0"), 200),
    ("2.0, annex: no alternate syntax", "POST", STATEMENTS, {"method": "GET"}, {}, None, 400),
]


async def failures(records: Records, cases: list[Case]) -> list[str]:
    """Return the requirements that were not met; every case has an agent, an activity and ids of its own."""
    failed = []
    for number, case in enumerate(cases):
        text = json.dumps(case).replace("amina@", f"amina{number}@").replace("/page", f"/page{number}")
        requirement, method, path, params, headers, body, status = json.loads(
            text.replace("5b1d1e46-2f5c", f"5b1d1e46-{number:04x}")
        )
        options = {} if body is None else {"json": body}
        response = await records.ask(method, path, params=params, headers=headers, **options)
        if response.status != status or "X-Experience-API-Version" not in response.headers:
            failed.append(f"{requirement}: {response.status} {await response.text()}")
    return failed


async def test_every_request_under_one_is_answered_as_the_text_says(records: Records) -> None:
    assert await failures(records, [*BOTH, *ONE]) == []


async def test_every_request_under_two_is_answered_as_the_text_says(records_two: Records) -> None:
    assert await failures(records_two, [*BOTH, *TWO]) == []
