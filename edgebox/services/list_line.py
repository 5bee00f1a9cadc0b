"""The platform's list of packs over a line, read by the same code as from a stick."""

import asyncio
import concurrent.futures
import logging
from collections.abc import Sequence

from content_packs.base.errors import N_, EdgeboxError
from content_packs.fetch import Source
from content_packs.fetch.errors import NotOffered, SourceDown, SourceLied
from content_packs.fetch.packs import read_small
from content_packs.trust.errors import ListRollback, ListTooLarge
from content_packs.trust.reading import NotThere
from edgebox.services.trust import Trust

log = logging.getLogger(__name__)


class LineReader:
    """A depot at a source, for a thread that reads its records one after the other; see `DepotReader`.

    Attributes:
        read_bytes: of all records so far.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._reading: concurrent.futures.Future[bytes] | None = None
        self._is_stopped = False
        self.read_bytes = 0

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a whole file. Raises like `DepotReader`, and SourceDown, SourceCaptured."""
        if self._is_stopped:
            raise self._down()
        self._reading = asyncio.run_coroutine_threadsafe(read_small(self._source, name, max_bytes), self._loop)
        try:
            content = self._reading.result()
        except NotOffered as error:
            raise NotThere(name) from error
        except SourceLied as error:
            raise ListTooLarge(name=name) from error
        except concurrent.futures.CancelledError as error:
            raise self._down() from error
        self.read_bytes += len(content)
        return content

    def stop(self) -> None:
        """Let the thread come to an end."""
        self._is_stopped = True
        if self._reading is not None:
            self._reading.cancel()

    def _down(self) -> SourceDown:
        return SourceDown(source=self._source.name, reason=N_("the line broke"), fault="stopped")


async def refresh_list(trust: Trust, sources: Sequence[Source]) -> int:
    """Take over the newest list that depots have, if the box goes by one; return how many bytes that took.

    A list that is refused or does not come keeps nobody from the packs of the list the box has.
    """
    read_bytes = 0
    if await asyncio.to_thread(lambda: trust.is_listed):
        for source in sources:
            reader = LineReader(source)
            try:
                await _refresh(trust, reader)
            except ListRollback:
                log.info("trust.older_list place=%s", source.name)
            except EdgeboxError as error:
                log.warning("trust.list_refused place=%s error=%s", source.name, error)
            read_bytes += reader.read_bytes
    return read_bytes


async def _refresh(trust: Trust, reader: LineReader) -> None:
    """Refresh in a thread, which has ended when this returns or is cancelled."""
    thread = asyncio.create_task(asyncio.to_thread(trust.refresh, reader))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        reader.stop()
        await asyncio.wait({thread})
        raise
