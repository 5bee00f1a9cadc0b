"""The teacher's pages about classes: who is how far, learners, log-in cards, assigned lessons."""

from collections.abc import Sequence, Set
from typing import Any

from aiohttp import web

from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.language import NEUTRAL, choose
from edgebox.domain.catalogue import Shelved
from edgebox.domain.class_table import Cell
from edgebox.domain.secret import SecretKind
from edgebox.http import problems
from edgebox.http.body import read_form
from edgebox.http.catalogue_views import catalogue_of, number_or_zero
from edgebox.http.render import page, page_words
from edgebox.http.sign_in import PICTURE_NAMES
from edgebox.http.staff import day_text, number_in, problem_text
from edgebox.http.wording import language_of
from edgebox.keys import BOX, SESSION
from edgebox.services.signing_in import NewSecret
from edgebox.services.teaching import AssignedLesson, ClassProgress, Learner, Worked
from edgebox.store.repairs import Repair
from sync.records.lessons import OWN_PACK

PACKS_SHOWN = 8
LESSONS_SHOWN = 48
AVATAR_NAMES = {
    "bear": N_("Bear"),
    "bee": N_("Bee"),
    "camel": N_("Camel"),
    "cat": N_("Cat"),
    "chick": N_("Chick"),
    "cow": N_("Cow"),
    "elephant": N_("Elephant"),
    "fox": N_("Fox"),
    "frog": N_("Frog"),
    "giraffe": N_("Giraffe"),
    "koala": N_("Koala"),
    "ladybird": N_("Ladybird"),
    "lion": N_("Lion"),
    "monkey": N_("Monkey"),
    "mouse": N_("Mouse"),
    "octopus": N_("Octopus"),
    "owl": N_("Owl"),
    "panda": N_("Panda"),
    "penguin": N_("Penguin"),
    "rabbit": N_("Rabbit"),
    "tiger": N_("Tiger"),
    "turtle": N_("Turtle"),
    "whale": N_("Whale"),
    "zebra": N_("Zebra"),
}


async def list_classes(request: web.Request) -> web.StreamResponse:
    """Show all classes and the form for a new one."""
    return await _classes(request)


async def add_class(request: web.Request) -> web.StreamResponse:
    """Make a class and go there."""
    form = await read_form(request)
    try:
        class_no = await request.app[BOX].teaching.add_class(form.get("title", ""))
    except EdgeboxError as error:
        return await _classes(request, problem_text(request, error), error.status)
    raise web.HTTPSeeOther(f"/staff/classes/{class_no}")


async def show_class(request: web.Request) -> web.StreamResponse:
    """Show a class: its table, its lessons, its learners."""
    return await _class(request)


async def show_table(request: web.Request) -> web.StreamResponse:
    """Answer with the table alone, for the page that keeps it fresh: an unchanged one costs a 304."""
    progress = await request.app[BOX].teaching.progress(number_in(request, "class_no"))
    return page(request, "staff/_table.html", is_live=True, **_table_values(request, progress))


async def add_learner(request: web.Request) -> web.StreamResponse:
    """Add a learner to a class."""
    class_no, form = number_in(request, "class_no"), await read_form(request)
    try:
        await request.app[BOX].teaching.add_learner(
            class_no,
            form.get("given_name", ""),
            family_name=form.get("family_name", ""),
            avatar=form.get("avatar", ""),
        )
    except EdgeboxError as error:
        return await _class(request, problem_text(request, error), error.status)
    raise web.HTTPSeeOther(f"/staff/classes/{class_no}#learners")


async def take_out_learner(request: web.Request) -> web.StreamResponse:
    """Take a learner out of a class; what was learned stays."""
    class_no = number_in(request, "class_no")
    await request.app[BOX].teaching.take_out(class_no, number_in(request, "person_no"))
    raise web.HTTPSeeOther(f"/staff/classes/{class_no}#learners")


async def assign(request: web.Request) -> web.StreamResponse:
    """Give a lesson to a class; the field is `pack/lesson`."""
    class_no, form = number_in(request, "class_no"), await read_form(request)
    pack, _, lesson = form.get("lesson", "").partition("/")
    await request.app[BOX].teaching.assign(class_no, pack, lesson, request[SESSION].person_no)
    raise web.HTTPSeeOther(f"/staff/classes/{class_no}#lessons")


async def unassign(request: web.Request) -> web.StreamResponse:
    """Take a lesson back."""
    class_no = number_in(request, "class_no")
    await request.app[BOX].teaching.unassign(class_no, number_in(request, "assignment_no"))
    raise web.HTTPSeeOther(f"/staff/classes/{class_no}#lessons")


async def take_over(request: web.Request) -> web.StreamResponse:
    """Let the class have the newest version of a lesson."""
    class_no = number_in(request, "class_no")
    await request.app[BOX].teaching.take_over(class_no, number_in(request, "assignment_no"))
    raise web.HTTPSeeOther(f"/staff/classes/{class_no}#lessons")


async def choose_lesson(request: web.Request) -> web.StreamResponse:
    """Show the catalogue, to find a lesson for a class in it."""
    teaching, class_no = request.app[BOX].teaching, number_in(request, "class_no")
    school_class = await teaching.school_class(class_no)
    catalogue = catalogue_of(request, PACKS_SHOWN)
    given = await teaching.given(class_no)
    own = [] if catalogue.is_narrowed else await _own_choices(request, given)
    lessons_each = LESSONS_SHOWN // max(len(catalogue.page.packs), 1)
    choices = own + await _choices(request, given, catalogue.page.packs, lessons_each)
    return page(
        request,
        "staff/lesson_choice.html",
        tab="classes",
        school_class=school_class,
        catalogue=catalogue,
        choices=choices,
    )


async def choose_cards(request: web.Request) -> web.StreamResponse:
    """Ask for whom new log-in cards are made."""
    return await _card_choice(request)


async def make_cards(request: web.Request) -> web.StreamResponse:
    """Give the chosen learners new secrets and show the cards, this once."""
    class_no, form = number_in(request, "class_no"), await read_form(request)
    try:
        kind = SecretKind(form.get("kind", ""))
    except ValueError as error:
        raise problems.BodyMalformed(reason="kind") from error
    if kind is SecretKind.PASSWORD:
        raise problems.BodyMalformed(reason="kind")
    teaching = request.app[BOX].teaching
    school_class = await teaching.school_class(class_no)
    learners = {learner.no: learner for learner in await teaching.learners(class_no)}
    chosen = [no for no in learners if f"learner-{no}" in form]
    if not chosen:
        return await _card_choice(request, page_words(request).gettext("Choose at least one learner."), 400)
    made = await teaching.new_secrets(class_no, chosen, kind)
    cards = [_card(request, learners[new.person_no], new) for new in made]
    return page(
        request, "staff/cards.html", tab="classes", school_class=school_class, cards=cards, address=request.host
    )


async def _classes(request: web.Request, problem: str = "", status: int = 200) -> web.StreamResponse:
    classes = await request.app[BOX].teaching.classes()
    damaged = [choose(each.title, [language_of(request)]).value for each in request.app[BOX].checking.damage]
    return page(
        request,
        "staff/classes.html",
        status=status,
        tab="classes",
        classes=classes,
        problem=problem,
        damaged=list(dict.fromkeys(damaged)),
        repairs=await _repairs(request),
    )


async def _repairs(request: web.Request) -> list[str]:
    """Return what there is to say of the records and of the disk they are on, one sentence each."""
    words, check = page_words(request), request.app[BOX].record_check
    told = [_repair(request, repair) for repair in await check.list_told()]
    ended = words.gettext(
        "The repair of %(day)s ended the sign-ins of other apps. Make a new one for each under Sync, Other apps."
    )
    told += [str(ended % {"day": day_text(at_ms)}) for at_ms in await check.list_ended_ms()]
    if await check.is_room_low():
        told.append(words.gettext("The card of this box is full and uses its last room: remove packs nobody needs."))
    if await request.app[BOX].retention.is_card_filling():
        told.append(words.gettext("The card of this box is nearly full. Records go only if you choose so: see Sync."))
    return told


def _repair(request: web.Request, repair: Repair) -> str:
    words, day = page_words(request), day_text(repair.at_ms)
    if not repair.statements:
        text = words.gettext("Records of this box were damaged and it repaired them on %(day)s; nothing is missing.")
        return str(text % {"day": day})
    text = words.ngettext(
        "Records of this box were damaged and it repaired them on %(day)s; %(num)s answer is missing and comes back by"
        " itself if a tablet or the hub has it.",
        "Records of this box were damaged and it repaired them on %(day)s; %(num)s answers are missing and come back by"
        " themselves if a tablet or the hub has them.",
        repair.statements,
    )
    return str(text % {"day": day, "num": repair.statements})


async def _class(request: web.Request, problem: str = "", status: int = 200) -> web.StreamResponse:
    progress = await request.app[BOX].teaching.progress(number_in(request, "class_no"))
    translate = page_words(request).gettext
    packs = request.app[BOX].library.packs()
    is_large = sum(pack.lessons for pack in packs) > LESSONS_SHOWN
    given = {(each.assignment.pack, each.assignment.lesson) for each in progress.lessons}
    own = await _own_choices(request, given)
    handed = await request.app[BOX].hand_ins.count(progress.school_class.no)
    ended = await request.app[BOX].teaching.ended(progress.school_class.no)
    return page(
        request,
        "staff/class.html",
        status=status,
        tab="classes",
        problem=problem,
        has_refused_work=await request.app[BOX].recording.has_refused_work(),
        lessons=[_lesson(request, assigned) for assigned in progress.lessons],
        undecided=await request.app[BOX].marks.undecided(progress.school_class.no),
        handed=handed,
        has_units=await request.app[BOX].launching.has_turns(progress.school_class.no),
        ended=[_lesson(request, each) for each in ended if handed.get(each.assignment.no)],
        has_large_choice=is_large,
        choices=[] if is_large else [*own, *await _choices(request, given, packs, LESSONS_SHOWN)],
        avatars={name: translate(text) for name, text in AVATAR_NAMES.items()},
        **_table_values(request, progress),
    )


async def _card_choice(request: web.Request, problem: str = "", status: int = 200) -> web.StreamResponse:
    class_no, teaching = number_in(request, "class_no"), request.app[BOX].teaching
    school_class, learners = await teaching.school_class(class_no), await teaching.learners(class_no)
    return page(
        request,
        "staff/card_choice.html",
        status=status,
        tab="classes",
        problem=problem,
        school_class=school_class,
        learners=learners,
    )


def _table_values(request: web.Request, progress: ClassProgress) -> dict[str, Any]:
    wanted = [language_of(request)]
    groups = [
        {
            "title": choose(assigned.lesson.title, wanted),
            "columns": [
                {"kind": resource.kind, "title": choose(resource.title, wanted)} for resource in assigned.resources
            ],
        }
        for assigned in progress.lessons
        if assigned.lesson is not None
    ]
    words = page_words(request)
    cells = {cell: _cell(words, cell) for cell in {cell for row in progress.table.rows for cell in row.cells}}
    rows = [
        {
            "learner": learner,
            "row": row,
            "cells": [cells[cell] for cell in row.cells],
            "worked": _worked(progress.worked.get(learner.no)),
        }
        for learner, row in zip(progress.learners, progress.table.rows, strict=True)
    ]
    return {
        "school_class": progress.school_class,
        "learners": progress.learners,
        "groups": groups,
        "rows": rows,
        "totals": progress.table.totals,
        "column_count": len(progress.table.totals),
        "has_repaired": any(worked.is_repaired for worked in progress.worked.values()),
    }


def _worked(worked: Worked | None) -> str:
    """Return the day of a learner's latest work, marked when the box's clock was wrong then."""
    return "" if worked is None else ("~" if worked.is_repaired else "") + day_text(worked.last_ms)


def _cell(words: Any, cell: Cell) -> dict[str, Any]:
    return {
        "state": cell.state.value,
        "percent": cell.percent,
        "percent_text": words.gettext("%(percent)s %% done") % {"percent": cell.percent},
        "score": cell.score_percent,
        "score_text": words.gettext("score %(score)s") % {"score": cell.score_percent},
    }


def _lesson(request: web.Request, assigned: AssignedLesson) -> dict[str, Any]:
    wanted = [language_of(request)]
    return {
        "no": assigned.assignment.no,
        "name": assigned.assignment.lesson,
        "pack": assigned.assignment.pack,
        "title": choose(assigned.lesson.title, wanted) if assigned.lesson else None,
        "pack_title": choose(assigned.pack.title, wanted) if assigned.pack else _own_title(request),
        "version": assigned.pack.version if assigned.pack else 0,
        "newer_version": assigned.newer_version,
    }


async def _choices(
    request: web.Request, given: Set[tuple[str, str]], packs: Sequence[Shelved], lessons_each: int
) -> list[dict[str, Any]]:
    """Return the lessons of some packs that could still be given, by pack, with where the rest of a pack begins."""
    library, wanted = request.app[BOX].library, [language_of(request)]
    only, start = request.query.get("pack", ""), number_or_zero(request, "from")
    choices = []
    for pack in packs:
        first = start if pack.pack == only else 0
        listed = await library.lessons(pack.pack, start=first, limit=lessons_each)
        lessons = [
            {"value": f"{pack.pack}/{each.lesson.id}", "title": choose(each.lesson.title, wanted)}
            for each in listed
            if (pack.pack, each.lesson.id) not in given
        ]
        more = first + lessons_each if first + lessons_each < pack.lessons else 0
        if lessons or more:
            choices.append({"id": pack.pack, "title": choose(pack.title, wanted), "lessons": lessons, "more": more})
    return choices


async def _own_choices(request: web.Request, given: Set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the lessons that teachers made and that could still be given, as one more pack."""
    lessons = [
        {"value": f"{OWN_PACK}/{own.id}", "title": choose({NEUTRAL: own.title}, [])}
        for own in await request.app[BOX].own_lessons.list_all()
        if (OWN_PACK, own.id) not in given
    ]
    title = _own_title(request)
    return [{"id": OWN_PACK, "title": title, "lessons": lessons, "more": 0}] if lessons else []


def _own_title(request: web.Request) -> Any:
    language = language_of(request)
    return choose({language: page_words(request).gettext("Lessons of this school")}, [language])


def _card(request: web.Request, learner: Learner, new: NewSecret) -> dict[str, Any]:
    translate = page_words(request).gettext
    names = new.secret.split(",") if new.kind is SecretKind.PICTURE else []
    return {
        "learner": learner,
        "pictures": [{"name": name, "label": translate(PICTURE_NAMES[name])} for name in names],
        "pin": "" if names else new.secret,
    }
