"""The two cookies of the app origin: who is signed in, and which browser this is."""

from aiohttp import web

from content_packs.base import ids

SESSION_COOKIE = "edgebox_session"
DEVICE_COOKIE = "edgebox_device"
DEVICE_SECONDS = 400 * 24 * 3600
_HEX = frozenset("0123456789abcdef")
_DEVICE_CHARACTERS = 40
_NEW_DEVICE = web.RequestKey("NEW_DEVICE", str)


def set_session_cookie(response: web.StreamResponse, token: str, max_age: int, *, samesite: str = "Strict") -> None:
    """Sign the browser in; `max_age` is in seconds. `Lax` is for pages that a QR code opens."""
    response.set_cookie(SESSION_COOKIE, token, max_age=max_age, path="/", httponly=True, samesite=samesite)


def clear_session_cookie(response: web.StreamResponse) -> None:
    """Sign the browser out."""
    response.del_cookie(SESSION_COOKIE, path="/", httponly=True, samesite="Strict")


def device_key(request: web.Request) -> str:
    """Return the long-lived name of the browser, a new one if it has none; `set_device_cookie` makes it stay."""
    value = request.cookies.get(DEVICE_COOKIE, "")
    if len(value) == _DEVICE_CHARACTERS and _HEX.issuperset(value):
        return value
    if _NEW_DEVICE not in request:
        request[_NEW_DEVICE] = ids.new_token()
    return request[_NEW_DEVICE]


def set_device_cookie(request: web.Request, response: web.StreamResponse) -> None:
    """Give a browser without a name the one that `device_key` returned for this request."""
    if (made := request.get(_NEW_DEVICE)) is not None:
        response.set_cookie(DEVICE_COOKIE, made, max_age=DEVICE_SECONDS, path="/", httponly=True, samesite="Lax")
