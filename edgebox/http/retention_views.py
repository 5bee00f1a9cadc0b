"""The page on which staff choose how long statements stay on the box."""

from aiohttp import web

from content_packs.base.errors import N_
from edgebox.domain.retention import CHOICES, make_policy
from edgebox.http import problems
from edgebox.http.body import read_form
from edgebox.http.render import page, page_words
from edgebox.keys import BOX

HERE = "/staff/records"
_CHOICE_TEXTS = {
    "all": N_("everything stays"),
    "years-3": N_("this school year and the three before"),
    "years-2": N_("this school year and the two before"),
    "years-1": N_("this school year and the one before"),
    "months-12": N_("the last twelve months"),
    "months-6": N_("the last six months"),
}
assert _CHOICE_TEXTS.keys() == CHOICES.keys()
_MONTH_TEXTS = (
    N_("January"), N_("February"), N_("March"), N_("April"), N_("May"), N_("June"),
    N_("July"), N_("August"), N_("September"), N_("October"), N_("November"), N_("December"),
)  # fmt: skip


async def show(request: web.Request) -> web.StreamResponse:
    """Show what was chosen and what it has come to."""
    state, words = await request.app[BOX].retention.state(), page_words(request)
    return page(
        request,
        "staff/records.html",
        tab="sync",
        is_saved=request.query.get("done") == "saved",
        state=state,
        choices=[(choice, words.gettext(text)) for choice, text in _CHOICE_TEXTS.items()],
        months=[(number, words.gettext(text)) for number, text in enumerate(_MONTH_TEXTS, 1)],
    )


async def choose(request: web.Request) -> web.StreamResponse:
    """Take over what staff chose."""
    form = await read_form(request)
    policy = make_policy(form.get("keep", ""), form.get("first_month", ""))
    if policy is None:
        raise problems.BodyMalformed(reason="keep")
    await request.app[BOX].retention.choose(policy)
    raise web.HTTPSeeOther(f"{HERE}?done=saved")
