"""What comes down from the hub: merged with what is here, and put into the tables that the pages read.

The hub names verbs, activities, devices and learners by numbers of its own. What they mean here is kept per (origin,
epoch); a row that is new here gets a number and a place in the log, because statements made here may name it too.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, get_args

from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.statement_in import from_record
from edgebox.store import merged, stamping
from edgebox.store.projecting import find_learner, project
from edgebox.store.registry import Numbers, Registry
from edgebox.store.statements import advance_device, find_or_make_device, insert_from_hub
from edgebox.store.writing import find_hub_origin
from sync.records.activity import parse_activity
from sync.records.facts import may_go
from sync.records.kinds import Direction, Kind
from sync.records.merging import with_origin
from sync.records.rows import Activity, Device, Fact, Learner, Member, Merged, Record, Statement, Verb

_FIND = "SELECT local_no FROM hub_number WHERE origin = ? AND epoch = ? AND kind = ? AND no = ?"
_INSERT = "INSERT INTO hub_number (origin, epoch, kind, no, local_no) VALUES (?, ?, ?, ?, ?)"
_TEXT_OF = {Kind.VERB: "SELECT iri FROM verb WHERE no = ?", Kind.ACTIVITY: "SELECT iri FROM activity WHERE no = ?"}
_DEVICE_ID = "SELECT id FROM device WHERE no = ?"


class NumberUnresolved(EdgeboxError):
    """A record of the hub names a number that nobody explained, or explains one in two ways."""

    code = "record.number_unresolved"
    status = 409
    exit_code = 249
    sentence = N_("The hub sent something that this box does not understand ({kind} {no}).")
    remedy = N_("Nothing was changed. Update the box; it asks the hub again by itself.")


def apply_records(
    connection: sqlite3.Connection, records: Sequence[Record], *, origin: bytes, epoch: int, now_ms: int
) -> None:
    """Apply the records of one bundle of the hub in the caller's transaction. Safe to repeat.

    Raises:
        NumberUnresolved: a record names a number that nobody explained; the caller rolls back.
    """
    numbers = _HubNumbers(connection, origin, epoch, now_ms)
    statements = []
    for record in records:
        if type(record) in _REGISTER:
            _REGISTER[type(record)](numbers, record)
        elif isinstance(record, Statement):
            statements.append(record)
    _add_statements(connection, numbers, statements)
    _merge(connection, [each for each in records if isinstance(each, _MERGED)], origin, now_ms)


class _HubNumbers:
    """What the hub's numbers mean here."""

    def __init__(self, connection: sqlite3.Connection, origin: bytes, epoch: int, now_ms: int) -> None:
        self._connection = connection
        self._place = (origin, epoch)
        self._now_ms = now_ms
        self._known: dict[tuple[Kind, int], int] = {}
        self._values: dict[tuple[Kind, int], Any] = {}
        self.local = Numbers(connection, Registry({}, {}))

    def resolve(self, kind: Kind, no: int) -> int:
        """Return the number here of a number of the hub."""
        found = self._find(kind, no)
        if found is None:
            raise NumberUnresolved(kind=kind.name.lower(), no=no)
        return found

    def read(self, kind: Kind, no: int) -> Any:
        """Return the IRI or the device id that a number of the hub stands for."""
        if (kind, no) not in self._values:
            query = _TEXT_OF.get(kind, _DEVICE_ID)
            self._values[kind, no] = self._connection.execute(query, (self.resolve(kind, no),)).fetchone()[0]
        return self._values[kind, no]

    def register_verb(self, record: Verb) -> None:
        self._register(Kind.VERB, record.no, self.local.of_verb(record.iri))

    def register_activity(self, record: Activity) -> None:
        self._register(Kind.ACTIVITY, record.no, self.local.of_activity(parse_activity(record.iri)))

    def register_device(self, record: Device) -> None:
        self._register(Kind.DEVICE, record.no, find_or_make_device(self._connection, record.id, self._now_ms))

    def register_learner(self, record: Learner) -> None:
        self._register(Kind.LEARNER, record.no, find_learner(self._connection, record.pseudonym, self._now_ms))

    def _find(self, kind: Kind, no: int) -> int | None:
        if (kind, no) not in self._known:
            row = self._connection.execute(_FIND, (*self._place, int(kind), no)).fetchone()
            if row is None:
                return None
            self._known[kind, no] = row[0]
        return self._known[kind, no]

    def _register(self, kind: Kind, no: int, local_no: int) -> None:
        known = self._find(kind, no)
        if known is None:
            self._connection.execute(_INSERT, (*self._place, int(kind), no, local_no))
            self._known[kind, no] = local_no
        elif known != local_no:
            raise NumberUnresolved(kind=kind.name.lower(), no=no)


_MERGED = get_args(Merged)
_REGISTER: dict[type[Any], Callable[[_HubNumbers, Any], None]] = {
    Verb: _HubNumbers.register_verb,
    Activity: _HubNumbers.register_activity,
    Device: _HubNumbers.register_device,
    Learner: _HubNumbers.register_learner,
}


def _add_statements(connection: sqlite3.Connection, numbers: _HubNumbers, records: Sequence[Statement]) -> None:
    arrived: dict[bytes, list[int]] = {}
    for record in records:
        verb_iri, activity_iri = (
            numbers.read(Kind.VERB, record.verb_no),
            numbers.read(Kind.ACTIVITY, record.activity_no),
        )
        device_id = None if record.device_no is None else numbers.read(Kind.DEVICE, record.device_no)
        device_no = None if record.device_no is None else numbers.resolve(Kind.DEVICE, record.device_no)
        if record.learner_no is None:
            continue  # what nobody did is nobody's progress
        person_no = numbers.resolve(Kind.LEARNER, record.learner_no)
        statement = from_record(record, person_no, verb_iri, activity_iri, device_id)
        if statement is None:
            raise NumberUnresolved(kind="statement", no=0)
        insert_from_hub(connection, numbers.local, statement, device_no, record.stored_ms)
        if device_id is not None and record.device_seq is not None:
            arrived.setdefault(device_id, []).append(record.device_seq)
    for device_id, seqs in arrived.items():
        advance_device(connection, device_id, seqs)


def _merge(connection: sqlite3.Connection, records: Sequence[Any], maker: bytes, now_ms: int) -> None:
    """Merge what may come down. A fact or set that this program does not know yet is kept for one that does."""
    hub = find_hub_origin(connection)
    changed = []
    for record in records:
        if isinstance(record, Fact | Member) or may_go(record, Direction.DOWN):
            whole = with_origin(record, maker)
            if merged.merge(connection, whole, hub) is not None:
                changed.append(whole)
    stamping.observe(connection, [record.stamp for record in changed], now_ms)
    project(connection, changed, now_ms)
