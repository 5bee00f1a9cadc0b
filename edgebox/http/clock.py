"""The clock of the box as staff see it, and how a teacher's tablet sets it."""

from typing import Any

from aiohttp import web

from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.clock_rules import NEAR_MS, Source
from edgebox.http import problems
from edgebox.http.body import read_form
from edgebox.http.render import is_local, page_words
from edgebox.http.staff import HOME, moment_text
from edgebox.keys import BOX
from sync.bundle.layout import ClockQuality

_DIGITS_MAX = 15
_STANDINGS = {
    ClockQuality.UNKNOWN: N_("Nobody has told this box the time yet."),
    ClockQuality.RESTORED: N_("The box was off, and cannot know for how long."),
    ClockQuality.TABLETS: N_("The box has the time from tablets."),
    ClockQuality.HUB: N_("The box has the time from the hub."),
    ClockQuality.HARDWARE: N_("The box has the time from a time server."),
}


class TabletTimeRefused(EdgeboxError):
    """A teacher's tablet whose clock cannot be right, or a box whose clock was set by somebody who knows better."""

    code = "time.tablet_refused"
    status = 409
    exit_code = 253
    sentence = N_("The clock of the box was not set from this tablet.")
    remedy = N_("Look at the date of the tablet. When the hub or a time server has set the clock of the box, leave it.")


async def set_clock(request: web.Request) -> web.StreamResponse:
    """Set the clock from the tablet: because the teacher asked for it, or by itself while the box is in doubt."""
    form = await read_form(request)
    now, onward = form.get("now", ""), form.get("next", HOME)
    if not now.isascii() or not now.isdigit() or len(now) > _DIGITS_MAX:
        raise problems.BodyMalformed(reason="now")
    timekeeping, is_asked = request.app[BOX].timekeeping, form.get("asked") == "1"
    is_set = await timekeeping.hear(Source.PRESSED if is_asked else Source.STAFF, int(now))
    if not is_set and abs(int(now) - timekeeping.clock.now_ms()) > NEAR_MS:
        raise TabletTimeRefused
    if not is_asked:
        return web.Response(status=204)
    raise web.HTTPSeeOther(onward if is_local(onward) else HOME)


def clock_values(request: web.Request) -> dict[str, Any]:
    """Return what a page says about the clock."""
    clock = request.app[BOX].timekeeping.clock
    return {
        "clock_now": moment_text(clock.now_ms()),
        "clock_standing": page_words(request).gettext(_STANDINGS[clock.quality]),
        "can_set_clock": clock.quality <= ClockQuality.TABLETS,
    }
