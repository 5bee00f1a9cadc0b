"""Express bundles: applied by id, ahead of the bundles of the chain that bring the same rows later.

Their numbers are explained in the bundle itself and mean nothing to any other, so a copy of a box cannot explain a
number wrongly to the chain of the original. Whatever the chain writes, it writes afterwards as if nothing had come
ahead; only that other boxes were told of a row is noted, so that they are not told twice.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, insert, select

from sync.bundle.layout import PREVIOUS_BYTES, Head
from sync.bundle.limits import RANGES_MAX
from sync.engine.receiver import ranges
from sync.hub.store.applying import Applier
from sync.hub.store.bundles import BundleState, Held, Place
from sync.hub.store.schema import express, told_early
from sync.hub.store.statement_rows import Numbers, RecordUnresolved
from sync.records.kinds import KINDS, Direction, Kind

# A box waits for the word on one at a time.
TOLD_MAX = 1_000


class ExpressApplier(Applier):
    """Applies one express bundle."""

    def _known_numbers(self) -> Numbers:
        known = super()._known_numbers()
        self._told = {(kind, hub_no) for (kind, _no), hub_no in known.hub_nos.items()} | self._early
        return Numbers({}, {})

    def _register(self, kind: Kind, no: int, hub_no: int) -> None:
        if self._numbers.hub_nos.setdefault((kind, no), hub_no) != hub_no:
            raise RecordUnresolved(kind=kind.name.lower(), no=no)
        if (kind, hub_no) not in self._told and Direction.DOWN in KINDS[kind].directions:
            self._told.add((kind, hub_no))
            values = {"box_no": self._box.no, "kind": int(kind), "hub_no": hub_no}
            self._connection.execute(insert(told_early).values(values))
            self._log(kind, [hub_no])

    def _put(self, table: Table, keys: dict[str, Any], values: dict[str, Any]) -> None:
        """Write a row that is not there, older than all that the chain says of it."""
        this = and_(*(table.c[name] == value for name, value in keys.items()))
        if self._connection.execute(select(table.c.stamp_seq).where(this)).first() is None:
            stamp = {"stamp_epoch": self._place.epoch, "stamp_seq": 0}
            self._connection.execute(insert(table).values(keys | values | stamp))


def find_hashes(connection: Connection, place: Place) -> frozenset[bytes]:
    """Return the hashes of what came under a number; two mean that two boxes use one identity."""
    this = and_(_in_epoch(place), express.c.seq == place.seq)
    return frozenset(connection.execute(select(express.c.hash).where(this)).scalars())


def add(connection: Connection, place: Place, head: Head, state: BundleState, *, size_bytes: int, now_ms: int) -> None:
    """Note an express bundle and what became of it; it is not kept, as the chain brings the same."""
    values = {
        "box_no": place.box_no,
        "epoch": place.epoch,
        "seq": place.seq,
        "hash": head.hash,
        "state": state.value,
        "size_bytes": size_bytes,
        "records": sum(count for _kind, count in head.counts),
        "created_ms": head.created_ms,
        "received_ms": now_ms,
    }
    connection.execute(insert(express).values(values))


def with_express(connection: Connection, place: Place, held: Held) -> Held:
    """Return what is held of an epoch with the latest express bundles that came, for an ack."""
    columns = select(express.c.seq, express.c.hash).where(_in_epoch(place))
    latest = connection.execute(columns.order_by(express.c.seq.desc()).limit(TOLD_MAX)).all()
    if not latest:
        return held
    taken = ranges(frozenset(row.seq for row in latest), TOLD_MAX)[-RANGES_MAX:]
    return replace(held, express=taken, express_tail=latest[0].hash[:PREVIOUS_BYTES])


def _in_epoch(place: Place) -> ColumnElement[bool]:
    return and_(express.c.box_no == place.box_no, express.c.epoch == place.epoch)
