"""What leaves the box of launches: the statements of learners, as those of any outside client, and no others."""

from typing import Any

from edgebox.domain.cmi5.vocabulary import Verb
from edgebox.keys import Box
from edgebox.store.spans import read_span
from sync.records.rows import Statement
from tests.support.box import School
from tests.support.cmi5 import Client, bring, launch, package, structure, unit


async def travelling(box: Box) -> list[tuple[str, Statement]]:
    """Return verb and record of every statement that goes to the hub."""

    def query(connection: Any) -> list[tuple[str, Statement]]:
        span = read_span(connection, 1, max_changes=10_000, max_bytes=10_000_000)
        verbs = dict(map(tuple, connection.execute("SELECT no, iri FROM verb")))
        statements = [record for record in span.records if isinstance(record, Statement)] if span else []
        return [(verbs[record.verb_no].rsplit("/", 1)[1], record) for record in statements]

    return await box.database.read(query)


async def test_a_learner_s_statements_and_those_of_the_box_about_her_travel(
    driver: Client, box: Box, school: School
) -> None:
    course = await bring(driver, package(structure(unit("one", moveOn="Completed"))))
    learner = school.learners[0]
    one = await (await launch(driver, course, actor=learner.actor)).start()
    for verb in (Verb.COMPLETED, Verb.TERMINATED):
        assert await one.say(verb) == 200
    found = await travelling(box)
    assert sorted(verb for verb, _ in found) == ["completed", "initialized", "launched", "satisfied", "terminated"]
    assert {record.learner_no for _, record in found} == {learner.no}
    assert {record.registration.hex() for _, record in found if record.registration} == {
        one.registration.replace("-", "")
    }
    bodies = b"".join(record.body or b"" for _, record in found)
    assert b'"actor"' not in bodies
    assert learner.actor["account"]["name"].encode() not in bodies


async def test_statements_about_others_stay_on_the_box(driver: Client, box: Box) -> None:
    course = await bring(driver, package(structure(unit("one", moveOn="Completed"))))
    one = await (await launch(driver, course)).start()
    assert await one.say(Verb.COMPLETED) == 200
    assert await travelling(box) == []
