"""Which stick this is: a random id in a file on it, made when the box first writes there, and which ids staff trust.

An id is no secret and proves nothing: who copies it gets sealed bundles and can bring signed answers, as any courier.
"""

import asyncio
from pathlib import Path

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from content_packs.format.errors import StickGone
from content_packs.usb.stick import NotPlain, StickFolder
from edgebox.store import known_sticks
from edgebox.store.database import Database
from sync.transport.stick_writing import StickWriter

PLACE = Path("edgebox", "stick.id")
_ID_BYTES = 16
_FILE_MAX_BYTES = 64


class StickIds:
    """Knows sticks again."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self, stick: Path) -> bytes | None:
        """Return the id of a stick; None when it has none, or cannot be read."""
        return await asyncio.to_thread(_read, stick)

    async def give(self, stick: Path) -> bytes | None:
        """Return the id of a stick, after giving it one; None when nothing can be written on it."""
        try:
            return await self._give(stick)
        except EdgeboxError:
            return None

    async def is_known(self, stick: Path) -> bool:
        """Return whether staff said that the box is always to exchange with this stick."""
        found = await self.find(stick)
        return found is not None and await self._database.read(lambda db: known_sticks.is_known(db, found))

    async def remember(self, stick: Path) -> None:
        """Always exchange with this stick from now on.

        Raises:
            StickReadOnly, StickFilled, StickPlaceTaken, StickLies, StickGone: it has no id, and cannot be given one.
        """
        found, now_ms = await self._give(stick), self._clock.now_ms()
        await self._database.write(lambda db: known_sticks.add_stick(db, found, now_ms))

    async def forget(self, stick: Path) -> None:
        """Do nothing by itself with this stick any more."""
        found = await self.find(stick)
        if found is not None:
            await self._database.write(lambda db: known_sticks.remove_stick(db, found))

    async def _give(self, stick: Path) -> bytes:
        found = await self.find(stick)
        return await asyncio.to_thread(_write, stick, ids.random_bytes(_ID_BYTES)) if found is None else found


def _read(stick: Path) -> bytes | None:
    try:
        with StickFolder(stick) as folder:
            text = b"".join(folder.read(PLACE.as_posix(), _FILE_MAX_BYTES))
        found = bytes.fromhex(text.decode("ascii"))
    except (OSError, NotPlain, StickGone, ValueError):
        return None
    return found if len(found) == _ID_BYTES else None


def _write(stick: Path, stick_id: bytes) -> bytes:
    writer = StickWriter(stick)
    writer.put(PLACE, f"{stick_id.hex()}\n".encode())
    writer.finish()
    return stick_id
