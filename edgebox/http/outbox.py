"""Where tablets hand in what was done on our own pages. No cookie is needed: every event carries its submit token."""

import json

from aiohttp import web

from edgebox.http.body import read_json
from edgebox.keys import BOX

REQUEST_MAX_BYTES = 64 * 1024


async def post_outbox(request: web.Request) -> web.Response:
    """Store events and answer, after the commit, which of them are durable."""
    answer = await request.app[BOX].recording.store_outbox(await read_json(request, REQUEST_MAX_BYTES))
    body = {
        "acked": answer.acked,
        "rejected": answer.rejected,
        "box_seq": answer.box_seq,
        "hub_seq": answer.hub_seq,
        "server_ms": answer.server_ms,
    }
    return web.Response(body=json.dumps(body).encode(), content_type="application/json")
