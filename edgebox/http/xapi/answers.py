"""How the record store answers: JSON in UTF-8, and the headers that all its answers have."""

import json
from email.utils import formatdate
from typing import Any

from aiohttp import web

from edgebox.domain.xapi.version import Version
from edgebox.http.xapi.call import ANSWERED_IN, COMPLETE_THROUGH_MS, VERSION_HEADER
from edgebox.keys import BOX
from sync.records.moments import format_timestamp

_PREFIX = "/xapi/"
_STATEMENTS = "/xapi/statements"
_SECOND_MS = 1000
_EXPOSED = "ETag, Last-Modified, X-Experience-API-Version, X-Experience-API-Consistent-Through"


def json_answer(value: Any, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with JSON in UTF-8."""
    return written_answer(write_json(value), headers)


def write_json(value: Any) -> bytes:
    """Return JSON in UTF-8."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def written_answer(body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with JSON that is written already."""
    return web.Response(body=body, content_type="application/json", headers=headers)


def last_modified(moment_ms: int) -> dict[str, str]:
    """Return the header that says when something was stored."""
    return {"Last-Modified": formatdate(moment_ms / _SECOND_MS, usegmt=True)}


async def set_record_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give an answer of the record store, an error too, the headers that all have."""
    if not request.path.startswith(_PREFIX):
        return
    headers = response.headers
    headers[VERSION_HEADER] = request.get(ANSWERED_IN, Version.ONE).title
    if request.path == _STATEMENTS:
        # What is acknowledged is there at once: nothing is indexed later.
        through_ms = request.get(COMPLETE_THROUGH_MS) or request.app[BOX].record_store.through_ms()
        headers["X-Experience-API-Consistent-Through"] = format_timestamp(through_ms)
    # What clients have sent is nothing to look at: a browser that is led here shows it, if at all, without any right.
    headers["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    # Without cookies: a page elsewhere gets no more than its own credential gives it anywhere.
    headers["Access-Control-Allow-Origin"] = "*"
    headers["Access-Control-Expose-Headers"] = _EXPOSED
    if response.status == 401 and "Authorization" in request.headers:
        # Not without: a browser would ask for a password in the midst of our own pages.
        headers["WWW-Authenticate"] = 'Basic realm="edgebox"'
