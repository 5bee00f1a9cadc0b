"""What the errors of a hub mean to a box."""

from content_packs.base.errors import EdgeboxError
from sync.transport.errors import HubBusy, HubRefused, LinkCaptured

JSON_TYPE = "application/json"
_BUSY = frozenset({408, 429, 500, 502, 503, 504})


def refusal(status: int, code: str, *, is_json: bool = True) -> EdgeboxError:
    """Return what an answer means that is neither an ack nor a success; `code` is the hub's, or tells the status.

    HubBusy is to come back later, HubRefused a no in the hub's own words. Whoever says no in another way than JSON is
    not the hub, which is LinkCaptured.
    """
    if status in _BUSY:
        return HubBusy(hub_code=code)
    return HubRefused(hub_code=code) if is_json else LinkCaptured(reason=f"status {status}")
