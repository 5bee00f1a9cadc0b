"""One xAPI statement as the box keeps it: columns, and the exact JSON where an outside client made it."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from edgebox.domain.progress import Step
from edgebox.domain.xapi.mentions import Mentions
from sync.records.activity import Activity

_DIGEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a statement as columns; None where it has none."""

    success: bool | None = None
    completion: bool | None = None
    score_raw: float | None = None
    score_max: float | None = None
    score_scaled: float | None = None
    duration_ms: int | None = None
    progress: float | None = None
    response: str | None = None


@dataclass(frozen=True, slots=True)
class Outside:
    """What a statement of an outside client has besides its columns.

    Attributes:
        home_page: of the accounts of this box's people.
        authority: identifier of the agent that vouches for it.
        client_no: the credential it came with; None for a page in which a learner is signed in.
        target: id of the statement that it is about.
        is_voiding: it takes `target` back.
    """

    home_page: str
    mentions: Mentions
    authority: str
    client_no: int | None
    target: bytes | None
    is_voiding: bool


@dataclass(frozen=True, slots=True)
class NewStatement:
    """A checked statement that is to be stored.

    Attributes:
        person_no: None when the actor is nobody of this box.
        device_seq: with `attempt_seq`, for statements of our own pages only.
        pack_version: the version of the pack on the page, for statements of our own pages that say it.
        body: JSON of an outside client's statement.
        digest: tells the same content sent again from another content under the same id.
        received: what is kept when the id is taken by another content.
        step: what it means for the progress on `activity.whole`.
    """

    id: bytes
    person_no: int | None
    verb_iri: str
    activity: Activity
    timestamp_ms: int
    outcome: Outcome
    digest: bytes
    received: Mapping[str, Any]
    step: Step
    device_seq: int | None = None
    attempt_seq: int | None = None
    registration: bytes | None = None
    pack_version: int | None = None
    body: bytes | None = None
    outside: Outside | None = None


@dataclass(frozen=True, slots=True)
class StoredStatement:
    """A statement read back, its times repaired.

    Attributes:
        told: timestamp and time of storing as they were told, when the box's clock was wrong; None when it was right.
        person_no: None when the actor is nobody of this box.
        client_no: the credential with which it came.
        is_void: its client has taken it back.
    """

    id: bytes
    pseudonym: bytes | None
    verb_iri: str
    activity: Activity
    device_id: bytes | None
    attempt_seq: int | None
    registration: bytes | None
    timestamp_ms: int
    stored_ms: int
    outcome: Outcome
    body: bytes | None
    pack_version: int | None
    told: tuple[int, int] | None = None
    person_no: int | None = None
    client_no: int | None = None
    is_void: bool = False


def digest_of(content: bytes) -> bytes:
    """Return what tells one content from another."""
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
