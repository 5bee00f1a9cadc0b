"""State documents of learning apps, with the conditions under which they may be replaced."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from edgebox.store import states
from edgebox.store.database import Database
from edgebox.store.states import Document, Place
from sync.records.xapi import StatementMalformed

DOCUMENT_MAX_BYTES = 64 * 1024
DOCUMENTS_MAX = 2000
JSON_TYPE = "application/json"
_ETAG_BYTES = 16


class StateChanged(EdgeboxError):
    """The document is not the one the writer has seen."""

    code = "record.state_changed"
    status = 412
    exit_code = 87
    sentence = N_("This was changed at another place in the meantime.")
    remedy = N_("Open the page again to go on from there.")


class StateFull(EdgeboxError):
    """A learner has too many documents."""

    code = "record.state_full"
    status = 413
    exit_code = 88
    sentence = N_("There is no more room for saved places ({count} are kept).")
    remedy = N_("Your answers are saved all the same. Tell your teacher.")


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold before a write: the values of If-Match and If-None-Match."""

    if_match: str | None = None
    if_none_match: str | None = None

    def check(self, document: Document | None) -> None:
        """Return if the condition holds for what is there.

        Raises:
            StateChanged
        """
        if self.if_match is not None and (document is None or not _names(self.if_match, document)):
            raise StateChanged
        if self.if_none_match is not None and document is not None and _names(self.if_none_match, document):
            raise StateChanged


def etag(content: bytes) -> str:
    """Return the quoted tag of a content."""
    return f'"{blake2b(content, digest_size=_ETAG_BYTES).hexdigest()}"'


class AppState:
    """The state documents of a box."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self, place: Place, state_id: str) -> Document | None:
        """Return one document."""
        return await self._database.read(lambda connection: states.find_state(connection, place, state_id))

    async def list_ids(self, place: Place, since_ms: int) -> list[str]:
        """Return the ids of documents changed after a moment."""
        return await self._database.read(lambda connection: states.list_states(connection, place, since_ms))

    async def put(self, place: Place, state_id: str, content_type: str, content: bytes, condition: Condition) -> None:
        """Replace a document.

        Raises:
            StateChanged, StateFull
        """
        new = Document(content_type, content, self._clock.now_ms())

        def decide(before: Document | None, count: int) -> Document:
            condition.check(before)
            return _with_room(new, before, count)

        await self._change(place, state_id, decide)

    async def merge(self, place: Place, state_id: str, content_type: str, content: bytes, condition: Condition) -> None:
        """Add the names of a JSON object to the object that is there; without one, the content is stored as it is.

        Raises:
            StateChanged, StateFull
            StatementMalformed: one of the two is not a JSON object.
        """
        now_ms = self._clock.now_ms()

        def decide(before: Document | None, count: int) -> Document:
            condition.check(before)
            merged = content if before is None else _merged(before, content_type, content)
            return _with_room(Document(content_type, merged, now_ms), before, count)

        await self._change(place, state_id, decide)

    async def delete(self, place: Place, state_id: str, condition: Condition) -> None:
        """Remove a document, if it is there.

        Raises:
            StateChanged
        """
        await self._change(place, state_id, lambda before, _count: condition.check(before))

    async def _change(
        self, place: Place, state_id: str, decide: Callable[[Document | None, int], Document | None]
    ) -> None:
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: states.change_state(connection, place, state_id, decide, now_ms))

    async def delete_all(self, place: Place) -> None:
        """Remove all documents of one learner about one activity."""
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: states.delete_states(connection, place, now_ms))


def _with_room(new: Document, before: Document | None, count: int) -> Document:
    if before is None and count >= DOCUMENTS_MAX:
        raise StateFull(count=DOCUMENTS_MAX)
    return new


def _merged(before: Document, content_type: str, content: bytes) -> bytes:
    if before.content_type != JSON_TYPE or content_type != JSON_TYPE:
        raise StatementMalformed(where="state", reason="only JSON documents can be merged")
    parts = json.loads(before.content), json.loads(content)
    if not all(isinstance(part, dict) for part in parts):
        raise StatementMalformed(where="state", reason="only JSON objects can be merged")
    merged = json.dumps(parts[0] | parts[1], separators=(",", ":"), ensure_ascii=False).encode()
    if len(merged) > DOCUMENT_MAX_BYTES:
        raise StatementMalformed(where="state", reason="too large")
    return merged


def _names(tags: str, document: Document) -> bool:
    return tags.strip() == "*" or etag(document.content) in [tag.strip() for tag in tags.split(",")]
