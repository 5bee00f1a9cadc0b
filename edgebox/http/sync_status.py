"""The teacher's page about the way to the hub: what waits, how the last try went, by line or by stick."""

from pathlib import Path
from typing import Any

from aiohttp import web

from content_packs.base.errors import N_, EdgeboxError
from edgebox.http import problems
from edgebox.http.body import read_form
from edgebox.http.clock import clock_values
from edgebox.http.render import page, page_words
from edgebox.http.staff import problem_text, recorded_problem, size_text
from edgebox.http.stick_views import chosen_stick, stick_values
from edgebox.keys import BOX
from edgebox.services.sync_state import SyncStatus, read_hub
from sync.introduction import fingerprint, is_address

HERE = "/staff/sync"
_MINUTE_MS = 60_000
_HOUR_MINUTES = 60
_DAY_MINUTES = 24 * 60
_RENEWED_SHOWN_MS = 30 * 86_400_000
_COPIED = N_(
    "This box was copied, moved or restored from a backup, so it gave itself a new key and sends everything once more:"
    " nothing is lost, and there is nothing to do."
)
_RENEWED_TEXTS = {
    "copied": _COPIED,
    "restored": N_(
        "The records on this box are older than it remembers, so it gave itself a new key and sends everything once"
        " more: nothing is lost, and there is nothing to do."
    ),
    "hub": N_(
        "Another box works with a copy of the memory of this one, so this box gave itself a new key and sends"
        " everything once more: nothing is lost, and there is nothing to do."
    ),
}
_DONE_TEXTS = {
    "enrolled": N_("This box is now connected to the hub."),
    "ticket": N_("This box is now connected to the hub. It makes itself known by line, or on the next stick."),
    "sent": N_("Everything has been sent."),
    "files": N_("All results have been sent. Files that were handed in still wait for their hours, or for a stick."),
}


async def show(request: web.Request) -> web.StreamResponse:
    """Show the state of the exchange."""
    return await sync_page(request)


async def show_state(request: web.Request) -> web.StreamResponse:
    """Answer with the state alone, for the page that keeps it fresh."""
    return page(request, "staff/_sync_state.html", is_live=True, **await _state(request))


async def sync_now(request: web.Request) -> web.StreamResponse:
    """Send what waits, now."""
    syncing = request.app[BOX].syncing
    status = await syncing.sync_now()
    if status.last_error is not None:
        return await sync_page(request, recorded_problem(request, status.last_error))
    raise web.HTTPSeeOther(f"{HERE}?done={'files' if await syncing.files.list_due() else 'sent'}")


async def enroll(request: web.Request) -> web.StreamResponse:
    """Connect this box to a hub by a one-time code."""
    form = await read_form(request)
    url, code = form.get("url", "").strip(), form.get("code", "").strip()
    try:
        if not is_address(url):
            raise problems.BodyMalformed(reason="URL")
        await request.app[BOX].syncing.enroll(url, code)
    except EdgeboxError as error:
        return await sync_page(request, problem_text(request, error), error.status, url=url)
    raise web.HTTPSeeOther(f"{HERE}?done=enrolled")


async def accept_ticket(request: web.Request) -> web.StreamResponse:
    """Connect this box to the hub whose ticket is on a stick, as it was shown."""
    introducing = request.app[BOX].syncing.introducing
    named = (await read_form(request)).get("ticket", "")
    try:
        ticket = (await introducing.list_tickets(await chosen_stick(request))).get(named)
        if ticket is None:
            raise problems.NotFound
        await request.app[BOX].syncing.accept(ticket)
    except EdgeboxError as error:
        return await sync_page(request, problem_text(request, error), error.status)
    raise web.HTTPSeeOther(f"{HERE}?done=ticket")


async def exchange(request: web.Request) -> web.StreamResponse:
    """Begin to exchange with a stick; nothing but a stick that is in the box can be named."""
    box = request.app[BOX]
    try:
        await read_hub(box.database)
        await box.exchanging.start(await chosen_stick(request))
    except EdgeboxError as error:
        return await sync_page(request, problem_text(request, error), error.status)
    raise web.HTTPSeeOther(HERE)


async def always_exchange(request: web.Request) -> web.StreamResponse:
    """Exchange with a stick by itself from now on, or do so no more."""
    stick_ids, is_wanted = request.app[BOX].exchanging.stick_ids, "always" in await read_form(request)
    try:
        stick = await chosen_stick(request)
        await (stick_ids.remember(stick) if is_wanted else stick_ids.forget(stick))
    except EdgeboxError as error:
        return await sync_page(request, problem_text(request, error), error.status)
    raise web.HTTPSeeOther(HERE)


async def sync_page(request: web.Request, problem: str = "", status: int = 200, *, url: str = "") -> web.StreamResponse:
    """Return the page, with a problem above it if there is one."""
    done = _DONE_TEXTS.get(request.query.get("done", ""), "") if not problem else ""
    mounted = await request.app[BOX].loading.sticks.mounted()
    return page(
        request,
        "staff/sync.html",
        status=status,
        tab="sync",
        problem=problem,
        done=page_words(request).gettext(done) if done else "",
        url=url,
        courier=f"{request.scheme}://{request.host}/courier",
        tickets=[shown for path in mounted for shown in await _tickets(request, path)],
        **clock_values(request),
        **await stick_values(request),
        **await _state(request),
    )


async def _tickets(request: web.Request, stick: Path) -> list[dict[str, str]]:
    """Return the tickets on a stick as they are shown; finding one does nothing."""
    found = await request.app[BOX].syncing.introducing.list_tickets(stick)
    return [
        {
            "name": name,
            "stick": str(stick),
            "stick_name": stick.name,
            "school": ticket.school,
            "url": ticket.url,
            "fingerprint": fingerprint(ticket.hub),
            "replaces": str(ticket.replaces_no or ""),
        }
        for name, ticket in found.items()
    ]


def _renewed(request: web.Request, status: SyncStatus, now_ms: int) -> str:
    """Return what is said for a month to people whose box got a new key."""
    if status.renewed_ms is None or abs(now_ms - status.renewed_ms) > _RENEWED_SHOWN_MS:
        return ""
    return str(page_words(request).gettext(_RENEWED_TEXTS.get(status.renewed_reason or "", _COPIED)))


async def _state(request: web.Request) -> dict[str, Any]:
    status = await request.app[BOX].syncing.status()
    now_ms = request.app[BOX].clock.now_ms()
    return {
        "hub_url": status.hub_url,
        "box_id": status.box_id[:12],
        "waiting": status.waiting_changes,
        "waiting_size": size_text(status.waiting_bytes) if status.waiting_bytes else "",
        "last": "" if status.last_success_ms is None else ago_text(request, now_ms - status.last_success_ms),
        "next": "" if status.next_try_ms is None else ahead_text(request, status.next_try_ms - now_ms),
        "is_sending": status.is_sending,
        "renewed": _renewed(request, status, now_ms),
        "state_problem": recorded_problem(request, status.last_error),
    }


def ago_text(request: web.Request, passed_ms: int) -> str:
    """Return a time in the past in words, in the largest unit that fits."""
    words, minutes = page_words(request), max(passed_ms, 0) // _MINUTE_MS
    if minutes < 1:
        return str(words.gettext("just now"))
    if minutes < _HOUR_MINUTES:
        return str(words.ngettext("%(num)s minute ago", "%(num)s minutes ago", minutes) % {"num": minutes})
    if minutes < _DAY_MINUTES:
        hours = minutes // _HOUR_MINUTES
        return str(words.ngettext("%(num)s hour ago", "%(num)s hours ago", hours) % {"num": hours})
    days = minutes // _DAY_MINUTES
    return str(words.ngettext("%(num)s day ago", "%(num)s days ago", days) % {"num": days})


def ahead_text(request: web.Request, left_ms: int) -> str:
    """Return a time to come in words, in minutes."""
    words, minutes = page_words(request), max(left_ms, 0) // _MINUTE_MS
    if minutes < 1:
        return str(words.gettext("in a moment"))
    return str(words.ngettext("in %(num)s minute", "in %(num)s minutes", minutes) % {"num": minutes})
