"""Documents of learning apps, with the conditions under which they may be replaced (1.0.3 part 3, 3.1; 2.0, 4.1.4)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from hashlib import sha1
from typing import Any

from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.cmi5.rules import SessionOver
from edgebox.domain.cmi5.session import Launch
from edgebox.domain.xapi.values import StatementMalformed
from edgebox.store import documents, launches
from edgebox.store.database import Database
from edgebox.store.documents import Document, Place, Room

DOCUMENT_MAX_BYTES = 64 * 1024
JSON_TYPE = "application/json"


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


class Need(Enum):
    """Whether a writer must say what it has seen."""

    NEVER = "never"
    TO_REPLACE = "to replace"
    ALWAYS = "always"


class ConditionMissing(EdgeboxError):
    """A document would be replaced by a writer who does not say what it has seen."""

    code = "record.condition_missing"
    status = 409
    exit_code = 5
    sentence = N_("There is something under this name already ({name}).")
    remedy = N_("The app has to read it first, and then say by If-Match what it replaces, or by If-None-Match nothing.")


@dataclass(frozen=True, slots=True)
class Condition:
    """What must hold before a write: the values of If-Match and If-None-Match.

    Attributes:
        need: whether one of them must be given.
        launch: of the unit that writes; it must still be one that may.
    """

    if_match: str | None = None
    if_none_match: str | None = None
    need: Need = Need.NEVER
    launch: Launch | None = None

    def check(self, document: Document | None, name: str) -> None:
        """Return if the condition holds for what is there.

        Raises:
            StateChanged, ConditionMissing, StatementMalformed
        """
        if self.if_match is None and self.if_none_match is None:
            self._check_absent(document, name)
        if self.if_match is not None and (document is None or not _names(self.if_match, document)):
            raise StateChanged
        if self.if_none_match is not None and document is not None and _names(self.if_none_match, document):
            raise StateChanged

    def _check_absent(self, document: Document | None, name: str) -> None:
        if self.need is not Need.NEVER and document is not None:
            raise ConditionMissing(name=name)
        if self.need is Need.ALWAYS:
            raise StatementMalformed(where="If-None-Match", reason="missing")


def etag(content: bytes) -> str:
    """Return the quoted tag of a content: SHA-1, because the standard says so (1.0.3 part 3, 3.1)."""
    return f'"{sha1(content, usedforsecurity=False).hexdigest()}"'


class Documents:
    """The documents of a box."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self, place: Place, name: str) -> Document | None:
        """Return one document."""
        return await self._database.read(lambda connection: documents.find_document(connection, place, name))

    async def list_names(self, place: Place, since_ms: int | None) -> list[tuple[str, int]]:
        """Return the names of documents changed after a moment, and when they were."""
        return await self._database.read(lambda connection: documents.list_documents(connection, place, since_ms))

    async def put(self, place: Place, name: str, content_type: str, content: bytes, condition: Condition) -> None:
        """Replace a document.

        Raises:
            StateChanged, ConditionMissing, StateFull, SessionOver
        """
        new = Document(content_type, content, self._clock.now_ms())

        def decide(before: Document | None, room: Room) -> Document:
            condition.check(before, name)
            return _with_room(new, before, room)

        await self._change(place, name, decide, condition)

    async def merge(
        self,
        place: Place,
        name: str,
        content_type: str,
        content: bytes,
        condition: Condition,
        check: Callable[[bytes], None] = lambda _content: None,
    ) -> None:
        """Add the names of a JSON object to the object that is there; without one, the content is stored as it is.

        `check` gets what comes out, and may raise to change nothing.

        Raises:
            StateChanged, StateFull, SessionOver
            StatementMalformed: one of the two is not a JSON object.
        """
        now_ms = self._clock.now_ms()

        def decide(before: Document | None, room: Room) -> Document:
            condition.check(before, name)
            merged = content if before is None else _merged(before, content_type, content)
            check(merged)
            return _with_room(Document(content_type, merged, now_ms), before, room)

        await self._change(place, name, decide, condition)

    async def delete(self, place: Place, name: str, condition: Condition) -> None:
        """Remove a document, if it is there.

        Raises:
            StateChanged, SessionOver
        """
        await self._change(place, name, lambda before, _room: condition.check(before, name), condition)

    async def _change(
        self,
        place: Place,
        name: str,
        decide: Callable[[Document | None, Room], Document | None],
        condition: Condition,
    ) -> None:
        now_ms = self._clock.now_ms()

        def change(connection: Any) -> None:
            if condition.launch is not None and not launches.may_read(connection, condition.launch, now_ms):
                raise SessionOver
            documents.change_document(connection, place, name, decide, now_ms)

        await self._database.write(change)

    async def delete_all(self, place: Place) -> None:
        """Remove all documents of a place."""
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: documents.delete_documents(connection, place, now_ms))


def _with_room(new: Document, before: Document | None, room: Room) -> Document:
    if before is None and room.count >= room.limit:
        raise StateFull(count=room.limit)
    return new


def _merged(before: Document, content_type: str, content: bytes) -> bytes:
    if not (is_json(before.content_type) and is_json(content_type)):
        raise StatementMalformed(where="document", reason="only JSON documents can be merged")
    parts = json.loads(before.content), json.loads(content)
    if not all(isinstance(part, dict) for part in parts):
        raise StatementMalformed(where="document", reason="only JSON objects can be merged")
    merged = json.dumps(parts[0] | parts[1], separators=(",", ":"), ensure_ascii=False).encode()
    if len(merged) > DOCUMENT_MAX_BYTES:
        raise StatementMalformed(where="document", reason="too large")
    return merged


def is_json(content_type: str) -> bool:
    """Tell whether a content type, with or without parameters, is JSON."""
    return content_type.partition(";")[0].strip().lower() == JSON_TYPE


def _names(tags: str, document: Document) -> bool:
    return tags.strip() == "*" or etag(document.content) in [tag.strip() for tag in tags.split(",")]
