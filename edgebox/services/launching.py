"""Launching the units of cmi5 courses: who takes which course, what a unit may do, and what the box says about it.

A launch is answered after the commit of everything that belongs to it: the registration, the abandoned session before
it, the document with the launch data and the launched statement.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.format import cmi5
from content_packs.format.cmi5 import Course
from edgebox.domain.cmi5.made import Teller, add_parameters, launch_document, preferences_document
from edgebox.domain.cmi5.satisfaction import WHOLE, has_said_all
from edgebox.domain.cmi5.session import Launch, Mode
from edgebox.domain.cmi5.vocabulary import LAUNCH_DATA, PREFERENCES, Verb
from edgebox.domain.xapi.agents import identifier_of
from edgebox.services.course_units import Opened, UnitUnknown
from edgebox.services.identity import Identity
from edgebox.services.launch_tokens import LaunchTokens
from edgebox.services.recording import Recording
from edgebox.services.unit_statements import JUDGED_MAX, UnitStatements, course_of
from edgebox.store import launches, roster
from edgebox.store.database import Database
from edgebox.store.documents import Document, Place, Subject, change_document, find_document
from edgebox.store.launches import Registration
from edgebox.store.registry import Numbers
from sync.records.activity import own_activity

REASON_MAX_CHARACTERS = 500
T = TypeVar("T")
_JSON_TYPE = "application/json"


class RegistrationUnknown(EdgeboxError):
    """A registration or session that the box did not make."""

    code = "course.registration_unknown"
    status = 404
    exit_code = 163
    sentence = N_("The box knows no such turn with a course.")
    remedy = N_("Open the course once, then try again.")


class RegistrationTaken(EdgeboxError):
    """A registration of another learner or course."""

    code = "course.registration_taken"
    status = 409
    exit_code = 164
    sentence = N_("This registration belongs to another learner or course.")
    remedy = N_("Leave it out, and the box makes one.")


class WaivedAlready(EdgeboxError):
    """A unit that was waived before in this registration (cmi5 9.3.7)."""

    code = "course.waived_already"
    status = 409
    exit_code = 165
    sentence = N_("This unit counts as done already.")
    remedy = N_("There is nothing to do.")


class ActorUnusable(EdgeboxError):
    """An actor for a launch that is no agent with an account (cmi5 9.2)."""

    code = "course.actor_unusable"
    status = 400
    exit_code = 166
    sentence = N_("A unit is launched for an agent with an account.")
    remedy = N_("Give the actor an account with homePage and name.")


@dataclass(frozen=True, slots=True)
class Wish:
    """For whom a unit is to be launched, and how.

    Attributes:
        address: of its page, without what the launch adds.
        registration: one that the caller knows or makes, None for that of the learner.
        is_retake: begin a new turn with the course.
        languages: the learner's, comma-separated; kept unless there are preferences.
    """

    actor: Mapping[str, Any]
    address: str
    mode: Mode = Mode.NORMAL
    registration: bytes | None = None
    is_retake: bool = False
    return_url: str = ""
    languages: str = ""


@dataclass(frozen=True, slots=True)
class Launched:
    """A launch that is durable; `url` is what a browser opens."""

    url: str
    session: bytes
    registration: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """How a learner stands with a unit: nothing is left to record of it, and the whole course is satisfied."""

    is_said: bool = False
    is_satisfied: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """A learner's turn with a course, and what was said of its units."""

    registration: Registration
    course: Course
    verbs: Mapping[str, frozenset[Verb]]


class Launching:
    """The launches of a box."""

    def __init__(self, database: Database, clock: Clock, recording: Recording, identity: Identity) -> None:
        self._database = database
        self._clock = clock
        self._recording = recording
        self.tokens = LaunchTokens(database, clock, identity)
        self._units = UnitStatements(identity.home_page)

    async def launch(self, opened: Opened, wish: Wish, origin: str, person_no: int | None) -> Launched:
        """Launch a unit; the answer is given once it is durable. `origin` is that of the box as the browser reaches it.

        Raises:
            ActorUnusable, RegistrationTaken
            StoreUnavailable: nothing was kept.
        """
        agent = identifier_of(dict(wish.actor))
        if agent is None or "account" not in wish.actor or wish.actor.get("objectType", "Agent") != "Agent":
            raise ActorUnusable
        session = ids.random_uuid()

        def job(connection: Any, at_ms: int) -> tuple[tuple[bytes, bool], list[Numbers]]:
            return self._launch(connection, opened, wish, agent, person_no, session, at_ms)

        registration, is_judged = await self._write(job)
        if not is_judged:
            await self._judge_rest(registration, opened.course)
        url = add_parameters(
            wish.address,
            {
                "endpoint": f"{origin}/xapi",
                "fetch": f"{origin}/cmi5/fetch/{self.tokens.fetch_key(session)}",
                "actor": json.dumps(dict(wish.actor), separators=(",", ":")),
                "registration": ids.format_uuid(registration),
                "activityId": opened.activity_iri,
            },
        )
        return Launched(url, session, registration)

    async def _write(self, job: Callable[[Any, int], tuple[T, list[Numbers]]]) -> T:
        result, found = await self._recording.times.write(self._clock.now_ms(), job)
        for numbers in found:
            self._recording.note_stored(numbers)
        return result

    def _launch(
        self,
        connection: Any,
        opened: Opened,
        wish: Wish,
        agent: str,
        person_no: int | None,
        session: bytes,
        at_ms: int,
    ) -> tuple[tuple[bytes, bool], list[Numbers]]:
        registry, unit = self._recording.registry, opened.unit
        registration, told = self._registration(connection, opened, wish, agent, person_no, at_ms)
        judged = self._units.judge(connection, registration, opened.course, ids.random_uuid(), at_ms, JUDGED_MAX)
        is_judged = len(judged) < JUDGED_MAX
        told += judged
        told += [
            _abandon(connection, registration, *one, at_ms) for one in launches.list_open(connection, registration.no)
        ]
        launch = Launch(
            0, session, registration.no, registration.id, agent, person_no, opened.activity_iri,
            unit.about.id, wish.mode, unit.mastery_score, at_ms,
        )  # fmt: skip
        launches.insert_launch(connection, launch)
        place = Place(
            Subject.STATE,
            person_no=person_no,
            agent=None if person_no is not None else agent,
            activity_iri=opened.activity_iri,
            registration=registration.id,
        )
        document = launch_document(unit, session, wish.mode, wish.return_url)
        _put(connection, place, LAUNCH_DATA, document, at_ms)
        _prefer(connection, agent, wish.languages, at_ms)
        teller = Teller(registration.actor, registration.id, session, at_ms)
        said = teller.launched(unit, opened.activity_iri, wish.address, wish.mode)
        numbers = self._units.tell(connection, registry, registration, [*told, said], at_ms)
        return (registration.id, is_judged), [numbers]

    def _registration(
        self, connection: Any, opened: Opened, wish: Wish, agent: str, person_no: int | None, at_ms: int
    ) -> tuple[Registration, list[dict[str, Any]]]:
        """Return the learner's turn with the course, made if need be, and say what was abandoned in the one before."""
        found = launches.find_current(connection, agent, opened.pack) if not wish.is_retake else None
        if wish.registration is not None:
            found = launches.find_registration(connection, wish.registration)
        if found is not None and (found.agent, found.pack) != (agent, opened.pack):
            raise RegistrationTaken
        course_no = launches.keep_course(connection, opened.pack, opened.version, opened.content)
        if found is not None:
            launches.set_course(connection, found.no, course_no)
            return found, []
        new_id = wish.registration or ids.random_uuid()
        told = []
        if (before := launches.find_current(connection, agent, opened.pack)) is not None:
            told = [_abandon(connection, before, *one, at_ms) for one in launches.list_open(connection, before.no)]
        launches.insert_registration(connection, new_id, course_no, opened.pack, agent, wish.actor, person_no, at_ms)
        made = launches.find_registration(connection, new_id)
        assert made is not None
        return made, told

    async def _judge_rest(self, registration_id: bytes, course: Course) -> None:
        """Say what else is satisfied, a part at a time, so that nobody waits long for the writer.

        What a power cut keeps from being said is said at the next launch.
        """

        def job(connection: Any, at_ms: int) -> tuple[int, list[Numbers]]:
            registration = launches.find_registration(connection, registration_id)
            assert registration is not None
            said = self._units.judge(connection, registration, course, ids.random_uuid(), at_ms, JUDGED_MAX)
            return len(said), [self._units.tell(connection, self._recording.registry, registration, said, at_ms)]

        while await self._write(job) == JUDGED_MAX:
            pass

    async def abandon(self, session: bytes) -> None:
        """End a session on behalf of its unit; one that has ended stays as it is.

        Raises:
            RegistrationUnknown
        """

        def job(connection: Any, at_ms: int) -> tuple[None, list[Numbers]]:
            launch = launches.find_launch(connection, session)
            if launch is None:
                raise RegistrationUnknown
            registration = launches.find_registration(connection, launch.registration)
            open_launches = launches.list_open(connection, launch.registration_no)
            mine = [one for one in open_launches if one[0].no == launch.no]
            if registration is None or not mine:
                return None, []
            said = _abandon(connection, registration, *mine[0], at_ms)
            return None, [self._units.tell(connection, self._recording.registry, registration, [said], at_ms)]

        await self._write(job)

    async def waive(self, registration_id: bytes, unit_no: int, reason: str) -> None:
        """Let a unit count as done in a registration.

        Raises:
            RegistrationUnknown, UnitUnknown, WaivedAlready
        """
        text = reason.strip()[:REASON_MAX_CHARACTERS] or "Administrative"
        course = await self._database.read(lambda connection: _course_in(connection, registration_id))

        def job(connection: Any, at_ms: int) -> tuple[None, list[Numbers]]:
            registration = launches.find_registration(connection, registration_id)
            if registration is None:
                raise RegistrationUnknown
            if not 1 <= unit_no <= len(course.units):
                raise UnitUnknown(unit=unit_no - 1)
            unit = course.unit(unit_no)
            if Verb.WAIVED in launches.list_verbs(connection, registration.no).get(unit.about.id, frozenset()):
                raise WaivedAlready
            launches.add_verbs(connection, registration.no, unit.about.id, frozenset({Verb.WAIVED}))
            session = ids.random_uuid()
            activity = own_activity(registration.pack, cmi5.resource_id(unit.about.id))
            teller = Teller(registration.actor, registration.id, session, at_ms)
            said = [teller.waived(unit, activity.iri, text)]
            said += self._units.judge(connection, registration, course, session, at_ms)
            return None, [self._units.tell(connection, self._recording.registry, registration, said, at_ms)]

        await self._write(job)

    async def standing(self, opened: Opened, agent: str) -> Standing:
        """Return how a learner stands with a unit."""

        def query(connection: Any) -> Standing:
            registration = launches.find_current(connection, agent, opened.pack)
            if registration is None:
                return Standing()
            verbs = launches.list_verbs(connection, registration.no).get(opened.unit.about.id, frozenset())
            return Standing(has_said_all(verbs), launches.is_satisfied(connection, registration.no, WHOLE))

        return await self._database.read(query)

    async def has_turns(self, class_no: int) -> bool:
        """Tell whether anybody in a class takes a course now."""

        def query(connection: Any) -> bool:
            learners = roster.list_learners(connection, class_no)
            return any(launches.list_registrations(connection, row["no"]) for row in learners)

        return await self._database.read(query)

    async def find_registration(self, registration_id: bytes) -> Registration | None:
        """Return a learner's turn with a course."""
        return await self._database.read(lambda connection: launches.find_registration(connection, registration_id))

    async def list_turns(self, people: Iterable[int]) -> list[Turn]:
        """Return the courses that people of this box take now."""

        def query(connection: Any) -> list[Turn]:
            registrations = [one for no in people for one in launches.list_registrations(connection, no)]
            return [
                Turn(
                    one,
                    course_of(launches.find_course(connection, one.course_no)),
                    launches.list_verbs(connection, one.no),
                )
                for one in registrations
            ]

        return await self._database.read(query)


def _abandon(connection: Any, registration: Registration, launch: Launch, last_ms: int, at_ms: int) -> dict[str, Any]:
    launches.end_launch(connection, launch.no, at_ms)
    teller = Teller(registration.actor, registration.id, launch.session, at_ms)
    return teller.abandoned(launch.activity_iri, launch.publisher_id, max(last_ms - launch.launched_ms, 0))


def _course_in(connection: Any, registration_id: bytes) -> Course:
    """Return the course of a registration. Raises RegistrationUnknown."""
    registration = launches.find_registration(connection, registration_id)
    if registration is None:
        raise RegistrationUnknown
    return course_of(launches.find_course(connection, registration.course_no))


def _put(connection: Any, place: Place, name: str, content: bytes, now_ms: int) -> None:
    document = Document(_JSON_TYPE, content, now_ms)
    change_document(connection, place, name, lambda _before, _room: document, now_ms)


def _prefer(connection: Any, agent: str, languages: str, now_ms: int) -> None:
    place = Place(Subject.AGENT_PROFILE, agent=agent)
    if languages and find_document(connection, place, PREFERENCES) is None:
        _put(connection, place, PREFERENCES, preferences_document(languages), now_ms)
