"""Many files of a pack in one answer of a neighbour: taken apart, verified one by one, resumed at the byte."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from content_packs.base import ids
from content_packs.base.clock import Clock, SystemClock
from content_packs.base.hashing import HASH_BYTES
from content_packs.fetch.contract import Source, Stream
from content_packs.fetch.errors import NotOffered, SourceDown, SourceLied
from content_packs.fetch.offers import HEADER_BYTES, WANT_HASHES_MAX, Want
from content_packs.fetch.turns import Turn
from content_packs.format.errors import BlobAltered
from content_packs.format.manifest import FileEntry
from content_packs.usb.writing import make_folder

_CHUNK_BYTES = 1024 * 1024
TRIES_MAX = 12

TakeIn = Callable[[FileEntry, Iterable[bytes]], None]


class Neighbour(Source, Protocol):
    """A source that answers requests for many files."""

    async def want(self, want: Want, patience: int = 0) -> Stream:
        """Return the answer. Raises like `open`."""


class AnswerReader:
    """Takes an answer apart; it stays the same over several connections.

    Attributes:
        current: hash of the file at work, None between files.
        taken_bytes: of the header and content of that file.
    """

    def __init__(self, sizes: Mapping[bytes, int]) -> None:
        self._sizes = sizes
        self._header = b""
        self.current: bytes | None = None
        self.taken_bytes = 0

    def feed(self, part: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
        """Yield hash, piece of content and whether it is the last, for what came.

        Raises:
            BlobAltered: a file that was not wanted, or of another length.
        """
        while part or self._is_over():
            if self.current is None:
                header, part = part[: HEADER_BYTES - len(self._header)], part[HEADER_BYTES - len(self._header) :]
                self._header += header
                self.taken_bytes = len(self._header)
                if self.taken_bytes < HEADER_BYTES:
                    return
                self._begin()
            assert self.current is not None
            piece = part[: self._left_bytes()]
            part = part[len(piece) :]
            self.taken_bytes += len(piece)
            content_hash, is_last = self.current, self._is_over()
            if is_last:
                self.current, self._header, self.taken_bytes = None, b"", 0
            yield content_hash, piece, is_last

    def _begin(self) -> None:
        content_hash = self._header[:HASH_BYTES]
        if self._sizes.get(content_hash) != int.from_bytes(self._header[HASH_BYTES:], "big"):
            raise BlobAltered(file=content_hash.hex())
        self.current = content_hash

    def _left_bytes(self) -> int:
        return self._sizes[self.current or b""] + HEADER_BYTES - self.taken_bytes

    def _is_over(self) -> bool:
        return self.current is not None and self._left_bytes() == 0


class WantFetch:
    """The missing files of one pack version, from one neighbour; `take_in` gets each that came whole."""

    def __init__(
        self,
        source: Neighbour,
        pack: str,
        version: int,
        entries: Sequence[FileEntry],
        take_in: TakeIn,
        folder: Path,
        *,
        on_bytes: Callable[[int], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        self._source = source
        self._pack = pack
        self._version = version
        self._missing = {entry.hash: entry for entry in entries}
        self._take_in = take_in
        self._path = folder / f"{ids.new_token()}.part"
        self._on_bytes = on_bytes
        self._clock = clock or SystemClock()
        self._reader = AnswerReader({entry.hash: entry.size_bytes for entry in entries})

    async def run(self) -> None:
        """Fetch all of them, over as many connections as it takes.

        Raises:
            NotOffered: the neighbour does not have one of them.
            SourceLied: one is not what its hash says.
            SourceDown, SourceCaptured: nothing comes any more.
        """
        turn = Turn()
        await asyncio.to_thread(make_folder, self._path.parent)
        try:
            while self._missing:
                before = len(self._missing), self._reader.taken_bytes
                try:
                    await self._receive(turn.failures)
                except SourceDown:
                    if (len(self._missing), self._reader.taken_bytes) != before:
                        turn.succeed()
                    now_ms = self._clock.monotonic_ms()
                    turn.fail(now_ms, int.from_bytes(ids.random_bytes(4)) / (1 << 32), now_ms)
                    if turn.failures > TRIES_MAX:
                        raise
                    await asyncio.sleep((turn.next_try_ms - now_ms) / 1000)
        finally:
            with contextlib.suppress(FileNotFoundError):
                await asyncio.to_thread(self._path.unlink)

    async def _receive(self, patience: int) -> None:
        current = self._reader.current
        hashes = [*([current] if current else []), *(wanted for wanted in self._missing if wanted != current)]
        asked = tuple(hashes[:WANT_HASHES_MAX])
        stream = await self._source.want(Want(self._pack, self._version, asked, self._reader.taken_bytes), patience)
        left = len(self._missing)
        try:
            async for part in stream.parts():
                self._on_bytes(len(part))
                await asyncio.to_thread(self._take, part)
        finally:
            await stream.close()
        if self._missing and len(self._missing) == left:
            raise NotOffered(file=next(iter(self._missing.values())).path)

    def _take(self, part: bytes) -> None:
        """Write what came of a file, and take a whole one into the store. Blocks."""
        try:
            for content_hash, piece, is_last in self._reader.feed(part):
                with self._path.open("ab") as file:
                    file.write(piece)
                if is_last:
                    entry = self._missing[content_hash]
                    with self._path.open("rb") as file:
                        self._take_in(entry, iter(lambda: file.read(_CHUNK_BYTES), b""))
                    self._path.unlink()
                    del self._missing[content_hash]
        except (BlobAltered, KeyError) as error:
            raise SourceLied(source=self._source.name, file=self._pack) from error
