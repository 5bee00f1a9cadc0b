"""What one request may cost the box: rows, bytes, time on the event loop, room on the disk."""

import asyncio
import json
from collections.abc import AsyncIterator
from importlib import import_module
from threading import current_thread, main_thread
from typing import Any

import pytest

from edgebox.keys import Box
from edgebox.services import forms, record_store
from edgebox.store import outside, seals, statements
from tests.support.records import STATEMENTS, Records, make_id, make_statement, reference


def people(count: int) -> dict[str, Any]:
    """Return an object that mentions so many agents."""
    return {"objectType": "Group", "member": [{"mbox": f"mailto:{n}@example.org"} for n in range(count)]}


async def count(box: Box, query: str) -> int:
    return int(await box.database.read(lambda db: db.execute(query).fetchone()[0]))


async def test_statement_that_mentions_too_many_is_refused(records: Records, records_two: Records, box: Box) -> None:
    response = await records.ask("POST", STATEMENTS, json=make_statement(1, object=people(201)))
    assert (response.status, (await response.json())["code"]) == (400, "record.statement_malformed")
    groups = [{"objectType": "contextGroup", "group": people(40)} for _ in range(2)]
    other = [{"objectType": "contextAgent", "agent": {"mbox": f"mailto:{n}@example.com"}} for n in range(200)]
    crowd = make_statement(2, context={"contextGroups": groups, "contextAgents": other})
    assert (await records_two.ask("POST", STATEMENTS, json=crowd)).status == 400
    assert await count(box, "SELECT count(*) FROM mention") == 0


async def test_statement_about_another_gets_a_bounded_number_of_rows(records: Records, box: Box) -> None:
    """Each would inherit from the one before what that one inherited."""
    chain = []
    for number in range(1, 5):
        crowd = [{"mbox": f"mailto:{number}-{n}@example.org"} for n in range(150)]
        team = {"objectType": "Group", "mbox": "mailto:t@example.org", "member": crowd}
        changes = {"object": reference(number - 1)} if number > 1 else {}
        chain.append(make_statement(number, context={"team": team}, **changes))
    await records.send(*chain)
    most = "SELECT max(n) FROM (SELECT count(*) AS n FROM mention GROUP BY seq)"
    assert await count(box, most) == outside.TERMS_MAX
    assert await records.ids(activity="http://example.org/page") == [4, 3, 2, 1]


async def test_late_target_makes_a_bounded_number_of_rows(
    records: Records, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "_SPREAD_MAX_ROWS", 500)
    await records.send(*[make_statement(n, object=reference(1)) for n in range(2, 52)])
    before = await count(box, "SELECT count(*) FROM mention")
    await records.send(make_statement(1, object=people(record_store.MENTIONS_MAX - 10)))
    made = await count(box, "SELECT count(*) FROM mention") - before
    assert 500 < made < 500 + 3 * record_store.MENTIONS_MAX
    found = await records.ids(agent={"mbox": "mailto:5@example.org"}, related_agents="true")
    assert 1 in found
    assert len(found) > 1
    assert (await records.get(statementId=make_id(51)))["id"] == make_id(51)


def big_statement(number: int, size_bytes: int = 100_000) -> dict[str, Any]:
    """Return a statement of about this size."""
    texts = ["x" * 10_000] * (size_bytes // 10_000)
    return make_statement(number, context={"extensions": {"http://example.org/x": texts}})


STEPS = {
    "edgebox.http.xapi.statements": ("parse_json", "with_ids_only", "in_canonical_form", "write_json"),
    "edgebox.services.record_store": ("check_statement", "from_statement", "write_out"),
    "edgebox.http.xapi.call": ("parse_qsl",),
}


@pytest.fixture
def on_loop(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Which of the steps were taken since, and whether on the event loop."""
    found: dict[str, bool] = {}

    def watch(module: Any, name: str) -> None:
        step = getattr(module, name)

        def watched(*args: Any, **options: Any) -> Any:
            found[name] = found.get(name, False) or current_thread() is main_thread()
            return step(*args, **options)

        monkeypatch.setattr(module, name, watched)

    for module, names in STEPS.items():
        for name in names:
            watch(import_module(module), name)
    return found


async def test_large_input_and_output_is_worked_on_beside_the_event_loop(
    records: Records, on_loop: dict[str, bool]
) -> None:
    await records.send(big_statement(1))
    for form in ("exact", "ids", "canonical"):
        assert (await records.ids(format=form)) == [1]
        await records.get(format=form, statementId=make_id(1))
    form_headers = {"Content-Type": "application/x-www-form-urlencoded"}
    fields = {"content": json.dumps([big_statement(2)])}
    response = await records.ask("POST", STATEMENTS, params={"method": "POST"}, data=fields, headers=form_headers)
    assert response.status == 200
    assert on_loop == {name: False for names in STEPS.values() for name in names}


async def test_form_of_nobody_is_parsed_beside_the_event_loop(records: Records, on_loop: dict[str, bool]) -> None:
    headers = {"Authorization": "", "Content-Type": "application/x-www-form-urlencoded"}
    data = {"content": "%" * 100_000}
    response = await records.ask("POST", STATEMENTS, params={"method": "POST"}, data=data, headers=headers)
    assert response.status == 401
    assert on_loop == {"parse_qsl": False}


async def test_parameters_in_a_form_are_as_short_as_elsewhere(records: Records) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    fields = {"agent": json.dumps({"mbox": "mailto:" + "a" * 9_000 + "@example.org"})}
    response = await records.ask("POST", STATEMENTS, params={"method": "GET"}, data=fields, headers=headers)
    assert (response.status, (await response.json())["fields"]["where"]) == (400, "agent")


async def test_large_forms_of_nobody_come_in_few_at_a_time(records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "TOGETHER_MAX_BYTES", 300_000)
    headers = {"Authorization": "", "Content-Type": "application/x-www-form-urlencoded"}

    async def ask(size_bytes: int) -> int:
        data = b"content=" + b"x" * size_bytes
        response = await records.ask("POST", STATEMENTS, params={"method": "POST"}, data=data, headers=headers)
        return response.status

    begun, gate = asyncio.Event(), asyncio.Event()

    async def drip() -> AsyncIterator[bytes]:
        yield b"content="
        begun.set()
        await gate.wait()

    options = {"params": {"method": "POST"}, "headers": headers | {"Content-Length": "250000"}}
    slow = asyncio.create_task(records.ask("POST", STATEMENTS, data=drip(), **options))
    await begun.wait()
    while (status := await ask(100_000)) == 401:
        pass  # the slow one has not reached the box yet
    assert (status, await ask(1_000)) == (503, 401)
    slow.cancel()
    await asyncio.wait([slow])
    while await ask(100_000) == 503:
        pass  # nor has its end


async def test_definitions_count_towards_the_page(
    records: Records, on_loop: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    definition = {"description": {"en": "x" * 15_000}, "name": {"en": "y" * 15_000}}
    await records.send(make_statement(1, object={"id": "http://example.org/big", "definition": definition}))
    around = {"contextActivities": {"other": [{"id": "http://example.org/big"}] * 30}}
    await records.send(*[make_statement(number, context=around) for number in range(2, 10)])
    on_loop.clear()
    page = await records.get(format="canonical")
    assert len(page["statements"]) == 2
    assert on_loop == {"in_canonical_form": False, "write_json": False, "write_out": True}
    assert await records.ids(format="canonical") == list(range(9, 0, -1))
    assert len((await records.get(format="exact"))["statements"]) == 9


async def test_activities_are_counted_where_they_stand(records: Records) -> None:
    around = {"contextActivities": {"other": [{"id": "http://example.org/big"}] * 201}}
    response = await records.ask("POST", STATEMENTS, json=make_statement(1, context=around))
    assert (response.status, (await response.json())["code"]) == (400, "record.statement_malformed")


async def test_many_small_statements_are_checked_beside_the_event_loop(
    records: Records, on_loop: dict[str, bool]
) -> None:
    await records.send(*[make_statement(number) for number in range(1, 101)])
    assert not on_loop["check_statement"]
    assert not on_loop["from_statement"]


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The rows whose seal was looked at."""
    found: list[Any] = []
    is_whole = seals.is_whole

    def watched(names: Any, row: Any) -> bool:
        found.append(row)
        return is_whole(names, row)

    monkeypatch.setattr(seals, "is_whole", watched)
    return found


@pytest.mark.parametrize("ascending", ["true", "false"])
async def test_page_ends_after_so_many_bytes_and_nothing_is_lost(
    records: Records, rows_read: list[Any], ascending: str
) -> None:
    for start in range(1, 31, 3):
        await records.send(*[big_statement(number, 200_000) for number in range(start, start + 3)])
    rows_read.clear()
    page = await records.get(ascending=ascending)
    assert len(page["statements"]) == 11  # the one with which 2 MB are reached
    assert len(rows_read) == 11
    assert sorted(await records.ids(ascending=ascending)) == list(range(1, 31))


async def test_page_of_one_statement_reads_one_row(records: Records, rows_read: list[Any]) -> None:
    await records.send(*[make_statement(number) for number in range(1, 41)])
    rows_read.clear()
    page = await records.get(limit="1")
    assert [row["id"] for row in page["statements"]] == [make_id(40)]
    assert len(rows_read) == 1


async def test_other_contents_under_one_id_are_kept_aside_up_to_a_number(records: Records, box: Box) -> None:
    await records.send(make_statement(1))
    for number in range(statements.CONFLICTS_MAX + 2):
        other = make_statement(1, object={"id": f"http://example.org/{number}"})
        assert (await records.ask("POST", STATEMENTS, json=other)).status == 409
    assert await count(box, "SELECT count(*) FROM statement_conflict") == statements.CONFLICTS_MAX
