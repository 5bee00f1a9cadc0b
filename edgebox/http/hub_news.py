"""What the hub told, as pages show it."""

from typing import Any

from aiohttp import web

from content_packs.base.language import choose
from edgebox.http.body import read_form
from edgebox.http.render import is_local
from edgebox.http.staff import HOME, number_in, size_text
from edgebox.http.wording import language_of
from edgebox.keys import BOX, SESSION
from edgebox.store.hub_news import HubOffer


async def put_away(request: web.Request) -> web.StreamResponse:
    """Show a message to this teacher no more, and go on where it was read."""
    here = (await read_form(request)).get("next", "")
    await request.app[BOX].hub_news.put_away(number_in(request, "message_no"), request[SESSION].person_no)
    raise web.HTTPSeeOther(here if is_local(here) else HOME)


def hub_offers(request: web.Request) -> list[dict[str, Any]]:
    """Return the packs that can be had from the hub."""
    return [_offer(request, offer) for offer in request.app[BOX].hub_news.offers()]


def _offer(request: web.Request, offer: HubOffer) -> dict[str, Any]:
    installed = request.app[BOX].library.shelf.current.get(offer.pack)
    is_patched = installed is not None and offer.from_version == installed.version and offer.patch_bytes is not None
    return {
        "title": choose(offer.titles, [language_of(request)]).value if offer.titles else offer.pack,
        "version": offer.version,
        "is_update": installed is not None,
        "size": size_text(offer.patch_bytes if is_patched and offer.patch_bytes is not None else offer.size_bytes),
    }
