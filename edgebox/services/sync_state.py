"""What people are shown of the exchange with the hub."""

from dataclasses import dataclass
from typing import Any

from content_packs.base.errors import N_, EdgeboxError


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


class NotEnrolled(EdgeboxError):
    """The box does not know a hub to send to."""

    code = "sync.not_enrolled"
    status = 409
    exit_code = 45
    sentence = N_("This box is not connected to a hub.")
    remedy = N_("Ask the hub for a code and enrol the box with it. Until then everything is kept here.")
