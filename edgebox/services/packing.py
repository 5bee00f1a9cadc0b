"""Large bodies of bundles are made by a process of their own, at the lowest rank, so that a class notices nothing.

`python -I -m edgebox.services.packing` reads the log through a read-only connection, like every reader, and answers one
msgpack list on its standard output. Keys stay in the box's own process, which seals and signs.
"""

import contextlib
import os
import sys
from dataclasses import astuple, dataclass
from pathlib import Path

from content_packs.base import codec
from content_packs.base.errors import N_
from content_packs.base.limited import LimitedChild, step_back, step_back_as_group
from edgebox.store import spans
from edgebox.store.connections import StoreUnavailable, open_reader
from edgebox.store.spans import Span
from sync.bundle.limits import SEALED_MAX_BYTES
from sync.bundle.write import Packed, pack
from sync.records.kinds import RecordMalformed, check, find_flaw, kind_of
from sync.records.rows import Record

CHILD = ("-I", "-m", "edgebox.services.packing")
# 20,000 changes take 3 s on a PC, and a box may be ten times slower; a stick waits for whoever packs.
CHILD_SECONDS = 30.0
CHANGE_SECONDS = 0.003
ANSWER_MAX_BYTES = 2 * SEALED_MAX_BYTES
STAYING_MAX = 20
NOT_PACKED = N_("what waits for the hub could not be read")


@dataclass(frozen=True, slots=True)
class Order:
    """Which part of the log to pack, and how."""

    database: str
    from_change: int
    max_changes: int
    max_bytes: int
    created_ms: int
    codec_no: int
    is_coarse: bool


@dataclass(frozen=True, slots=True)
class Parcel:
    """A part of the log as the body of a bundle.

    Attributes:
        staying: kind and field of what is out of the bounds of the format; it stays here and stops no other record.
    """

    through_change: int
    packed: Packed
    staying: list[str]


class Packing:
    """Has large parts packed, and can be ended from outside: whoever stops the program does not wait for that.

    Attributes:
        is_held: no process runs, and none is started.
    """

    def __init__(self) -> None:
        self.is_held = False
        self._child: LimitedChild | None = None

    def hold(self) -> None:
        """End the process that runs, and start none until `release`. Safe to repeat."""
        self.is_held = True
        if self._child is not None:
            self._child.kill()

    def release(self) -> None:
        """Start processes again. Safe to repeat."""
        self.is_held = False

    def pack(self, order: Order) -> Parcel | None:
        """Return the packed part, or None when the log has none. Blocks.

        Raises:
            StoreUnavailable: the process could not do it, or was not to; nothing is changed.
        """
        try:
            answer = self._ask(order)
        except OSError as error:
            raise StoreUnavailable(reason=NOT_PACKED, fault=type(error).__name__) from error
        if answer is None:
            raise StoreUnavailable(reason=NOT_PACKED)
        found = codec.decode(answer, max_bytes=ANSWER_MAX_BYTES)
        if not found:
            return None
        through, codec_no, plain_bytes, content, counts, staying = found
        return Parcel(through, Packed(codec_no, plain_bytes, content, tuple((k, n) for k, n in counts)), staying)

    def _ask(self, order: Order) -> bytes | None:
        arguments = (*CHILD, *(str(int(value) if isinstance(value, bool) else value) for value in astuple(order)))
        with Path(os.devnull).open("rb") as nothing:
            # Known before it starts: one that is killed before does not start.
            self._child = child = LimitedChild(arguments, nothing, seconds=child_seconds(order.max_changes))
            if self.is_held:
                return None
            with child:
                return child.read_all(ANSWER_MAX_BYTES)


def child_seconds(changes: int) -> float:
    """Return how long a process may take for so many changes: what hangs with many is soon tried with few."""
    return CHILD_SECONDS + changes * CHANGE_SECONDS


def sort_out(records: list[Record]) -> tuple[list[Record], list[str]]:
    """Return the records within the bounds of the format, and what is wrong with the first of the others."""
    with contextlib.suppress(RecordMalformed):
        check(records)  # all at once, which is several times faster than each; mostly nothing is wrong
        return records, []
    flaws = [(record, find_flaw(record)) for record in records]
    staying = [f"kind={kind_of(record).name.lower()} field={flaw}" for record, flaw in flaws if flaw is not None]
    return [record for record, flaw in flaws if flaw is None], staying[:STAYING_MAX]


def main() -> int:
    """Answer one order."""
    step_back()
    step_back_as_group()
    database, *numbers = sys.argv[1:]
    from_change, max_changes, max_bytes, created_ms, codec_no, is_coarse = map(int, numbers)
    connection = open_reader(Path(database))
    span = spans.read_span(connection, from_change, max_changes=max_changes, max_bytes=max_bytes)
    sys.stdout.buffer.write(codec.encode([] if span is None else _answer(span, created_ms, codec_no, bool(is_coarse))))
    sys.stdout.buffer.flush()
    return 0


def _answer(span: Span, created_ms: int, codec_no: int, is_coarse: bool) -> list[object]:
    records, staying = sort_out(span.records)
    packed = pack(records, created_ms=created_ms, codec_no=codec_no, is_coarse=is_coarse)
    counts = [list(pair) for pair in packed.counts]
    return [span.through_change, packed.codec_no, packed.plain_bytes, packed.content, counts, staying]


if __name__ == "__main__":
    sys.exit(main())
