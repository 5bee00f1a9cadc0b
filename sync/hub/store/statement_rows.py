"""Statements as rows of the hub, made of records and the numbers that their box uses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, and_, select

from content_packs.base import codec
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.base.ids import derive_registration, derive_statement_id
from sync.hub.store.boxes import Box
from sync.hub.store.schema import device, registry
from sync.records.kinds import Kind
from sync.records.rows import Record, Statement

Row = tuple[Any, ...]  # the values of COLUMNS

CONTENT = (  # what a statement says by itself, in the words of its record
    "device_seq",
    "timestamp_ms",
    "success",
    "completion",
    "score_raw",
    "score_max",
    "score_scaled",
    "duration_ms",
    "progress",
    "response",
    "body",
)
_RESOLVED = ("learner_no", "verb_no", "activity_no", "device_no", "registration")
COLUMNS = ("school_no", "box_no", "id", "stored_ms", *_RESOLVED, *CONTENT, "digest")
ID, DIGEST = COLUMNS.index("id"), COLUMNS.index("digest")
TIMES = ("timestamp_ms", "duration_ms")
_content_of = attrgetter(*CONTENT)
_DIGEST_BYTES = 8


class RecordUnresolved(EdgeboxError):
    """A record that names a number nobody explained, or explains one in two ways."""

    code = "hub.record_unresolved"
    status = 409
    exit_code = 36
    sentence = N_("A record names something the hub does not know ({kind} {no}).")
    remedy = N_("Nothing is lost: the bundle is kept. Update the hub, or ask its developer.")


@dataclass(frozen=True)
class Numbers:
    """What the numbers of one epoch of a box mean.

    Attributes:
        hub_nos: the hub's number by (kind, number of the box). Once there, it never changes.
        device_ids: by the hub's number.
    """

    hub_nos: dict[tuple[int, int], int]
    device_ids: dict[int, bytes]

    def resolve(self, kind: Kind, no: int) -> int:
        """Return the hub's number.

        Raises:
            RecordUnresolved: nobody has explained it.
        """
        found = self.hub_nos.get((kind, no))
        if found is None:
            raise RecordUnresolved(kind=kind.name.lower(), no=no)
        return found


def read_numbers(connection: Connection, box_no: int, epoch: int) -> Numbers:
    """Return what is known of an epoch's numbers."""
    this = and_(registry.c.box_no == box_no, registry.c.epoch == epoch)
    rows = connection.execute(select(registry.c.kind, registry.c.no, registry.c.hub_no).where(this))
    hub_nos = {(row.kind, row.no): row.hub_no for row in rows}
    joined = select(device.c.no, device.c.id).join(registry, registry.c.hub_no == device.c.no)
    devices = connection.execute(joined.where(this, registry.c.kind == int(Kind.DEVICE)))
    return Numbers(hub_nos, {row.no: row.id for row in devices})


def make_rows(numbers: Numbers, box: Box, records: Sequence[Record]) -> tuple[list[Record], list[Row]]:
    """Return the records that are no statements, and the rows of those that are: all of them or, before its numbers
    are known, none. So that a large bundle holds up the database for its writing only.
    """
    try:
        rows = [make_row(numbers, box, record) for record in _statements(records)]
    except RecordUnresolved:
        return list(records), []
    return [record for record in records if not isinstance(record, Statement)], rows


def make_row(numbers: Numbers, box: Box, record: Statement) -> Row:
    """Return the row of a statement. This is the hub's hot path: nothing is looked up but in memory.

    Raises:
        RecordUnresolved
    """
    device_no = None if record.device_no is None else numbers.resolve(Kind.DEVICE, record.device_no)
    device_id = None if device_no is None else numbers.device_ids[device_no]
    content = (
        None if record.learner_no is None else numbers.resolve(Kind.LEARNER, record.learner_no),
        numbers.resolve(Kind.VERB, record.verb_no),
        numbers.resolve(Kind.ACTIVITY, record.activity_no),
        device_no,
        _registration(record, device_id),
        *_content_of(record),
    )
    digest = blake2b_256(codec.encode(content))[:_DIGEST_BYTES]
    return (box.school_no, box.no, _statement_id(record, device_id), record.stored_ms, *content, digest)


def _statements(records: Iterable[Record]) -> Iterable[Statement]:
    return (record for record in records if isinstance(record, Statement))


def _statement_id(record: Statement, device_id: bytes | None) -> bytes:
    if record.id is not None:
        return record.id
    if device_id is None or record.device_seq is None:
        raise RecordUnresolved(kind="statement", no=0)
    return derive_statement_id(device_id, record.device_seq, record.timestamp_ms)


def _registration(record: Statement, device_id: bytes | None) -> bytes | None:
    if record.registration is not None or record.attempt_seq is None or device_id is None:
        return record.registration
    return derive_registration(device_id, record.attempt_seq)
