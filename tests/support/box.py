"""A box's data folder with a class, its learners and a teacher, made without starting the box; and tablets for it."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from content_packs.base import ids
from content_packs.base.clock import SystemClock
from edgebox.domain.statement_out import account
from edgebox.services import submit_token
from edgebox.services.identity import open_identity
from edgebox.services.signed_in import token_hash
from edgebox.services.submit_token import SubmitRight
from edgebox.settings import Settings, prepare_folders
from edgebox.store import roster, sessions
from edgebox.store.connections import open_writer
from edgebox.store.upgrade import upgrade

_SESSION_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Person:
    """A learner or teacher of the box.

    Attributes:
        token: submit token; only learners' are worth anything.
        session: value of the session cookie.
        actor: the agent that stands for the person in xAPI.
    """

    no: int
    pseudonym: bytes
    token: str
    session: str
    actor: dict[str, Any]

    @property
    def cookies(self) -> dict[str, str]:
        """Return the cookie of a browser in which the person is signed in."""
        return {"edgebox_session": self.session}


@dataclass(frozen=True)
class School:
    """What was made."""

    settings: Settings
    home_page: str
    class_no: int
    learners: list[Person]
    teacher: Person


@dataclass
class Tablet:
    """Makes events as a page of ours does: numbered from 1, each under the token of a learner."""

    device: str
    _next_seq: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    t: int = 1_763_780_000_000

    def event(self, learner: Person, verb: str = "answered", **changes: Any) -> dict[str, Any]:
        """Return the next event; `changes` replace or add fields."""
        self.t += 1500
        seq = next(self._next_seq)
        event = {
            "seq": seq,
            "attempt": 1,
            "token": learner.token,
            "t": self.t,
            "verb": verb,
            "pack": "org.edgebox.fractions",
            "resource": "halves",
        }
        return event | changes

    def request(self, *events: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Return the body of a request."""
        return {"device": self.device, "events": list(events), **more}


def make_tablet(no: int = 1) -> Tablet:
    """Return a tablet with a device id of its own."""
    return Tablet(f"{no:032x}")


def make_school(data: Path, learners: int = 2) -> School:
    """Make a data folder with one class; blocks, so call it outside the event loop."""
    settings = Settings(data=data, port=0, content_port=0)
    prepare_folders(settings)
    identity = open_identity(settings.keys)
    upgrade(data / "box.db")
    now_ms = SystemClock().now_ms()
    with _transaction(data / "box.db") as connection:
        class_no = roster.insert_class(connection, now_ms, "Class 4")
        nos = [roster.insert_learner(connection, now_ms, f"Learner {number}") for number in range(learners)]
        for person_no in nos:
            roster.set_enrollment(connection, now_ms, class_no, person_no)
        teacher_no = roster.insert_teacher(connection, now_ms, "teacher", "Teacher")
        pupils = [_person(connection, identity.submit_key, identity.home_page, no, now_ms) for no in nos]
        teacher = _person(connection, identity.submit_key, identity.home_page, teacher_no, now_ms)
    return School(settings, identity.home_page, class_no, pupils, teacher)


def _person(connection: Connection, key: bytes, home_page: str, person_no: int, now_ms: int) -> Person:
    pseudonym = connection.execute("SELECT pseudonym FROM person WHERE no = ?", (person_no,)).fetchone()[0]
    session = ids.new_token()
    sessions.insert_session(connection, token_hash(session), person_no, "0" * 40, now_ms, now_ms + _SESSION_MS)
    token = submit_token.make(key, SubmitRight(person_no, pseudonym))
    return Person(person_no, pseudonym, token, session, account(home_page, pseudonym))


@contextmanager
def _transaction(path: Path) -> Iterator[Connection]:
    connection = open_writer(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield connection
        connection.execute("COMMIT")
    finally:
        connection.close()
