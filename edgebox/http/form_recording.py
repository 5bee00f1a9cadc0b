"""Recording what browsers without script send as forms: the box makes the events that a script would have made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from aiohttp import web

from edgebox.domain.events import EVENTS_MAX, EventMalformed
from edgebox.http import cookies
from edgebox.http.resource_views import Shown
from edgebox.keys import BOX, SESSION

_DEVICE = b"edgebox form"
# Numbers of such a device are moments, so that they grow without being stored: 1024 of them fit into a millisecond.
_SEQ_PER_MS = 1024


@dataclass(frozen=True)
class Done:
    """One thing the learner did; `result` as in the outbox."""

    verb: str
    result: Mapping[str, Any]
    item: str | None = None


async def record(request: web.Request, shown: Shown, done: Sequence[Done]) -> None:
    """Store what was done as one attempt; returns when it is durable.

    Raises:
        StoreUnavailable: nothing was kept.
        EventMalformed: a part of it cannot be kept, and the page must not say that it was.
    """
    box, session = request.app[BOX], request[SESSION]
    now_ms = box.clock.now_ms()
    first_seq = now_ms * _SEQ_PER_MS
    whole = {
        "attempt": first_seq,
        "token": box.recording.tokens.make(session.person_no, session.pseudonym),
        "t": now_ms,
        "pack": shown.manifest.pack,
        "version": str(shown.manifest.version),
        "resource": shown.resource.id,
    }
    events: list[dict[str, Any]] = [{**whole, "seq": first_seq, "verb": "launched"}]
    for seq, each in enumerate(done, first_seq + 1):
        events.append({**whole, "seq": seq, "verb": each.verb, "item": each.item, "result": dict(each.result)})
    device = blake2b(cookies.device_key(request).encode(), digest_size=16, person=_DEVICE).hexdigest()
    for start in range(0, len(events), EVENTS_MAX):
        batch = events[start : start + EVENTS_MAX]
        answer = await box.recording.store_outbox({"device": device, "held_from": batch[0]["seq"], "events": batch})
        if answer.rejected:
            raise EventMalformed(field="form")
