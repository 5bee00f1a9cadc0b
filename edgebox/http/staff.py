"""How staff get in: sign-in, the first teacher by the one-time code; and what all staff pages share."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from content_packs.base.errors import EdgeboxError
from edgebox.domain.lifetime import LIFETIMES
from edgebox.domain.recorded_error import error_of
from edgebox.domain.session import Role
from edgebox.http import cookies, problems
from edgebox.http.body import read_form
from edgebox.http.render import page, translated
from edgebox.keys import BOX, SESSION

HOME = "/staff/classes"


async def show_sign_in(request: web.Request) -> web.StreamResponse:
    """Ask for login and password; a box without a teacher asks for the set-up code instead."""
    session = request.get(SESSION)
    if session is not None and session.role is Role.TEACHER:
        raise web.HTTPSeeOther(HOME)
    if request.app[BOX].signing_in.set_up_code is not None:
        raise web.HTTPSeeOther("/staff/set-up")
    return _remembering(request, page(request, "staff/sign_in.html", login="", problem=""))


async def sign_in(request: web.Request) -> web.StreamResponse:
    """Check login and password."""
    form = await read_form(request)
    login = form.get("login", "")
    try:
        token = await request.app[BOX].signing_in.sign_in_staff(
            login, form.get("password", ""), cookies.device_key(request)
        )
    except EdgeboxError as error:
        return _refused(request, "staff/sign_in.html", error, login=login)
    raise _entrance(request, token)


async def show_set_up(request: web.Request) -> web.StreamResponse:
    """Ask for the one-time code and the account of the first teacher."""
    if request.app[BOX].signing_in.set_up_code is None:
        raise web.HTTPSeeOther("/staff")
    return _remembering(request, page(request, "staff/set_up.html", code="", name="", login="", problem=""))


async def set_up(request: web.Request) -> web.StreamResponse:
    """Make the first teacher."""
    form = await read_form(request)
    code, name, login = form.get("code", ""), form.get("name", "").strip(), form.get("login", "").strip()
    try:
        if not name or not login:
            raise problems.BodyMalformed(reason="form")
        token = await request.app[BOX].signing_in.set_up_staff(
            code, login, name, form.get("password", ""), cookies.device_key(request)
        )
    except EdgeboxError as error:
        return _refused(request, "staff/set_up.html", error, code=code, name=name, login=login)
    raise _entrance(request, token)


def number_in(request: web.Request, name: str) -> int:
    """Return a number of the path.

    Raises:
        NotFound: it is no number, or one too long for any row.
    """
    text = request.match_info[name]
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise problems.NotFound
    return int(text)


def problem_text(request: web.Request, error: EdgeboxError) -> str:
    """Return what happened and what to do, as one text."""
    return " ".join(translated(request, error))


def recorded_problem(request: web.Request, record: dict[str, Any] | None) -> str:
    """Return the words for an error that was stored by its code and fields; nothing for none."""
    return "" if record is None else problem_text(request, error_of(record))


def size_text(size_bytes: int) -> str:
    """Return a size as people read it, kept in one piece where the text around it runs from right to left."""
    size, places = float(size_bytes), 0
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size, places = size / 1000, int(unit != "B")
    return f"\u2066{size:.{places}f}\u00a0{unit}\u2069"


def day_text(time_ms: int) -> str:
    """Return the day of a time as ISO 8601 has it, kept in one piece where the text around it runs right to left."""
    return f"\u2066{datetime.fromtimestamp(time_ms // 1000, UTC).date().isoformat()}\u2069"


def moment_text(time_ms: int) -> str:
    """Return day and minute of a time, likewise, by the time of the world."""
    return f"\u2066{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%d %H:%M} UTC\u2069"


def _refused(request: web.Request, template: str, error: EdgeboxError, **values: Any) -> web.StreamResponse:
    """Show the form again with what was wrong; what was typed stays, but for the password."""
    problem = problem_text(request, error)
    return _remembering(request, page(request, template, status=error.status, problem=problem, **values))


def _remembering(request: web.Request, response: web.Response) -> web.Response:
    """Give the browser its name, by which wrong tries are counted."""
    cookies.device_key(request)
    cookies.set_device_cookie(request, response)
    return response


def _entrance(request: web.Request, token: str) -> web.HTTPSeeOther:
    response = web.HTTPSeeOther(HOME)
    cookies.set_session_cookie(response, token, LIFETIMES[Role.TEACHER].total_ms // 1000)
    cookies.set_device_cookie(request, response)
    return response
