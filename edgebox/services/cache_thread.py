"""`cache.db` on a thread of its own, so that nothing waits for the disk in the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from edgebox.store.cache import Cache

T = TypeVar("T")


class CacheThread:
    """Runs work on the cache, one piece after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cache")
        self._cache: Cache | None = None

    async def run(self, work: Callable[[Cache], T]) -> T:
        """Return what `work` returns.

        Raises:
            CacheRemade: fill the cache again, then try once more.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: self._opened().run(work))

    async def close(self) -> None:
        """Close the file; safe to repeat."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._cache is not None:
            self._cache.close()

    def _opened(self) -> Cache:
        if self._cache is None:
            self._cache = Cache(self._path)
        return self._cache
