"""A statement as it comes and goes: versions, formats, definitions, the alternate syntax, the headers of answers."""

from typing import Any

from edgebox.keys import Box
from tests.support.records import ADL, STATEMENTS, Records, make_id, make_statement, outside_client

PAGE = "http://example.org/page"


def with_definition(number: int, **definition: Any) -> dict[str, Any]:
    return make_statement(number, object={"id": PAGE, "definition": definition})


async def test_statement_comes_back_exactly_as_it_was_sent(records: Records) -> None:
    """1.0.3 part 2, 2.3.1: immutable, but for what the record store sets."""
    sent = with_definition(1, name={"en": "Page"}, extensions={"http://example.org/x": [None, 1.5, "é"]})
    await records.send(sent | {"timestamp": "2026-11-22T08:00:00+01:00"})
    found = await records.get(statementId=make_id(1))
    assert {name: found[name] for name in sent} == sent
    assert found["timestamp"] == "2026-11-22T08:00:00+01:00"
    assert found.keys() - sent.keys() == {"stored", "authority", "version", "timestamp"}
    assert found["version"] == "1.0.0"


async def test_statement_without_a_time_gets_that_of_storing(records: Records) -> None:
    """1.0.3 part 2, 2.4.7."""
    await records.send(make_statement(1))
    found = await records.get(statementId=make_id(1))
    assert found["timestamp"] == found["stored"]


async def test_authority_is_the_credential_whatever_was_sent(records: Records) -> None:
    """1.0.3 part 2, 2.4.9."""
    await records.send(make_statement(1, authority={"mbox": "mailto:liar@example.org"}))
    found = await records.get(statementId=make_id(1))
    assert found["authority"]["account"]["name"] == "client-1"


async def test_one_context_activity_comes_back_as_a_list(records: Records) -> None:
    """1.0.3 part 2, 2.4.6.2."""
    nested = {
        "objectType": "SubStatement",
        "actor": {"mbox": "mailto:a@example.org"},
        "verb": {"id": f"{ADL}read"},
        "object": {"id": PAGE},
        "context": {"contextActivities": {"other": {"id": PAGE}}},
    }
    await records.send(make_statement(1, context={"contextActivities": {"parent": {"id": PAGE}}}, object=nested))
    found = await records.get(statementId=make_id(1))
    assert found["context"]["contextActivities"] == {"parent": [{"id": PAGE}]}
    assert found["object"]["context"]["contextActivities"] == {"other": [{"id": PAGE}]}


async def test_times_are_turned_to_utc_under_two(records_two: Records) -> None:
    """2.0, 4.2.7."""
    await records_two.send(make_statement(1, timestamp="2026-11-22T08:00:00+01:00"))
    found = await records_two.get(statementId=make_id(1))
    assert (found["timestamp"], found["version"]) == ("2026-11-22T07:00:00.000Z", "2.0.0")


async def test_ids_alone_are_enough_for_some(records: Records) -> None:
    """1.0.3 part 3, 2.1.3, format `ids`."""
    group = {"objectType": "Group", "name": "Red", "member": [{"mbox": "mailto:a@example.org", "name": "A"}]}
    await records.send(with_definition(1, name={"en": "Page"}) | {"actor": group})
    (found,) = (await records.get(format="ids"))["statements"]
    assert found["actor"] == {"objectType": "Group", "member": [{"mbox": "mailto:a@example.org"}]}
    assert (found["object"], found["verb"]) == ({"id": PAGE}, {"id": f"{ADL}experienced"})


async def test_canonical_form_has_the_definition_the_box_has_in_the_language_asked_for(records: Records) -> None:
    """1.0.3 part 3, 2.1.3, format `canonical`."""
    await records.send(with_definition(1, name={"en": "Page", "fr": "Page !"}, description={"en": "Old"}))
    await records.send(with_definition(2, name={"ar": "صفحة"}, description={"en": "New"}))
    for wanted, name in (("fr-CA, en;q=0.5", {"fr": "Page !"}), ("ar;q=0.9, en;q=0.1", {"ar": "صفحة"})):
        params = {"statementId": make_id(1), "format": "canonical"}
        response = await records.ask("GET", STATEMENTS, params=params, headers={"Accept-Language": wanted})
        definition = (await response.json())["object"]["definition"]
        assert definition == {"name": name, "description": {"en": "New"}}
    assert (await records.get(statementId=make_id(1)))["object"]["definition"]["description"] == {"en": "Old"}


async def test_definitions_are_merged(records: Records) -> None:
    """1.0.3 part 3, 2.5."""
    await records.send(with_definition(1, name={"en": "Page"}, type="http://example.org/type"))
    await records.send(make_statement(2, context={"contextActivities": {"other": {"id": PAGE}}}))
    await records.send(with_definition(3, name={"fr": "Page"}, moreInfo="http://example.org/more"))
    found = await records.get("/xapi/activities", activityId=PAGE)
    assert found == {
        "objectType": "Activity",
        "id": PAGE,
        "definition": {
            "name": {"en": "Page", "fr": "Page"},
            "type": "http://example.org/type",
            "moreInfo": "http://example.org/more",
        },
    }
    unknown = await records.get("/xapi/activities", activityId="http://example.org/none")
    assert unknown == {"objectType": "Activity", "id": "http://example.org/none"}


async def test_nobody_redefines_what_is_in_a_pack(records: Records) -> None:
    iri = "urn:x-edgebox:org.edgebox.fractions:halves"
    await records.send(make_statement(1, object={"id": iri, "definition": {"name": {"en": "Mine"}}}))
    assert "name" not in (await records.get("/xapi/activities", activityId=iri))["definition"]


async def test_person_has_the_names_that_were_given(records: Records) -> None:
    """1.0.3 part 3, 2.4."""
    agent = {"mbox": "mailto:amina@example.org"}
    await records.send(make_statement(1, actor={**agent, "name": "Amina"}))
    person = await records.get("/xapi/agents", agent=agent)
    assert person == {"objectType": "Person", "name": ["Amina"], "mbox": ["mailto:amina@example.org"]}


async def test_alternate_syntax_puts_everything_into_a_form(records: Records) -> None:
    """1.0.3 part 3, 1.3."""
    state = {"activityId": PAGE, "agent": '{"mbox":"mailto:a@example.org"}', "stateId": "s"}
    form = {**records.headers, **state, "content": "text", "Content-Type": "text/plain"}
    path = "/xapi/activities/state"
    assert (await records.client.post(f"{path}?method=PUT", data=form)).status == 204
    response = await records.client.post(f"{path}?method=GET", data={**records.headers, **state})
    assert (response.status, await response.read(), response.content_type) == (200, b"text", "text/plain")
    assert (await records.client.post(f"{path}?method=DELETE", data={**records.headers, **state})).status == 204
    for refused in (f"{path}?method=PUT", f"{path}?method=GET&stateId=s", f"{path}?method=PATCH"):
        assert (await records.client.post(refused, data={**records.headers, **state})).status in (400, 405)
    assert (await records.client.put(f"{path}?method=PUT", data=form)).status == 400


async def test_alternate_syntax_is_not_spoken_under_two(records_two: Records) -> None:
    url = f"{STATEMENTS}?method=GET"
    assert (await records_two.ask("POST", STATEMENTS, params={"method": "GET"}, data={"limit": "1"})).status == 400
    assert (await records_two.client.post(url, data=dict(records_two.headers))).status == 400


async def test_answers_say_up_to_when_they_are_complete(records: Records, records_two: Records) -> None:
    """1.0.3 part 3, 2.1.3: whatever the status."""
    for client, version in ((records, "1.0.3"), (records_two, "2.0.0")):
        for params in ({}, {"limit": "x"}, {"statementId": make_id(77)}):
            response = await client.ask("GET", STATEMENTS, params=params)
            assert response.headers["X-Experience-API-Consistent-Through"].endswith("Z")
            assert response.headers["X-Experience-API-Version"] == version


async def test_who_names_no_version_is_refused_in_the_one_spoken_last(records_two: Records) -> None:
    for expected in ("1.0.3", "2.0.0"):
        response = await records_two.ask("GET", STATEMENTS, headers={"X-Experience-API-Version": ""})
        assert (response.status, response.headers["X-Experience-API-Version"]) == (400, expected)
        await records_two.get()


async def test_last_modified_is_when_it_was_stored(records_two: Records) -> None:
    """2.0, 4.1.6.1."""
    await records_two.send(make_statement(1))
    response = await records_two.ask("GET", STATEMENTS, params={"statementId": make_id(1)})
    assert response.headers["Last-Modified"].endswith("GMT")


async def test_page_elsewhere_may_ask_with_a_credential_of_its_own(records: Records) -> None:
    preflight = await records.client.options(STATEMENTS, headers={"Origin": "http://elsewhere.example"})
    assert preflight.status == 204
    assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
    response = await records.ask(
        "POST", STATEMENTS, json=make_statement(1), headers={"Origin": "http://elsewhere.example"}
    )
    assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert "Access-Control-Allow-Credentials" not in response.headers


async def test_about_names_both_versions(box: Box) -> None:
    async with outside_client(box) as records:
        assert await records.get("/xapi/about") == {"version": ["1.0.3", "2.0.0"], "extensions": {}}


async def test_statement_that_no_bundle_could_carry_is_refused(records: Records) -> None:
    large = {f"http://example.org/{number}": "x" * 10_000 for number in range(30)}
    assert (await records.ask("POST", STATEMENTS, json=make_statement(1, context={"extensions": large}))).status == 400
    assert (await records.ask("POST", STATEMENTS, json=[make_statement(number) for number in range(201)])).status == 400
    assert await records.ids() == []
