"""What a launched unit is given, what it may do, and when its session is over (cmi5 8, 9.3, 10, 11)."""

import json
from typing import Any

import pytest

from edgebox.app import open_box
from edgebox.domain.cmi5.vocabulary import Verb
from edgebox.keys import Box
from edgebox.store import documents
from tests.support.box import School
from tests.support.cmi5 import (
    ACTOR,
    PUBLISHER,
    Client,
    Unit,
    bring,
    driving,
    launch,
    package,
    structure,
    unit,
    verbs_of,
)

OTHER = {"account": {"homePage": "https://example.org", "name": "bob"}}
WHOLE = unit(
    "one",
    "index.html?a=1&amp;b=2#top",
    "<launchParameters> x=1 </launchParameters><entitlementKey>key</entitlementKey>",
    moveOn="CompletedAndPassed",
    masteryScore="0.8",
    activityType="http://adlnet.gov/expapi/activities/module",
)


async def started(driver: Client, *units: str, **fields: Any) -> Unit:
    return await (await launch(driver, await bring(driver, package(structure(*units))), **fields)).start()


async def test_a_token_is_given_once(driver: Client) -> None:
    one = await launch(driver, await bring(driver, package(structure(unit("one")))))
    assert set(await one.ask_token()) == {"auth-token"}
    assert (await one.ask_token())["error-code"] == "1"


async def test_an_address_that_the_box_did_not_make_gives_a_security_error(driver: Client) -> None:
    one = await launch(driver, await bring(driver, package(structure(unit("one")))))
    for changed in (one.fetch[:-1] + ("0" if one.fetch[-1] != "0" else "1"), one.fetch + "0", one.fetch[:40]):
        answer = await Unit(driver, changed, "", "", "").ask_token()
        assert answer["error-code"] == "2"


async def test_a_unit_finds_its_launch_data_and_the_statement_before_it(driver: Client, box: Box) -> None:
    course = await bring(driver, package(structure(WHOLE)))
    response = await driver.post(
        f"/cmi5/courses/{course}/units/0/launch", json={"actor": ACTOR, "returnURL": "http://x/"}
    )
    launched = await response.json()
    assert f"/c/{course}@1/files/index.html?a=1&b=2&endpoint=" in launched["url"]
    assert launched["url"].endswith("#top")
    one = await launch(driver, course, returnURL="http://x/")
    await one.begin()
    session = one.template["extensions"].popitem()[1]
    assert one.data == {
        "contextTemplate": {
            "contextActivities": {"grouping": [{"objectType": "Activity", "id": f"{PUBLISHER}/one"}]},
            "extensions": {},
        },
        "launchMode": "Normal",
        "moveOn": "CompletedAndPassed",
        "launchParameters": "x=1",
        "masteryScore": 0.8,
        "returnURL": "http://x/",
        "entitlementKey": {"courseStructure": "key"},
    }
    assert one.activity != f"{PUBLISHER}/one"
    found = (await (await driver.get("/xapi/statements", params={"registration": one.registration})).json())[
        "statements"
    ]
    said = found[0]
    assert said["verb"]["id"] == Verb.LAUNCHED.value
    assert {name.rsplit("/", 1)[1]: value for name, value in said["context"]["extensions"].items()} == {
        "sessionid": session,
        "launchmode": "Normal",
        "launchurl": launched["url"].partition("&endpoint")[0] + "#top",
        "moveon": "CompletedAndPassed",
        "masteryscore": 0.8,
        "launchparameters": "x=1",
    }
    assert said["object"]["definition"]["type"] == "http://adlnet.gov/expapi/activities/module"


async def test_registration_and_activity_stay_the_same_until_the_course_is_taken_again(driver: Client) -> None:
    course = await bring(driver, package(structure(unit("one"), unit("two"))))
    first, second = await launch(driver, course), await launch(driver, course, 1)
    again = await launch(driver, course)
    assert first.registration == second.registration == again.registration
    assert first.activity == again.activity != second.activity
    assert (await launch(driver, course, actor=OTHER)).registration != first.registration
    retaken = await launch(driver, course, retake=True)
    assert retaken.registration != first.registration
    assert (await launch(driver, course, 1)).registration == retaken.registration


async def test_an_open_session_is_abandoned_by_the_next_launch(driver: Client) -> None:
    one = await started(driver, unit("one"), unit("two"))
    course = one.activity.split(":")[2]
    other = await launch(driver, course, 1)
    assert [verb for verb, _ in await verbs_of(driver, one.registration)][-3:] == [
        "initialized",
        "abandoned",
        "launched",
    ]
    assert await one.say(Verb.TERMINATED) == 403
    assert (await one.call("GET", "activities/state", params=one.state())).status == 403
    await other.start()
    assert await other.say(Verb.TERMINATED) == 200
    await launch(driver, course, 1)
    assert [verb for verb, _ in await verbs_of(driver, one.registration)].count("abandoned") == 1


async def test_a_session_can_be_abandoned_once(driver: Client) -> None:
    one = await started(driver, unit("one"))
    session = next(iter(one.template["extensions"].values()))
    for _ in range(2):
        assert (await driver.post(f"/cmi5/sessions/{session}/abandon")).status == 204
    assert [verb for verb, _ in await verbs_of(driver, one.registration)].count("abandoned") == 1
    assert (await driver.post(f"/cmi5/sessions/{one.registration}/abandon")).status == 404


async def test_what_was_stored_may_come_again_when_the_session_is_over_and_nothing_else_may(driver: Client) -> None:
    one = await started(driver, unit("one"))
    said, last = one.statement(Verb.COMPLETED), one.statement(Verb.TERMINATED)
    assert [await one.send(said), await one.send(said, last)] == [200, 200]
    for again in ([said, last], [last], [said], [last, said]):  # the answer was lost on the way
        assert await one.send(*again) == 200
    assert await one.send(said, last, one.statement(Verb.PASSED)) == 403
    assert await one.send() == 403
    assert await one.send(last | {"result": {"duration": "PT1S"}}) == 409
    verbs = [verb for verb, _ in await verbs_of(driver, one.registration)]
    assert (verbs.count("completed"), verbs.count("terminated")) == (1, 1)


async def test_what_cmi5_does_not_define_comes_again_only_with_what_it_does(driver: Client) -> None:
    one = await started(driver, unit("one"))
    said, last = one.statement(Verb.INITIALIZED), one.statement(Verb.TERMINATED)
    said["verb"] = {"id": "urn:x:said"}
    del said["context"]["contextActivities"]["category"]
    assert await one.send(said, last) == 200
    assert await one.send(said, last) == 200
    assert await one.send(said) == 403  # CATAPULT's suite wants it so (9.3)


async def test_what_was_stored_may_come_again_after_the_session_was_abandoned(driver: Client) -> None:
    one = await started(driver, unit("one", moveOn="Completed"))
    said = one.statement(Verb.COMPLETED)
    assert await one.send(said) == 200
    await launch(driver, one.activity.split(":")[2])
    assert await one.send(said) == 200
    assert await one.send(one.statement(Verb.TERMINATED)) == 403


async def test_a_unit_whose_session_is_over_learns_nothing_of_the_ids_of_others(driver: Client) -> None:
    one = await started(driver, unit("one"))
    course = one.activity.split(":")[2]
    other = await (await launch(driver, course, actor=OTHER)).start()
    said = other.statement(Verb.COMPLETED)
    assert [await other.send(said), await one.say(Verb.TERMINATED)] == [200, 200]
    for probe in (said, one.statement(Verb.COMPLETED, id=said["id"])):
        assert await one.send(probe) == 403


async def test_other_learners_registrations_and_activities_are_refused(driver: Client) -> None:
    one = await started(driver, unit("one"))
    other = json.dumps(OTHER)
    for params in (
        one.state() | {"agent": other},
        one.state() | {"registration": "ccaf384c-f8d4-4e7a-8304-49af58f0b176"},
        one.state() | {"activityId": "urn:x:other"},
    ):
        assert (await one.call("GET", "activities/state", params=params)).status == 403
    profile = {"agent": other, "profileId": "x"}
    assert (await one.call("GET", "agents/profile", params=profile)).status == 403
    for name, value in (("agent", other), ("registration", "ccaf384c-f8d4-4e7a-8304-49af58f0b176")):
        assert (await one.call("GET", "statements", params={name: value})).status == 403
    activity = {"activityId": "urn:x:other", "profileId": "x"}
    assert (await one.call("PUT", "activities/profile", params=activity, data=b"1")).status == 403


async def test_a_unit_reads_the_statements_of_its_registration_and_no_others(driver: Client, box: Box) -> None:
    course = await bring(driver, package(structure(unit("one"))))
    theirs = await (await launch(driver, course, actor=OTHER)).start()
    said = theirs.statement(Verb.COMPLETED)
    assert await theirs.send(said) == 200
    mine = await (await launch(driver, course)).start()
    found = (await (await mine.call("GET", "statements")).json())["statements"]
    assert {one["context"]["registration"] for one in found} == {mine.registration}
    assert (await mine.call("GET", "statements", params={"statementId": said["id"]})).status == 404
    assert (await theirs.call("GET", "statements", params={"statementId": said["id"]})).status == 200


async def test_launch_data_are_not_for_units_to_change(driver: Client) -> None:
    one = await started(driver, unit("one"))
    for method in ("PUT", "POST", "DELETE"):
        more: dict[str, Any] = {} if method == "DELETE" else {"json": {}}
        assert (await one.call(method, "activities/state", params=one.state(), **more)).status == 403
    everything = {name: value for name, value in one.state().items() if name != "stateId"}
    assert (await one.call("DELETE", "activities/state", params=everything)).status == 403
    assert (await one.call("PUT", "activities/state", params=one.state("bookmark"), json={})).status == 204


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"languagePreference": "en-US,fr", "audioPreference": "off"}, 204),
        ({"languagePreference": "", "audioPreference": "off"}, 403),
        ({"languagePreference": "en fr", "audioPreference": "off"}, 403),
        ({"languagePreference": "en", "audioPreference": "loud"}, 403),
        ({"languagePreference": "en"}, 403),
        ([], 403),
    ],
)
async def test_preferences_are_kept_if_they_are_preferences(driver: Client, document: Any, status: int) -> None:
    one = await started(driver, unit("one"))
    params = {"agent": one.actor, "profileId": "cmi5LearnerPreferences"}
    headers = {"If-None-Match": "*"}
    assert (await one.call("PUT", "agents/profile", params=params, json=document, headers=headers)).status == status


async def test_a_unit_has_one_name_in_the_profile_of_its_learner_and_removes_nothing(driver: Client) -> None:
    one = await started(driver, unit("one"))
    other, own = ({"agent": one.actor, "profileId": name} for name in ("notes", "cmi5LearnerPreferences"))
    new = {"If-None-Match": "*"}
    assert (await one.call("PUT", "agents/profile", params=other, json={}, headers=new)).status == 403
    assert (await one.call("GET", "agents/profile", params=other)).status == 403
    assert (await one.call("GET", "agents/profile", params={"agent": one.actor})).status == 403
    for changes, status in (({"languagePreference": "fr"}, 403), ({"audioPreference": "off"}, 403)):
        assert (await one.call("POST", "agents/profile", params=own, json=changes)).status == status
    whole = {"languagePreference": "en", "audioPreference": "on"}
    assert (await one.call("POST", "agents/profile", params=own, json=whole)).status == 204
    for changes, status in (({"languagePreference": "fr"}, 204), ({"audioPreference": "loud"}, 403)):
        assert (await one.call("POST", "agents/profile", params=own, json=changes)).status == status
    assert (await one.call("DELETE", "agents/profile", params=own)).status == 403


async def test_state_of_a_unit_names_its_registration(driver: Client) -> None:
    one = await started(driver, unit("one"))
    nowhere = {name: value for name, value in one.state("x").items() if name != "registration"}
    assert [(await one.call(method, "activities/state", params=nowhere)).status for method in ("PUT", "GET")] == [
        403
    ] * 2


async def test_documents_of_one_unit_leave_room_for_all_others(
    driver: Client, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "UNIT_DOCUMENTS_MAX", 3)
    monkeypatch.setattr(documents, "DOCUMENTS_MAX", 3)
    mine = school.learners[0].actor
    course = await bring(driver, package(structure(unit("one"), unit("two"))))
    two = await (await launch(driver, course, 1, actor=mine)).begin()
    kept = [(await two.call("PUT", "activities/state", params=two.state(f"d{no}"), json={})).status for no in range(4)]
    assert kept == [204, 204, 413, 413]
    third = await (await launch(driver, course, actor=mine)).begin()
    assert (await third.call("PUT", "activities/state", params=third.state("bookmark"), json={})).status == 204


async def test_a_token_is_worth_nothing_changed_or_as_a_cookie(driver: Client, school: School) -> None:
    one = await started(driver, unit("one"))
    good, one.token = one.token, one.token[:-4] + "AAAA"
    assert (await one.call("GET", "statements")).status == 401
    one.token = ""
    cookies = school.learners[0].cookies
    response = await one.call("GET", "statements", cookies=cookies, headers={"Authorization": "Basic"})
    assert response.status == 401
    one.token = good
    preflight = await one.client.options("/xapi/statements", headers={"Origin": "null"})
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in preflight.headers


async def test_a_session_goes_on_after_a_restart_of_the_box(school: School) -> None:
    async with open_box(school.settings) as box, driving(box, school.teacher.no) as driver:
        one = await started(driver, unit("one"))
        course = one.activity.split(":")[2]
        unused = await launch(driver, course, actor=OTHER)
    async with open_box(school.settings) as box, driving(box, school.teacher.no) as driver:
        one.client = unused.client = driver
        assert await one.say(Verb.INITIALIZED) == 403
        assert await one.say(Verb.COMPLETED) == 200
        assert (await one.ask_token())["error-code"] == "1"
        await unused.start()
        assert (await launch(driver, course)).registration == one.registration


async def test_no_secret_of_a_launch_is_on_the_disk(driver: Client, box: Box) -> None:
    one = await started(driver, unit("one"))
    await box.database.write(lambda connection: None)
    content = b"".join(path.read_bytes() for path in box.settings.data.glob("box.db*"))
    assert one.fetch.rpartition("/")[2].encode() not in content
    assert one.token.encode() not in content
