"""What the teacher sees of newer versions of packs: that there are some, how far one is, and from where it comes."""

from typing import Any

from aiohttp import web

from content_packs.base.language import choose
from edgebox.http.render import page
from edgebox.http.staff import recorded_problem, size_text
from edgebox.http.wording import language_of
from edgebox.keys import BOX
from edgebox.services.fetching import Update

_PERCENT = 100
_PAGE = "/staff/packs"


async def show_updates(request: web.Request) -> web.StreamResponse:
    """Answer with the newer versions, for the page that keeps them fresh."""
    return page(request, "staff/_updates.html", is_live=True, updates=updates(request))


async def look(request: web.Request) -> web.StreamResponse:
    """Look for newer versions now and bring them."""
    request.app[BOX].fetching.begin(is_asked=True)
    raise web.HTTPSeeOther(_PAGE)


async def cancel(request: web.Request) -> web.StreamResponse:
    """Stop bringing the newer version of one pack."""
    await request.app[BOX].fetching.cancel(request.match_info["pack"])
    raise web.HTTPSeeOther(_PAGE)


def updates(request: web.Request) -> list[dict[str, Any]]:
    """Return what the page shows of newer versions."""
    return [_update(request, update) for update in request.app[BOX].fetching.updates()]


def _update(request: web.Request, update: Update) -> dict[str, Any]:
    installed = request.app[BOX].library.shelf.current.get(update.pack)
    return {
        "pack": update.pack,
        "state": update.state.value,
        "is_open": update.is_open,
        "title": choose(installed.title, [language_of(request)]).value if installed else update.pack,
        "version": update.version,
        "sources": ", ".join(update.sources),
        "percent": _PERCENT * update.done_bytes // update.total_bytes if update.total_bytes else 0,
        "done": size_text(update.done_bytes),
        "total": size_text(update.total_bytes) if update.total_bytes else "",
        "problem": recorded_problem(request, update.error),
    }
