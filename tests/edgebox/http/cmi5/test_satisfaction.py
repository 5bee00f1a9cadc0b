"""When units, blocks and courses are satisfied, and what the box says about it (cmi5 9.3.7, 9.3.9, 13.1.4)."""

from unittest.mock import AsyncMock

import pytest

from edgebox.domain.cmi5.vocabulary import Verb
from edgebox.keys import Box
from edgebox.services.launching import Launching
from edgebox.services.unit_statements import JUDGED_MAX
from edgebox.store.connections import StoreUnavailable
from tests.support.cmi5 import ACTOR, PUBLISHER, Client, block, bring, launch, package, structure, unit, verbs_of


async def said_after(driver: Client, course: str, *verbs: Verb) -> list[str]:
    one = await (await launch(driver, course)).start()
    for verb in verbs:
        assert await one.say(verb) == 200
    return [verb for verb, _ in await verbs_of(driver, one.registration)]


@pytest.mark.parametrize(
    ("move_on", "verbs", "expected"),
    [
        ("Completed", [Verb.PASSED], 0),
        ("Completed", [Verb.COMPLETED], 2),
        ("Passed", [Verb.COMPLETED], 0),
        ("Passed", [Verb.FAILED], 0),
        ("Passed", [Verb.PASSED], 2),
        ("CompletedAndPassed", [Verb.COMPLETED], 0),
        ("CompletedAndPassed", [Verb.PASSED, Verb.COMPLETED], 2),
        ("CompletedOrPassed", [Verb.PASSED], 2),
        ("CompletedOrPassed", [Verb.COMPLETED, Verb.PASSED], 2),
    ],
)
async def test_block_and_course_are_satisfied_once_by_what_a_unit_needs(
    driver: Client, move_on: str, verbs: list[Verb], expected: int
) -> None:
    course = await bring(driver, package(structure(block("b", unit("one", moveOn=move_on)))))
    said = await said_after(driver, course, *verbs)
    assert said.count("satisfied") == expected


async def test_what_needs_nothing_is_satisfied_before_the_first_launch(driver: Client) -> None:
    course = await bring(driver, package(structure(block("b", unit("one")), unit("two", moveOn="Passed"))))
    one = await launch(driver, course)
    said = await verbs_of(driver, one.registration)
    assert [verb for verb, _ in said] == ["satisfied", "launched"]
    assert said[0][1] != said[1][1]  # outside a launch, the session is one of its own


async def test_a_launch_that_satisfies_much_says_it_in_many_short_transactions(
    driver: Client, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    course = await bring(driver, package(structure(*(block(f"b{no}", unit(f"u{no}")) for no in range(50)))))
    with monkeypatch.context() as cut:
        cut.setattr(Launching, "_judge_rest", AsyncMock(side_effect=StoreUnavailable))
        answer = await driver.post(f"/cmi5/courses/{course}/units/0/launch", json={"actor": ACTOR})
    assert answer.status == StoreUnavailable.status
    one = await launch(driver, course)
    said = [verb for verb, _ in await verbs_of(driver, one.registration)]
    assert (said.count("satisfied"), said.count("launched")) == (51, 2)
    query = "SELECT max(n), count(*) FROM (SELECT count(*) AS n FROM statement GROUP BY stored_ms)"
    most, transactions = await box.database.read(lambda connection: tuple(connection.execute(query).fetchone()))
    assert (most <= JUDGED_MAX + 2, transactions) == (True, 4)


async def test_inner_blocks_come_before_outer_ones_and_the_course_last(driver: Client) -> None:
    inner = block("inner", unit("one", moveOn="Completed"))
    course = await bring(driver, package(structure(block("outer", inner, unit("two")))))
    one = await (await launch(driver, course)).start()
    assert await one.say(Verb.COMPLETED) == 200
    params = {"registration": one.registration, "verb": Verb.SATISFIED.value, "ascending": "true"}
    found = (await (await driver.get("/xapi/statements", params=params)).json())["statements"]
    published = [statement["context"]["contextActivities"]["grouping"][0]["id"] for statement in found]
    assert published == [f"{PUBLISHER}/inner", f"{PUBLISHER}/outer", PUBLISHER]
    assert len({statement["object"]["id"] for statement in found} | {*published}) == 6
    assert [statement["object"]["definition"]["type"].rsplit("/", 1)[1] for statement in found] == [
        "block", "block", "course",
    ]  # fmt: skip


def version(*children: str, title: str = "Rocks") -> bytes:
    return package(structure(*children).replace(b"Rocks", title.encode()))


async def test_what_was_said_of_a_unit_stays_with_it_in_the_next_version(driver: Client) -> None:
    intro, exam = unit("intro", moveOn="Completed"), unit("exam", moveOn="Passed")
    course = await bring(driver, version(intro, exam))
    one = await (await launch(driver, course)).start()
    assert await one.say(Verb.COMPLETED) == 200
    assert await bring(driver, version(unit("final", moveOn="Completed"), intro, exam, title="Stones")) == course
    final = await (await launch(driver, course)).start()
    assert (final.registration, final.activity == one.activity) == (one.registration, False)
    assert await final.say(Verb.COMPLETED) == 200
    again = await (await launch(driver, course, 1)).start()
    assert (again.activity, await again.say(Verb.COMPLETED)) == (one.activity, 403)


async def test_blocks_that_change_places_are_called_satisfied_once_each(driver: Client) -> None:
    first, second = block("A", unit("a", moveOn="Completed")), block("B", unit("b", moveOn="Completed"))
    course = await bring(driver, version(first, second))
    one = await (await launch(driver, course)).start()
    assert await one.say(Verb.COMPLETED) == 200
    await bring(driver, version(second, first))
    two = await (await launch(driver, course)).start()
    assert await two.say(Verb.COMPLETED) == 200
    params = {"registration": two.registration, "verb": Verb.SATISFIED.value, "ascending": "true"}
    found = (await (await driver.get("/xapi/statements", params=params)).json())["statements"]
    published = [statement["context"]["contextActivities"]["grouping"][0]["id"] for statement in found]
    assert published == [f"{PUBLISHER}/A", f"{PUBLISHER}/B", PUBLISHER]
    assert len({statement["object"]["id"] for statement in found}) == 3


async def test_a_version_that_asks_for_less_is_judged_at_the_next_launch(driver: Client) -> None:
    intro = unit("intro", moveOn="Completed")
    course = await bring(driver, version(intro, unit("exam", moveOn="Passed")))
    one = await (await launch(driver, course)).start()
    assert await one.say(Verb.COMPLETED) == 200
    await bring(driver, version(intro))
    await launch(driver, course)
    said = [verb for verb, _ in await verbs_of(driver, one.registration)]
    assert said[-3:] == ["satisfied", "abandoned", "launched"]


async def test_a_waived_unit_counts_as_done_once_in_a_registration(driver: Client) -> None:
    course = await bring(driver, package(structure(unit("one", moveOn="Passed"), unit("two", moveOn="Passed"))))
    one = await (await launch(driver, course)).start()
    assert await one.say(Verb.PASSED) == 200
    address = f"/cmi5/registrations/{one.registration}/units/1/waive"
    assert (await driver.post(address, json={"reason": "Tested Out"})).status == 204
    said = await verbs_of(driver, one.registration)
    assert [verb for verb, _ in said][-2:] == ["waived", "satisfied"]
    assert said[-1][1] == said[-2][1] != said[0][1]
    assert (await driver.post(address, json={"reason": "Tested Out"})).status == 409
    assert (await driver.post(f"/cmi5/registrations/{one.registration}/units/2/waive", json={})).status == 404


@pytest.mark.parametrize(
    ("verb", "score", "status"),
    [(Verb.PASSED, 0.8, 200), (Verb.PASSED, 0.79, 403), (Verb.FAILED, 0.79, 200), (Verb.FAILED, 0.8, 403)],
)
async def test_a_score_has_to_fit_the_mastery_score(driver: Client, verb: Verb, score: float, status: int) -> None:
    course = await bring(driver, package(structure(unit("one", moveOn="Passed", masteryScore="0.8"))))
    one = await (await launch(driver, course)).start()
    assert await one.say(verb, score) == status


@pytest.mark.parametrize("mode", ["Browse", "Review"])
async def test_nothing_is_judged_in_other_modes_than_normal(driver: Client, mode: str) -> None:
    course = await bring(driver, package(structure(unit("one", moveOn="Passed"))))
    one = await (await launch(driver, course, launchMode=mode)).start()
    assert [await one.say(verb) for verb in (Verb.COMPLETED, Verb.PASSED, Verb.FAILED)] == [403, 403, 403]
    assert await one.say(Verb.TERMINATED) == 200


async def test_passed_and_completed_come_once_in_all_sessions_of_a_registration(driver: Client) -> None:
    course = await bring(driver, package(structure(unit("one", moveOn="CompletedAndPassed"))))
    first = await (await launch(driver, course)).start()
    for verb in (Verb.PASSED, Verb.COMPLETED, Verb.TERMINATED):
        assert await first.say(verb) == 200
    second = await (await launch(driver, course)).start()
    assert [await second.say(verb) for verb in (Verb.PASSED, Verb.COMPLETED, Verb.FAILED)] == [403, 403, 403]
    retaken = await (await launch(driver, course, retake=True)).start()
    assert await retaken.say(Verb.PASSED) == 200


async def test_a_request_with_one_wrong_statement_keeps_none_of_them(driver: Client) -> None:
    course = await bring(driver, package(structure(unit("one", moveOn="Completed"))))
    one = await (await launch(driver, course)).start()
    assert await one.send(one.statement(Verb.COMPLETED), one.statement(Verb.COMPLETED)) == 403
    assert [verb for verb, _ in await verbs_of(driver, one.registration)][-1] == "initialized"
    assert await one.send(one.statement(Verb.COMPLETED), one.statement(Verb.TERMINATED)) == 200
