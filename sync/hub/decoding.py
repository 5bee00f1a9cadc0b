"""Decode large bundles in a process of their own, with little memory, little time and the lowest rank.

What a hostile body costs there delays no other box, and whatever it makes of that process is checked here like anything
from outside. Messages are a length of 4 bytes and a msgpack list: either [kind, rows], or what is wrong.
"""

import os
from collections.abc import Callable, Iterator
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

from content_packs.base import codec
from content_packs.base.limited import LimitedChild
from sync.bundle import codec0
from sync.bundle.body import Body
from sync.bundle.errors import BundleMalformed, BundleTooLarge
from sync.bundle.limits import PLAIN_MAX_BYTES
from sync.records.kinds import KINDS, Kind, RecordMalformed, check, kind_of
from sync.records.rows import Record

CHILD = ("-I", "-m", "sync.hub.decoding_child")
CHILD_SECONDS = 120.0
ROWS_PER_MESSAGE = 250
TOLD_MAX_BYTES = 3 * PLAIN_MAX_BYTES  # what is no statement, the answers, and what each row adds
_LENGTH_BYTES = 4
_TOLD_MAX_CHARACTERS = 40


def tell(packed: bytes, body: Body) -> Iterator[bytes]:
    """Yield the messages of the child."""
    try:
        records = body.unpack(packed)
    except BundleMalformed as error:
        yield _framed([0, str(error.fields.get("reason", ""))])
        return
    except RecordMalformed as error:
        yield _framed([0, str(error.fields["kind"]), str(error.fields["field"])])
        return
    for kind, alike in groupby(records, kind_of):
        values = attrgetter(*(field.name for field in KINDS[kind].fields))
        while rows := [list(_several(values(record))) for record in islice(alike, ROWS_PER_MESSAGE)]:
            yield _framed([int(kind), rows])


class Leash:
    """Lets go of a child from another thread, whether it runs or was not started yet."""

    def __init__(self) -> None:
        self._child: LimitedChild | None = None
        self._is_cut = False

    def put_on(self, child: LimitedChild) -> None:
        """Hold a child that is about to start."""
        self._child = child
        if self._is_cut:
            child.kill()

    def cut(self) -> None:
        """End the child: nobody waits for its answer any more."""
        self._is_cut = True
        if self._child is not None:
            self._child.kill()


def decode_apart(packed: bytes, body: Body, child: tuple[str, ...] = CHILD, leash: Leash | None = None) -> list[Record]:
    """Return the records of an unsealed body. Blocks.

    Raises:
        BundleMalformed, RecordMalformed: the body is not what its head says.
        BundleTooLarge: it takes more memory or time than any honest one.
    """
    descriptor = os.memfd_create("body", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w+b") as file:
        file.write(packed)
        del packed  # up to 32 MiB, which the child has now
        file.flush()
        file.seek(0)
        limited = LimitedChild((*child, *_arguments(body)), file, seconds=CHILD_SECONDS)
        (leash or Leash()).put_on(limited)
        with limited:
            records = _collect(limited.read, sum(body.counts.values()))
            if not limited.ended_well():
                raise BundleTooLarge(limit="work")
    if codec0.count_by_kind(records) != {kind: count for kind, count in body.counts.items() if count}:
        raise BundleMalformed(reason="counts")
    return records


def body_of(arguments: list[str]) -> Body:
    """Return the body that the child was started for."""
    codec_no, plain_bytes, around_ms, counts = arguments
    pairs = (pair.split(":") for pair in counts.split(",") if pair)
    return Body(int(codec_no), int(plain_bytes), int(around_ms), {Kind(int(no)): int(count) for no, count in pairs})


def _arguments(body: Body) -> tuple[str, ...]:
    counts = ",".join(f"{int(kind)}:{count}" for kind, count in body.counts.items())
    return str(body.codec_no), str(body.plain_bytes), str(body.around_ms), counts


def _collect(read: Callable[[int], bytes], most: int) -> list[Record]:
    records: list[Record] = []
    for message in _messages(read):
        records += _records(message)
        if len(records) > most:
            raise BundleMalformed(reason="counts")
    return records


def _framed(message: list[Any]) -> bytes:
    content = codec.encode(message)
    return len(content).to_bytes(_LENGTH_BYTES, "big") + content


def _messages(read: Callable[[int], bytes]) -> Iterator[Any]:
    left_bytes = TOLD_MAX_BYTES
    while len(length := read(_LENGTH_BYTES)) == _LENGTH_BYTES:
        size_bytes = int.from_bytes(length, "big")
        left_bytes -= size_bytes
        if left_bytes < 0 or len(content := read(size_bytes)) < size_bytes:
            raise BundleTooLarge(limit="work")
        try:
            yield codec.decode(content, max_bytes=TOLD_MAX_BYTES)
        except codec.CodecMalformed as error:
            raise BundleMalformed(reason="body") from error


def _records(message: Any) -> list[Record]:
    """Return what a message tells; the bundle may have taken over who sent it."""
    match message:
        case [0, str(reason)]:
            raise BundleMalformed(reason=reason[:_TOLD_MAX_CHARACTERS])
        case [0, str(kind), str(field)]:
            raise RecordMalformed(kind=kind[:_TOLD_MAX_CHARACTERS], field=field[:_TOLD_MAX_CHARACTERS])
        case [int(number), list(rows)]:
            try:
                make = KINDS[Kind(number)].record
                records: list[Record] = [make(*row) for row in rows]
            except (KeyError, TypeError, ValueError) as error:
                raise BundleMalformed(reason="body") from error
            check(records)
            return records
    raise BundleMalformed(reason="body")


def _several(values: Any) -> tuple[Any, ...]:
    return values if isinstance(values, tuple) else (values,)
