"""Apply the records of one bundle: numbers first, then what names them, all in the caller's transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, get_args

from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Table, and_, delete, insert, or_, select, update

from content_packs.base import codec
from sync.hub.store import merged, streams
from sync.hub.store.boxes import Box
from sync.hub.store.bundles import Place
from sync.hub.store.clock import observe
from sync.hub.store.database import add_row, add_rows
from sync.hub.store.files import tell_arrived, tell_lacking
from sync.hub.store.outgoing import log_rows
from sync.hub.store.projecting import find_learner, project
from sync.hub.store.schema import (
    activity,
    assignment,
    boot,
    class_,
    device,
    enrollment,
    pack_install,
    registry,
    statement,
    statement_conflict,
    told_early,
    verb,
)
from sync.hub.store.statement_rows import (
    COLUMNS,
    DIGEST,
    ID,
    TIMES,
    Numbers,
    RecordUnresolved,
    Row,
    make_row,
    read_numbers,
)
from sync.records.activity import parse_activity
from sync.records.coarse import is_coarser
from sync.records.facts import is_known, may_go
from sync.records.kinds import Direction, Kind, kind_of
from sync.records.merging import with_origin
from sync.records.rows import (
    Activity,
    Assignment,
    Boot,
    Class,
    Device,
    Enrollment,
    Fact,
    HandIn,
    Learner,
    Member,
    Merged,
    PackInstall,
    Record,
    Statement,
    Verb,
)

_BATCH = 400


class Applier:
    """Applies the bundles of one box; what it knows of the epoch's numbers stays in memory while it lives."""

    def __init__(self, connection: Connection, box: Box, place: Place, now_ms: int) -> None:
        self._connection = connection
        self._box = box
        self._place = place
        self._now_ms = now_ms
        early = select(told_early.c.kind, told_early.c.hub_no).where(told_early.c.box_no == box.no)
        self._early = {(row.kind, row.hub_no) for row in connection.execute(early)}
        self._numbers = self._known_numbers()

    def apply(self, records: Sequence[Record], rows: Sequence[Row] = ()) -> None:
        """Apply all records of a bundle; `rows` are those of its statements that were made before.

        Raises:
            RecordUnresolved: a number is unknown or has another meaning; the caller rolls back.
        """
        for record in records:
            if type(record) in _APPLY:
                _APPLY[type(record)](self, record)
        statements = (record for record in records if isinstance(record, Statement))
        self._add_statements(chain(rows, (make_row(self._numbers, self._box, record) for record in statements)))
        self._merge([record for record in records if isinstance(record, _MERGED)])

    def _known_numbers(self) -> Numbers:
        return read_numbers(self._connection, self._box.no, self._place.epoch)

    def _register(self, kind: Kind, no: int, hub_no: int) -> None:
        known = self._numbers.hub_nos.setdefault((kind, no), hub_no)
        if known != hub_no:
            raise RecordUnresolved(kind=kind.name.lower(), no=no)
        values = {"box_no": self._box.no, "epoch": self._place.epoch, "kind": int(kind), "no": no}
        this = and_(*(registry.c[name] == value for name, value in values.items()))
        if self._connection.execute(select(registry.c.hub_no).where(this)).scalar() is None:
            self._connection.execute(insert(registry).values(values | {"hub_no": hub_no}))
            self._log_number(kind, hub_no)

    def _log_number(self, kind: Kind, hub_no: int) -> None:
        """Tell other boxes what a number stands for, unless an express bundle has had them told."""
        if (kind, hub_no) not in self._early:
            self._log(kind, [hub_no])
            return
        self._early.discard((kind, hub_no))
        this = and_(told_early.c.kind == int(kind), told_early.c.hub_no == hub_no)
        self._connection.execute(delete(told_early).where(told_early.c.box_no == self._box.no, this))

    def _find_or_add(self, table: Table, keys: dict[str, Any], more: dict[str, Any] | None = None) -> int:
        this = and_(*(table.c[name] == value for name, value in keys.items()))
        found = self._connection.execute(select(table.c.no).where(this)).scalar()
        if found is not None:
            return int(found)
        return add_row(self._connection, table, keys | (more or {}))

    def _put(self, table: Table, keys: dict[str, Any], values: dict[str, Any]) -> None:
        """Write a row that its box owns, unless a later bundle of the box has written it."""
        this = and_(*(table.c[name] == value for name, value in keys.items()))
        stamp = {"stamp_epoch": self._place.epoch, "stamp_seq": self._place.seq}
        if self._connection.execute(select(table.c.stamp_seq).where(this)).first() is None:
            self._connection.execute(insert(table).values(keys | values | stamp))
            return
        self._connection.execute(update(table).where(this, _is_older(table, self._place)).values(values | stamp))

    def _apply_verb(self, record: Verb) -> None:
        self._register(Kind.VERB, record.no, self._find_or_add(verb, {"iri": record.iri}))

    def _apply_activity(self, record: Activity) -> None:
        parts = parse_activity(record.iri)
        more = {"pack": parts.pack, "resource": parts.resource, "item": parts.item}
        self._register(Kind.ACTIVITY, record.no, self._find_or_add(activity, {"iri": record.iri}, more))

    def _apply_device(self, record: Device) -> None:
        keys = {"school_no": self._box.school_no, "id": record.id}
        no = self._find_or_add(device, keys)
        self._register(Kind.DEVICE, record.no, no)
        self._numbers.device_ids[no] = record.id

    def _apply_learner(self, record: Learner) -> None:
        self._register(Kind.LEARNER, record.no, find_learner(self._connection, self._box.school_no, record.pseudonym))

    def _apply_class(self, record: Class) -> None:
        keys = {"school_no": self._box.school_no, "pseudonym": record.pseudonym}
        self._put(class_, keys, {"code": record.code, "is_active": record.is_active})
        self._register(Kind.CLASS, record.no, self._find_or_add(class_, keys))

    def _apply_enrollment(self, record: Enrollment) -> None:
        keys = {
            "class_no": self._numbers.resolve(Kind.CLASS, record.class_no),
            "learner_no": self._numbers.resolve(Kind.LEARNER, record.learner_no),
        }
        self._put(enrollment, keys, {"is_active": record.is_active})

    def _apply_pack_install(self, record: PackInstall) -> None:
        keys = {"box_no": self._box.no, "pack": record.pack, "version": record.version}
        self._put(pack_install, keys, {"root": record.root, "at_ms": record.at_ms, "is_installed": record.is_installed})

    def _apply_assignment(self, record: Assignment) -> None:
        class_no = self._numbers.resolve(Kind.CLASS, record.class_no)
        keys = {"class_no": class_no, "pack": record.pack, "lesson": record.lesson}
        self._put(assignment, keys, {"at_ms": record.at_ms, "is_active": record.is_active})

    def _apply_boot(self, record: Boot) -> None:
        values = {"offset_ms": record.offset_ms, "quality": record.quality}
        if record.start_ms is None:
            self._put(boot, {"no": self._numbers.resolve(Kind.BOOT, record.no)}, values)
            return
        keys = {"box_no": self._box.no, "start_ms": record.start_ms}
        self._put(boot, keys, values)
        self._register(Kind.BOOT, record.no, self._find_or_add(boot, keys))

    def _add_statements(self, made: Iterator[Row]) -> None:
        while batch := list(islice(made, _BATCH)):
            rows: dict[bytes, Row] = {}
            for row in batch:
                if rows.setdefault(row[ID], row)[DIGEST] != row[DIGEST]:
                    self._keep_conflict(row)
            in_school = statement.c.school_no == self._box.school_no
            known = select(statement.c.id, statement.c.digest).where(in_school, statement.c.id.in_(list(rows)))
            for found in self._connection.execute(known).all():
                row = rows.pop(found.id)
                if row[DIGEST] != found.digest:
                    self._meet(row)
            add_rows(self._connection, statement, COLUMNS, list(rows.values()))
            self._log(Kind.STATEMENT, list(rows))

    def _merge(self, records: list[Merged]) -> None:
        """Merge what may come up: what only the hub may say, such as a name, is not taken from a box.

        Raises:
            RecordUnresolved: a fact or a set that this program does not know yet.
        """
        hub = merged.find_origin(self._connection)
        changed: list[Merged] = []
        for record in records:
            if isinstance(record, Fact | Member) and not is_known(record):
                no = record.field if isinstance(record, Fact) else record.set_no
                raise RecordUnresolved(kind=kind_of(record).name.lower(), no=no)
            whole = with_origin(record, self._box.verify_key.key_id)
            if not may_go(whole, Direction.UP) or (isinstance(whole, Fact) and whole.origin == hub):
                continue
            row_no = merged.merge(self._connection, self._box.school_no, whole, hub)
            if row_no is not None:
                changed.append(whole)
                self._log(kind_of(whole), [row_no])
        observe(self._connection, self._box.school_no, [record.stamp for record in changed], self._now_ms)
        project(self._connection, self._box.school_no, changed)
        hand_ins = [record for record in changed if isinstance(record, HandIn)]
        tell_arrived(self._connection, self._box.school_no, hand_ins, self._now_ms)
        if hand_ins and streams.has_started_over(self._connection, self._box.no):
            # It may have heard of files that a hub had before it was restored. For ever: a record may come again at any
            # time, and the clock that stamped it may be wrong, so nothing tells a new one from one of before.
            tell_lacking(self._connection, self._box.school_no, hand_ins, self._now_ms)

    def _log(self, kind: Kind, keys: list[Any]) -> None:
        log_rows(self._connection, self._box.school_no, self._box.no, kind, keys)

    def _meet(self, row: Row) -> None:
        """Deal with a statement that is known in another form: in coarser or finer time, or as a conflict."""
        new = dict(zip(COLUMNS, row, strict=True))
        this = and_(statement.c.school_no == new["school_no"], statement.c.id == new["id"])
        known = self._connection.execute(select(statement).where(this)).mappings().one()
        if any(known[name] != new[name] for name in new if name not in (*TIMES, "box_no", "stored_ms", "digest")):
            self._keep_conflict(row)
        elif is_coarser(_times(known), _times(new)):
            finer = {name: new[name] for name in (*TIMES, "stored_ms", "digest")}
            self._connection.execute(update(statement).where(this).values(finer))
        elif not is_coarser(_times(new), _times(known)):
            self._keep_conflict(row)

    def _keep_conflict(self, row: Row) -> None:
        values = dict(zip(COLUMNS, row, strict=True))
        keys = {name: values[name] for name in ("school_no", "id", "digest")}
        content = codec.encode({name: value for name, value in values.items() if value is not None})
        more = {"box_no": self._box.no, "content": content, "received_ms": self._now_ms}
        self._find_or_add(statement_conflict, keys, more)


_MERGED = get_args(Merged)
_APPLY: dict[type[Any], Callable[[Applier, Any], None]] = {
    Verb: Applier._apply_verb,
    Activity: Applier._apply_activity,
    Device: Applier._apply_device,
    Learner: Applier._apply_learner,
    Class: Applier._apply_class,
    Enrollment: Applier._apply_enrollment,
    PackInstall: Applier._apply_pack_install,
    Assignment: Applier._apply_assignment,
    Boot: Applier._apply_boot,
}


def _times(row: Mapping[str, Any] | RowMapping) -> tuple[int, int | None]:
    return row["timestamp_ms"], row["duration_ms"]


def _is_older(table: Table, place: Place) -> ColumnElement[bool]:
    epoch: Column[int] = table.c.stamp_epoch
    return or_(epoch < place.epoch, and_(epoch == place.epoch, table.c.stamp_seq <= place.seq))
