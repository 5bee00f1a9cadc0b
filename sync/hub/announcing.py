"""Messages of the operator to the staff of a school."""

from content_packs.base import ids
from content_packs.base.clock import Clock
from sync.hub.errors import HubRequestRefused
from sync.hub.store import boxes
from sync.hub.store.boxes import DAY_MS
from sync.hub.store.worker import Store, Transaction
from sync.hub.store.writing import SchoolWriter
from sync.records.kinds import MESSAGE_MAX_BYTES
from sync.records.rows import Message

DAYS_MAX = 366


class Announcing:
    """Messages out: they reach every box of the school with the next bundle it takes."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def announce(self, school_title: str, text: str, days: int) -> None:
        """Say something to the staff of a school for some days.

        Raises:
            HubRequestRefused: there is no such school, the text is empty or too long, or the days are not 1 to 366.
        """
        line = text.strip()
        if not line or len(line.encode()) > MESSAGE_MAX_BYTES or not 1 <= days <= DAYS_MAX:
            raise HubRequestRefused(reason="the text or the days")
        now_ms = self._clock.now_ms()
        message = Message(ids.random_bytes(ids.ID_BYTES), line, now_ms + days * DAY_MS, 0)

        def write(connection: Transaction) -> None:
            school_no = boxes.find_school(connection, school_title)
            if school_no is None:
                raise HubRequestRefused(reason="there is no such school")
            SchoolWriter(connection, school_no, now_ms).write(message)

        await self._store.run(write)
