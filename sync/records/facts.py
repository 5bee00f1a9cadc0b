"""What a fact may say: the mutable rows that merge field by field, their fields, and which way each may go.

A field that is not in these tables can neither be written nor be taken in. A name goes from the hub to a box only.
Numbers are never reused. See docs/bundle-format.md, "Facts".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

from content_packs.base.hashing import blake2b_256
from sync.records.field import FieldType
from sync.records.kinds import KINDS, VALUE_MAX_BYTES, Direction, kind_of
from sync.records.rows import Fact, Member, Record

ID_BYTES = 16
SCHOOL_ID = bytes(ID_BYTES)
CLASS_MEMBERS = 1
SETS = frozenset({CLASS_MEMBERS})
ON, OFF = "1", ""
_INTEGER_MAX_DIGITS = 16
_ASSIGNMENT_DOMAIN = b"edgebox assignment\0"


class Entity(IntEnum):
    """Number of a table whose rows merge field by field."""

    CLASS = 1
    LEARNER = 2
    LESSON = 3
    ASSIGNMENT = 4
    SETTING = 5
    HAND_IN = 6


class ClassField(IntEnum):
    """Fields of a class, whose id is its pseudonym."""

    TITLE = 1
    CODE = 2
    IS_ACTIVE = 3


class LearnerField(IntEnum):
    """Fields of a learner, whose id is the pseudonym."""

    GIVEN_NAME = 1
    FAMILY_NAME = 2
    IS_ACTIVE = 3


class LessonField(IntEnum):
    """Fields of a lesson that a teacher made, whose id is 16 random bytes."""

    TITLE = 1
    RESOURCES = 2
    IS_ACTIVE = 3


class AssignmentField(IntEnum):
    """Fields of a lesson given to a class, whose id is `assignment_id`."""

    CLASS_ID = 1
    PACK = 2
    LESSON = 3
    VERSION = 4
    ASSIGNED_MS = 5
    IS_ACTIVE = 6


class SettingField(IntEnum):
    """Switches of a school, whose id is `SCHOOL_ID`."""

    LOCAL_SCRIPTS = 1


class HandInField(IntEnum):
    """What is said of something a learner handed in, whose id is that of its record."""

    TEXT = 1
    ARRIVED_MS = 2


@dataclass(frozen=True, slots=True)
class FactField:
    """One field of an entity.

    Attributes:
        is_official: what the hub says of it holds, whatever a box writes and however late.
    """

    type: FieldType
    high_bytes: int = 200
    directions: Direction = Direction.BOTH
    is_official: bool = False

    def admits(self, value: str) -> bool:
        """Return whether the text is a value of this field."""
        if self.type is FieldType.BOOLEAN:
            return value in (ON, OFF)
        if self.type is FieldType.INTEGER:
            return value == "" or (value.isascii() and value.isdecimal() and len(value) <= _INTEGER_MAX_DIGITS)
        return len(value.encode("utf-8", "surrogatepass")) <= self.high_bytes


_NAME = FactField(FieldType.TEXT, directions=Direction.DOWN, is_official=True)
_SWITCH = FactField(FieldType.BOOLEAN)
_NUMBER = FactField(FieldType.INTEGER)

FACT_FIELDS: Mapping[tuple[int, int], FactField] = MappingProxyType(
    {
        (Entity.CLASS, ClassField.TITLE): _NAME,
        (Entity.CLASS, ClassField.CODE): FactField(FieldType.TEXT, 16),
        (Entity.CLASS, ClassField.IS_ACTIVE): _SWITCH,
        (Entity.LEARNER, LearnerField.GIVEN_NAME): _NAME,
        (Entity.LEARNER, LearnerField.FAMILY_NAME): _NAME,
        (Entity.LEARNER, LearnerField.IS_ACTIVE): _SWITCH,
        (Entity.LESSON, LessonField.TITLE): FactField(FieldType.TEXT),
        (Entity.LESSON, LessonField.RESOURCES): FactField(FieldType.TEXT, VALUE_MAX_BYTES),
        (Entity.LESSON, LessonField.IS_ACTIVE): _SWITCH,
        (Entity.ASSIGNMENT, AssignmentField.CLASS_ID): FactField(FieldType.TEXT, 2 * ID_BYTES),
        (Entity.ASSIGNMENT, AssignmentField.PACK): FactField(FieldType.TEXT, 80),
        (Entity.ASSIGNMENT, AssignmentField.LESSON): FactField(FieldType.TEXT, 200),
        (Entity.ASSIGNMENT, AssignmentField.VERSION): _NUMBER,
        (Entity.ASSIGNMENT, AssignmentField.ASSIGNED_MS): _NUMBER,
        (Entity.ASSIGNMENT, AssignmentField.IS_ACTIVE): _SWITCH,
        (Entity.SETTING, SettingField.LOCAL_SCRIPTS): _SWITCH,
        (Entity.HAND_IN, HandInField.TEXT): FactField(FieldType.TEXT, VALUE_MAX_BYTES),
        (Entity.HAND_IN, HandInField.ARRIVED_MS): FactField(
            FieldType.INTEGER, directions=Direction.DOWN, is_official=True
        ),
    }
)
assert all(field.high_bytes <= VALUE_MAX_BYTES for field in FACT_FIELDS.values())


def assignment_id(class_id: bytes, pack: str, lesson: str) -> bytes:
    """Return what names a lesson given to a class: two boxes that give the same one mean the same row."""
    parts = b"\0".join((pack.encode(), lesson.encode()))
    return blake2b_256(_ASSIGNMENT_DOMAIN + class_id + parts)[:ID_BYTES]


def is_known(record: Fact | Member) -> bool:
    """Return whether this program knows the set, or the field and the value is one of it."""
    if isinstance(record, Member):
        return record.set_no in SETS
    field = FACT_FIELDS.get((record.entity, record.field))
    return field is not None and field.admits(record.value)


def may_go(record: Record, direction: Direction) -> bool:
    """Return whether a record may travel this way; what is in no table here goes nowhere from here."""
    if isinstance(record, Fact | Member) and not is_known(record):
        return False
    if isinstance(record, Fact):
        return direction in FACT_FIELDS[record.entity, record.field].directions
    return direction in KINDS[kind_of(record)].directions


def is_official(fact: Fact) -> bool:
    """Return whether the hub has the last word on this field."""
    field = FACT_FIELDS.get((fact.entity, fact.field))
    return field is not None and field.is_official
