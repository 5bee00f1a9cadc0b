"""What stands in front of every handler of the hub: host, origin, errors and headers."""

import asyncio
import json
import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from content_packs.base.errors import EdgeboxError
from content_packs.base.host import host_name, is_ours
from sync.hub.errors import HubFault, HubRequestRefused
from sync.hub.render import render_problem
from sync.hub.running import HUB
from sync.transport.http import BUNDLES_PATH

log = logging.getLogger(__name__)

# The only way in for pages of boxes: bundles are signed and sealed, and no cookie plays a part in taking them.
OPEN_PATHS = frozenset({BUNDLES_PATH})
SAFE_METHODS = frozenset({"GET", "HEAD"})
RETRY_SECONDS = 60
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Under `no-referrer` a browser sends "Origin: null" with a form, and every write would be refused.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Server": "edgebox",
}


@web.middleware
async def same_site(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse hosts that are not ours, and writes from pages that are not ours."""
    _check_host(request)
    if request.method not in SAFE_METHODS and request.path not in OPEN_PATHS:
        _check_origin(request)
    return await handler(request)


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into an answer."""
    try:
        return await handler(request)
    except EdgeboxError as error:
        return _answer(request, error, error.status)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _answer(request, HubRequestRefused(reason=error.reason), error.status)
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        log.exception("hub.fault")
        return _answer(request, HubFault(), HubFault.status)


async def set_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give every response its headers; runs for errors too."""
    response.headers.update(_HEADERS)
    if request.path in OPEN_PATHS:
        response.headers.update({"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"})
    response.headers.setdefault("Cache-Control", "no-store")


def _check_host(request: web.Request) -> None:
    """Refuse names that are not ours: the defence against DNS rebinding. An address needs no name, so it passes."""
    if not is_ours(host_name(request.host), request.app[HUB].settings.hostnames):
        raise web.HTTPMisdirectedRequest(reason="host")


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{request.host}":
        raise HubRequestRefused(reason="origin")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise HubRequestRefused(reason="origin")


def _answer(request: web.Request, error: EdgeboxError, status: int) -> web.Response:
    """Return a page for browsers that navigate, JSON for boxes."""
    if "text/html" in request.headers.get("Accept", ""):
        response = render_problem(request, error)
        response.set_status(status)
    else:
        response = web.Response(
            status=status, text=json.dumps(error.as_record(), default=str), content_type="application/json"
        )
    if error.retryable:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    if request.can_read_body and not request.content.is_eof():
        response.force_close()  # the rest of a body that nobody will read
    return response
