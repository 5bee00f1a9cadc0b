"""What a place to fetch from owes its caller: a hub's depot, a static web server, a neighbour box, a folder."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ask:
    """Bytes of one file of a depot.

    Attributes:
        name: relative to the depot, as in docs/depot.md.
        start: first byte.
        end: the byte behind the last, None for all.
        validator: what the source called this state of the file the last time, "" if nothing.
        patience: tries in a row that failed.
    """

    name: str
    start: int = 0
    end: int | None = None
    validator: str = ""
    patience: int = 0


class Stream(Protocol):
    """An answer.

    Attributes:
        start: where the bytes begin: as asked, or 0 from a source that can only send everything.
        total_bytes: of the whole file, None when the source does not say.
        validator: names this state of the file: as long as it stays, the bytes do. "" if the source has none.
    """

    start: int
    total_bytes: int | None
    validator: str

    def parts(self) -> AsyncIterator[bytes]:
        """Yield the bytes as they come.

        Raises:
            SourceDown: the source went silent, or the line broke.
        """

    async def close(self) -> None:
        """Let go of the source, also in the middle; safe to repeat."""


class Source(Protocol):
    """A place that holds files of a depot. The bytes it gives are not verified: that is for the caller.

    Attributes:
        name: what people and logs call it.
        is_metered: its bytes count against the budget.
        streams_max: how many answers at once are of use.
    """

    name: str
    is_metered: bool
    streams_max: int

    async def open(self, ask: Ask) -> Stream:
        """Return the answer to a request.

        Raises:
            SourceDown: nobody answers in time; ask again later.
            SourceCaptured: somebody else answered.
            NotOffered: the source does not have the file.
        """

    async def close(self) -> None:
        """Let go of everything; safe to repeat."""
