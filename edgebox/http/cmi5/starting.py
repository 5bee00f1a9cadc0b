"""A unit on the learner's page: what can be done with it, and its launch."""

from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from aiohttp import web

from content_packs.format.cmi5 import LaunchMethod
from edgebox.domain.cmi5.session import Mode
from edgebox.domain.session import Role
from edgebox.domain.statement_out import account
from edgebox.domain.xapi.agents import identifier_of
from edgebox.http.guard import content_origin
from edgebox.http.resource_views import Shown
from edgebox.keys import BOX, SESSION
from edgebox.services.course_units import Opened, open_unit
from edgebox.services.launching import Standing, Wish

_LAUNCH = "/launch"


def origin_of(request: web.Request) -> str:
    """Return the address of the box as the asking browser reaches it."""
    return f"{request.scheme}://{request.host}"


def address_of(request: web.Request, opened: Opened) -> str:
    """Return the full address of a unit's page, without what a launch adds."""
    url = opened.unit.url
    if not opened.file:
        return url
    parts = urlsplit(url)
    place = f"{content_origin(request)}/c/{opened.pack}@{opened.version}/{quote(opened.file)}"
    return urlunsplit((*urlsplit(place)[:3], parts.query, parts.fragment))


async def unit_values(shown: Shown) -> dict[str, Any]:
    """A unit of a course that was not launched yet: opening it is a step of its own, because it is recorded."""
    opened = await _opened(shown)
    standing = await _standing(shown, opened)
    return {"launch": None, "is_elsewhere": not opened.file, "may_retake": standing.is_satisfied and _learns(shown)}


async def launched_values(shown: Shown, *, is_retake: bool) -> dict[str, Any]:
    """A unit that was launched just now."""
    request, box = shown.request, shown.request.app[BOX]
    opened = await _opened(shown)
    standing = await _standing(shown, opened)
    is_retake = is_retake and standing.is_satisfied and _learns(shown)
    takes_over = opened.unit.launch_method is LaunchMethod.OWN_WINDOW or not opened.file
    wish = Wish(
        _actor(shown),
        address_of(request, opened),
        _mode(shown, standing, is_retake=is_retake),
        is_retake=is_retake,
        # In a frame there is nowhere to go back to: the page around it has the way.
        return_url=f"{origin_of(request)}{request.path.removesuffix(_LAUNCH)}" if takes_over else "",
        languages=",".join(shown.languages),
    )
    launched = await box.launching.launch(opened, wish, origin_of(request), request[SESSION].person_no)
    return {"launch": launched.url, "takes_over": takes_over, "may_retake": False}


def _learns(shown: Shown) -> bool:
    return shown.request[SESSION].role is Role.LEARNER


def _actor(shown: Shown) -> dict[str, Any]:
    return account(shown.request.app[BOX].identity.home_page, shown.request[SESSION].pseudonym)


async def _opened(shown: Shown) -> Opened:
    library = shown.request.app[BOX].library
    return await open_unit(library, shown.manifest.pack, shown.resource.id, shown.manifest.version)


async def _standing(shown: Shown, opened: Opened) -> Standing:
    agent = identifier_of(_actor(shown)) or ""
    return await shown.request.app[BOX].launching.standing(opened, agent)


def _mode(shown: Shown, standing: Standing, *, is_retake: bool) -> Mode:
    """Return what is recorded: nothing is judged of a teacher who looks, nor once the unit has said all it may."""
    if not _learns(shown):
        return Mode.BROWSE
    return Mode.REVIEW if standing.is_said and not is_retake else Mode.NORMAL
