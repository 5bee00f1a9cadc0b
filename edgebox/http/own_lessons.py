"""Lessons that teachers make: the form that makes one of resources, and the page on which learners find these."""

from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from content_packs.base.errors import EdgeboxError
from content_packs.base.language import choose
from edgebox.http.body import FIELDS_MAX, FORM_MAX_BYTES, read_body
from edgebox.http.catalogue_views import catalogue_of
from edgebox.http.guard import content_origin
from edgebox.http.learning import hand_in_href, kind_names
from edgebox.http.lesson_views import Shelves
from edgebox.http.render import page, page_words
from edgebox.http.staff import problem_text
from edgebox.http.wording import language_of
from edgebox.keys import BOX, SESSION
from edgebox.services.teaching import check_name
from edgebox.store.learner_view import learner_view
from sync.records.lessons import OWN_PACK

HERE = "/staff/lessons"
PACKS_SHOWN = 4
LESSONS_SHOWN = 12


async def show_lesson(request: web.Request) -> web.StreamResponse:
    """Show the resources of a lesson that a teacher made, in order, each as it is in its pack."""
    box, person_no = request.app[BOX], request[SESSION].person_no
    own, now_ms = await box.own_lessons.find(request.match_info["lesson"]), box.clock.now_ms()
    view = await box.database.read(lambda connection: learner_view(connection, person_no, now_ms))
    shelves = Shelves(language_of(request), content_origin(request))
    return page(
        request,
        "lesson.html",
        lesson={"title": own.title, "language": "", "description": ""},
        resources=[
            shelves.step(each.manifest, each.lesson, each.resource, view) for each in await box.own_lessons.chosen(own)
        ],
        kind_names=kind_names(request),
        hand_in=await hand_in_href(request, OWN_PACK, own.id),
    )


async def show_lessons(request: web.Request) -> web.StreamResponse:
    """Show the lessons that teachers made, and the form for a new one."""
    return await _show(request)


async def make_lesson(request: web.Request) -> web.StreamResponse:
    """Make a lesson of the resources that were ticked, in the order of the page."""
    body = (await read_body(request, FORM_MAX_BYTES)).decode(errors="replace")
    form = parse_qs(body, max_num_fields=FIELDS_MAX)
    pairs = [text.partition("/") for text in form.get("resource", [])]
    try:
        title = check_name(form.get("title", [""])[0])
        made = await request.app[BOX].own_lessons.make(title, [(pack, resource) for pack, _, resource in pairs])
    except EdgeboxError as error:
        return await _show(request, problem_text(request, error), error.status)
    if made is None:
        return await _show(request, page_words(request).gettext("Choose some resources, but not hundreds."), 400)
    raise web.HTTPSeeOther(HERE)


async def end_lesson(request: web.Request) -> web.StreamResponse:
    """Take a lesson away."""
    await request.app[BOX].own_lessons.end(request.match_info["lesson"])
    raise web.HTTPSeeOther(HERE)


async def _show(request: web.Request, problem: str = "", status: int = 200) -> web.StreamResponse:
    catalogue = catalogue_of(request, PACKS_SHOWN)
    return page(
        request,
        "staff/own_lessons.html",
        status=status,
        tab="classes",
        problem=problem,
        own=await request.app[BOX].own_lessons.list_all(),
        catalogue=catalogue,
        packs=[await _pack(request, shelved.pack) for shelved in catalogue.page.packs],
        kind_names=kind_names(request),
    )


async def _pack(request: web.Request, pack: str) -> dict[str, Any]:
    """Return a pack with its first lessons and their resources, to be ticked."""
    library, wanted = request.app[BOX].library, [language_of(request)]
    lessons = []
    for each in await library.lessons(pack, start=0, limit=LESSONS_SHOWN):
        resources = await library.listed_resources(pack, each.lesson.id)
        shown = [
            {"value": f"{pack}/{resource.id}", "kind": resource.kind, "title": choose(resource.title, wanted)}
            for resource in resources
        ]
        lessons.append({"title": choose(each.lesson.title, wanted), "resources": shown})
    return {"title": choose(library.shelf.find(pack).title, wanted), "lessons": lessons}
