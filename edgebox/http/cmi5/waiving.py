"""The teacher's page of course units: what each learner still has to do, and what counts as done all the same."""

from typing import Any

from aiohttp import web

from content_packs.base import ids
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.language import choose
from edgebox.domain.cmi5.satisfaction import is_met
from edgebox.http import problems
from edgebox.http.body import read_form
from edgebox.http.render import page, page_words
from edgebox.http.staff import number_in, problem_text
from edgebox.http.wording import language_of
from edgebox.keys import BOX
from edgebox.services.launching import Turn
from edgebox.store.launches import Registration

UNITS_SHOWN = 100
# Those that cmi5 names (9.5.5.2), as they are recorded and as they are shown.
REASONS = {
    "Administrative": N_("I say so"),
    "Tested Out": N_("Knew it already"),
    "Equivalent AU": N_("Did another unit of this course"),
    "Equivalent Outside Activity": N_("Did the same elsewhere"),
}
_DIGITS_MAX = 6


async def show(request: web.Request) -> web.StreamResponse:
    """Show who takes which course, and the units that are not done."""
    return await _show(request)


async def waive(request: web.Request) -> web.StreamResponse:
    """Let a unit count as done for a learner of the class."""
    class_no, form = number_in(request, "class_no"), await read_form(request)
    registration = await _registration(request, class_no, form.get("registration", ""))
    unit, reason = form.get("unit", ""), form.get("reason", "")
    is_number = unit.isascii() and unit.isdigit() and len(unit) <= _DIGITS_MAX
    if registration is None or not is_number or reason not in REASONS:
        raise problems.NotFound
    try:
        await request.app[BOX].launching.waive(registration.id, int(unit), reason)
    except EdgeboxError as error:
        return await _show(request, problem=problem_text(request, error), status=error.status)
    raise web.HTTPSeeOther(f"/staff/classes/{class_no}/units#turn-{registration.no}")


async def _registration(request: web.Request, class_no: int, text: str) -> Registration | None:
    """Return a turn that a learner of the class takes now."""
    box = request.app[BOX]
    try:
        found = await box.launching.find_registration(ids.parse_uuid(text))
    except ValueError:
        return None
    learners = {learner.no for learner in await box.teaching.learners(class_no)}
    return found if found is not None and found.person_no in learners else None


async def _show(request: web.Request, *, problem: str = "", status: int = 200) -> web.StreamResponse:
    class_no, box = number_in(request, "class_no"), request.app[BOX]
    learners = {learner.no: learner for learner in await box.teaching.learners(class_no)}
    words = page_words(request)
    return page(
        request,
        "staff/units.html",
        status=status,
        tab="classes",
        problem=problem,
        school_class=await box.teaching.school_class(class_no),
        turns=[
            {"learner": learners[turn.registration.person_no or 0], **_turn(turn, language_of(request))}
            for turn in await box.launching.list_turns(learners)
        ],
        reasons={reason: words.gettext(text) for reason, text in REASONS.items()},
    )


def _turn(turn: Turn, language: str) -> dict[str, Any]:
    open_units = [
        {"no": no, "title": choose(unit.about.title, [language])}
        for no, unit in enumerate(turn.course.units, start=1)
        if not is_met(unit.move_on, turn.verbs.get(unit.about.id, frozenset()))
    ]
    return {
        "no": turn.registration.no,
        "registration": ids.format_uuid(turn.registration.id),
        "title": choose(turn.course.about.title, [language]),
        "units": open_units[:UNITS_SHOWN],
        "done": len(turn.course.units) - len(open_units),
        "total": len(turn.course.units),
    }
