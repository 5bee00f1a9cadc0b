"""The power goes while units are launched and speak: what the box says of a launch is there whole, or not at all."""

import asyncio
import itertools
import json
import random
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import AsyncMock

from content_packs.base import ids
from content_packs.format.cmi5 import Course, MoveOn, Titled, Unit, write_course
from edgebox.domain.cmi5.made import context_template
from edgebox.domain.cmi5.session import Mode
from edgebox.domain.cmi5.vocabulary import CATEGORY, MOVE_ON_CATEGORY, SESSION_ID, Verb, from_bits
from edgebox.domain.statement_in import from_statement
from edgebox.services.course_units import Opened
from edgebox.services.launching import Launching, Wish
from edgebox.services.unit_statements import UnitStatements
from edgebox.store import launches, registry, statements
from edgebox.store.database import _commit_group
from edgebox.store.registry import Registry
from tests.damage.test_power_cuts import CALLS, CHECKPOINT_PAGES, DATABASE, SEED, Waiting, make_disk
from tests.support.box import School
from tests.support.lazy_disk import LazyDisk, PowerCut, Trouble, open_lazy

CUTS = 150
COMPLETED_AT, WAIVED_AT = 2, 7  # of ten launches, in two turns
MOVES_ON = frozenset({Verb.COMPLETED, Verb.WAIVED})
UNIT = Unit(Titled("https://example.org/one", {"en": "One"}, {"en": "One"}), "index.html", move_on=MoveOn.COMPLETED)
COURSE = Course(Titled("https://example.org/", {"en": "All"}, {"en": "All"}), (1,), (UNIT,))
OPENED = Opened("local.a.b", 1, write_course(COURSE), COURSE, 1, "files/index.html")


def jobs(school: School) -> Iterator[Waiting]:
    """Return one launch after another; each abandons the one before it. Every fifth takes the course again.

    In one turn the unit says that it is completed, in the next it is waived.
    """
    recording = SimpleNamespace(registry=registry.Registry({}, {}), times=None)
    identity = SimpleNamespace(home_page=school.home_page, submit_key=bytes(32))
    reader = SimpleNamespace(read=AsyncMock(return_value=COURSE))
    launching = Launching(*cast(Any, (reader, None, recording, identity)))
    learner = school.learners[0]
    agent = f"account:{learner.actor['account']['homePage']} {learner.actor['account']['name']}"
    written: list[Any] = []
    launching._write = AsyncMock(side_effect=written.append)  # type: ignore[method-assign]
    turn = b""
    for number in itertools.count():
        session, at_ms = ids.random_uuid(), 2 * number + 1
        turn = turn if number % 5 else ids.random_uuid()
        wish = Wish(learner.actor, "http://box/index.html", Mode.NORMAL, turn, languages="en")

        def job(connection: Any, wish: Wish = wish, session: bytes = session, at_ms: int = at_ms) -> Any:
            return launching._launch(connection, OPENED, wish, agent, learner.no, session, at_ms)

        yield Waiting(job, [session])
        if number % 10 == COMPLETED_AT:
            said = [statement(verb, learner.actor, turn, session) for verb in (Verb.INITIALIZED, Verb.COMPLETED)]
            yield Waiting(partial(speak, launching._units, recording.registry, session, said, at_ms + 1), [])
        elif number % 10 == WAIVED_AT:
            asyncio.run(launching.waive(turn, 1, "Tested Out"))
            yield Waiting(partial(written.pop(), at_ms=at_ms + 1), [])


def statement(verb: Verb, actor: Mapping[str, Any], turn: bytes, session: bytes) -> dict[str, Any]:
    done = {"result": {"completion": True, "duration": "PT1S"}} if verb is Verb.COMPLETED else {}
    context = context_template(UNIT.about.id, session)
    context["contextActivities"]["category"] = [{"id": CATEGORY}, *([{"id": MOVE_ON_CATEGORY}] if done else [])]
    return {
        "id": ids.format_uuid(ids.random_uuid()),
        "actor": dict(actor),
        "verb": {"id": verb.value},
        "object": {"id": OPENED.activity_iri},
        "context": {"registration": ids.format_uuid(turn), **context},
        "timestamp": "2026-11-25T10:00:00Z",
        **done,
    }


def speak(
    units: UnitStatements, numbers: Registry, session: bytes, said: list[dict[str, Any]], at_ms: int, connection: Any
) -> None:
    """Store what a unit says as the record store does."""
    launch = launches.find_launch(connection, session)
    assert launch is not None
    launches.note_read(connection, launch, launches.READ_LAUNCH | launches.READ_PREFERENCES)
    new = [from_statement(one, launch.person_no, at_ms, units._sender) for one in said]
    admitted = units.admit(connection, launch, said, new, at_ms)
    statements.insert_statements(connection, numbers, new, at_ms)
    units.follow(connection, numbers, launch, admitted, at_ms)


def launch_until_cut(disk: LazyDisk, school: School, rng: random.Random) -> set[bytes]:
    acked: set[bytes] = set()
    source = jobs(school)
    connection = None
    try:
        connection = open_lazy(disk, checkpoint_pages=CHECKPOINT_PAGES)
        while not disk.is_off:
            group = list(itertools.islice(source, rng.randint(1, 4)))
            while group:
                done = _commit_group(connection, group)
                if disk.is_off:
                    break
                assert not [waiting.error for waiting in group[:done] if waiting.error]
                acked.update(each for waiting in group[:done] for each in waiting.ids)
                group = group[done:]
    except PowerCut:
        pass
    finally:
        if connection is not None:
            connection.close()
    return acked


def check_whole(files: dict[str, bytes], acked: set[bytes]) -> None:
    """Fail if an acknowledged launch is missing, or any launch is there without all that belongs to it."""
    connection = open_lazy(LazyDisk(files))
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    sessions = dict(map(tuple, connection.execute("SELECT session, ended_ms FROM cmi5_launch").fetchall()))
    said: dict[str, list[bytes]] = {}
    for (body,) in connection.execute("SELECT body FROM statement").fetchall():
        statement = json.loads(body)
        session = ids.parse_uuid(statement["context"]["extensions"][SESSION_ID])
        said.setdefault(statement["verb"]["id"], []).append(session)
    assert acked <= sessions.keys()
    assert sorted(said.get(Verb.LAUNCHED.value, [])) == sorted(sessions)
    ended = [session for session, ended_ms in sessions.items() if ended_ms is not None]
    assert sorted(said.get(Verb.ABANDONED.value, [])) == sorted(ended)
    check_satisfied(connection, said)
    turns = connection.execute("SELECT count(*) FROM cmi5_registration WHERE ended_ms IS NULL").fetchone()[0]
    documents = connection.execute("SELECT count(*) FROM activity_state").fetchone()[0]
    registrations = connection.execute("SELECT count(DISTINCT registration_no) FROM cmi5_launch").fetchone()[0]
    assert (turns, documents) == (min(len(sessions), 1), registrations)
    connection.close()


def check_satisfied(connection: Any, said: dict[str, list[bytes]]) -> None:
    """Fail if a turn is called satisfied without the verb that satisfied it, or is not although there is one."""
    query = "SELECT verbs FROM cmi5_unit WHERE registration_no IN (SELECT registration_no FROM cmi5_satisfied)"
    moving = [from_bits(verbs) & MOVES_ON for (verbs,) in connection.execute(query).fetchall()]
    every = [from_bits(verbs) & MOVES_ON for (verbs,) in connection.execute("SELECT verbs FROM cmi5_unit").fetchall()]
    assert moving == [verbs for verbs in every if verbs]
    for verb in MOVES_ON:
        assert len(said.get(verb.value, [])) == sum(verb in verbs for verbs in moving)
    assert len(said.get(Verb.SATISFIED.value, [])) == len(moving)


def test_power_cuts_leave_launches_whole_and_keep_those_that_were_answered(tmp_path: Path) -> None:
    school, image = make_disk(tmp_path)
    acked_count = 0
    for number in range(CUTS):
        rng = random.Random(SEED * 1_000_003 + number)
        disk = LazyDisk({DATABASE: image}, Trouble(rng.randint(*CALLS)))
        acked = launch_until_cut(disk, school, rng)
        acked_count += len(acked)
        check_whole(disk.left_after_cut(rng), acked)
    assert acked_count > CUTS
