"""The fetch address of a launch: it gives the unit its token, once (cmi5 8.2). Any origin may ask who has the key."""

from aiohttp import web

from content_packs.base.errors import EdgeboxError
from edgebox.keys import BOX
from edgebox.services.submit_token import TokenInvalid

_USED = {"error-code": "1", "error-text": "The authorization token was given out before, or the session is over."}
_UNKNOWN = {"error-code": "2", "error-text": "The box did not make this address."}
_FAILED = {"error-code": "3", "error-text": "The box cannot store anything now. Launch the unit again later."}
# Without cookies: units run in an opaque origin.
_ANY_ORIGIN = {"Access-Control-Allow-Origin": "*"}


async def fetch(request: web.Request) -> web.Response:
    """Answer with the token, or with one of the errors that cmi5 knows; the status is 200 all the same."""
    try:
        token = await request.app[BOX].launching.tokens.give_token(request.match_info["key"])
    except TokenInvalid:
        answer = _UNKNOWN
    except EdgeboxError:
        answer = _FAILED
    else:
        answer = _USED if token is None else {"auth-token": token}
    return web.json_response(answer, headers=_ANY_ORIGIN)


async def options(_request: web.Request) -> web.Response:
    """Let pages of any origin ask."""
    methods = {"Access-Control-Allow-Methods": "POST, OPTIONS", "Access-Control-Allow-Headers": "Content-Type"}
    return web.Response(status=204, headers=_ANY_ORIGIN | methods)
