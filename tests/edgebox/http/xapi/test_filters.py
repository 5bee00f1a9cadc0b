"""Which statements a list holds (1.0.3 part 3, 2.1.3; 2.0, 4.1.6.1)."""

from typing import Any

import pytest

from edgebox.keys import Box
from edgebox.store import listing, statement_queries
from tests.support.box import School, make_tablet
from tests.support.records import ADL, STATEMENTS, VOIDED, Records, make_id, make_statement, reference

AMINA, OMAR = {"mbox": "mailto:amina@example.org"}, {"mbox": "mailto:omar@example.org"}
TEAM = {"objectType": "Group", "account": {"homePage": "http://example.org/", "name": "red"}, "member": [OMAR]}
PAGE, COURSE = {"id": "http://example.org/page"}, {"id": "http://example.org/course"}
SAID = {"id": f"{ADL}commented"}
REGISTRATION = make_id(0xABC)
NESTED = {"objectType": "SubStatement", "actor": OMAR, "verb": SAID, "object": COURSE}


def related(agent: dict[str, Any]) -> dict[str, Any]:
    return {"agent": agent, "related_agents": "true"}


# what is asked, and the numbers of the statements found out of those below
FOUND: list[tuple[str, dict[str, Any], list[int]]] = [
    ("all, the newest first", {}, [8, 7, 6, 5, 4, 3, 2, 1]),
    ("all, the oldest first", {"ascending": "true"}, [1, 2, 3, 4, 5, 6, 7, 8]),
    ("the actor", {"agent": OMAR}, [4, 2]),
    ("a name beside it does not matter", {"agent": {**OMAR, "name": "Omar", "objectType": "Agent"}}, [4, 2]),
    ("the object is an agent", {"agent": TEAM}, [4]),
    ("somebody unknown", {"agent": {"mbox": "mailto:nobody@example.org"}}, []),
    ("the instructor, a member, in a nested statement", related(OMAR), [6, 5, 4, 3, 2]),
    ("the authority", {"authority": ""}, [8, 7, 6, 5, 4, 3, 2, 1]),
    ("the verb", {"verb": SAID["id"]}, [2]),
    ("a verb nobody used", {"verb": f"{ADL}mastered"}, []),
    ("the object", {"activity": COURSE["id"]}, [7]),
    ("around and nested", {"activity": COURSE["id"], "related_activities": "true"}, [7, 6, 3]),
    ("the registration", {"registration": REGISTRATION}, [8]),
    ("two at once", {"agent": OMAR, "verb": SAID["id"]}, [2]),
    ("two that never meet", {"agent": AMINA, "verb": SAID["id"]}, []),
    ("stored before all", {"until": "2020-01-01T00:00:00Z"}, []),
    ("stored after all", {"since": "2100-01-01T00:00:00Z"}, []),
    ("stored since long", {"since": "2020-01-01T00:00:00Z", "verb": SAID["id"]}, [2]),
]


async def test_list_holds_what_is_asked_for(records: Records) -> None:
    await records.send(
        make_statement(1),
        make_statement(2, actor=OMAR, verb=SAID),
        make_statement(3, context={"contextActivities": {"grouping": COURSE}, "instructor": OMAR}),
        make_statement(4, actor=OMAR, object=TEAM),
        make_statement(5, context={"team": TEAM}),
        make_statement(6, object=NESTED),
        make_statement(7, object=COURSE),
        make_statement(8, context={"registration": REGISTRATION}),
    )
    authority = (await records.get(statementId=make_id(1)))["authority"]
    failed = []
    for name, asked, numbers in FOUND:
        found = await records.ids(**(related(authority) if asked == {"authority": ""} else asked))
        if found != numbers:
            failed.append((name, found))
    assert failed == []


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1)], ids=["target first", "target last"])
async def test_statement_about_another_is_found_with_it_in_whichever_order_they_came(
    records: Records, order: tuple[int, ...]
) -> None:
    statements = {
        1: make_statement(1, actor=OMAR, verb=SAID),
        2: make_statement(2, object=reference(1)),
        3: make_statement(3, object=reference(2)),
    }
    for number in order:
        await records.send(statements[number])
    for params in ({"agent": OMAR}, {"verb": SAID["id"]}, {"activity": PAGE["id"]}):
        assert sorted(await records.ids(**params)) == [1, 2, 3]


async def test_statements_about_each_other_end_somewhere(records: Records) -> None:
    await records.send(make_statement(1, object=reference(2)), make_statement(2, object=reference(1), actor=OMAR))
    assert sorted(await records.ids(agent=OMAR)) == [1, 2]


async def test_void_statement_is_left_out_and_those_about_it_are_not(records: Records) -> None:
    await records.send(make_statement(1, verb=SAID), make_statement(2, object=reference(1)))
    await records.send(make_statement(3, verb=VOIDED, object=reference(1)))
    assert await records.ids() == [3, 2]
    assert await records.ids(verb=SAID["id"]) == [3, 2]
    assert (await records.ask("GET", STATEMENTS, params={"statementId": make_id(1)})).status == 404
    assert (await records.get(voidedStatementId=make_id(1)))["id"] == make_id(1)
    assert (await records.ask("GET", STATEMENTS, params={"voidedStatementId": make_id(2)})).status == 404


async def test_voiding_that_comes_first_holds(records: Records) -> None:
    await records.send(make_statement(3, verb=VOIDED, object=reference(1)))
    await records.send(make_statement(1))
    assert await records.ids() == [3]


async def test_voiding_is_not_voided(records: Records) -> None:
    await records.send(make_statement(1), make_statement(2, verb=VOIDED, object=reference(1)))
    await records.send(make_statement(3, verb=VOIDED, object=reference(2)))
    assert await records.ids() == [3, 2]
    assert (await records.get(voidedStatementId=make_id(1)))["id"] == make_id(1)


@pytest.mark.parametrize(
    ("is_listed", "places_max"),
    [(False, 1_000), (True, 1_000), (True, 1)],
    ids=["looked through", "listed", "listed, a block a page"],
)
async def test_statements_of_our_own_pages_are_found_by_their_columns(
    records: Records, box: Box, school: School, monkeypatch: pytest.MonkeyPatch, is_listed: bool, places_max: int
) -> None:
    monkeypatch.setattr(statement_queries, "PLACES_MAX", places_max)
    monkeypatch.setattr(listing, "BLOCK", 16)
    monkeypatch.setattr(statement_queries, "BLOCK", 16)
    monkeypatch.setattr(statement_queries, "_UNLISTED_MAX", 1)
    tablets = [make_tablet(1), make_tablet(2)]
    for tablet, learner in zip(tablets, school.learners, strict=True):
        events = [tablet.event(learner, ("answered", "passed")[n % 2], item=f"q{n % 3}") for n in range(20)]
        assert (await records.client.post("/api/outbox", json=tablet.request(*events))).status == 200
    await records.send(make_statement(1, actor=school.learners[0].actor, verb={"id": f"{ADL}passed"}))
    if is_listed:
        await box.indexing.list_due()
    found = await _all(records, agent=school.learners[0].actor)
    assert len(found) == 21
    assert {row["actor"]["account"]["name"] for row in found} == {school.learners[0].actor["account"]["name"]}
    assert len(await _all(records, verb=f"{ADL}passed")) == 21
    assert len(await _all(records, activity="urn:x-edgebox:org.edgebox.fractions:halves:q1")) == 14
    assert len(await _all(records, activity="urn:x-edgebox:org.edgebox.fractions", related_activities="true")) == 40
    registrations = {row["context"]["registration"] for row in await _all(records) if "context" in row}
    assert len(registrations) == 2
    for registration in registrations:
        assert len(await _all(records, registration=registration)) == 20
    everything = [row["id"] for row in await _all(records, ascending="true")]
    assert everything == [row["id"] for row in reversed(await _all(records, limit="7"))]


async def _all(records: Records, **params: Any) -> list[dict[str, Any]]:
    page = await records.get(**params)
    found = list(page["statements"])
    while page["more"]:
        page = await (await records.client.get(page["more"], headers=records.headers)).json()
        found += page["statements"]
    return found


async def test_statement_about_work_on_our_own_page_is_found_with_it(records: Records, school: School) -> None:
    learner, tablet = school.learners[0], make_tablet()
    await records.client.post("/api/outbox", json=tablet.request(tablet.event(learner)))
    (own,) = (await records.get())["statements"]
    await records.send(make_statement(1, object={"objectType": "StatementRef", "id": own["id"]}))
    for params in ({"agent": learner.actor}, {"activity": own["object"]["id"]}):
        assert [row["id"] for row in (await records.get(**params))["statements"]] == [make_id(1), own["id"]]
    registration = own["context"]["registration"]
    assert len((await records.get(registration=registration))["statements"]) == 2


async def test_work_on_our_own_pages_is_not_voided(records: Records, school: School) -> None:
    learner, tablet = school.learners[0], make_tablet()
    await records.client.post("/api/outbox", json=tablet.request(tablet.event(learner)))
    (own,) = (await records.get())["statements"]
    await records.send(make_statement(1, verb=VOIDED, object={"objectType": "StatementRef", "id": own["id"]}))
    assert [row["id"] for row in (await records.get())["statements"]] == [make_id(1), own["id"]]
