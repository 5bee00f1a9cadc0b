"""What the answers of a hub mean to a box."""

import json
from base64 import b64decode
from typing import Any

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


def read_record(line: bytes) -> dict[str, Any]:
    """Return an object of JSON.

    Raises:
        LinkCaptured: it is none.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise LinkCaptured(reason="JSON") from error
    if not isinstance(found, dict):
        raise LinkCaptured(reason="JSON")
    return found


def read_base64(text: object) -> bytes:
    """Return the bytes that a text stands for.

    Raises:
        LinkCaptured: it is no Base64.
    """
    try:
        return b64decode(str(text), validate=True)
    except ValueError as error:
        raise LinkCaptured(reason="Base64") from error
