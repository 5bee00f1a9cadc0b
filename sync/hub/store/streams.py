"""Bundles for boxes: how far each box's stream is made, which of its bundles wait, and what the box has confirmed."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from sync.bundle.layout import NO_PREVIOUS, PREVIOUS_BYTES, Vector
from sync.engine.stream import Stream, held, lacking
from sync.hub.store.schema import stream, stream_bundle

NAME_BYTES = 16
_FIRST_EPOCH = 1


@dataclass(frozen=True)
class Position:
    """Where a box's next bundle goes: after `made_seq` of the epoch, and behind `through_no` of its school's log."""

    epoch: int
    made_seq: int
    through_no: int
    tail: bytes
    said_ms: int

    @property
    def stream(self) -> Stream:
        """Return what the rules need of it."""
        return Stream(self.epoch, self.made_seq, self.said_ms)


@dataclass(frozen=True)
class Outgoing:
    """A bundle for a box; `name` is what it is asked for by, and the start of its hash."""

    box_no: int
    epoch: int
    seq: int
    hash: bytes
    size_bytes: int

    @property
    def name(self) -> bytes:
        """Return the 16 bytes that name it."""
        return self.hash[:NAME_BYTES]


def find_position(connection: Connection, box_no: int) -> Position:
    """Return where the next bundle for a box goes."""
    columns = select(stream.c.epoch, stream.c.made_seq, stream.c.through_no, stream.c.tail, stream.c.said_ms)
    row = connection.execute(columns.where(stream.c.box_no == box_no)).one_or_none()
    return Position(_FIRST_EPOCH, 0, 0, NO_PREVIOUS, 0) if row is None else Position(*row)


def has_started_over(connection: Connection, box_no: int) -> bool:
    """Return whether a box ever had another history than was made here, or lacked what is not kept any more."""
    return find_position(connection, box_no).epoch != _FIRST_EPOCH


def add_bundle(connection: Connection, bundle: Outgoing, through_no: int, now_ms: int) -> None:
    """Add the row of a bundle whose file is on the disk, and move the stream behind it."""
    values = {
        "box_no": bundle.box_no,
        "seq": bundle.seq,
        "hash": bundle.hash,
        "name": bundle.name,
        "size_bytes": bundle.size_bytes,
        "created_ms": now_ms,
    }
    connection.execute(insert(stream_bundle).values(values))
    moved = {"made_seq": bundle.seq, "through_no": through_no, "tail": bundle.hash[:PREVIOUS_BYTES]}
    _put(connection, bundle.box_no, moved)


def skip(connection: Connection, box_no: int, through_no: int) -> None:
    """Move a stream over a part of the log in which nothing is due to the box."""
    _put(connection, box_no, {"through_no": through_no})


def begin_epoch(connection: Connection, box_no: int, epoch: int) -> list[bytes]:
    """Start over: everything that is due goes again, in bundles numbered from 1; return the names of files not needed.

    They are removed after the commit: a power cut between the two leaves files without rows, which `list_names` tells.
    """
    names = _drop(connection, stream_bundle.c.box_no == box_no)
    _put(connection, box_no, {"epoch": epoch, "made_seq": 0, "through_no": 0, "tail": NO_PREVIOUS})
    return names


def list_waiting(connection: Connection, box_no: int) -> list[Outgoing]:
    """Return the bundles that the box has not confirmed, in order."""
    waiting = (stream_bundle.c.box_no == box_no) & stream_bundle.c.settled_ms.is_(None)
    return _list(connection, waiting)


def find_by_name(connection: Connection, name: bytes) -> Outgoing | None:
    """Return the bundle of that name."""
    return next(iter(_list(connection, stream_bundle.c.name == name)), None)


def list_names(connection: Connection) -> set[bytes]:
    """Return the names of all bundles that have a row, and so a right to their file."""
    return set(connection.execute(select(stream_bundle.c.name)).scalars())


def settle(connection: Connection, box_no: int, vector: Vector, said_ms: int, now_ms: int) -> None:
    """Take over what a box confirms of the present epoch."""
    settled = 0
    for first, last in held(vector):
        waiting = _between(box_no, first, last) & stream_bundle.c.settled_ms.is_(None)
        settled += connection.execute(update(stream_bundle).where(waiting).values(settled_ms=now_ms)).rowcount
    if settled:
        _put(connection, box_no, {"said_ms": min(said_ms, now_ms)})


def wait_again(connection: Connection, box_no: int, vector: Vector, made_seq: int) -> bool:
    """Let what a box lacks wait, whether or not it was confirmed; return whether all of it is still here."""
    is_whole = True
    for first, last in lacking(vector, made_seq):
        found = connection.execute(update(stream_bundle).where(_between(box_no, first, last)).values(settled_ms=None))
        is_whole &= found.rowcount == last - first + 1
    return is_whole


def note(connection: Connection, box_no: int, notice: int) -> None:
    """Keep what a box told beside its last ack."""
    _put(connection, box_no, {"notice": notice})


def forget_settled(connection: Connection, box_no: int, before_ms: int) -> list[bytes]:
    """Drop the rows of bundles confirmed before a time, and return the names of their files."""
    return _drop(connection, (stream_bundle.c.box_no == box_no) & (stream_bundle.c.settled_ms < before_ms))


def _drop(connection: Connection, chosen: ColumnElement[bool]) -> list[bytes]:
    names = list(connection.execute(select(stream_bundle.c.name).where(chosen)).scalars())
    if names:
        connection.execute(delete(stream_bundle).where(chosen))
    return names


def _list(connection: Connection, chosen: ColumnElement[bool]) -> list[Outgoing]:
    columns = select(
        stream_bundle.c.box_no, stream.c.epoch, stream_bundle.c.seq, stream_bundle.c.hash, stream_bundle.c.size_bytes
    )
    joined = columns.join(stream, stream.c.box_no == stream_bundle.c.box_no)
    return [Outgoing(*row) for row in connection.execute(joined.where(chosen).order_by(stream_bundle.c.seq))]


def _between(box_no: int, first: int, last: int) -> ColumnElement[bool]:
    return (stream_bundle.c.box_no == box_no) & stream_bundle.c.seq.between(first, last)


def _put(connection: Connection, box_no: int, values: dict[str, object]) -> None:
    if connection.execute(update(stream).where(stream.c.box_no == box_no).values(values)).rowcount == 0:
        new = {"epoch": _FIRST_EPOCH, "made_seq": 0, "through_no": 0, "tail": NO_PREVIOUS, "said_ms": 0, "notice": 0}
        connection.execute(insert(stream).values({"box_no": box_no} | new | values))
