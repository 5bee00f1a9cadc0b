"""Classes, learners, assigned lessons, and who is how far."""

import unicodedata
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from content_packs.format.errors import PackNotFound
from content_packs.format.manifest import Lesson
from edgebox.domain.catalogue import Shelved
from edgebox.domain.class_table import ClassTable, make_cell, make_table
from edgebox.domain.secret import SecretKind
from edgebox.services.library import Library
from edgebox.services.own_lessons import OwnLessons
from edgebox.services.shelf import ResourceGone
from edgebox.services.signing_in import NewSecret, SigningIn
from edgebox.store import roster, teaching, versions
from edgebox.store.catalogue import ListedResource
from edgebox.store.database import Database
from edgebox.store.teaching import Assignment
from sync.records.lessons import OWN_PACK

NAME_MAX_CHARACTERS = 60
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# Persian and Hindi names are spelled with them.
_JOINERS = "\u200c\u200d"
AVATARS = (
    "bear", "bee", "camel", "cat", "chick", "cow", "elephant", "fox", "frog", "giraffe", "koala", "ladybird",
    "lion", "monkey", "mouse", "octopus", "owl", "panda", "penguin", "rabbit", "tiger", "turtle", "whale", "zebra",
)  # fmt: skip


class NameRefused(EdgeboxError):
    """A name that is empty, too long, or cannot be shown."""

    code = "teaching.name_refused"
    status = 400
    exit_code = 111
    sentence = N_("This name cannot be used.")
    remedy = N_("A name has 1 to {limit} letters.")


@dataclass(frozen=True)
class SchoolClass:
    """A class and how many learners it has."""

    no: int
    code: str
    title: str
    learners: int = 0


@dataclass(frozen=True)
class Learner:
    """A learner as teachers see one."""

    no: int
    given_name: str
    family_name: str
    avatar: str
    secret_kind: str | None


@dataclass(frozen=True)
class AssignedLesson:
    """An assignment with the lesson it names; None when the pack or the lesson is not on the box.

    Attributes:
        pack: the version the class has; None for a lesson of our own.
        resources: of that version, and those of earlier ones in which somebody did something.
        newer_version: of the lesson, which the class could take over.
    """

    assignment: Assignment
    pack: Shelved | None
    lesson: Lesson | None
    resources: tuple[ListedResource, ...]
    newer_version: int | None = None


@dataclass(frozen=True)
class Worked:
    """When a learner worked last; `is_repaired` when the box's clock was wrong then, and the time was found later."""

    last_ms: int
    is_repaired: bool


@dataclass(frozen=True)
class ClassProgress:
    """All of a class's page; `worked` is by the number of the learner."""

    school_class: SchoolClass
    learners: tuple[Learner, ...]
    lessons: tuple[AssignedLesson, ...]
    table: ClassTable
    worked: Mapping[int, Worked]


class Teaching:
    """What teachers do with classes."""

    def __init__(
        self, database: Database, clock: Clock, library: Library, signing_in: SigningIn, own: OwnLessons
    ) -> None:
        self._database = database
        self._clock = clock
        self._library = library
        self._signing_in = signing_in
        self._own = own

    async def classes(self) -> list[SchoolClass]:
        """Return all classes by title."""
        rows = await self._database.read(roster.list_classes)
        return [SchoolClass(row["no"], row["code"], row["title"], row["learners"]) for row in rows]

    async def school_class(self, class_no: int) -> SchoolClass:
        """Return one class.

        Raises:
            ClassUnknown: there is none with that number.
        """
        row = await self._database.read(lambda connection: roster.find_class(connection, class_no))
        return SchoolClass(row["no"], row["code"], row["title"])

    async def learners(self, class_no: int) -> list[Learner]:
        """Return the learners of a class by name."""
        rows = await self._database.read(lambda connection: roster.list_learners(connection, class_no))
        return [
            Learner(row["no"], row["given_name"], row["family_name"], row["avatar"], row["secret_kind"]) for row in rows
        ]

    async def add_class(self, title: str) -> int:
        """Make a class and return its number.

        Raises:
            NameRefused: the title cannot be used.
        """
        checked, now_ms = check_name(title), self._clock.now_ms()
        return await self._database.write(lambda connection: roster.insert_class(connection, now_ms, checked))

    async def add_learner(self, class_no: int, given_name: str, *, family_name: str = "", avatar: str = "") -> int:
        """Make a learner without a secret, put the learner into a class, and return the number.

        Raises:
            NameRefused, ClassUnknown: nothing was made.
        """
        given = check_name(given_name)
        family = check_name(family_name) if family_name.strip() else ""
        now_ms, number = self._clock.now_ms(), len(await self.learners(class_no))
        chosen = avatar if avatar in AVATARS else AVATARS[number % len(AVATARS)]

        return await self._database.write(
            lambda connection: teaching.insert_member(
                connection, class_no, now_ms, given_name=given, family_name=family, avatar=chosen
            )
        )

    async def take_out(self, class_no: int, person_no: int) -> None:
        """Take a learner out of a class; what was learned stays. Safe to repeat.

        Raises:
            ClassUnknown, PersonUnknown: there is no such class or person.
        """
        now_ms = self._clock.now_ms()
        await self._database.write(
            lambda connection: roster.set_enrollment(connection, now_ms, class_no, person_no, is_active=False)
        )

    async def new_secrets(self, class_no: int, person_nos: Sequence[int], kind: SecretKind) -> list[NewSecret]:
        """Give learners of a class fresh secrets; numbers of others are left out. The old secrets stop working."""
        members = {learner.no for learner in await self.learners(class_no)}
        return await self._signing_in.new_secrets([no for no in person_nos if no in members], kind)

    async def assign(self, class_no: int, pack: str, lesson: str, person_no: int | None = None) -> int:
        """Give a lesson of an installed pack, or one of our own, to a class and return its number; safe to repeat.

        Raises:
            PackNotFound, ResourceGone, ClassUnknown: there is no such thing.
        """
        is_own = pack == OWN_PACK
        listed = await self._own.listed(lesson) if is_own else await self._library.listed_lesson(pack, lesson)
        now_ms = self._clock.now_ms()
        return await self._database.write(
            lambda connection: teaching.insert_assignment(
                connection, class_no, listed, person_no=person_no, now_ms=now_ms
            )
        )

    async def take_over(self, class_no: int, assignment_no: int) -> None:
        """Let a class have the newest version of a lesson from now on. Safe to repeat.

        Raises:
            PackNotFound, ResourceGone: the newest version does not have the lesson, or the assignment has ended.
        """
        listed = await self._database.read(lambda connection: teaching.list_assignments(connection, class_no))
        assignment = next((each for each in listed if each.no == assignment_no), None)
        if assignment is None:
            raise ResourceGone(pack="", name=str(assignment_no))
        newest = await self._library.listed_lesson(assignment.pack, assignment.lesson)
        now_ms = self._clock.now_ms()
        await self._database.write(
            lambda connection: teaching.set_version(connection, class_no, assignment_no, newest.version, now_ms)
        )

    async def unassign(self, class_no: int, assignment_no: int) -> None:
        """Take a lesson back; what was learned stays. Safe to repeat."""
        now_ms = self._clock.now_ms()
        await self._database.write(
            lambda connection: teaching.end_assignment(connection, class_no, assignment_no, now_ms)
        )

    async def given(self, class_no: int) -> set[tuple[str, str]]:
        """Return (pack, lesson) of what a class was given."""
        listed = await self._database.read(lambda connection: teaching.list_assignments(connection, class_no))
        return {(each.pack, each.lesson) for each in listed}

    async def ended(self, class_no: int) -> list[AssignedLesson]:
        """Return the lessons that were taken back from a class; what was learned and handed in for them stays."""
        listed = await self._database.read(
            lambda connection: teaching.list_assignments(connection, class_no, is_active=False)
        )
        return [await self._assigned_lesson(assignment, set()) for assignment in listed]

    async def assigned(self, class_no: int, assignment_no: int) -> AssignedLesson:
        """Return a lesson that a class has or had.

        Raises:
            ResourceGone: the class never had it.
        """
        listed = await self._database.read(lambda connection: teaching.list_assignments(connection, class_no))
        given = [await self._assigned_lesson(each, set()) for each in listed if each.no == assignment_no]
        for assigned in given or await self.ended(class_no):
            if assigned.assignment.no == assignment_no:
                return assigned
        raise ResourceGone(pack="", name=str(assignment_no))

    async def progress(self, class_no: int) -> ClassProgress:
        """Return who of a class is how far with what was assigned.

        Raises:
            ClassUnknown: there is no class with that number.
        """
        school_class = await self.school_class(class_no)
        learners = tuple(await self.learners(class_no))
        listed = await self._database.read(lambda connection: teaching.list_assignments(connection, class_no))
        begun = await self._database.read(lambda connection: teaching.list_begun(connection, class_no))
        lessons = tuple([await self._assigned_lesson(assignment, begun) for assignment in listed])
        columns = [
            (resource.pack or each.assignment.pack, resource.id) for each in lessons for resource in each.resources
        ]
        rows = await self._database.read(lambda connection: teaching.list_progress(connection, class_no, columns))
        worked = await self._database.read(lambda connection: teaching.list_worked(connection, class_no))
        cells = {
            (row.person_no, row.pack, row.resource): make_cell(
                row.progress, row.score_scaled, is_complete=row.is_complete
            )
            for row in rows
        }
        return ClassProgress(
            school_class,
            learners,
            lessons,
            make_table([each.no for each in learners], columns, cells),
            {person_no: Worked(*when) for person_no, when in worked.items()},
        )

    async def _own_lesson(self, assignment: Assignment) -> AssignedLesson:
        try:
            listed = await self._own.listed(assignment.lesson, is_ended_too=True)
        except ResourceGone:
            return AssignedLesson(assignment, None, None, ())
        resources = await self._own.listed_resources(assignment.lesson, is_ended_too=True)
        return AssignedLesson(assignment, None, listed.lesson, tuple(resources))

    async def _assigned_lesson(self, assignment: Assignment, done: Set[tuple[str, str]]) -> AssignedLesson:
        if assignment.pack == OWN_PACK:
            return await self._own_lesson(assignment)
        pack, kept = assignment.pack, self._library.shelf.versions.get(assignment.pack, ())
        version = assignment.version if assignment.version in kept else None
        try:
            listed = await self._library.listed_lesson(pack, assignment.lesson, version)
        except (PackNotFound, ResourceGone):
            return AssignedLesson(assignment, None, None, ())
        resources = await self._library.listed_resources(pack, assignment.lesson, listed.version)
        present = {resource.id for resource in resources}
        gone = await self._gone_resources(pack, assignment.lesson)
        resources += [each for each in gone if each.id not in present and (pack, each.id) in done]
        return AssignedLesson(
            assignment,
            self._library.shelf.find(pack, listed.version),
            listed.lesson,
            tuple(resources),
            await self._newer_version(assignment, listed.version),
        )

    async def _gone_resources(self, pack: str, lesson: str) -> list[ListedResource]:
        """Return the resources that versions other than the newest have or had in a lesson, each once."""
        found = await self._database.read(lambda connection: versions.list_dropped(connection, pack, lesson))
        for version in self._library.shelf.versions[pack][:-1]:
            found += [each for each in await self._library.dropped(pack, version) if each.lesson == lesson]
        return list({each.id: each for each in found}.values())

    async def _newer_version(self, assignment: Assignment, version: int) -> int | None:
        """Return the newest version if the class has an older one and the lesson is still in it."""
        newest = self._library.shelf.current.get(assignment.pack)
        if newest is None or newest.version <= version:
            return None
        try:
            return (await self._library.listed_lesson(assignment.pack, assignment.lesson)).version
        except ResourceGone:
            return None


def check_name(name: str) -> str:
    """Return a name in normal form, without outer and double spaces.

    Raises:
        NameRefused: it is empty, too long, or has marks that cannot be seen or turn others around.
    """
    plain = " ".join(unicodedata.normalize("NFC", name).split())
    is_seen = any(unicodedata.category(mark)[0] in "LNS" for mark in plain)
    is_spelled = all(mark in _JOINERS or unicodedata.category(mark) not in _UNSEEN for mark in plain)
    if len(plain) > NAME_MAX_CHARACTERS or not is_seen or not is_spelled:
        raise NameRefused(limit=NAME_MAX_CHARACTERS)
    return plain
