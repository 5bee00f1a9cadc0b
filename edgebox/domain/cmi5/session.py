"""A session: one launch of a unit for one learner, and how far it has come."""

from dataclasses import dataclass, replace
from enum import Enum

from edgebox.domain.cmi5.vocabulary import Verb
from edgebox.domain.lifetime import LIFETIMES
from edgebox.domain.session import Role

READS_FOR_MS = LIFETIMES[Role.LEARNER].total_ms  # from its launch, a unit reads and keeps documents
SPEAKS_FOR_MS = 7 * 24 * 3600 * 1000  # and hands in what was done on a tablet that was away


class Mode(Enum):
    """What a session may record (cmi5 10.2.2)."""

    NORMAL = "Normal"
    BROWSE = "Browse"
    REVIEW = "Review"


@dataclass(frozen=True, slots=True)
class Launch:
    """What a session was launched with; it does not change.

    Attributes:
        session, registration: UUIDs.
        agent: identifier of the actor.
        person_no: of the actor, None for somebody who is nobody of this box.
        activity_iri: of the unit, as the box names it.
        publisher_id: of the unit, as the course names it.
    """

    no: int
    session: bytes
    registration_no: int
    registration: bytes
    agent: str
    person_no: int | None
    activity_iri: str
    publisher_id: str
    mode: Mode
    mastery_score: float | None
    launched_ms: int


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a session and the registration it belongs to have come.

    Attributes:
        session_verbs: that the unit used in this session, in statements that cmi5 defines.
        unit_verbs: that it used in any session of the registration.
        has_read_launch, has_read_preferences: of the two documents that a unit reads before anything else.
        is_over: terminated or abandoned.
    """

    session_verbs: frozenset[Verb] = frozenset()
    unit_verbs: frozenset[Verb] = frozenset()
    has_read_launch: bool = False
    has_read_preferences: bool = False
    is_over: bool = False

    def after(self, verb: Verb) -> "Stage":
        """Return the stage after a statement of the unit."""
        return replace(
            self,
            session_verbs=self.session_verbs | {verb},
            unit_verbs=self.unit_verbs | {verb},
            is_over=self.is_over or verb is Verb.TERMINATED,
        )
