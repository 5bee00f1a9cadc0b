"""The power goes while units are launched and speak: what the box says of a launch is there whole, or not at all."""

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from content_packs.base import ids
from content_packs.format.cmi5 import Course, MoveOn, Titled, Unit, write_course
from edgebox.domain.cmi5.session import Mode
from edgebox.domain.cmi5.vocabulary import SESSION_ID, Verb
from edgebox.services.course_units import Opened
from edgebox.services.launching import Launching, Wish
from edgebox.store import registry
from edgebox.store.database import _commit_group
from tests.damage.test_power_cuts import CALLS, CHECKPOINT_PAGES, DATABASE, SEED, Waiting, make_disk
from tests.support.box import School
from tests.support.lazy_disk import LazyDisk, PowerCut, Trouble, open_lazy

CUTS = 150
UNIT = Unit(Titled("https://example.org/one", {"en": "One"}, {"en": "One"}), "index.html", move_on=MoveOn.COMPLETED)
COURSE = Course(Titled("https://example.org/", {"en": "All"}, {"en": "All"}), (1,), (UNIT,))
OPENED = Opened("local.a.b", 1, write_course(COURSE), COURSE, 1, "files/index.html")


def jobs(school: School) -> Iterator[Waiting]:
    """Return one launch after another; each abandons the one before it. Now and then the unit is waived."""
    recording = SimpleNamespace(registry=registry.Registry({}, {}), times=None)
    identity = SimpleNamespace(home_page=school.home_page, submit_key=bytes(32))
    launching = Launching(*cast(Any, (None, None, recording, identity)))
    learner = school.learners[0]
    agent = f"account:{learner.actor['account']['homePage']} {learner.actor['account']['name']}"
    for number in itertools.count():
        session = ids.random_uuid()
        wish = Wish(learner.actor, "http://box/index.html", Mode.NORMAL, is_retake=number % 5 == 0, languages="en")

        def job(connection: Any, wish: Wish = wish, session: bytes = session, at_ms: int = number + 1) -> Any:
            return launching._launch(connection, OPENED, wish, agent, learner.no, session, at_ms)

        yield Waiting(job, [session])


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
    launches = dict(map(tuple, connection.execute("SELECT session, ended_ms FROM cmi5_launch").fetchall()))
    said: dict[str, list[bytes]] = {}
    for (body,) in connection.execute("SELECT body FROM statement").fetchall():
        statement = json.loads(body)
        session = ids.parse_uuid(statement["context"]["extensions"][SESSION_ID])
        said.setdefault(statement["verb"]["id"], []).append(session)
    assert acked <= launches.keys()
    assert sorted(said.get(Verb.LAUNCHED.value, [])) == sorted(launches)
    ended = [session for session, ended_ms in launches.items() if ended_ms is not None]
    assert sorted(said.get(Verb.ABANDONED.value, [])) == sorted(ended)
    turns = connection.execute("SELECT count(*) FROM cmi5_registration WHERE ended_ms IS NULL").fetchone()[0]
    documents = connection.execute("SELECT count(*) FROM activity_state").fetchone()[0]
    registrations = connection.execute("SELECT count(DISTINCT registration_no) FROM cmi5_launch").fetchone()[0]
    assert (turns, documents) == (min(len(launches), 1), registrations)
    connection.close()


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
