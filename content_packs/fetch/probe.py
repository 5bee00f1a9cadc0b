"""Finding out early that a connection is dead: after a cut, a new connection comes to life and the old one does not."""

import asyncio
import contextlib

from content_packs.base.clock import Clock

AGAIN_MS = 20_000


class Probe:
    """Tries to connect to one address, again and again while it is asked to; nothing is sent."""

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._task: asyncio.Task[None] | None = None
        self._alive_since_ms = -1
        self._proof_ms = -1
        self._proven_ms = -AGAIN_MS

    def start(self, seconds: float) -> None:
        """Try to connect within so many seconds, unless a try is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._connect(seconds))

    def proves_dead(self, heard_ms: int) -> bool:
        """Return whether a try that began after `heard_ms` came through, so that the silence since is not the line's.

        It may be that of a slow server, so this counts only once in a while.
        """
        now_ms = self._clock.monotonic_ms()
        if self._alive_since_ms <= heard_ms:
            return False
        if self._alive_since_ms != self._proof_ms and now_ms - self._proven_ms >= AGAIN_MS:
            self._proof_ms, self._proven_ms = self._alive_since_ms, now_ms
        return self._alive_since_ms == self._proof_ms

    async def close(self) -> None:
        """Stop trying; safe to repeat."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _connect(self, seconds: float) -> None:
        began_ms = self._clock.monotonic_ms()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(seconds):
                _, writer = await asyncio.open_connection(self._host, self._port)
            self._alive_since_ms = began_ms
            writer.transport.abort()
