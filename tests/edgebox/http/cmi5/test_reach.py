"""What is out of a unit's reach: progress on anything else, and what others said (cmi5 7.1.3)."""

from typing import Any

import pytest

from edgebox.domain.cmi5.vocabulary import Verb
from edgebox.domain.xapi.rules import PROGRESS_EXTENSION
from edgebox.keys import Box
from tests.support.box import School
from tests.support.cmi5 import Client, Unit, bring, launch, package, structure, unit

RESULT = {"success": True, "completion": True, "score": {"scaled": 1}, "extensions": {PROGRESS_EXTENSION: 90}}
PROGRESS = "SELECT iri, progress, is_complete, score_scaled FROM progress JOIN activity ON activity.no = activity_no"


async def started(driver: Client, school: School, number: int = 0, **fields: Any) -> Unit:
    course = await bring(driver, package(structure(unit("one", moveOn="Passed"))))
    return await (await launch(driver, course, actor=school.learners[number].actor, **fields)).start()


def undefined(one: Unit, verb: Verb, **changes: Any) -> dict[str, Any]:
    """Return a statement that cmi5 leaves open, because it lacks the category."""
    statement = one.statement(verb, **changes)
    del statement["context"]["contextActivities"]["category"]
    return statement


async def rows(box: Box, query: str) -> list[tuple[Any, ...]]:
    return await box.database.read(lambda connection: list(map(tuple, connection.execute(query))))


@pytest.mark.parametrize("mode", ["Normal", "Browse"])
async def test_what_cmi5_does_not_define_is_stored_and_counts_for_nothing(
    driver: Client, box: Box, school: School, mode: str
) -> None:
    one = await started(driver, school, launchMode=mode)
    said = [undefined(one, verb, result=RESULT) for verb in (Verb.COMPLETED, Verb.PASSED)]
    assert await one.send(*said) == 200
    assert await rows(box, f"{PROGRESS} WHERE progress > 0 OR is_complete OR score_scaled IS NOT NULL") == []
    found = (await (await one.call("GET", "statements", params={"activity": one.activity})).json())["statements"]
    assert {statement["id"] for statement in said} <= {statement["id"] for statement in found}


async def test_what_cmi5_does_not_define_counts_for_nothing_at_the_hub_either(
    driver: Client, box: Box, school: School
) -> None:
    one = await started(driver, school)
    assert await one.send(undefined(one, Verb.COMPLETED, result=RESULT)) == 200
    query = """
    SELECT activity.item IS NULL FROM statement JOIN verb ON verb.no = verb_no
    JOIN activity ON activity.no = activity_no WHERE verb.iri = 'http://adlnet.gov/expapi/verbs/completed'
    """
    assert await rows(box, query) == [(0,)]  # reports ask for those about whole resources


@pytest.mark.parametrize("rest", ["science.g5:quiz-water", "science.g5", "science.g5:quiz-water:item"])
async def test_a_unit_says_nothing_of_what_else_the_box_names(
    driver: Client, box: Box, school: School, rest: str
) -> None:
    one = await started(driver, school)
    before = await rows(box, PROGRESS)
    said = undefined(one, Verb.PASSED, object={"id": f"urn:x-edgebox:{rest}"}, result=RESULT)
    assert await one.send(said) == 403
    assert await rows(box, PROGRESS) == before


async def test_a_unit_speaks_of_its_parts_and_not_of_its_neighbours(driver: Client, school: School) -> None:
    one = await started(driver, school)
    for rest, status in (("", 200), ("/slide", 200), ("?slide=2", 200), (":slide", 200), ("1", 403), ("-1", 403)):
        assert await one.send(undefined(one, Verb.COMPLETED, object={"id": one.activity + rest})) == status


async def test_a_unit_finds_no_statement_of_another_learner_by_her_own(driver: Client, school: School) -> None:
    mine, theirs = [await started(driver, school, number) for number in (0, 1)]
    said = mine.statement(Verb.COMPLETED)
    assert await mine.send(said) == 200
    about = {"objectType": "StatementRef", "id": said["id"]}
    answer = undefined(theirs, Verb.COMPLETED, object=about, result={"response": "hers"})
    assert await theirs.send(answer) == 200
    found = (await (await mine.call("GET", "statements")).json())["statements"]
    assert {statement["actor"]["account"]["name"] for statement in found} == {
        school.learners[0].actor["account"]["name"]
    }


async def test_a_unit_learns_nothing_of_a_statement_by_speaking_about_it(driver: Client, school: School) -> None:
    mine, theirs = [await started(driver, school, number) for number in (0, 1)]
    said = theirs.statement(Verb.COMPLETED)
    assert await theirs.send(said) == 200
    probe = undefined(mine, Verb.COMPLETED, object={"objectType": "StatementRef", "id": said["id"]})
    assert await mine.send(probe | {"verb": {"id": "urn:x:probe"}, "result": {}}) == 200
    for params in ({"verb": Verb.COMPLETED.value}, {"activity": theirs.activity, "verb": Verb.COMPLETED.value}):
        found = (await (await mine.call("GET", "statements", params=params)).json())["statements"]
        assert found == []
    found = (await (await mine.call("GET", "statements", params={"verb": "urn:x:probe"})).json())["statements"]
    assert [statement["id"] for statement in found] == [probe["id"]]


async def test_somebody_else_s_launch_reads_its_own_agent_alone(driver: Client) -> None:
    course = await bring(driver, package(structure(unit("one"))))
    mine, theirs = [
        await (await launch(driver, course, actor={"account": {"homePage": "https://e.org", "name": name}})).start()
        for name in ("ada", "bob")
    ]
    said = mine.statement(Verb.COMPLETED)
    assert await mine.send(said) == 200
    about = {"objectType": "StatementRef", "id": said["id"]}
    assert await theirs.send(undefined(theirs, Verb.COMPLETED, object=about, result={})) == 200
    found = (await (await mine.call("GET", "statements")).json())["statements"]
    assert {statement["actor"]["account"]["name"] for statement in found} == {"ada"}
