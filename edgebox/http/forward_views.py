"""The page on which staff name a record store outside the school, and see how far it has what is recorded here."""

from typing import Any

from aiohttp import web

from content_packs.base import ids
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.forwarding import Cause
from edgebox.domain.xapi.version import Version
from edgebox.http.body import read_form
from edgebox.http.render import page, page_words
from edgebox.http.staff import moment_text, problem_text, recorded_problem
from edgebox.http.sync_status import ago_text, ahead_text
from edgebox.keys import BOX
from edgebox.services.forwarding import State
from edgebox.store.forwards import WAITING_MAX, PutAside

HERE = "/staff/forward"
PATIENCE_SECONDS = 5.0
_DONE_TEXTS = {"saved": N_("Saved."), "ended": N_("Records go nowhere else any more.")}
_CAUSE_TEXTS = {
    Cause.REFUSED: N_("The store does not take it."),
    Cause.TOO_LARGE: N_("It is too large for the store."),
    Cause.CONFLICT: N_("The store has another record under its number."),
    Cause.FILE_MISSING: N_("A file that belongs to it is not on this box."),
    Cause.FILE_TOO_LARGE: N_("Its files are larger than 5 MB together."),
}


async def show(request: web.Request) -> web.StreamResponse:
    """Show how it stands, and the form."""
    return await _show(request)


async def show_state(request: web.Request) -> web.StreamResponse:
    """Answer with the state alone, for the page that keeps it fresh."""
    return page(request, "staff/_forward_state.html", is_live=True, **await _state(request))


async def set_up(request: web.Request) -> web.StreamResponse:
    """Take over where records go, and send what waits when it is time to."""
    form = await read_form(request)
    sends_given = form.get("sends_given") == "on"
    typed = {name: form.get(name, "").strip() for name in ("url", "login", "version")}
    versions = {one.title: one for one in Version}
    try:
        await request.app[BOX].forwarding.set_up(
            typed["url"],
            typed["login"],
            form.get("secret", ""),
            versions.get(typed["version"], Version.ONE),
            sends_given=sends_given,
        )
    except EdgeboxError as error:
        return await _show(
            request, problem_text(request, error), error.status, typed=typed | {"sends_given": sends_given}
        )
    raise web.HTTPSeeOther(f"{HERE}?done=saved")


async def send_now(request: web.Request) -> web.StreamResponse:
    """Send what waits; what takes long goes on while the page is shown."""
    await request.app[BOX].forwarding.send_now(PATIENCE_SECONDS)
    raise web.HTTPSeeOther(HERE)


async def pause(request: web.Request) -> web.StreamResponse:
    """Send nothing for now, or go on."""
    form = await read_form(request)
    await request.app[BOX].forwarding.pause(on=form.get("on") == "1")
    raise web.HTTPSeeOther(HERE)


async def end(request: web.Request) -> web.StreamResponse:
    """Send nothing any more, and forget the store."""
    await request.app[BOX].forwarding.end()
    raise web.HTTPSeeOther(f"{HERE}?done=ended")


async def _show(
    request: web.Request, problem: str = "", status: int = 200, *, typed: dict[str, Any] | None = None
) -> web.StreamResponse:
    state = await _state(request)
    done = _DONE_TEXTS.get(request.query.get("done", ""), "") if not problem else ""
    return page(
        request,
        "staff/forward.html",
        status=status,
        tab="sync",
        problem=problem,
        done=page_words(request).gettext(done) if done else "",
        versions=[one.title for one in Version],
        form=typed or {name: state.get(name, "") for name in ("url", "login", "version", "sends_given")},
        **state,
    )


async def _state(request: web.Request) -> dict[str, Any]:
    state = await request.app[BOX].forwarding.state()
    if state is None:
        return {"is_set_up": False}
    now_ms, progress = request.app[BOX].clock.now_ms(), state.progress
    return {
        "is_set_up": True,
        "url": state.url,
        "login": state.login,
        "version": state.version.title,
        "sends_given": state.sends_given,
        "is_paused": state.is_paused,
        "is_denied": state.is_denied,
        "is_sending": state.is_sending,
        "progress": progress,
        "through": "" if progress.last_stored_ms is None else moment_text(progress.last_stored_ms),
        "waiting": state.waiting.statements,
        "waiting_is_more": state.waiting.statements >= WAITING_MAX,
        "waiting_since": "" if state.waiting.since_ms is None else ago_text(request, now_ms - state.waiting.since_ms),
        "next": "" if state.next_try_ms is None else ahead_text(request, state.next_try_ms - now_ms),
        "state_problem": recorded_problem(request, progress.error),
        "proof": _proof(state, now_ms, request),
        "proof_id": "" if progress.proof_id is None else ids.format_uuid(progress.proof_id),
        "asides": state.asides,
        "newest_asides": [_aside(request, one) for one in state.newest_asides],
    }


def _proof(state: State, now_ms: int, request: web.Request) -> str:
    at_ms = state.progress.proof_ms
    return "" if at_ms is None else ago_text(request, now_ms - at_ms)


def _aside(request: web.Request, one: PutAside) -> dict[str, str]:
    return {
        "id": ids.format_uuid(one.id),
        "cause": page_words(request).gettext(_CAUSE_TEXTS[one.cause]),
        "reason": one.reason,
        "at": moment_text(one.at_ms),
    }
