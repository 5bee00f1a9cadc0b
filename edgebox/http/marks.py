"""The teacher's page of what was handed in for one lesson of a class, and of the marks for it."""

from aiohttp import web

from content_packs.base.language import choose
from edgebox.http.body import read_form
from edgebox.http.hand_ins import shown
from edgebox.http.render import page
from edgebox.http.staff import number_in
from edgebox.http.wording import language_of
from edgebox.keys import BOX
from edgebox.services.marks import COMMENT_MAX_CHARACTERS, VALUE_MAX_CHARACTERS


async def show_marks(request: web.Request) -> web.StreamResponse:
    """Show the learners of a class with what they handed in and their marks, and ask where there are two."""
    class_no, assignment_no = number_in(request, "class_no"), number_in(request, "assignment_no")
    lines = await request.app[BOX].marks.of_lesson(class_no, assignment_no)
    has_hub = (await request.app[BOX].syncing.status()).hub_url is not None
    assigned = await request.app[BOX].teaching.assigned(class_no, assignment_no)
    return page(
        request,
        "staff/marks.html",
        tab="classes",
        school_class=await request.app[BOX].teaching.school_class(class_no),
        assignment_no=assignment_no,
        name=assigned.assignment.lesson,
        title=choose(assigned.lesson.title, [language_of(request)]) if assigned.lesson else None,
        lines=[
            {
                "learner": line.learner,
                "given": line.given,
                "seen": line.seen,
                "handed": [shown(request, each, has_hub=has_hub) for each in line.handed],
            }
            for line in lines
        ],
        here=f"/staff/classes/{class_no}/assignments/{assignment_no}/hand-ins",
        value_max=VALUE_MAX_CHARACTERS,
        comment_max=COMMENT_MAX_CHARACTERS,
    )


async def give_mark(request: web.Request) -> web.StreamResponse:
    """Give a learner a mark, or choose one of two."""
    class_no, assignment_no = number_in(request, "class_no"), number_in(request, "assignment_no")
    person_no, form = number_in(request, "person_no"), await read_form(request)
    await request.app[BOX].marks.give(
        class_no,
        assignment_no,
        person_no,
        value=form.get("value", ""),
        comment=form.get("comment", ""),
        seen=form.get("seen", ""),
    )
    raise web.HTTPSeeOther(f"/staff/classes/{class_no}/assignments/{assignment_no}/marks#learner-{person_no}")
