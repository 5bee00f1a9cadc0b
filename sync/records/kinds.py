"""The registry of record kinds: number, merge rule, and the allow-list of fields with their bounds.

Numbers are never reused. A field that is not in the list of its kind cannot leave the box, because the codec writes
from this table. See docs/bundle-format.md, "Records".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Any

from content_packs.base.errors import N_, EdgeboxError
from sync.records import rows

NO_MAX = (1 << 53) - 1
MS_MIN = -(1 << 47)
MS_MAX = 1 << 47
LAG_MAX_SECONDS = 1 << 40
REAL_MAX = 1e15
TEXT_MAX_BYTES = 1 << 20
BODY_MAX_BYTES = 1 << 20
RESPONSE_MAX_BYTES = 1 << 20


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


class Merge(Enum):
    """What happens when a record meets an older one of the same key."""

    APPEND_ONLY = "kept for ever; the same id with another content is kept beside it as a conflict"
    REGISTRY = "a number means one thing in one epoch; another meaning is refused"
    OWNER_WINS = "the box that owns the row decides: the higher (epoch, seq) of its bundles replaces the lower"


class FieldType(Enum):
    """How a column of the field is written."""

    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    TEXT = "text"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True)
class Field:
    """One field that may travel; `low` and `high` bound the value, or its length in bytes for text and bytes."""

    name: str
    type: FieldType
    low: float
    high: float
    is_optional: bool = False

    def admits(self, value: Any) -> bool:
        """Return whether `value` has the type and lies within the bounds."""
        if value is None:
            return self.is_optional
        if isinstance(value, bool) or self.type is FieldType.BOOLEAN:
            return isinstance(value, bool) and self.type is FieldType.BOOLEAN
        size = self._size(value)
        return size is not None and self.low <= size <= self.high

    def _size(self, value: Any) -> float | None:
        """Return what the bounds hold for, or None when the type is wrong or the number is not finite."""
        if self.type is FieldType.TEXT:
            return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else None
        if self.type is FieldType.BYTES:
            return len(value) if isinstance(value, bytes) else None
        if isinstance(value, int) or (
            self.type is FieldType.REAL and isinstance(value, float) and math.isfinite(value)
        ):
            return value
        return None


@dataclass(frozen=True, slots=True)
class KindRule:
    """All that is known about a kind."""

    kind: Kind
    record: type[Any]
    merge: Merge
    fields: tuple[Field, ...]


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


def _text(name: str, high_bytes: int = TEXT_MAX_BYTES) -> Field:
    return Field(name, FieldType.TEXT, 1, high_bytes)


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

KINDS: Mapping[Kind, KindRule] = MappingProxyType(
    {
        rule.kind: rule
        for rule in (
            KindRule(Kind.STATEMENT, rows.Statement, Merge.APPEND_ONLY, _STATEMENT),
            KindRule(Kind.LEARNER, rows.Learner, Merge.REGISTRY, (_no("no"), _id("pseudonym"))),
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
            KindRule(Kind.ACTIVITY, rows.Activity, Merge.REGISTRY, (_no("no"), _text("iri"))),
            KindRule(Kind.VERB, rows.Verb, Merge.REGISTRY, (_no("no"), _text("iri"))),
            KindRule(Kind.DEVICE, rows.Device, Merge.REGISTRY, (_no("no"), _id("id"))),
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
    if isinstance(record, rows.Statement) and record.id is None and None in (record.device_no, record.device_seq):
        return "id"
    return None


def check(records: Sequence[rows.Record]) -> None:
    """Return if every field of every record is within its bounds.

    Raises:
        RecordMalformed: names the kind and the field of the first that is not.
    """
    for record in records:
        flaw = find_flaw(record)
        if flaw is not None:
            raise RecordMalformed(kind=kind_of(record).name.lower(), field=flaw)
