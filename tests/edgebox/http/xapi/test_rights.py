"""Who may write and read what, with which sign-in."""

import json
from sqlite3 import Connection
from typing import Any

import pytest

from content_packs.base import ids
from edgebox.domain.caller import Reach
from edgebox.domain.statements import StoredStatement
from edgebox.keys import Box
from edgebox.store import referring, roster, statement_filters
from edgebox.store.spans import read_span
from edgebox.store.statement_queries import find_statement
from sync.records import rows
from sync.records.kinds import Kind
from tests.support.box import School
from tests.support.records import ADL, STATEMENTS, VOIDED, Records, make_id, make_statement, outside_client, reference

LOOKED_UP_MAX = 200  # for one question about two statements
AGENT = {"mbox": "mailto:amina@example.org"}
STATE = {"activityId": "http://example.org/page", "agent": AGENT, "stateId": "place"}


async def numbers(records: Records) -> list[int]:
    return sorted(await records.ids())


async def test_client_reads_as_far_as_staff_said(records: Records, box: Box, school: School) -> None:
    first, second = school.learners
    other = await box.database.write(lambda db: roster.insert_class(db, 0, "Class 5"))
    third = await box.database.write(lambda db: roster.insert_learner(db, 0, "Third"))
    await box.database.write(lambda db: roster.set_enrollment(db, 0, other, third))
    await records.send(make_statement(1, actor=first.actor), make_statement(2, actor=second.actor), make_statement(3))
    async with outside_client(box, reach=Reach.OWN) as own:
        await own.send(make_statement(4, actor=first.actor))
        assert await numbers(own) == [4]
        assert (await own.ask("GET", STATEMENTS, params={"statementId": make_id(1)})).status == 404
    async with outside_client(box, reach=Reach.CLASS, class_no=school.class_no) as of_class:
        assert await numbers(of_class) == [1, 2, 4]
        assert (await of_class.ask("GET", STATEMENTS, params={"statementId": make_id(3)})).status == 404
    async with outside_client(box, reach=Reach.CLASS, class_no=other) as of_other:
        assert await numbers(of_other) == []
    async with outside_client(box, reach=Reach.NONE) as blind:
        assert (await blind.ask("GET", STATEMENTS)).status == 403
    assert await numbers(records) == [1, 2, 3, 4]


@pytest.mark.parametrize("leaves", ["the class", "the school"])
async def test_client_of_a_class_reads_nothing_of_who_left(
    records: Records, box: Box, school: School, leaves: str
) -> None:
    first, second = school.learners
    await records.send(make_statement(1, actor=first.actor), make_statement(2, actor=second.actor))
    if leaves == "the class":
        await box.database.write(lambda db: roster.set_enrollment(db, 0, school.class_no, first.no, is_active=False))
    else:
        await box.database.write(lambda db: db.execute("UPDATE person SET removed_ms = 1 WHERE no = ?", (first.no,)))
    async with outside_client(box, reach=Reach.CLASS, class_no=school.class_no) as of_class:
        assert await numbers(of_class) == [2]


async def test_client_that_only_reads_writes_nothing(box: Box, records: Records) -> None:
    await records.ask("PUT", "/xapi/activities/state", params=STATE, json={"a": 1})
    async with outside_client(box, may_write=False) as reader:
        response = await reader.ask("POST", STATEMENTS, json=make_statement(1))
        assert (response.status, (await response.json())["code"]) == (403, "record.writing_refused")
        for method in ("PUT", "POST", "DELETE"):
            assert (await reader.ask(method, "/xapi/activities/state", params=STATE, json={})).status == 403
        assert await reader.get("/xapi/activities/state", **STATE) == {"a": 1}
        assert await numbers(reader) == []
    async with outside_client(box, may_write=False, reach=Reach.OWN) as nobody:
        assert (await nobody.ask("GET", "/xapi/activities/state", params=STATE)).status == 403


async def test_client_that_reads_nothing_reads_no_document_either(box: Box) -> None:
    async with outside_client(box, reach=Reach.NONE) as blind, outside_client(box, reach=Reach.OWN) as own:
        assert (await blind.ask("PUT", "/xapi/activities/state", params=STATE, json={"a": 1})).status == 204
        assert (await blind.ask("GET", "/xapi/activities/state", params=STATE)).status == 403
        assert await own.get("/xapi/activities/state", **STATE) == {"a": 1}


async def test_revoked_credential_is_refused_at_once_and_what_it_wrote_stays(box: Box, records: Records) -> None:
    async with outside_client(box) as ended:
        await ended.send(make_statement(1))
        (client,) = [one for one in await box.clients.list_all() if one.login == ended.login]
        await box.clients.revoke(client.no)
        response = await ended.ask("GET", STATEMENTS)
        assert (response.status, response.headers["WWW-Authenticate"]) == (401, 'Basic realm="edgebox"')
    assert await numbers(records) == [1]


async def test_secret_is_not_in_the_database(box: Box, records: Records) -> None:
    stored = await box.database.read(lambda db: [tuple(row) for row in db.execute("SELECT * FROM client")])
    basic = records.headers["Authorization"]
    assert len(stored[0][2]) == 32
    assert basic.split()[1] not in str(stored)


async def test_client_takes_back_only_what_it_wrote(box: Box, records: Records) -> None:
    await records.send(make_statement(1), make_statement(2))
    async with outside_client(box) as other:
        await other.send(make_statement(3, verb=VOIDED, object=reference(1)))
        assert await numbers(other) == [1, 2, 3]
    await records.send(make_statement(4, verb=VOIDED, object=reference(2)))
    assert await numbers(records) == [1, 3, 4]


async def test_cookie_of_a_browser_is_worth_nothing_beside_a_credential(records: Records, school: School) -> None:
    wrong = {"Authorization": "Basic eDp5"}
    options = {"headers": wrong, "cookies": school.teacher.cookies}
    assert (await records.ask("GET", STATEMENTS, **options)).status == 401


async def test_page_of_another_origin_writes_nothing_with_a_cookie(records: Records, school: School) -> None:
    learner = school.learners[0]
    headers = {"Authorization": "", "Origin": "http://elsewhere.example"}
    body = make_statement(1, actor=learner.actor)
    response = await records.ask("POST", STATEMENTS, json=body, headers=headers, cookies=learner.cookies)
    assert response.status == 403
    form = {"X-Experience-API-Version": "1.0.3", "content": json.dumps(body)}
    path = f"{STATEMENTS}?method=POST"
    sent = {"headers": {"Origin": "http://elsewhere.example"}, "cookies": learner.cookies}
    assert (await records.client.post(path, data=form, **sent)).status == 403
    assert await numbers(records) == []


@pytest.mark.parametrize("path", ["/xapi/agents", "/xapi/agents/profile", "/xapi/activities/state"])
async def test_learner_asks_only_about_herself(records: Records, school: School, path: str) -> None:
    first, second = school.learners
    for person, status in ((first, (200,)), (second, (403,))):
        params = {"agent": person.actor} | ({"activityId": "http://a"} if path.endswith("state") else {})
        options: dict[str, Any] = {"headers": {"Authorization": ""}, "cookies": first.cookies}
        assert (await records.ask("GET", path, params=params, **options)).status in status


async def test_learner_does_not_see_what_is_about_her_from_others(records: Records, school: School) -> None:
    first, second = school.learners
    await records.send(make_statement(1, actor=first.actor), make_statement(2, actor=second.actor, object=reference(1)))
    options: dict[str, Any] = {"headers": {"Authorization": ""}, "cookies": first.cookies}
    response = await records.ask("GET", STATEMENTS, **options)
    assert [row["id"] for row in (await response.json())["statements"]] == [make_id(1)]
    assert (await records.ask("GET", STATEMENTS, params={"statementId": make_id(2)}, **options)).status == 404


async def test_teacher_reads_what_people_of_the_school_did(records: Records, school: School) -> None:
    await records.send(make_statement(1, actor=school.learners[0].actor), make_statement(2))
    options: dict[str, Any] = {"headers": {"Authorization": ""}, "cookies": school.teacher.cookies}
    response = await records.ask("GET", STATEMENTS, **options)
    assert [row["id"] for row in (await response.json())["statements"]] == [make_id(1)]


async def test_work_written_by_a_client_counts_for_the_learner(records: Records, box: Box, school: School) -> None:
    activity = {"id": "urn:x-edgebox:org.edgebox.fractions:halves"}
    verb = {"id": f"{ADL}completed"}
    await records.send(make_statement(1, actor=school.learners[0].actor, verb=verb, object=activity))
    query = "SELECT person_no, is_complete FROM progress"
    done = await box.database.read(lambda db: [tuple(row) for row in db.execute(query)])
    assert done == [(school.learners[0].no, 1)]


async def test_statement_of_nobody_in_this_school_does_not_leave_it(records: Records, box: Box, school: School) -> None:
    around = {"instructor": {"mbox": "mailto:secret@example.org"}}
    secret = {"verb": {"id": "http://secret.org/v"}, "object": {"id": "http://secret.org/a"}}
    page = {"context": {"contextActivities": {"parent": [{"id": "http://secret.org/p"}]}}}
    await records.send(make_statement(1, **secret, **page), make_statement(3, actor=school.teacher.actor, **secret))
    await records.send(make_statement(2, actor=school.learners[0].actor, context=around))
    sent = await leaving(box)
    statements = [record for record in sent if isinstance(record, rows.Statement)]
    assert [record.learner_no for record in statements] == [school.learners[0].no]
    assert b"example.org/page" in (statements[0].body or b"")
    assert "secret" not in repr(sent)


async def test_activity_leaves_the_box_before_the_first_statement_of_a_learner_about_it(
    records: Records, box: Box, school: School
) -> None:
    about = {"verb": {"id": "http://example.org/v"}, "object": {"id": "http://example.org/a"}}
    await records.send(make_statement(1, **about))
    await records.send(make_statement(2, actor=school.learners[0].actor, **about))
    await records.send(make_statement(3, actor=school.learners[1].actor, **about))
    sent = [one for one in await leaving(box) if isinstance(one, rows.Verb | rows.Activity | rows.Statement)]
    assert [type(one) for one in sent] == [rows.Verb, rows.Activity, rows.Statement, rows.Statement]
    assert {one.iri for one in sent if not isinstance(one, rows.Statement)} == {about[part]["id"] for part in about}
    seqs = await box.database.read(lambda db: [row[0] for row in db.execute("SELECT kind FROM change ORDER BY seq")])
    assert seqs[-5:] == [Kind.STATEMENT, Kind.VERB, Kind.ACTIVITY, Kind.STATEMENT, Kind.STATEMENT]


async def leaving(box: Box) -> list[rows.Record]:
    span = await box.database.read(lambda db: read_span(db, 1, max_changes=1000, max_bytes=10**6))
    assert span is not None
    return span.records


async def test_credential_for_a_class_without_one_reads_nothing(box: Box, records: Records, school: School) -> None:
    await records.send(make_statement(1, actor=school.learners[0].actor), make_statement(2))
    async with outside_client(box, reach=Reach.CLASS, class_no=school.class_no) as of_class:
        assert await numbers(of_class) == [1]
        clear = "UPDATE client SET class_no = NULL WHERE login = ?"
        await box.database.write(lambda db: db.execute(clear, (of_class.login,)).rowcount)
        assert await numbers(of_class) == []


async def test_credential_for_a_class_reads_of_its_learners_only(box: Box, records: Records, school: School) -> None:
    teacher = school.teacher
    await box.database.write(lambda db: roster.set_enrollment(db, 0, school.class_no, teacher.no))
    await records.send(make_statement(1, actor=school.learners[0].actor), make_statement(2, actor=teacher.actor))
    async with outside_client(box, reach=Reach.CLASS, class_no=school.class_no) as of_class:
        assert await numbers(of_class) == [1]


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 2, 1)], ids=["target first", "target last"])
async def test_statement_about_another_tells_only_who_may_read_that_one(
    box: Box, records: Records, school: School, order: tuple[int, ...]
) -> None:
    secret = {"mbox": "mailto:secret@example.org"}
    around = {"contextActivities": {"grouping": {"id": "http://example.org/course"}}, "registration": make_id(0xABC)}
    statements = {
        1: make_statement(1, actor=secret, verb={"id": f"{ADL}failed"}, context=around),
        2: make_statement(2, actor=school.learners[0].actor, object=reference(1)),
        3: make_statement(3, actor=school.learners[0].actor, object=reference(2), verb={"id": f"{ADL}shared"}),
    }
    asked: list[tuple[dict[str, Any], list[int], list[int]]] = [
        ({"agent": secret}, [1, 2, 3], []),
        ({"verb": f"{ADL}failed"}, [1, 2, 3], []),
        ({"activity": "http://example.org/page"}, [1, 2, 3], []),
        ({"activity": "http://example.org/course", "related_activities": "true"}, [1, 2, 3], []),
        ({"registration": make_id(0xABC)}, [1, 2, 3], []),
        ({"agent": school.learners[0].actor}, [2, 3], [2, 3]),
        ({"verb": f"{ADL}experienced"}, [2, 3], [2, 3]),
        ({"verb": f"{ADL}shared"}, [3], [3]),
    ]
    async with outside_client(box, reach=Reach.OWN) as own:
        for number in order:
            await (records if number == 1 else own).send(statements[number])
        for params, everything, readable in asked:
            assert sorted(await records.ids(**params)) == everything
            assert sorted(await own.ids(**params)) == readable
            assert bool((await own.get(limit="1", **params))["more"]) is (len(readable) > 1)


async def test_statements_about_each_other_are_found_by_who_reads_some_and_the_walk_ends(
    box: Box, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (learner.actor for learner in school.learners)
    looked_up: list[bytes] = []

    def counted(connection: Connection, statement_id: bytes, reach: statement_filters.Reach) -> StoredStatement | None:
        looked_up.append(statement_id)
        assert len(looked_up) < LOOKED_UP_MAX, "a walk that does not end"
        return find_statement(connection, statement_id, reach)

    monkeypatch.setattr(referring, "find_statement", counted)
    async with (
        outside_client(box, reach=Reach.OWN) as own,
        outside_client(box, reach=Reach.CLASS, class_no=school.class_no) as of_class,
    ):
        await own.send(
            make_statement(1, actor=first, object=reference(2), verb={"id": f"{ADL}shared"}),
            make_statement(2, actor=second, object=reference(1)),
        )
        for reader, limit in ((own, "100"), (own, "1"), (of_class, "100"), (of_class, "1")):
            for params in ({"agent": first}, {"agent": second}, {"verb": f"{ADL}shared"}):
                looked_up.clear()
                assert await reader.ids(limit=limit, **params) == [2, 1]
                assert {ids.format_uuid(each) for each in looked_up} == {make_id(1), make_id(2)}


async def test_teacher_in_a_browser_writes_no_documents(records: Records, school: School) -> None:
    teacher = school.teacher
    options: dict[str, Any] = {"headers": {"Authorization": ""}, "cookies": teacher.cookies}
    places = [
        ("/xapi/activities/state", STATE | {"agent": teacher.actor}),
        ("/xapi/agents/profile", {"agent": teacher.actor, "profileId": "a"}),
    ]
    for path, params in places:
        for method in ("PUT", "POST", "DELETE"):
            response = await records.ask(method, path, params=params, json={"a": 1}, **options)
            assert (response.status, (await response.json())["code"]) == (403, "record.writing_refused")
        assert (await records.ask("GET", path, params=params, **options)).status == 404


async def test_authority_that_was_sent_finds_nothing(records: Records) -> None:
    sent = {"mbox": "mailto:head@example.org", "name": "Head"}
    await records.send(make_statement(1, authority=sent))
    assert await records.ids(agent=sent, related_agents="true") == []
    assert (await records.get("/xapi/agents", agent={"mbox": sent["mbox"]})).get("name") is None


async def test_page_of_a_learner_renames_nobody(records: Records, school: School) -> None:
    learner, team = school.learners[0], {"objectType": "Group", "name": "Team"}
    await records.send(make_statement(1, actor=AGENT | {"name": "Amina"}))
    member = {
        "context": {"team": team | {"member": [AGENT | {"name": "Cheat"}, {"mbox": "mailto:new@a.org", "name": "N"}]}}
    }
    options: dict[str, Any] = {"headers": {"Authorization": ""}, "cookies": learner.cookies}
    response = await records.ask("POST", STATEMENTS, json=make_statement(2, actor=learner.actor, **member), **options)
    assert response.status == 200
    assert (await records.get("/xapi/agents", agent=AGENT))["name"] == ["Amina"]
    assert (await records.get("/xapi/agents", agent={"mbox": "mailto:new@a.org"}))["name"] == ["N"]
    await records.send(make_statement(3, actor=AGENT | {"name": "Amina B."}))
    assert (await records.get("/xapi/agents", agent=AGENT))["name"] == ["Amina B."]
