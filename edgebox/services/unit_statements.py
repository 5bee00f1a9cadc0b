"""Statements of launched units inside the writer's transaction: held against the rules, and what follows from them.

What a session has said is read and kept in the transaction that stores its statements, so that two requests of one unit
cannot both be the first, and a power cut leaves all of it or nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from content_packs.base import ids
from content_packs.format.cmi5 import DEPTH_MAX, Block, Course, read_course
from edgebox.domain.cmi5.made import Teller
from edgebox.domain.cmi5.rules import SessionOver, is_defined, next_stage
from edgebox.domain.cmi5.satisfaction import WHOLE, satisfied
from edgebox.domain.cmi5.session import Launch, Stage
from edgebox.domain.cmi5.vocabulary import Verb
from edgebox.domain.statement_in import Sender, from_statement
from edgebox.domain.statement_out import authority_of
from edgebox.domain.statements import NewStatement
from edgebox.domain.xapi.agents import identifier_of
from edgebox.domain.xapi.version import Version
from edgebox.store import launches, statements
from edgebox.store.launches import Registration
from edgebox.store.registry import Numbers, Registry

# How much is said to be satisfied in one transaction, for which others wait: a turn may begin with hundreds of blocks.
JUDGED_MAX = 16
_MOVES_ON = frozenset({Verb.COMPLETED, Verb.PASSED})


@dataclass(frozen=True, slots=True)
class Admitted:
    """Statements of one request that keep the rules, and the stage after them; `is_new` if any was not known."""

    before: Stage
    after: Stage
    is_new: bool


class UnitStatements:
    """The rules of one box; `home_page` is that of its people's accounts."""

    def __init__(self, home_page: str) -> None:
        authority = identifier_of(authority_of(home_page, None)) or ""
        self._sender = Sender(home_page, authority, None, Version.ONE)

    def admit(
        self,
        connection: Any,
        launch: Launch,
        received: Sequence[Mapping[str, Any]],
        new: Sequence[NewStatement],
        now_ms: int,
    ) -> Admitted:
        """Return what a request of a unit comes to; what was stored before is taken as it is, once more.

        That holds for a session that is over as well: an answer may be lost, and only the box knows that it was given.
        A request of which nothing is defined by cmi5 is refused then all the same: nothing follows *terminated* (9.3).

        Raises:
            SessionOver, StatementRefused
        """
        before = after = launches.find_stage(connection, launch, now_ms)
        if before.is_over and not any(is_defined(dict(given)) for given in received):
            raise SessionOver
        is_new = False
        for given, statement in zip(received, new, strict=True):
            if not launches.is_known(connection, launch, statement.id):
                after = next_stage(launch, after, dict(given))
                is_new = True
        return Admitted(before, after, is_new)

    def follow(
        self, connection: Any, registry: Registry, launch: Launch, admitted: Admitted, now_ms: int
    ) -> Numbers | None:
        """Keep the stage of a session whose statements were stored, and say what is satisfied by them."""
        if not admitted.is_new:
            return None
        launches.store_stage(connection, launch, admitted.after, now_ms)
        if not (admitted.after.session_verbs - admitted.before.session_verbs) & _MOVES_ON:
            return None
        registration = launches.find_registration(connection, launch.registration)
        if registration is None:
            return None
        course = course_of(launches.find_course(connection, registration.course_no))
        said = self.judge(connection, registration, course, launch.session, now_ms)
        return self.tell(connection, registry, registration, said, now_ms)

    def judge(
        self,
        connection: Any,
        registration: Registration,
        course: Course,
        session: bytes,
        now_ms: int,
        at_most: int = DEPTH_MAX,
    ) -> list[dict[str, Any]]:
        """Return statements on what is satisfied by now and was not called so before.

        One verb of one unit satisfies nothing but what is around the unit, which is no more than `DEPTH_MAX`.
        """
        teller = Teller(registration.actor, registration.id, session, now_ms)
        parts = satisfied(course, launches.list_verbs(connection, registration.no))
        said_before = launches.list_satisfied(connection, registration.no)
        new = [part for part in parts if _id(part) not in said_before][:at_most]
        launches.note_satisfied(connection, registration.no, map(_id, new))
        return [teller.satisfied(registration.pack, part) for part in new]

    def tell(
        self,
        connection: Any,
        registry: Registry,
        registration: Registration,
        said: Sequence[Mapping[str, Any]],
        now_ms: int,
    ) -> Numbers:
        """Store statements of the box itself, in this order."""
        new = [
            from_statement(
                {"id": ids.format_uuid(ids.new_uuid7(now_ms)), **one}, registration.person_no, now_ms, self._sender
            )
            for one in said
        ]
        _taken, numbers = statements.insert_statements(connection, registry, new, now_ms)
        return numbers


def _id(part: Block | Course) -> str:
    return WHOLE if isinstance(part, Course) else part.about.id


@lru_cache(maxsize=4)
def course_of(content: bytes) -> Course:
    """Return the course in its file, read once for many: a large one takes a fifth of a second."""
    return read_course(content)
