"""A statement that was put aside as damaged is taken again, from whoever brings it, and listed once."""

import sqlite3
from typing import Any

import pytest

from content_packs.base import ids
from edgebox.domain.statement_in import from_record
from edgebox.keys import Box
from edgebox.store import spans
from edgebox.store.registry import Numbers, Registry
from edgebox.store.statements import insert_from_hub
from sync.records import rows
from sync.records.kinds import Kind
from tests.support.box import School, make_tablet
from tests.support.records import ADL, STATEMENTS, VOIDED, Records, make_id, make_statement, reference

AMINA, OMAR = {"mbox": "mailto:amina@example.org"}, {"mbox": "mailto:omar@example.org"}
# Two bits at least, so that it cannot be mended.
DAMAGE = "UPDATE statement SET timestamp_ms = timestamp_ms + 3333, success = 1 WHERE id = ?"


async def put_aside(box: Box, statement_id: bytes) -> None:
    changed = await box.database.write(lambda db: db.execute(DAMAGE, (statement_id,)).rowcount)
    found = await box.record_check.scrub(None)
    assert (changed, found.damaged) == (1, (statement_id,))
    assert [repair.statements for repair in await box.record_check.list_told()][-1] == 1


async def expect_whole(box: Box) -> None:
    found = await box.record_check.scrub(None)
    assert (found.damaged, found.is_missing, found.fault) == ((), False, "")


async def test_client_hands_in_again_what_was_put_aside(box: Box, records: Records) -> None:
    again = make_statement(1, context={"instructor": OMAR})
    await records.send(again, make_statement(2))
    await put_aside(box, ids.parse_uuid(make_id(1)))
    await records.send(again)
    await records.send(make_statement(3, object=reference(1)))
    assert await records.ids() == [3, 1, 2]
    assert await records.ids(agent=OMAR, related_agents="true") == [3, 1]
    await expect_whole(box)


async def test_what_was_taken_back_stays_taken_back(box: Box, records: Records) -> None:
    await records.send(make_statement(1), make_statement(2, verb=VOIDED, object=reference(1)))
    await put_aside(box, ids.parse_uuid(make_id(2)))
    await put_aside(box, ids.parse_uuid(make_id(1)))
    await records.send(make_statement(1))
    assert await records.ids() == []
    assert (await records.get(voidedStatementId=make_id(1)))["id"] == make_id(1)


async def test_tablet_hands_in_again_what_was_put_aside(box: Box, records: Records, school: School) -> None:
    tablet, learner = make_tablet(1), school.learners[0]
    sent = tablet.request(tablet.event(learner), tablet.event(learner, item="q2"))
    assert (await records.client.post("/api/outbox", json=sent)).status == 200
    first = (await records.get())["statements"][-1]["id"]
    await put_aside(box, ids.parse_uuid(first))
    assert (await records.client.post("/api/outbox", json=sent)).status == 200
    listed = [row["id"] for row in (await records.get())["statements"]]
    assert (len(listed), len(set(listed)), first in listed) == (2, 2, True)
    await expect_whole(box)


async def bring_from_hub(box: Box, statement_id: bytes, *, is_listed: bool) -> None:
    """Put a statement aside and have it back as the hub has it."""
    (record,) = await box.database.read(lambda db: spans.read_records(db, {Kind.STATEMENT: [statement_id]}))
    stored_ms = (await box.database.read(lambda db: tuple(db.execute("SELECT stored_ms FROM statement"))))[0][0]
    assert isinstance(record, rows.Statement)
    await put_aside(box, statement_id)

    def job(db: sqlite3.Connection) -> None:
        texts = [
            db.execute(f"SELECT iri FROM {name} WHERE no = ?", (no,)).fetchone()[0]
            for name, no in (("verb", record.verb_no), ("activity", record.activity_no))
        ]
        statement = from_record(record, record.learner_no or 0, texts[0], texts[1], None)
        assert statement is not None
        insert_from_hub(db, Numbers(db, Registry({}, {})), statement, None, stored_ms)
        if not is_listed:
            db.execute("DELETE FROM change WHERE key = ?", (statement_id,))
            db.execute("DELETE FROM outside")
            db.execute("DELETE FROM mention")

    await box.database.write(job)


@pytest.mark.parametrize("is_listed", [True, False], ids=["of this box", "of another box"])
@pytest.mark.parametrize("timed", [{}, {"timestamp": "2025-03-01T08:00:00Z"}], ids=["without a time", "with its time"])
async def test_sender_completes_what_the_hub_brought_back(
    box: Box, records: Records, school: School, timed: dict[str, Any], is_listed: bool
) -> None:
    again = make_statement(1, actor=school.learners[0].actor | {"name": "A"}, context={"instructor": OMAR}, **timed)
    await records.send(again)
    before = await records.get(statementId=make_id(1))
    await bring_from_hub(box, ids.parse_uuid(make_id(1)), is_listed=is_listed)
    assert "name" not in (await records.get(statementId=make_id(1)))["actor"]
    for other in ({"verb": {"id": f"{ADL}failed"}}, {"result": {"success": False}}, {"actor": AMINA}):
        assert (await records.ask("POST", STATEMENTS, json=again | other)).status == 409
    await records.send(again)
    after = await records.get(statementId=make_id(1))
    assert {**after, "stored": ""} == {**before, "stored": ""}
    assert is_listed is (after["stored"] == before["stored"])
    await records.send(again)
    assert (await records.ask("POST", STATEMENTS, json=again | {"context": {}})).status == 409
    assert await records.ids() == [1]
    assert await records.ids(agent=OMAR, related_agents="true") == [1]
    kept = "SELECT statement.client_no IS outside.client_no FROM statement JOIN outside USING (id)"
    assert await box.database.read(lambda db: [row[0] for row in db.execute(kept)]) == [1]
    await expect_whole(box)


async def test_statement_that_is_sent_back_as_the_box_returned_it_is_the_same(records: Records, box: Box) -> None:
    await records.send(
        make_statement(1), make_statement(2, context={"contextActivities": {"parent": {"id": "http://p/"}}})
    )
    returned = [await records.get(statementId=make_id(number)) for number in (1, 2)]
    await records.send(*returned)
    assert await records.ids() == [2, 1]
    assert await box.database.read(lambda db: db.execute("SELECT count(*) FROM statement_conflict").fetchone()[0]) == 0


async def test_another_time_is_another_content_where_the_sender_gave_one(records: Records) -> None:
    await records.send(make_statement(1, timestamp="2026-01-01T10:00:00+02:00"))
    await records.send(make_statement(1, timestamp="2026-01-01T08:00:00Z"))
    other = make_statement(1, timestamp="2026-01-01T08:00:01Z")
    assert (await records.ask("POST", STATEMENTS, json=other)).status == 409
