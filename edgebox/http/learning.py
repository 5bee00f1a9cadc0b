"""The pages of a learner: my lessons, a lesson, a resource of every kind, search."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from content_packs.base.errors import N_
from content_packs.base.language import NEUTRAL, choose, normalise
from content_packs.format import cmi5
from content_packs.format.errors import PackNotFound
from content_packs.format.manifest import Manifest, Resource
from content_packs.format.resource import SPOKEN_KINDS
from edgebox.domain.catalogue import Shelved
from edgebox.domain.marking import Marked, Outcome, mark, outcome
from edgebox.domain.session import Role
from edgebox.http import problems
from edgebox.http.body import FIELDS_MAX, FORM_MAX_BYTES, read_body, read_form
from edgebox.http.catalogue_views import catalogue_of, number_or_zero
from edgebox.http.cmi5.starting import launched_values, unit_values
from edgebox.http.form_recording import Done, record
from edgebox.http.guard import content_origin
from edgebox.http.island_words import praise
from edgebox.http.lesson_views import LessonCard, Shelves
from edgebox.http.pdf_views import pdf_values
from edgebox.http.render import page, page_words
from edgebox.http.resource_views import VALUES, Shown, language_name, quiz_items
from edgebox.http.wording import language_of
from edgebox.keys import BOX, SESSION
from edgebox.services.library import Library
from edgebox.services.shelf import PartLeftOut, ResourceGone
from edgebox.store.learner_view import LearnerView, learner_view
from sync.records.lessons import OWN_PACK

QUERY_MAX_CHARACTERS = 80
PACKS_SHOWN = 8
LESSONS_SHOWN = 48
VERSION_FIELD = "_version"  # no question of a quiz can have this name
VERSION_DIGITS_MAX = 10
_READ_KINDS = frozenset({"text", "image", "pdf"})
_COMPLETED = Done("completed", {"completion": True, "progress": 1.0})
_VALUES = VALUES | {"pdf": pdf_values, cmi5.KIND: unit_values}
_KIND_NAMES = {
    "text": N_("Read"),
    "image": N_("Picture"),
    "audio": N_("Listen"),
    "video": N_("Film"),
    "pdf": N_("Document"),
    "app": N_("Try it"),
    "quiz": N_("Quiz"),
    "cmi5": N_("Course unit"),
}


async def my_lessons(request: web.Request) -> web.StreamResponse:
    """Show what the teacher assigned, then the library, page by page."""
    view, shelves, library = await _view(request), _shelves(request), request.app[BOX].library
    catalogue = catalogue_of(request, PACKS_SHOWN)
    lessons_each = LESSONS_SHOWN // max(len(catalogue.page.packs), 1)
    return page(
        request,
        "learn.html",
        assigned=[] if catalogue.is_narrowed else await _assigned(request, shelves, view),
        packs=[await _pack(library, shelves, pack, view, limit=lessons_each) for pack in catalogue.page.packs],
        catalogue=catalogue,
    )


async def show_pack(request: web.Request) -> web.StreamResponse:
    """Show the lessons of one pack, page by page."""
    library, start = request.app[BOX].library, number_or_zero(request, "from")
    current = library.shelf.find(request.match_info["pack"])
    shown = await _pack(library, _shelves(request), current, await _view(request), start=start, limit=LESSONS_SHOWN)
    return page(request, "pack.html", pack=shown)


async def show_lesson(request: web.Request) -> web.StreamResponse:
    """Show the resources of a lesson in order, with what is done."""
    view, shelves, library = await _view(request), _shelves(request), request.app[BOX].library
    pack, lesson = request.match_info["pack"], request.match_info["lesson"]
    version = view.version_of(pack, lesson, library.shelf.versions.get(pack, ()))
    listed = await library.listed_lesson(pack, lesson, version)
    manifest = await library.pack(pack, listed.version)
    resources = await library.resources_of(pack, lesson, listed.version)
    return page(
        request,
        "lesson.html",
        lesson=shelves.card(library.shelf.find(pack, listed.version), listed, view),
        resources=[shelves.step(manifest, listed.lesson, resource, view) for resource in resources],
        kind_names=kind_names(request),
        hand_in=await hand_in_href(request, pack, lesson),
    )


async def show_resource(request: web.Request) -> web.StreamResponse:
    """Show one resource."""
    wanted = request.query.get("in", "")
    shown = await _shown(request, await _view(request), wanted)
    return await _resource_page(request, shown, wanted)


async def finish_resource(request: web.Request) -> web.StreamResponse:
    """Take what a browser without script sends: "I have read this", or the answers of a quiz."""
    form = parse_qs((await read_body(request, FORM_MAX_BYTES)).decode(errors="replace"), max_num_fields=FIELDS_MAX)
    wanted = form.get("in", [""])[0]
    shown = await _shown(request, await _view(request), wanted, form.get(VERSION_FIELD, [""])[0])
    extra: dict[str, Any] = {"saved": True}
    if not shown.resource.paths:
        raise PartLeftOut(pack=shown.manifest.pack, name=shown.resource.id)
    if shown.resource.kind == "quiz":
        marked = mark(await quiz_items(shown), form)
        result = outcome(marked)
        await record(request, shown, [*_answers(marked), _COMPLETED, _final(result)])
        praised = praise(language_of(request), result.stars)
        extra["result"] = {"score": result.score, "total": result.total, "stars": result.stars, "praise": praised}
    elif shown.resource.kind in _READ_KINDS:
        await record(request, shown, [_COMPLETED])
    else:
        raise problems.BodyMalformed(reason="form")
    return await _resource_page(request, shown, wanted, **extra)


async def launch_unit(request: web.Request) -> web.StreamResponse:
    """Launch a unit of a cmi5 course and show it; opened again by the browser, it is launched again."""
    form = await read_form(request)
    shown = await _shown(request, await _view(request), "")
    if shown.resource.kind != cmi5.KIND or not shown.resource.paths:
        raise problems.NotFound
    values = await launched_values(shown, is_retake=form.get("retake") == "1")
    return await _resource_page(request, shown, "", **values)


async def show_unlaunched(request: web.Request) -> web.StreamResponse:
    """Lead to the page that launches the unit: a browser that comes back to a tab asks for its address alone."""
    raise web.HTTPSeeOther(request.rel_url.parent.with_query(request.query))


async def search(request: web.Request) -> web.StreamResponse:
    """Show what fits a query."""
    query = request.query.get("q", "").strip()[:QUERY_MAX_CHARACTERS]
    found = await request.app[BOX].library.search(query, language_of(request)) if query else []
    hits = [
        {
            "href": f"/learn/{hit.pack}/{hit.lesson}/{hit.resource}",
            "kind": hit.kind,
            "title": hit.title,
            "lesson_title": hit.lesson_title,
            "language": hit.language,
        }
        for hit in found
    ]
    return page(request, "search.html", query=query, hits=hits)


async def _resource_page(request: web.Request, shown: Shown, wanted: str, **extra: Any) -> web.StreamResponse:
    # Read again: what the form just recorded is shown.
    view = await _view(request)
    library, manifest, resource = request.app[BOX].library, shown.manifest, shown.resource
    version = manifest.version
    if resource.paths:
        await library.check_there(manifest.pack, shown.file.value, version)
    lesson = await library.lesson_of(manifest.pack, resource.id, version)
    listed = await library.listed_lesson(manifest.pack, lesson.id, version)
    steps = [
        shown.shelves.step(manifest, lesson, each, view, wanted)
        for each in await library.resources_of(manifest.pack, lesson.id, version)
    ]
    place = lesson.resource_ids.index(resource.id)
    card: LessonCard = shown.shelves.card(library.shelf.find(manifest.pack, version), listed, view)
    values: dict[str, Any] = {
        "resource": _with_languages(steps[place], shown),
        "lesson": card,
        "pack_id": manifest.pack,
        "pack_version": version,
        "previous": steps[place - 1] if place else None,
        "next": steps[place + 1] if place + 1 < len(steps) else None,
        "saved": False,
        "result": None,
        "narration": _narration(shown),
        "missing_parts": await _missing_parts(request, shown),
    }
    is_made = not resource.paths or "launch" in extra
    own = {} if is_made else await _VALUES[resource.kind](shown)
    return page(request, "resource.html", **values | own | extra)


async def _shown(request: web.Request, view: LearnerView, wanted: str, version: str = "") -> Shown:
    """Return what a page is about; `version` is the one a form was made of, so that its answers are marked by it."""
    library, shelves = request.app[BOX].library, _shelves(request)
    pack, lesson, kept = _named(request, library)
    number = int(version) if version.isdecimal() and len(version) <= VERSION_DIGITS_MAX else 0
    chosen = number if number in kept else view.version_of(pack, lesson, kept)
    manifest = await library.pack(pack, chosen)
    resource = await library.resource(pack, request.match_info["resource"], manifest.version)
    if lesson != (await library.lesson_of(pack, resource.id, manifest.version)).id:
        raise problems.NotFound
    offered = _languages(manifest, resource)
    wishes = [wish for wish in (wanted, shelves.language) if wish]
    best = choose(dict.fromkeys(offered, True), wishes).language if offered else NEUTRAL
    return Shown(request, shelves, manifest, resource, tuple(dict.fromkeys((best, *wishes))))


def _named(request: web.Request, library: Library) -> tuple[str, str, Sequence[int]]:
    """Return pack and lesson of the address, and the versions of the pack that are on the box."""
    pack, lesson = request.match_info["pack"], request.match_info["lesson"]
    return pack, lesson, library.shelf.versions.get(pack, ())


def _languages(manifest: Manifest, resource: Resource) -> tuple[str, ...]:
    """Return the languages a resource can be shown in; one file may speak several."""
    own = tuple(language for language in resource.paths if language != NEUTRAL)
    speaks_several = NEUTRAL in resource.paths and resource.kind in SPOKEN_KINDS
    return tuple(dict.fromkeys([*((resource.languages or manifest.languages) if speaks_several else ()), *own]))


def _narration(shown: Shown) -> str:
    """Return the address of the sound that reads a resource aloud in the language it is shown in, or nothing."""
    if not shown.resource.narration or not shown.resource.paths:
        return ""
    found = choose(shown.resource.narration, shown.languages)
    is_same = normalise(found.language).split("-")[0] == normalise(shown.languages[0]).split("-")[0]
    return shown.content(found.value) if is_same or shown.languages[0] == NEUTRAL else ""


async def _missing_parts(request: web.Request, shown: Shown) -> list[str]:
    """Return the names of the parts that would bring a resource of which nothing is on the box."""
    installed = await request.app[BOX].library.installed(shown.manifest.pack, shown.manifest.version)
    ids = installed.left_out.get(shown.resource.id, ())
    return [choose(part.title, [shown.shelves.language]).value for part in shown.manifest.parts if part.id in ids]


def _with_languages(step: Any, shown: Shown) -> dict[str, Any]:
    """Return a step as its own page needs it: in the language of its content, with the other ones to choose."""
    language = shown.languages[0] if shown.languages[0] != NEUTRAL else step.language
    others = {
        other: language_name(other)
        for other in _languages(shown.manifest, shown.resource)
        if normalise(other) != normalise(language)
    }
    title = choose(shown.resource.title, shown.languages)
    described = choose(shown.resource.description, shown.languages).value if shown.resource.description else ""
    return {
        "id": step.id,
        "kind": step.kind,
        "title": title.value,
        "description": described,
        "language": language,
        "direction": title.direction,
        "other_languages": others,
    }


def _answers(marked: Iterable[Marked]) -> list[Done]:
    return [
        Done(
            "answered",
            {"success": each.success, "response": each.response, "score": int(each.success), "max": 1},
            each.item_id,
        )
        for each in marked
        if each.response
    ]


def _final(result: Outcome) -> Done:
    verb = "passed" if result.success else "failed"
    return Done(verb, {"success": result.success, "score": result.score, "max": result.total})


async def _view(request: web.Request) -> LearnerView:
    person_no, now_ms = request[SESSION].person_no, request.app[BOX].clock.now_ms()
    return await request.app[BOX].database.read(lambda connection: learner_view(connection, person_no, now_ms))


def _shelves(request: web.Request) -> Shelves:
    return Shelves(language_of(request), content_origin(request))


async def _assigned(request: web.Request, shelves: Shelves, view: LearnerView) -> list[LessonCard]:
    library, own_lessons = request.app[BOX].library, request.app[BOX].own_lessons
    cards: list[LessonCard] = []
    for pack, lesson in view.assigned[:LESSONS_SHOWN]:
        if pack == OWN_PACK:
            with suppress(ResourceGone):
                own = await own_lessons.find(lesson)
                cards.append(shelves.own_card(own, await own_lessons.chosen(own), view, len(cards)))
            continue
        version = view.version_of(pack, lesson, library.shelf.versions.get(pack, ()))
        with suppress(PackNotFound, ResourceGone):
            listed = await library.listed_lesson(pack, lesson, version)
            cards.append(shelves.card(library.shelf.find(pack, listed.version), listed, view))
    return cards


async def _pack(
    library: Library, shelves: Shelves, current: Shelved, view: LearnerView, *, start: int = 0, limit: int
) -> dict[str, Any]:
    """Return a pack with some of its lessons, in the version that this learner is shown."""
    opened = view.opened.get(current.pack)
    shown = library.shelf.kept.get((current.pack, opened), current) if opened is not None else current
    listed = await library.lessons(shown.pack, shown.version, start=start, limit=limit)
    title = choose(shown.title, [shelves.language])
    return {
        "href": f"/learn/{shown.pack}",
        "title": title.value,
        "language": title.language,
        "lessons": [shelves.card(shown, each, view) for each in listed],
        "next_from": start + limit if start + limit < shown.lessons else 0,
    }


async def hand_in_href(request: web.Request, pack: str, lesson: str) -> str:
    """Return where a learner hands in for a lesson; nothing if the learner was not given it."""
    session = request[SESSION]
    if session.role is not Role.LEARNER:
        return ""
    assigned = await request.app[BOX].hand_ins.assigned_lesson(session.person_no, pack, lesson)
    return "" if assigned is None else f"/hand-in/{assigned.no}"


def kind_names(request: web.Request) -> dict[str, str]:
    """Return what the kinds of resources are called."""
    translate = page_words(request).gettext
    return {kind: translate(name) for kind, name in _KIND_NAMES.items()}
