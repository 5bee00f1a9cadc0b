"""A tablet goes from hand to hand: what a unit may still do when its learner is gone, and for how long."""

from base64 import b64decode
from dataclasses import replace
from typing import Any

import pytest

from edgebox.domain.cmi5.rules import SessionOver
from edgebox.domain.cmi5.session import READS_FOR_MS, SPEAKS_FOR_MS
from edgebox.domain.cmi5.vocabulary import Verb
from edgebox.domain.secret import SecretKind
from edgebox.keys import Box
from edgebox.services.documents import Condition
from edgebox.store import boots
from edgebox.store.documents import Place, Subject
from sync.bundle.layout import ClockQuality
from tests.support.box import School
from tests.support.cmi5 import Client, Unit, bring, launch, package, structure, unit, verbs_of


async def started(driver: Client, school: School, **fields: Any) -> Unit:
    course = await bring(driver, package(structure(unit("one", moveOn="Completed"))))
    return await (await launch(driver, course, actor=school.learners[0].actor, **fields)).start()


async def may_read(one: Unit) -> bool:
    """Ask for everything that a unit reads or keeps, and tell whether it may; all of it or nothing."""
    answers = {
        (await one.call("GET", "activities/state", params=one.state())).status,
        (await one.call("GET", "statements")).status,
        (await one.call("PUT", "activities/state", params=one.state("bookmark"), json={})).status,
        (await one.call("GET", "activities/profile", params={"activityId": one.activity})).status,
    }
    assert answers in ({200, 204}, {403})
    return 200 in answers


async def make_older(box: Box, by_ms: int) -> None:
    await box.database.write(
        lambda connection: connection.execute("UPDATE cmi5_launch SET launched_ms = launched_ms - ?", (by_ms,)) and None
    )


async def sign_out(box: Box, school: School) -> None:
    session = box.signing_in.find_session(school.learners[0].session)
    assert session is not None
    await box.signing_in.sign_out(session)


async def sign_out_everywhere(box: Box, school: School) -> None:
    await box.signing_in.sign_out_person(school.learners[0].no)


async def change_secret(box: Box, school: School) -> None:
    await box.signing_in.new_secrets([school.learners[0].no], SecretKind.PICTURE)


async def sign_in_another(box: Box, school: School) -> None:
    first, second = school.learners
    session = box.signing_in.find_session(first.session)
    assert session is not None
    made = await box.signing_in.new_secrets([second.no], SecretKind.PIN)
    await box.signing_in.sign_in_learner(second.no, SecretKind.PIN, made[0].secret, session.device_key)


async def remove(box: Box, school: School) -> None:
    await box.database.write(
        lambda connection: (
            connection.execute("UPDATE person SET removed_ms = 1 WHERE no = ?", (school.learners[0].no,)) and None
        )
    )


LEAVING = [sign_out, sign_out_everywhere, change_secret, sign_in_another, remove]


@pytest.mark.parametrize("leave", LEAVING)
async def test_a_unit_whose_learner_left_hands_in_and_reads_nothing(
    driver: Client, box: Box, school: School, leave: Any
) -> None:
    one = await started(driver, school)
    assert await may_read(one)
    await leave(box, school)
    assert not await may_read(one)
    assert [await one.say(Verb.COMPLETED), await one.say(Verb.TERMINATED)] == [200, 200]
    said = [verb for verb, _ in await verbs_of(driver, one.registration)]
    assert [verb for verb in said if verb != "satisfied"] == ["launched", "initialized", "completed", "terminated"]


@pytest.mark.parametrize("leave", LEAVING)
async def test_an_address_that_nobody_opened_is_worth_nothing_when_its_learner_left(
    driver: Client, box: Box, school: School, leave: Any
) -> None:
    course = await bring(driver, package(structure(unit("one"))))
    one = await launch(driver, course, actor=school.learners[0].actor)
    await leave(box, school)
    assert (await one.ask_token())["error-code"] == "1"


async def test_who_signs_out_ends_nobody_else_s_unit(driver: Client, box: Box, school: School) -> None:
    course = await bring(driver, package(structure(unit("one"))))
    other = await (await launch(driver, course, actor=school.learners[1].actor)).start()
    await sign_out(box, school)
    assert await may_read(other)


async def test_a_launch_reads_as_long_as_a_sign_in_lasts_and_hands_in_for_a_week(
    driver: Client, box: Box, school: School
) -> None:
    one = await started(driver, school)
    said = one.statement(Verb.COMPLETED)
    await make_older(box, READS_FOR_MS + 1)
    assert not await may_read(one)
    assert await one.send(said) == 200
    await make_older(box, SPEAKS_FOR_MS - READS_FOR_MS)
    assert await one.say(Verb.TERMINATED) == 403
    assert await one.send(said) == 200  # it was stored
    unused = await launch(driver, one.activity.split(":")[2], actor=school.learners[0].actor)
    assert [verb for verb, _ in await verbs_of(driver, one.registration)].count("abandoned") == 1
    await make_older(box, READS_FOR_MS + 1)
    assert (await unused.ask_token())["error-code"] == "1"


async def test_a_launch_goes_on_when_the_clock_of_the_box_is_put_right(
    driver: Client, box: Box, school: School
) -> None:
    await started(driver, school)
    query = "SELECT launched_ms FROM cmi5_launch"

    def learn(connection: Any) -> int:
        saved, before_ms = boots.find_saved(connection), connection.execute(query).fetchone()[0]
        assert saved is not None
        later_ms = saved.now_ms + 2 * SPEAKS_FOR_MS
        boots.learn(connection, saved.now_ms, replace(saved, now_ms=later_ms, quality=ClockQuality.HUB))
        return int(connection.execute(query).fetchone()[0] - before_ms)

    assert await box.database.write(learn) == 2 * SPEAKS_FOR_MS


async def test_taking_a_course_again_abandons_what_was_open_in_the_turn_before(
    driver: Client, box: Box, school: School
) -> None:
    one = await started(driver, school)
    await launch(driver, one.activity.split(":")[2], actor=school.learners[0].actor, retake=True)
    assert [verb for verb, _ in await verbs_of(driver, one.registration)][-1] == "abandoned"
    assert [await may_read(one), await one.say(Verb.COMPLETED)] == [False, 403]


async def test_a_document_that_was_on_the_way_when_the_session_ended_is_not_kept(
    driver: Client, box: Box, school: School
) -> None:
    one = await started(driver, school)
    session = next(iter(one.template["extensions"].values()))
    caller = await box.launching.tokens.check(*b64decode(one.token).decode().split(":"))  # then its body is slow
    assert (await driver.post(f"/cmi5/sessions/{session}/abandon")).status == 204
    place = Place(Subject.STATE, person_no=caller.person_no, activity_iri=one.activity)
    condition = Condition(launch=caller.launch)
    for change in (box.documents.put, box.documents.merge):
        with pytest.raises(SessionOver):
            await change(place, "late", "application/json", b"{}", condition)
    with pytest.raises(SessionOver):
        await box.documents.delete(place, "late", condition)
    assert await box.documents.find(place, "late") is None
