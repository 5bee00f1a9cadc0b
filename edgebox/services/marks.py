"""Marks for lessons of a class: given, seen side by side when two were given at once, and decided."""

import unicodedata
from dataclasses import dataclass, replace

from content_packs.base.clock import Clock
from edgebox.services.hand_ins import HandIns
from edgebox.services.shelf import ResourceGone
from edgebox.services.teaching import Learner, Teaching
from edgebox.store import marks, roster
from edgebox.store.database import Database
from edgebox.store.hand_ins import Handed
from sync.records.kinds import COMMENT_MAX_BYTES, MARK_MAX_BYTES
from sync.records.merging import read_tags, tag_of, write_tags
from sync.records.rows import Mark
from sync.records.stamps import stamp_ms

# Three bytes are the most that one unit of a browser's `maxlength` takes.
VALUE_MAX_CHARACTERS = MARK_MAX_BYTES // 3
COMMENT_MAX_CHARACTERS = COMMENT_MAX_BYTES // 3


@dataclass(frozen=True)
class GivenMark:
    """A mark as the teacher sees it."""

    value: str
    comment: str
    given_ms: int


@dataclass(frozen=True)
class LearnerMarks:
    """The marks of one learner for one lesson.

    Attributes:
        given: newest first; two or more were given without knowing of each other.
        seen: names these marks in a form, so that a mark replaces only what its teacher saw.
        handed: what the learner handed in, newest first.
    """

    learner: Learner
    given: tuple[GivenMark, ...]
    seen: str
    handed: tuple[Handed, ...] = ()


class Marks:
    """What teachers do with marks."""

    def __init__(self, database: Database, clock: Clock, teaching: Teaching, hand_ins: HandIns) -> None:
        self._database = database
        self._clock = clock
        self._teaching = teaching
        self._hand_ins = hand_ins

    async def of_lesson(self, class_no: int, assignment_no: int) -> list[LearnerMarks]:
        """Return the learners of a class with their marks for one lesson.

        Raises:
            ClassUnknown: there is no such class.
            ResourceGone: the class does not have the lesson.
        """
        await self._teaching.school_class(class_no)
        assignment = await self._assignment(class_no, assignment_no)
        learners = await self._teaching.learners(class_no)
        rows = await self._database.read(lambda connection: roster.list_learners(connection, class_no))
        pseudonyms = {row["no"]: row["pseudonym"] for row in rows}
        by_learner = await self._database.read(lambda connection: marks.list_open_marks(connection, assignment))
        handed = await self._hand_ins.of_assignment(assignment)
        shown = []
        for learner in learners:
            pseudonym = pseudonyms.get(learner.no, b"")
            lines = _shown(learner, by_learner.get(pseudonym, []))
            shown.append(replace(lines, handed=tuple(handed.get(pseudonym, []))))
        return shown

    async def of_learner(self, assignment: bytes, learner: bytes) -> GivenMark | None:
        """Return the mark of one learner for a lesson; None while there is none, or two to choose from."""
        by_learner = await self._database.read(lambda connection: marks.list_open_marks(connection, assignment))
        given = by_learner.get(learner, [])
        only = given[0] if len(given) == 1 else None
        return GivenMark(only.value, only.comment, stamp_ms(only.stamp)) if only and only.value else None

    async def undecided(self, class_no: int) -> set[int]:
        """Return the numbers of those assignments of a class for which a learner has two marks."""
        return await self._database.read(lambda connection: marks.list_undecided(connection, class_no))

    async def give(
        self, class_no: int, assignment_no: int, person_no: int, *, value: str, comment: str, seen: str
    ) -> None:
        """Give a mark in place of those that `seen` names; an empty one takes them back.

        Raises:
            ResourceGone: the class does not have the lesson.
            PersonUnknown: the learner is not in the class.
        """
        assignment, now_ms = await self._assignment(class_no, assignment_no), self._clock.now_ms()
        tags = read_tags(_unhex(seen))
        plain_value, plain_comment = _plain(value, VALUE_MAX_CHARACTERS), _plain(comment, COMMENT_MAX_CHARACTERS)
        is_member = await self._database.write(
            lambda connection: marks.give_mark(
                connection, assignment, class_no, person_no, plain_value, plain_comment, seen=tags, now_ms=now_ms
            )
        )
        if not is_member:
            raise roster.PersonUnknown(person_no=person_no)

    async def _assignment(self, class_no: int, assignment_no: int) -> bytes:
        found = await self._database.read(
            lambda connection: marks.find_assignment_id(connection, class_no, assignment_no)
        )
        if found is None:
            raise ResourceGone(pack="", name=str(assignment_no))
        return found


def _shown(learner: Learner, given: list[Mark]) -> LearnerMarks:
    shown = tuple(GivenMark(mark.value, mark.comment, stamp_ms(mark.stamp)) for mark in given)
    only_empty = len(shown) == 1 and not (shown[0].value or shown[0].comment)
    return LearnerMarks(learner, () if only_empty else shown, write_tags(map(tag_of, given)).hex())


def _plain(text: str, limit_characters: int) -> str:
    """Return one line in normal form, cut to what a record holds."""
    line = " ".join(unicodedata.normalize("NFC", text).replace("\0", " ").split())
    return line[:limit_characters].encode()[: 3 * limit_characters].decode(errors="ignore")


def _unhex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
