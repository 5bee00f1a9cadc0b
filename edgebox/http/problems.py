"""From an error to the answer a client gets; the only place that decides on status and form."""

import json
import logging

from aiohttp import web

from content_packs.base.errors import N_, EdgeboxError
from edgebox.http.render import render_problem, translated

log = logging.getLogger(__name__)

RETRY_SECONDS = 5


class HostRefused(EdgeboxError):
    """The request names a host this box does not answer to."""

    code = "http.host_refused"
    status = 421
    exit_code = 52
    sentence = N_("This box does not know the name {host}.")
    remedy = N_("Open it by its IP address, or ask your technician to start it with --hostname {host}")


class OriginRefused(EdgeboxError):
    """A write that does not come from one of our own pages."""

    code = "http.origin_refused"
    status = 403
    exit_code = 53
    sentence = N_("This page is too old to send anything.")
    remedy = N_("Open the page again and repeat.")


class BodyTooLarge(EdgeboxError):
    """A body over the limit of its route."""

    code = "http.body_too_large"
    status = 413
    exit_code = 54
    sentence = N_("That is too large to send at once (at most {limit_bytes} bytes).")
    remedy = N_("Send less at a time.")


class BodyTooSlow(EdgeboxError):
    """A body that stopped arriving."""

    code = "http.body_too_slow"
    status = 408
    exit_code = 55
    retryable = True
    sentence = N_("The connection was too slow.")
    remedy = N_("Move nearer to the box and try again.")


class BodyMalformed(EdgeboxError):
    """A body that is not what its route takes."""

    code = "http.body_malformed"
    status = 400
    exit_code = 56
    sentence = N_("The box did not understand the request ({reason}).")
    remedy = N_("Open the page again and repeat.")


class SignInNeeded(EdgeboxError):
    """The route is for people who are signed in."""

    code = "http.sign_in_needed"
    status = 401
    exit_code = 57
    sentence = N_("Please sign in first.")
    remedy = N_("Choose your class and your picture.")


class NotAllowed(EdgeboxError):
    """The route is for somebody else."""

    code = "http.not_allowed"
    status = 403
    exit_code = 58
    sentence = N_("This page is for teachers.")
    remedy = N_("Ask your teacher.")


class NotFound(EdgeboxError):
    """Nothing is at that address."""

    code = "http.not_found"
    status = 404
    exit_code = 59
    sentence = N_("There is nothing here.")
    remedy = N_("Go back to the start.")


class MethodRefused(EdgeboxError):
    """The address exists, but not for that method."""

    code = "http.method_refused"
    status = 405
    exit_code = 60
    sentence = N_("That cannot be done here.")
    remedy = N_("Go back to the start.")


class ServerFault(EdgeboxError):
    """A mistake of ours; the log has the details."""

    code = "http.server_fault"
    status = 500
    exit_code = 61
    retryable = True
    sentence = N_("The box made a mistake. Nothing you saved is lost.")
    remedy = N_("Try again. If it happens again, tell your technician.")


def answer(request: web.Request, error: EdgeboxError) -> web.Response:
    """Return the response for an error: a page for browsers that navigate, JSON for everything else."""
    if "text/html" in request.headers.get("Accept", ""):
        response = render_problem(request, error)
    else:
        title, remedy = translated(request, error)
        record = error.as_record() | {"title": title, "remedy": remedy}
        response = web.Response(text=json.dumps(record, default=str), content_type="application/json")
    response.set_status(error.status)
    if error.retryable:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def from_http_exception(error: web.HTTPException) -> EdgeboxError:
    """Return our own error for one that aiohttp raised while routing."""
    if error.status == 405:
        return MethodRefused()
    if error.status == 413:
        return BodyTooLarge(limit_bytes=0)
    return NotFound() if error.status == 404 else BodyMalformed(reason=str(error.status))
