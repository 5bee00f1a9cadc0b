"""What stands in front of every handler: host, session, origin, errors and headers."""

import asyncio
import logging

from aiohttp import web
from aiohttp.typedefs import Handler

from content_packs.base.errors import EdgeboxError
from content_packs.base.host import host_name, is_ours
from edgebox.domain.session import Access, Session, may_use
from edgebox.http import problems
from edgebox.http.body import read_form
from edgebox.http.cookies import SESSION_COOKIE
from edgebox.keys import BOX, SESSION

log = logging.getLogger(__name__)

HOST_SHOWN_MAX = 80
# Sent by parts of a page that refresh themselves (teacher.js): an open page alone keeps nobody signed in.
LIVE_HEADER = "X-Edgebox-Live"
# Set by a page whose script talks to one more origin.
CONNECTS_TO = web.RequestKey("CONNECTS_TO", str)
# Set where somebody else's file is given out: whatever it is, it may do nothing.
IS_SANDBOXED = web.RequestKey("IS_SANDBOXED", bool)
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into an answer, and refuse hosts that are not ours before anything else happens."""
    try:
        check_host(request)
        return await handler(request)
    except EdgeboxError as error:
        return problems.answer(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = problems.answer(request, problems.from_http_exception(error))
        if allow := error.headers.get("Allow"):
            response.headers["Allow"] = allow
        return response
    except (asyncio.CancelledError, ConnectionError):
        raise
    except Exception:
        log.exception("http.server_fault")
        return problems.answer(request, problems.ServerFault())


def guarded(handler: Handler, access: Access, *, form: bool) -> Handler:
    """Wrap a handler with its access rule; `form` says that its writes are forms of our pages."""

    if access is Access.CLIENT:
        return handler

    async def checked(request: web.Request) -> web.StreamResponse:
        session = find_session(request)
        if session is not None:
            request[SESSION] = session
        if not may_use(access, session):
            raise problems.SignInNeeded if session is None else problems.NotAllowed
        if request.method not in SAFE_METHODS:
            check_origin(request)
            if form and session is not None and (await read_form(request)).get("csrf") != session.csrf:
                raise problems.OriginRefused
        return await handler(request)

    return checked


def check_host(request: web.Request) -> None:
    """Refuse names that are not ours: the defence against DNS rebinding. An address needs no name, so it passes."""
    name = host_name(request.host)
    if not is_ours(name, request.app[BOX].settings.hostnames):
        raise problems.HostRefused(host=name[:HOST_SHOWN_MAX])


def check_origin(request: web.Request) -> None:
    """Refuse a write from another origin. Another port is the same site to cookies, so the origin must be equal."""
    origin = request.headers.get("Origin")
    if origin is not None:
        if origin != f"{request.scheme}://{request.host}":
            raise problems.OriginRefused
    elif request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise problems.OriginRefused


def content_origin(request: web.Request) -> str:
    """Return the second origin as the asking tablet reaches it."""
    return f"{request.scheme}://{host_name(request.host)}:{request.app[BOX].settings.content_port}"


async def set_security_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Give every response of the app its headers; runs for errors too."""
    origin = content_origin(request)
    headers = response.headers
    connects_to = request.get(CONNECTS_TO, "")
    headers["Content-Security-Policy"] = (
        f"default-src 'self'; connect-src 'self' {connects_to}; img-src 'self' data: {origin}; "
        f"media-src 'self' {origin}; frame-src {origin}; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    if request.get(IS_SANDBOXED):
        headers["Content-Security-Policy"] = "sandbox; default-src 'none'; frame-ancestors 'none'"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    headers["X-Frame-Options"] = "DENY"
    headers["Cross-Origin-Opener-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
    headers.setdefault("Cache-Control", "no-store")
    headers["Server"] = "edgebox"


def find_session(request: web.Request) -> Session | None:
    """Return the session of the browser that asks."""
    token = request.cookies.get(SESSION_COOKIE)
    is_use = LIVE_HEADER not in request.headers
    return request.app[BOX].signing_in.find_session(token, is_use=is_use) if token else None
