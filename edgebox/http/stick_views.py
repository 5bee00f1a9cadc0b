"""What the teacher's page shows of sticks that carry progress: which are in the box, and how the exchange goes."""

from pathlib import Path
from typing import Any

from aiohttp import web

from content_packs.base.errors import N_
from edgebox.http import problems
from edgebox.http.body import read_form
from edgebox.http.render import page, page_words
from edgebox.http.staff import recorded_problem, size_text
from edgebox.keys import BOX
from edgebox.services.exchanging import Exchange, ExchangeState

_PERCENT = 100
# What happened, by whether something was read from the stick, and whether something is on it for the hub.
_DONE_TEXTS = {
    (False, False): N_("Nothing had to be exchanged: the hub has everything. You can pull the stick out."),
    (True, False): N_("The hub's answers were read, and nothing waits any more. You can pull the stick out."),
    (False, True): N_(
        "Everything that the hub lacks is on the stick (%(size)s). You can pull it out, take it to the hub and bring it"
        " back."
    ),
    (True, True): N_(
        "The hub's answers were read, and what the hub still lacks is on the stick (%(size)s). You can pull it out and"
        " take it to the hub."
    ),
}


async def show_sticks(request: web.Request) -> web.StreamResponse:
    """Answer with the sticks alone, for the page that keeps them fresh."""
    return page(request, "staff/_exchange.html", is_live=True, **await stick_values(request))


async def stick_values(request: web.Request) -> dict[str, Any]:
    """Return what the template of the sticks shows."""
    box = request.app[BOX]
    mounted = await box.loading.sticks.mounted()
    current = box.exchanging.current
    stick_ids = box.exchanging.stick_ids
    return {
        "sticks": [
            {"path": str(path), "name": path.name, "is_known": await stick_ids.is_known(path)} for path in mounted
        ],
        "exchange": None if current is None else _shown(request, current, is_there=current.stick in mounted),
    }


async def chosen_stick(request: web.Request) -> Path:
    """Return the stick a form names; nothing but a stick can be named."""
    named = (await read_form(request)).get("stick", "")
    for path in await request.app[BOX].loading.sticks.mounted():
        if str(path) == named:
            return path
    raise problems.NotFound


def _shown(request: web.Request, exchange: Exchange, *, is_there: bool) -> dict[str, Any]:
    state = exchange.state
    return {
        "path": str(exchange.stick),
        "name": exchange.stick.name,
        "is_there": is_there,
        "state": state.value,
        "is_running": state in (ExchangeState.TAKING, ExchangeState.PUTTING),
        "percent": _PERCENT * exchange.done_bytes // exchange.total_bytes if exchange.total_bytes else 0,
        "done": _done_text(request, exchange) if state is ExchangeState.DONE else "",
        "has_read": bool(exchange.acks),
        "problem": recorded_problem(request, dict(exchange.error)) if exchange.error else "",
    }


def _done_text(request: web.Request, exchange: Exchange) -> str:
    text = page_words(request).gettext(_DONE_TEXTS[bool(exchange.acks), bool(exchange.bundles)])
    return str(text) % {"size": size_text(exchange.bundles_bytes)}
