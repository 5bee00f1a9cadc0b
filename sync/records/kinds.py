"""The registry of record kinds: number, merge rule, and the allow-list of fields with their bounds.

Numbers are never reused. A field that is not in the list of its kind cannot leave the box, because the codec writes
from this table. See docs/bundle-format.md, "Records".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, Flag, IntEnum, auto
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from content_packs.base.errors import N_, EdgeboxError
from sync.records import rows
from sync.records.field import Field, FieldType
from sync.records.stamps import STAMP_MAX

NO_MAX = (1 << 53) - 1
MS_MIN = -(1 << 47)
MS_MAX = 1 << 47
LAG_MAX_SECONDS = 1 << 40
REAL_MAX = 1e15
TEXT_MAX_BYTES = 1 << 20
BODY_MAX_BYTES = 1 << 20
RESPONSE_MAX_BYTES = 1 << 20
VALUE_MAX_BYTES = 4096
MARK_MAX_BYTES = 32
COMMENT_MAX_BYTES = 1000
TAG_BYTES = 24
TAGS_MAX = 32
STATE_MAX_BYTES = 8192
MESSAGE_MAX_BYTES = 4096


class Kind(IntEnum):
    """Number of a record kind, in the change log and in bundles."""

    STATEMENT = 1
    LEARNER = 2
    CLASS = 3
    ENROLLMENT = 4
    ACTIVITY = 5
    VERB = 6
    DEVICE = 7
    PACK_INSTALL = 8
    ASSIGNMENT = 9
    BOOT = 10
    FACT = 11
    MEMBER = 12
    MARK = 13
    STATE = 14
    MESSAGE = 15
    OFFER = 16
    REVOCATION = 17
    HEALTH = 18
    HAND_IN = 19


class Subject(IntEnum):
    """What a revocation takes back."""

    PACK = 1
    COURIER = 2
    BOX = 3


class Direction(Flag):
    """Which way something may go: up to the hub, down to a box."""

    UP = auto()
    DOWN = auto()
    BOTH = UP | DOWN


class Merge(Enum):
    """What happens when a record meets an older one of the same key."""

    APPEND_ONLY = "kept for ever; the same id with another content is kept beside it as a conflict"
    REGISTRY = "a number means one thing in one epoch; another meaning is refused"
    OWNER_WINS = "the box that owns the row decides: the higher (epoch, seq) of its bundles replaces the lower"
    LAST_WRITER = "the highest (official, stamp, origin, value) of a field wins; official is what the hub says of some"
    ADD_WINS = "the union of all puttings; one that was removed stays removed, and never takes another with it"
    MULTI_VALUE = "a mark replaces those that it names; all others are kept, and the teacher is asked"
    NEWEST = "the highest (stamp, origin, content) wins"
    UNION = "kept for ever"


@dataclass(frozen=True, slots=True)
class KindRule:
    """All that is known about a kind."""

    kind: Kind
    record: type[Any]
    merge: Merge
    fields: tuple[Field, ...]
    directions: Direction = Direction.UP


class RecordMalformed(EdgeboxError):
    """A record with a field that is missing, of another type, or out of bounds."""

    code = "sync.record_malformed"
    status = 400
    exit_code = 30
    sentence = N_("A record cannot be exchanged: {kind}, {field}.")
    remedy = N_("Update the box and the hub to the same version. Nothing was lost.")


def _no(name: str, *, is_optional: bool = False) -> Field:
    return Field(name, FieldType.INTEGER, 0, NO_MAX, is_optional)


def _ms(name: str) -> Field:
    return Field(name, FieldType.INTEGER, MS_MIN, MS_MAX)


def _real(name: str) -> Field:
    return Field(name, FieldType.REAL, -REAL_MAX, REAL_MAX, is_optional=True)


def _boolean(name: str, *, is_optional: bool = False) -> Field:
    return Field(name, FieldType.BOOLEAN, 0, 1, is_optional)


def _id(name: str, *, size_bytes: int = 16, is_optional: bool = False) -> Field:
    return Field(name, FieldType.BYTES, size_bytes, size_bytes, is_optional)


def _text(name: str, high_bytes: int = TEXT_MAX_BYTES, *, low_bytes: int = 1) -> Field:
    return Field(name, FieldType.TEXT, low_bytes, high_bytes)


def _stamp() -> Field:
    return Field("stamp", FieldType.INTEGER, 0, STAMP_MAX)


def _origin() -> Field:
    return _id("origin", is_optional=True)


_STATEMENT = (
    _no("verb_no"),
    _no("activity_no"),
    _ms("timestamp_ms"),
    _no("learner_no", is_optional=True),
    _no("device_no", is_optional=True),
    _no("device_seq", is_optional=True),
    _no("attempt_seq", is_optional=True),
    _id("id", is_optional=True),
    _id("registration", is_optional=True),
    Field("stored_lag_seconds", FieldType.INTEGER, -LAG_MAX_SECONDS, LAG_MAX_SECONDS),
    _boolean("success", is_optional=True),
    _boolean("completion", is_optional=True),
    _real("score_raw"),
    _real("score_max"),
    _real("score_scaled"),
    Field("duration_ms", FieldType.INTEGER, 0, MS_MAX, is_optional=True),
    Field("progress", FieldType.REAL, 0, 1, is_optional=True),
    Field("response", FieldType.TEXT, 0, RESPONSE_MAX_BYTES, is_optional=True),
    Field("body", FieldType.BYTES, 0, BODY_MAX_BYTES, is_optional=True),
)

_MERGED = (
    KindRule(
        Kind.FACT,
        rows.Fact,
        Merge.LAST_WRITER,
        (_no("entity"), _id("id"), _no("field"), _text("value", VALUE_MAX_BYTES, low_bytes=0), _stamp(), _origin()),
        Direction.BOTH,
    ),
    KindRule(
        Kind.MEMBER,
        rows.Member,
        Merge.ADD_WINS,
        (_no("set_no"), _id("owner"), _id("member"), _stamp(), _origin(), _boolean("is_removed")),
        Direction.BOTH,
    ),
    KindRule(
        Kind.MARK,
        rows.Mark,
        Merge.MULTI_VALUE,
        (
            _id("assignment"),
            _id("learner"),
            _text("value", MARK_MAX_BYTES, low_bytes=0),
            _text("comment", COMMENT_MAX_BYTES, low_bytes=0),
            _stamp(),
            _origin(),
            Field("replaces", FieldType.BYTES, 0, TAG_BYTES * TAGS_MAX),
        ),
        Direction.BOTH,
    ),
    KindRule(
        Kind.STATE,
        rows.State,
        Merge.LAST_WRITER,
        (
            _id("learner"),
            _text("activity"),
            _text("state_id"),
            _text("content_type", 200, low_bytes=0),
            Field("content", FieldType.BYTES, 0, STATE_MAX_BYTES),
            _stamp(),
            Field("registration", FieldType.BYTES, 0, 16),
            _origin(),
            _boolean("is_removed"),
        ),
        Direction.BOTH,
    ),
    KindRule(
        Kind.MESSAGE,
        rows.Message,
        Merge.UNION,
        (_id("id"), _text("text", MESSAGE_MAX_BYTES), _ms("until_ms"), _stamp()),
        Direction.DOWN,
    ),
    KindRule(
        Kind.OFFER,
        rows.Offer,
        Merge.NEWEST,
        (
            _text("pack", 80),
            _no("version"),
            _id("root", size_bytes=32),
            _text("titles", VALUE_MAX_BYTES),
            _no("size_bytes"),
            _stamp(),
            _no("from_version", is_optional=True),
            _no("patch_bytes", is_optional=True),
        ),
        Direction.DOWN,
    ),
    KindRule(
        Kind.REVOCATION,
        rows.Revocation,
        Merge.UNION,
        (Field("subject_kind", FieldType.INTEGER, 1, 3), _text("subject", 120), _stamp()),
        Direction.DOWN,
    ),
    KindRule(
        Kind.HEALTH,
        rows.Health,
        Merge.NEWEST,
        (
            _text("version", 40),
            *(
                _no(name)
                for name in (
                    "uptime_seconds",
                    "free_bytes",
                    "total_bytes",
                    "classes",
                    "learners",
                    "packs",
                    "statements",
                )
            ),
            _stamp(),
            _origin(),
        ),
    ),
    KindRule(
        Kind.HAND_IN,
        rows.HandIn,
        Merge.UNION,
        (
            _id("id"),
            _id("assignment"),
            _id("learner"),
            _text("media_type", 100),
            _no("size_bytes"),
            _id("hash", size_bytes=32),
            _stamp(),
            _origin(),
        ),
        Direction.BOTH,
    ),
)
_BOOT = (
    _no("no"),
    _ms("offset_ms"),
    Field("quality", FieldType.INTEGER, 0, 255),
    Field("start_ms", FieldType.INTEGER, MS_MIN, MS_MAX, is_optional=True),
)

KINDS: Mapping[Kind, KindRule] = MappingProxyType(
    {
        rule.kind: rule
        for rule in (
            KindRule(Kind.STATEMENT, rows.Statement, Merge.APPEND_ONLY, _STATEMENT, Direction.BOTH),
            KindRule(Kind.LEARNER, rows.Learner, Merge.REGISTRY, (_no("no"), _id("pseudonym")), Direction.BOTH),
            KindRule(
                Kind.CLASS,
                rows.Class,
                Merge.OWNER_WINS,
                (_no("no"), _id("pseudonym"), _text("code", 16), _boolean("is_active")),
            ),
            KindRule(
                Kind.ENROLLMENT,
                rows.Enrollment,
                Merge.OWNER_WINS,
                (_no("class_no"), _no("learner_no"), _boolean("is_active")),
            ),
            KindRule(Kind.ACTIVITY, rows.Activity, Merge.REGISTRY, (_no("no"), _text("iri")), Direction.BOTH),
            KindRule(Kind.VERB, rows.Verb, Merge.REGISTRY, (_no("no"), _text("iri")), Direction.BOTH),
            KindRule(Kind.DEVICE, rows.Device, Merge.REGISTRY, (_no("no"), _id("id")), Direction.BOTH),
            KindRule(
                Kind.PACK_INSTALL,
                rows.PackInstall,
                Merge.OWNER_WINS,
                (_text("pack", 80), _no("version"), _id("root", size_bytes=32), _ms("at_ms"), _boolean("is_installed")),
            ),
            KindRule(
                Kind.ASSIGNMENT,
                rows.Assignment,
                Merge.OWNER_WINS,
                (_no("class_no"), _text("pack", 80), _text("lesson", 200), _ms("at_ms"), _boolean("is_active")),
            ),
            *_MERGED,
            KindRule(Kind.BOOT, rows.Boot, Merge.OWNER_WINS, _BOOT),
        )
    }
)
_KIND_OF: Mapping[type[Any], Kind] = MappingProxyType({rule.record: rule.kind for rule in KINDS.values()})


def kind_of(record: rows.Record) -> Kind:
    """Return the kind of a record."""
    return _KIND_OF[type(record)]


def find_flaw(record: rows.Record) -> str | None:
    """Return the first field that is out of its bounds, or None; a statement that nothing identifies has a bad `id`."""
    for field in KINDS[kind_of(record)].fields:
        if not field.admits(getattr(record, field.name)):
            return field.name
    if isinstance(record, rows.Statement) and not _is_identified(record):
        return "id"
    return None


def check(records: Sequence[rows.Record]) -> None:
    """Return if every field of every record is within its bounds.

    Raises:
        RecordMalformed: names the kind and the field of the first that is not.
    """
    for record_type in dict.fromkeys(map(type, records)):
        kind, alike = _KIND_OF[record_type], [record for record in records if type(record) is record_type]
        # A column at a time is several times faster than a record at a time, which tells what is wrong and where.
        columns = ((field, list(map(attrgetter(field.name), alike))) for field in KINDS[kind].fields)
        is_identified = kind is not Kind.STATEMENT or all(map(_is_identified, alike))
        if not is_identified or not all(field.admits_all(values) for field, values in columns):
            _check_each(kind, alike)


def _is_identified(record: Any) -> bool:
    return record.id is not None or (record.device_no is not None and record.device_seq is not None)


def _check_each(kind: Kind, alike: list[rows.Record]) -> None:
    for record in alike:
        flaw = find_flaw(record)
        if flaw is not None:
            raise RecordMalformed(kind=kind.name.lower(), field=flaw)
