"""The signed list of a depot behind a line: read in a thread, as python-tuf has it, from a source of the event loop."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from content_packs.base.errors import N_
from content_packs.fetch.errors import NotOffered, SourceDown, SourceLied
from content_packs.fetch.small import SmallFiles
from content_packs.trust.errors import ListTooLarge
from content_packs.trust.reading import DepotReader, NotThere

# For all records of one list. What came until then is kept, so the next try goes on from there.
LIST_SECONDS = 600.0

Result = TypeVar("Result")


class LineReader:
    """A depot behind a line; see `DepotReader`. Made and stopped in the event loop, read from one other thread."""

    def __init__(self, files: SmallFiles) -> None:
        self._files = files
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + LIST_SECONDS
        self._task: asyncio.Task[bytes] | None = None
        self._is_stopped = False

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a whole file.

        Raises:
            NotThere, ListTooLarge: like `DepotReader`.
            SourceDown, SourceCaptured, FetchPaused: it cannot be read now.
        """
        return asyncio.run_coroutine_threadsafe(self._read(name, max_bytes), self._loop).result()

    def stop(self) -> None:
        """Let the thread fail that reads, now and from now on."""
        self._is_stopped = True
        if self._task is not None:
            self._task.cancel()

    async def _read(self, name: str, max_bytes: int) -> bytes:
        if self._is_stopped:
            raise self._late()
        self._task = self._loop.create_task(self._files.read(name, max_bytes))
        try:
            async with asyncio.timeout_at(self._until):
                return await self._task
        except NotOffered as error:
            raise NotThere(name) from error
        except SourceLied as error:
            raise ListTooLarge(name=name) from error
        except (TimeoutError, asyncio.CancelledError) as error:
            raise self._late() from error

    def _late(self) -> SourceDown:
        return SourceDown(source=self._files.source.name, reason=N_("it does not answer in time"), fault="list")


async def with_reader(files: SmallFiles, work: Callable[[DepotReader], Result]) -> Result:
    """Return what `work`, which blocks, makes of a depot; when this is cancelled, it has stopped before this ends."""
    reader = LineReader(files)
    thread = asyncio.ensure_future(asyncio.to_thread(work, reader))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        reader.stop()
        await asyncio.wait({thread})
        if not thread.cancelled():
            thread.exception()
        raise
