"""What people are shown of the exchange with the hub."""

from dataclasses import dataclass
from typing import Any

from content_packs.base.errors import N_, EdgeboxError
from edgebox.services.introducing import Introducing
from edgebox.services.uploading import Uploading
from edgebox.store import changes
from edgebox.store.database import Database
from edgebox.store.identities import Reason
from sync.enrolment import Hub


@dataclass(frozen=True)
class SyncStatus:
    """What the teacher's page shows.

    Attributes:
        waiting_changes: rows that the hub does not have yet.
        waiting_bytes: size of the bundles made and not confirmed.
        sending_bytes: size of the bundle that is on its way, 0 for none.
        stored_bytes: what the hub has of it.
        last_error: code and fields of the last failure, None since the last success.
        renewed_ms: when the box got a new key; None while it has its first.
        renewed_reason: why; see `edgebox.store.identities.Reason`.
    """

    hub_url: str | None
    box_id: str
    waiting_changes: int
    waiting_bundles: int
    waiting_bytes: int
    sending_bytes: int
    stored_bytes: int
    last_success_ms: int | None
    next_try_ms: int | None
    is_sending: bool
    last_error: dict[str, Any] | None
    renewed_ms: int | None = None
    renewed_reason: str | None = None


@dataclass
class LastFailure:
    """What went wrong last between box and hub; whoever does something there notes it here.

    Attributes:
        error: None since the last success.
    """

    error: EdgeboxError | None = None


class NotEnrolled(EdgeboxError):
    """The box does not know a hub to send to."""

    code = "sync.not_enrolled"
    status = 409
    exit_code = 45
    sentence = N_("This box is not connected to a hub.")
    remedy = N_("Ask the hub for a code and enrol the box with it. Until then everything is kept here.")


async def read_hub(database: Database) -> tuple[str, Hub]:
    """Return the address and keys of the hub this box is enrolled with.

    Raises:
        NotEnrolled: no hub is known.
    """
    found = await database.read(changes.find_hub)
    if found is None:
        raise NotEnrolled
    return found


async def read_status(
    database: Database,
    box_id: bytes,
    introducing: Introducing,
    uploading: Uploading,
    next_try_ms: int | None,
    last_error: EdgeboxError | None,
    *,
    is_sending: bool,
) -> SyncStatus:
    """Return what the teacher's page shows, from what the sender says of itself and what is stored."""
    found = await database.read(changes.find_hub)
    backlog = await database.read(changes.find_backlog)
    life = await introducing.last_life()
    is_renewed = life is not None and life.reason is not Reason.FIRST
    sending = uploading.made
    return SyncStatus(
        hub_url=None if found is None else found[0],
        box_id=box_id.hex(),
        waiting_changes=backlog.changes,
        waiting_bundles=backlog.bundles,
        waiting_bytes=backlog.size_bytes,
        sending_bytes=0 if sending is None else sending.size_bytes,
        stored_bytes=0 if sending is None else uploading.stored_bytes,
        last_success_ms=backlog.last_success_ms,
        next_try_ms=next_try_ms,
        is_sending=is_sending,
        last_error=None if last_error is None else last_error.as_record(),
        renewed_ms=life.since_ms if life and is_renewed else None,
        renewed_reason=life.reason.value if life and is_renewed else None,
    )
