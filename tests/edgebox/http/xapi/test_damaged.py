"""A damaged statement is not there until it is put right, and takes no other one with it."""

import sqlite3
from typing import Any

import pytest

from edgebox.keys import Box
from edgebox.store import listing, statement_queries
from edgebox.store.outside import refit
from tests.support.box import School, make_tablet
from tests.support.records import STATEMENTS, VOIDED, Records, make_id, make_statement, outside_client, reference

NO_TEXT = "UPDATE statement SET response = CAST(x'ff41' AS TEXT) WHERE id = ?"
OTHER_VERB = "UPDATE statement SET verb_no = 3 - verb_no WHERE id = ?"
NO_VERB = "UPDATE statement SET verb_no = verb_no + 8 WHERE id = ?"  # one bit, which can be turned back


async def hand_in(records: Records, school: School, count: int) -> list[dict[str, Any]]:
    """Hand in from a tablet, and return the statements in the order of the log."""
    tablet, learner = make_tablet(1), school.learners[0]
    events = [tablet.event(learner, ("answered", "passed")[n % 2], item=f"q{n}") for n in range(count)]
    assert (await records.client.post("/api/outbox", json=tablet.request(*events))).status == 200
    return list((await records.get(ascending="true"))["statements"])


async def damage(box: Box, sql: str, statement: dict[str, Any]) -> None:
    row_id = bytes.fromhex(statement["id"].replace("-", ""))
    assert await box.database.write(lambda db: db.execute(sql, (row_id,)).rowcount) == 1


def read_all(db: sqlite3.Connection) -> list[listing.Lists]:
    return [listing.read_lists(db, block) for block in range(10)]


async def test_text_that_is_none_hides_one_statement_only(records: Records, box: Box, school: School) -> None:
    made = await hand_in(records, school, 5)
    await damage(box, NO_TEXT, made[2])
    found = [row["id"] for row in (await records.get(ascending="true"))["statements"]]
    assert found == [row["id"] for row in made if row is not made[2]]
    response = await records.ask("GET", STATEMENTS, params={"statementId": made[2]["id"]})
    assert response.status == 404


async def test_mended_statement_is_found_although_it_was_listed_as_damaged(
    records: Records, box: Box, school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (listing, statement_queries):
        monkeypatch.setattr(module, "BLOCK", 8)
    made = await hand_in(records, school, 24)
    verb = made[9]["verb"]["id"]
    whole = await box.database.read(read_all)
    await damage(box, NO_VERB, made[9])
    await box.indexing.list_due()
    assert await box.database.read(read_all) != whole
    assert len((await records.get(verb=verb))["statements"]) == 11
    assert len((await box.record_check.scrub(None)).damaged) == 1
    for _ in range(2):
        found = [row["id"] for row in (await records.get(verb=verb))["statements"]]
        assert (len(found), len(set(found)), found[0]) == (12, 12, made[9]["id"])
        await box.indexing.list_due()


async def test_mended_statement_hides_none_that_are_newer(records: Records, box: Box, school: School) -> None:
    made = []
    for number in range(8):
        await records.send(make_statement(number))
        made.append(await records.get(statementId=make_id(number)))
    for _ in range(3):
        for statement in made[:6]:
            await damage(box, NO_VERB, statement)
        assert len((await box.record_check.scrub(None)).damaged) == 6
    for number in range(8):
        newer = list(range(number + 1, 8))
        assert sorted(await records.ids(since=made[number]["stored"])) == newer


async def test_statement_about_a_damaged_one_is_not_found_by_what_is_damaged(
    records: Records, box: Box, school: School
) -> None:
    made = await hand_in(records, school, 2)
    await damage(box, OTHER_VERB, made[0])
    await records.send(make_statement(1, object={"objectType": "StatementRef", "id": made[0]["id"]}))
    assert [row["id"] for row in (await records.get(verb=made[1]["verb"]["id"]))["statements"]] == [made[1]["id"]]


async def test_statements_are_found_as_before_when_what_is_kept_beside_them_was_lost(box: Box) -> None:
    parent = {"contextActivities": {"parent": {"id": "http://example.org/parent"}}}
    named = {"id": "http://example.org/named", "definition": {"name": {"en": "Named"}}}
    async with outside_client(box) as client:
        await client.send(
            make_statement(1),
            make_statement(2, object=reference(1)),
            make_statement(3, context=parent),
            make_statement(4, object=named),
        )
        authority = (await client.get())["statements"][0]["authority"]

        async def find() -> list[Any]:
            return [
                await client.ids(activity="http://example.org/page"),
                await client.ids(activity="http://example.org/parent", related_activities="true"),
                await client.ids(agent=authority, related_agents="true"),
                (await client.get(activity=named["id"], format="canonical"))["statements"][0]["object"],
            ]

        def lose(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM outside")
            connection.execute("DELETE FROM definition")
            connection.execute("DELETE FROM activity WHERE iri = 'http://example.org/parent'")
            refit(connection)

        before = await find()
        assert before[:3] == [[3, 2, 1], [3], [4, 3, 2, 1]]
        await box.database.write(lose)
        assert await find() == before


BESIDE = {
    "verb": "UPDATE verb SET iri = iri || 'e'",
    "activity": "UPDATE activity SET item = 'q6' WHERE item = 'q2'",
    "device": "UPDATE device SET id = CAST(substr(id, 1, 15) || x'00' AS BLOB)",
    "person": "UPDATE person SET pseudonym = CAST(substr(pseudonym, 1, 15) || x'00' AS BLOB)",
}


@pytest.mark.parametrize("table", BESIDE)
async def test_statement_whose_names_were_changed_is_not_served(
    table: str, records: Records, box: Box, school: School
) -> None:
    made = await hand_in(records, school, 5)
    assert await box.database.write(lambda db: db.execute(BESIDE[table]).rowcount)
    assert all(row in made for row in await served(records))
    assert len(await served(records)) < len(made)


@pytest.mark.parametrize("is_mended", [True, False])
async def test_statement_that_was_taken_back_stays_so_when_that_is_changed(is_mended: bool, box: Box) -> None:
    async with outside_client(box) as client:
        await client.send(make_statement(1))
        await client.send(make_statement(2, verb=VOIDED, object=reference(1)))
        sql = "UPDATE outside SET is_void = 0, voids = voids + ?"
        await box.database.write(lambda db: db.execute(sql, (0 if is_mended else 4,)).rowcount)
        assert 1 not in await client.ids()
        found = await box.record_check.scrub(None)
        assert len(found.unfit) == (1 if is_mended else 2)
        assert await client.ids() == [2]
        assert len((await box.record_check.scrub(None)).unfit) == (0 if is_mended else 1)


async def served(records: Records) -> list[dict[str, Any]]:
    return list((await records.get(ascending="true"))["statements"])
