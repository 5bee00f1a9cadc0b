"""The page on which staff make and revoke credentials of other apps."""

from aiohttp import web

from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.caller import Client, Reach
from edgebox.http.body import read_form
from edgebox.http.render import page, page_words
from edgebox.http.staff import day_text, number_in, problem_text
from edgebox.keys import BOX, SESSION

HERE = "/staff/apps"
_REACHES = {
    Reach.NONE: N_("reads nothing"),
    Reach.OWN: N_("reads what it wrote itself"),
    Reach.CLASS: N_("reads what is known of one class"),
    Reach.ALL: N_("reads everything"),
}
_DIGITS_MAX = 15


async def show(request: web.Request) -> web.StreamResponse:
    """Show all credentials and the form for a new one."""
    return await _show(request)


async def make(request: web.Request) -> web.StreamResponse:
    """Make a credential and show its secret, this once."""
    form = await read_form(request)
    try:
        reach = Reach(form.get("reach", "none")) if form.get("reach", "none") in _VALUES else Reach.NONE
        class_text = form.get("class", "")
        is_number = class_text.isascii() and class_text.isdigit() and len(class_text) <= _DIGITS_MAX
        made = await request.app[BOX].clients.make(
            form.get("title", ""),
            may_write=form.get("may_write") == "on",
            may_launch=form.get("may_launch") == "on",
            reach=reach,
            class_no=int(class_text) if is_number and reach is Reach.CLASS else None,
            person_no=request[SESSION].person_no,
        )
    except EdgeboxError as error:
        return await _show(request, problem=problem_text(request, error), status=error.status)
    return await _show(request, made=made)


async def revoke(request: web.Request) -> web.StreamResponse:
    """End a credential."""
    await request.app[BOX].clients.revoke(number_in(request, "client_no"))
    raise web.HTTPSeeOther(HERE)


async def _show(
    request: web.Request, *, problem: str = "", made: tuple[str, str] | None = None, status: int = 200
) -> web.StreamResponse:
    box = request.app[BOX]
    classes = await box.teaching.classes()
    titles = {row.no: row.title for row in classes}
    found = [client for client in await box.clients.list_all() if client.revoked_ms is None]
    return page(
        request,
        "staff/apps.html",
        status=status,
        tab="sync",
        problem=problem,
        made=made,
        address=f"{request.scheme}://{request.host}/xapi/",
        classes=classes,
        clients=[_row(request, client, titles) for client in found],
    )


def _row(request: web.Request, client: Client, titles: dict[int, str]) -> dict[str, object]:
    words = page_words(request)
    return {
        "no": client.no,
        "title": client.title,
        "login": client.login,
        "made": day_text(client.created_ms),
        "writes": client.may_write,
        "launches": client.may_launch,
        "reads": words.gettext(_REACHES[client.reach]),
        "class_title": titles.get(client.class_no or 0, ""),
    }


_VALUES = frozenset(reach.value for reach in Reach)
