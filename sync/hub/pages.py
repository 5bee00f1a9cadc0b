"""The operator's pages."""

from pathlib import Path
from typing import Any

from aiohttp import web

from sync import introduction
from sync.enrolment import BOX_NO_MAX
from sync.hub.body import read_form
from sync.hub.errors import BoxUnknown, HubRequestRefused, RequestMalformed
from sync.hub.render import render, render_for
from sync.hub.running import HUB
from sync.hub.store import reports
from sync.hub.store.worker import Transaction
from sync.transport.http import INTRODUCTION_TYPE

COOKIE = "edgebox_hub"
_COOKIE_SECONDS = 30 * 86_400
_SCHOOL_MAX_CHARACTERS = 200
_NAME_DIGITS = 8
_STATIC = Path(__file__).parent / "static"
_STYLE = (_STATIC / "hub.css").read_bytes()
_ICON = (_STATIC / "icon.svg").read_bytes()


async def overview(request: web.Request) -> web.StreamResponse:
    """GET /: schools, boxes, packs and classes in numbers; the sign-in page for anybody else."""
    hub = request.app[HUB]
    if not await hub.admin.is_signed_in(request.cookies.get(COOKIE)):
        return render_for(request, "sign_in.html", code=request.query.get("code", ""), is_wrong=False)
    now_ms = hub.clock.now_ms()
    found = await hub.store.run(lambda connection: collect(connection, now_ms))
    more = {"fingerprint": introduction.fingerprint(hub.keys.signing.verify_key), "is_sent": "sent" in request.query}
    return render("overview.html", now_ms=now_ms, week_ms=reports.WEEK_MS, **more, **found)


async def hand_ins(request: web.Request) -> web.StreamResponse:
    """GET /hand-ins: what learners handed in, by school, class and lesson; the sign-in page for anybody else."""
    hub = request.app[HUB]
    if not await hub.admin.is_signed_in(request.cookies.get(COOKIE)):
        return render_for(request, "sign_in.html", code="", is_wrong=False)
    rows, lessons = await hub.store.run(reports.list_hand_ins), await hub.store.run(reports.list_own_lessons)
    return render("hand_ins.html", rows=rows, lessons=lessons)


async def sign_in(request: web.Request) -> web.StreamResponse:
    """POST /sign-in: spend the one-time code."""
    hub = request.app[HUB]
    place = request.remote or ""
    hub.sign_in_tries.check(place)
    form = await read_form(request, hub.clock)
    token = await hub.admin.sign_in(form.get("code", ""))
    if token is None:
        hub.sign_in_tries.note_wrong(place)
        response: web.StreamResponse = render_for(request, "sign_in.html", code="", is_wrong=True)
        response.set_status(403)
        return response
    hub.sign_in_tries.note_right(place)
    response = web.Response(status=303, headers={"Location": "/"})
    response.set_cookie(
        COOKIE, token, max_age=_COOKIE_SECONDS, httponly=True, samesite="Strict", secure=request.secure, path="/"
    )
    return response


async def sign_out(request: web.Request) -> web.StreamResponse:
    """POST /sign-out: end the session."""
    await request.app[HUB].admin.sign_out(request.cookies.get(COOKIE))
    response = web.Response(status=303, headers={"Location": "/"})
    response.del_cookie(COOKIE, path="/")
    return response


async def make_code(request: web.Request) -> web.StreamResponse:
    """POST /codes: a new enrolment code for a box of a school, shown once."""
    hub = request.app[HUB]
    school, replaces_no = await _read_invitation(request)
    code = await hub.enrolling.make_code(school, replaces_no)
    return render("code.html", code=code, school=school, replaces_no=replaces_no)


async def make_ticket(request: web.Request) -> web.StreamResponse:
    """POST /tickets: a new ticket as a file to save on a stick."""
    hub = request.app[HUB]
    school, replaces_no = await _read_invitation(request)
    made = await hub.enrolling.make_ticket(school, f"{request.scheme}://{request.host}", replaces_no)
    name = f"{introduction.about(made.content).hex()[:_NAME_DIGITS]}.ebi"
    return web.Response(
        body=made.content,
        content_type=INTRODUCTION_TYPE,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def revoke(request: web.Request) -> web.StreamResponse:
    """POST /revoke: take nothing from a box any more, or take from it again."""
    hub = request.app[HUB]
    form = await _read_signed_in(request)
    box_no, is_undone = _box_no(form.get("box", "")), form.get("undo") == "1"
    await hub.enrolling.revoke(box_no, is_undone=is_undone)
    if is_undone:
        hub.receiving.catching_up.go_on(box_no)
    return web.Response(status=303, headers={"Location": "/"})


async def _read_signed_in(request: web.Request) -> dict[str, str]:
    hub = request.app[HUB]
    if not await hub.admin.is_signed_in(request.cookies.get(COOKIE)):
        raise HubRequestRefused(reason="sign in first")
    return await read_form(request, hub.clock)


async def _read_invitation(request: web.Request) -> tuple[str, int | None]:
    """Return for which school a box is to be enrolled, and whose place it takes, which says the school as well."""
    form = await _read_signed_in(request)
    school, replaces = form.get("school", "").strip()[:_SCHOOL_MAX_CHARACTERS], form.get("replaces", "")
    if not school and not replaces:
        raise RequestMalformed(reason="school")
    return school, _box_no(replaces) if replaces else None


def _box_no(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= BOX_NO_MAX:
        raise BoxUnknown(box_no=text)
    return int(text)


async def send_message(request: web.Request) -> web.StreamResponse:
    """POST /messages: a message to the teachers of a school, or of all."""
    hub = request.app[HUB]
    if not await hub.admin.is_signed_in(request.cookies.get(COOKIE)):
        raise HubRequestRefused(reason="sign in first")
    form = await read_form(request, hub.clock)
    await hub.posting.send_message(form.get("text", ""), form.get("school") or None)
    return web.Response(status=303, headers={"Location": "/?sent"})


async def icon(_request: web.Request) -> web.Response:
    """GET /icon.svg."""
    return web.Response(body=_ICON, content_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


async def style(_request: web.Request) -> web.Response:
    """GET /hub.css."""
    return web.Response(body=_STYLE, content_type="text/css", headers={"Cache-Control": "max-age=300"})


def collect(connection: Transaction, now_ms: int) -> dict[str, Any]:
    """Return the figures of the overview."""
    return {
        "totals": reports.sum_up(connection, now_ms),
        "boxes": reports.list_boxes(connection, now_ms),
        "progress": reports.list_pack_progress(connection),
        "schools": reports.list_school_titles(connection),
    }
