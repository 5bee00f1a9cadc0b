"""Apply the records of one bundle: numbers first, then what names them, all in the caller's transaction."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from sqlalchemy import Column, ColumnElement, Connection, RowMapping, Table, and_, delete, insert, or_, select, update

from content_packs.base import codec
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.base.ids import derive_registration, derive_statement_id
from sync.hub.store import merged
from sync.hub.store.boxes import Box
from sync.hub.store.bundles import Place
from sync.hub.store.clock import observe
from sync.hub.store.database import add_row
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
    Learner,
    Member,
    Merged,
    PackInstall,
    Record,
    Statement,
    Verb,
)

_BATCH = 400
_DIGEST_BYTES = 8


class RecordUnresolved(EdgeboxError):
    """A record that names a number nobody explained, or explains one in two ways."""

    code = "hub.record_unresolved"
    status = 409
    exit_code = 36
    sentence = N_("A record names something the hub does not know ({kind} {no}).")
    remedy = N_("Nothing is lost: the bundle is kept. Update the hub, or ask its developer.")


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
        self._device_ids: dict[int, bytes] = {}

    def apply(self, records: Sequence[Record]) -> None:
        """Apply all records of a bundle.

        Raises:
            RecordUnresolved: a number is unknown or has another meaning; the caller rolls back.
        """
        for record in records:
            if type(record) in _APPLY:
                _APPLY[type(record)](self, record)
        self._add_statements([record for record in records if isinstance(record, Statement)])
        self._merge([record for record in records if isinstance(record, _MERGED)])

    def _known_numbers(self) -> dict[tuple[int, int], int]:
        this = and_(registry.c.box_no == self._box.no, registry.c.epoch == self._place.epoch)
        rows = self._connection.execute(select(registry.c.kind, registry.c.no, registry.c.hub_no).where(this))
        return {(row.kind, row.no): row.hub_no for row in rows}

    def _resolve(self, kind: Kind, no: int) -> int:
        found = self._numbers.get((kind, no))
        if found is None:
            raise RecordUnresolved(kind=kind.name.lower(), no=no)
        return found

    def _register(self, kind: Kind, no: int, hub_no: int) -> None:
        known = self._numbers.setdefault((kind, no), hub_no)
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
        self._register(Kind.DEVICE, record.no, self._find_or_add(device, keys))

    def _apply_learner(self, record: Learner) -> None:
        self._register(Kind.LEARNER, record.no, find_learner(self._connection, self._box.school_no, record.pseudonym))

    def _apply_class(self, record: Class) -> None:
        keys = {"school_no": self._box.school_no, "pseudonym": record.pseudonym}
        self._put(class_, keys, {"code": record.code, "is_active": record.is_active})
        self._register(Kind.CLASS, record.no, self._find_or_add(class_, keys))

    def _apply_enrollment(self, record: Enrollment) -> None:
        keys = {
            "class_no": self._resolve(Kind.CLASS, record.class_no),
            "learner_no": self._resolve(Kind.LEARNER, record.learner_no),
        }
        self._put(enrollment, keys, {"is_active": record.is_active})

    def _apply_pack_install(self, record: PackInstall) -> None:
        keys = {"box_no": self._box.no, "pack": record.pack, "version": record.version}
        self._put(pack_install, keys, {"root": record.root, "at_ms": record.at_ms, "is_installed": record.is_installed})

    def _apply_assignment(self, record: Assignment) -> None:
        class_no = self._resolve(Kind.CLASS, record.class_no)
        keys = {"class_no": class_no, "pack": record.pack, "lesson": record.lesson}
        self._put(assignment, keys, {"at_ms": record.at_ms, "is_active": record.is_active})

    def _apply_boot(self, record: Boot) -> None:
        values = {"offset_ms": record.offset_ms, "quality": record.quality}
        if record.start_ms is None:
            self._put(boot, {"no": self._resolve(Kind.BOOT, record.no)}, values)
            return
        keys = {"box_no": self._box.no, "start_ms": record.start_ms}
        self._put(boot, keys, values)
        self._register(Kind.BOOT, record.no, self._find_or_add(boot, keys))

    def _add_statements(self, records: list[Statement]) -> None:
        for start in range(0, len(records), _BATCH):
            rows: dict[bytes, dict[str, Any]] = {}
            for row in map(self._statement_row, records[start : start + _BATCH]):
                if rows.setdefault(row["id"], row)["digest"] != row["digest"]:
                    self._keep_conflict(row)
            in_school = statement.c.school_no == self._box.school_no
            known = select(statement.c.id, statement.c.digest).where(in_school, statement.c.id.in_(list(rows)))
            for found in self._connection.execute(known).all():
                row = rows.pop(found.id)
                if row["digest"] != found.digest:
                    self._meet(row)
            if rows:
                self._connection.execute(insert(statement), list(rows.values()))
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

    def _log(self, kind: Kind, keys: list[Any]) -> None:
        log_rows(self._connection, self._box.school_no, self._box.no, kind, keys)

    def _meet(self, row: dict[str, Any]) -> None:
        """Deal with a statement that is known in another form: in coarser or finer time, or as a conflict."""
        this = and_(statement.c.school_no == row["school_no"], statement.c.id == row["id"])
        known = self._connection.execute(select(statement).where(this)).mappings().one()
        if any(known[name] != row[name] for name in row if name not in (*_TIMES, "box_no", "stored_ms", "digest")):
            self._keep_conflict(row)
        elif is_coarser(_times(known), _times(row)):
            finer = {name: row[name] for name in (*_TIMES, "stored_ms", "digest")}
            self._connection.execute(update(statement).where(this).values(finer))
        elif not is_coarser(_times(row), _times(known)):
            self._keep_conflict(row)

    def _statement_row(self, record: Statement) -> dict[str, Any]:
        device_id = None if record.device_no is None else self._device_id(record.device_no)
        resolved = {
            "learner_no": None if record.learner_no is None else self._resolve(Kind.LEARNER, record.learner_no),
            "verb_no": self._resolve(Kind.VERB, record.verb_no),
            "activity_no": self._resolve(Kind.ACTIVITY, record.activity_no),
            "device_no": None if record.device_no is None else self._resolve(Kind.DEVICE, record.device_no),
            "registration": _registration(record, device_id),
        }
        content = resolved | {name: getattr(record, name) for name in _CONTENT}
        content["digest"] = blake2b_256(codec.encode(list(content.values())))[:_DIGEST_BYTES]
        more = {"id": _statement_id(record, device_id), "stored_ms": record.stored_ms}
        return {"school_no": self._box.school_no, "box_no": self._box.no} | more | content

    def _device_id(self, no: int) -> bytes:
        hub_no = self._resolve(Kind.DEVICE, no)
        if hub_no not in self._device_ids:
            found = self._connection.execute(select(device.c.id).where(device.c.no == hub_no))
            self._device_ids[hub_no] = found.scalar_one()
        return self._device_ids[hub_no]

    def _keep_conflict(self, row: dict[str, Any]) -> None:
        keys = {"school_no": row["school_no"], "id": row["id"], "digest": row["digest"]}
        content = codec.encode({name: value for name, value in row.items() if value is not None})
        more = {"box_no": self._box.no, "content": content, "received_ms": self._now_ms}
        self._find_or_add(statement_conflict, keys, more)


_MERGED = get_args(Merged)
_CONTENT = (
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
_TIMES = ("timestamp_ms", "duration_ms")
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


def _is_older(table: Table, place: Place) -> ColumnElement[bool]:
    epoch: Column[int] = table.c.stamp_epoch
    return or_(epoch < place.epoch, and_(epoch == place.epoch, table.c.stamp_seq <= place.seq))
