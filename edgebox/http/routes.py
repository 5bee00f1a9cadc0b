"""The table of all routes of the app origin; no other module adds one."""

from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler

from edgebox.domain.session import Access
from edgebox.http import (
    assets,
    bringing,
    class_exports,
    client_views,
    clock,
    courier,
    exporting,
    forward_views,
    hand_ins,
    health,
    hub_news,
    learning,
    line_views,
    loading,
    marks,
    outbox,
    own_lessons,
    pdf_views,
    retention_views,
    sign_in,
    staff,
    stick_views,
    sync_status,
    teaching,
    updates,
)
from edgebox.http.cmi5 import driving, fetching, waiving
from edgebox.http.guard import guarded
from edgebox.http.xapi.resources import HANDLERS


@dataclass(frozen=True)
class Route:
    """One method and path.

    Attributes:
        access: who may use it.
        form: its writes are forms of our own pages, so they must repeat the session's `csrf` field.
    """

    method: str
    path: str
    handler: Handler
    access: Access = Access.PUBLIC
    form: bool = True


ROUTES: tuple[Route, ...] = (
    # state of the box
    Route("GET", "/ping", health.ping),
    # learners
    Route("GET", "/", sign_in.choose_class),
    Route("GET", "/class/{class_no}", sign_in.choose_face),
    Route("GET", "/sign-in/{person_no}", sign_in.show_sign_in),
    Route("POST", "/sign-in/{person_no}", sign_in.sign_in, form=False),
    Route("POST", "/sign-out", sign_in.sign_out, Access.PERSON),
    Route("POST", "/language", sign_in.choose_language),
    Route("GET", "/learn", learning.my_lessons, Access.PERSON),
    Route("GET", "/learn/{pack}", learning.show_pack, Access.PERSON),
    Route("GET", "/learn/{pack}/{lesson}", learning.show_lesson, Access.PERSON),
    Route("GET", "/learn/{pack}/{lesson}/{resource}", learning.show_resource, Access.PERSON),
    Route("POST", "/learn/{pack}/{lesson}/{resource}", learning.finish_resource, Access.LEARNER),
    Route("GET", "/learn/{pack}/{lesson}/{resource}/launch", learning.show_unlaunched, Access.PERSON),
    Route("POST", "/learn/{pack}/{lesson}/{resource}/launch", learning.launch_unit, Access.PERSON),
    Route("GET", "/own/{lesson}", own_lessons.show_lesson, Access.PERSON),
    Route("GET", "/search", learning.search, Access.PERSON),
    Route("GET", "/hand-in/{assignment_no}", hand_ins.show_form, Access.LEARNER),
    Route("POST", "/hand-in/{assignment_no}", hand_ins.hand_in, Access.LEARNER, form=False),
    Route("GET", "/pdf/{pack}@{version}/{page_no}/{path:.+}.webp", pdf_views.pdf_page, Access.PERSON),
    Route("GET", "/static/{name}", assets.static_file),
    # records
    Route("POST", "/api/outbox", outbox.post_outbox, form=False),
    *(
        Route(method, path, handler, Access.CLIENT, form=False)
        for path, handlers in HANDLERS.items()
        for method, handler in handlers.items()
    ),
    # units of cmi5 courses, and programs that launch them
    Route("POST", "/cmi5/fetch/{key}", fetching.fetch, Access.CLIENT, form=False),
    Route("OPTIONS", "/cmi5/fetch/{key}", fetching.options, Access.CLIENT, form=False),
    Route("POST", "/cmi5/courses", driving.bring_course, Access.CLIENT, form=False),
    Route("DELETE", "/cmi5/courses/{pack}", driving.remove_course, Access.CLIENT, form=False),
    Route("POST", "/cmi5/courses/{pack}/units/{unit}/launch", driving.launch, Access.CLIENT, form=False),
    Route("POST", "/cmi5/registrations/{registration}/units/{unit}/waive", driving.waive, Access.CLIENT, form=False),
    Route("POST", "/cmi5/sessions/{session}/abandon", driving.abandon, Access.CLIENT, form=False),
    # couriers
    Route("GET", "/courier", courier.show),
    Route("GET", "/courier/bundles", courier.list_bundles),
    Route("GET", "/courier/bundles.tar", courier.send_archive),
    Route("GET", "/courier/bundles/{name}", courier.send_bundle),
    Route("POST", "/courier/answers", courier.take_answer, form=False),
    Route("POST", "/courier/file", courier.take_file, form=False),
    # teachers
    Route("GET", "/staff", staff.show_sign_in),
    Route("POST", "/staff", staff.sign_in, form=False),
    Route("GET", "/staff/set-up", staff.show_set_up),
    Route("POST", "/staff/set-up", staff.set_up, form=False),
    Route("GET", "/staff/classes", teaching.list_classes, Access.TEACHER),
    Route("POST", "/staff/classes", teaching.add_class, Access.TEACHER),
    Route("GET", "/staff/classes/{class_no}", teaching.show_class, Access.TEACHER),
    Route("GET", "/staff/classes/{class_no}/table", teaching.show_table, Access.TEACHER),
    Route("GET", "/staff/classes/{class_no}/work.csv", class_exports.send_table, Access.TEACHER),
    Route("GET", "/staff/classes/{class_no}/statements.jsonl", class_exports.send_statements, Access.TEACHER),
    Route("POST", "/staff/classes/{class_no}/learners", teaching.add_learner, Access.TEACHER),
    Route("POST", "/staff/classes/{class_no}/learners/{person_no}/end", teaching.take_out_learner, Access.TEACHER),
    Route("POST", "/staff/classes/{class_no}/assignments", teaching.assign, Access.TEACHER),
    Route("POST", "/staff/classes/{class_no}/assignments/{assignment_no}/end", teaching.unassign, Access.TEACHER),
    Route(
        "POST", "/staff/classes/{class_no}/assignments/{assignment_no}/take-over", teaching.take_over, Access.TEACHER
    ),
    Route("GET", "/staff/classes/{class_no}/assignments/{assignment_no}/marks", marks.show_marks, Access.TEACHER),
    Route(
        "POST",
        "/staff/classes/{class_no}/assignments/{assignment_no}/learners/{person_no}/mark",
        marks.give_mark,
        Access.TEACHER,
    ),
    Route(
        "POST",
        "/staff/classes/{class_no}/assignments/{assignment_no}/hand-ins/{hand_in_no}/send",
        hand_ins.release,
        Access.TEACHER,
    ),
    Route("GET", "/staff/hand-ins/{hand_in_no}/file", hand_ins.send_file, Access.TEACHER),
    Route("GET", "/staff/classes/{class_no}/units", waiving.show, Access.TEACHER),
    Route("POST", "/staff/classes/{class_no}/units", waiving.waive, Access.TEACHER),
    Route("GET", "/staff/classes/{class_no}/lessons", teaching.choose_lesson, Access.TEACHER),
    Route("GET", "/staff/classes/{class_no}/cards", teaching.choose_cards, Access.TEACHER),
    Route("POST", "/staff/classes/{class_no}/cards", teaching.make_cards, Access.TEACHER),
    Route("GET", "/staff/lessons", own_lessons.show_lessons, Access.TEACHER),
    Route("POST", "/staff/lessons", own_lessons.make_lesson, Access.TEACHER),
    Route("POST", "/staff/lessons/{lesson}/end", own_lessons.end_lesson, Access.TEACHER),
    Route("GET", "/staff/packs", loading.show_packs, Access.TEACHER),
    Route("GET", "/staff/packs/jobs", loading.show_jobs, Access.TEACHER),
    Route("GET", "/staff/packs/shelf", loading.show_shelf, Access.TEACHER),
    Route("GET", "/staff/packs/sticks", loading.show_sticks, Access.TEACHER),
    Route("POST", "/staff/packs/install", loading.install, Access.TEACHER),
    Route("POST", "/staff/packs/upload", bringing.upload, Access.TEACHER, form=False),
    Route("POST", "/staff/packs/import", bringing.take_from_stick, Access.TEACHER),
    Route("POST", "/staff/packs/scripts", loading.switch_scripts, Access.TEACHER),
    Route("POST", "/staff/packs/jobs/cancel", loading.cancel_all, Access.TEACHER),
    Route("POST", "/staff/packs/jobs/{job_no}/cancel", loading.cancel, Access.TEACHER),
    Route("GET", "/staff/packs/export", exporting.show, Access.TEACHER),
    Route("GET", "/staff/packs/export/state", exporting.show_state, Access.TEACHER),
    Route("POST", "/staff/packs/export", exporting.start, Access.TEACHER),
    Route("POST", "/staff/packs/export/cancel", exporting.cancel, Access.TEACHER),
    Route("POST", "/staff/packs/repair", loading.repair, Access.TEACHER),
    Route("GET", "/staff/packs/updates", updates.show_updates, Access.TEACHER),
    Route("POST", "/staff/packs/updates", updates.look, Access.TEACHER),
    Route("POST", "/staff/packs/updates/{pack}/cancel", updates.cancel, Access.TEACHER),
    Route("POST", "/staff/packs/{pack}/remove", loading.remove, Access.TEACHER),
    Route("POST", "/staff/messages/{message_no}/read", hub_news.put_away, Access.TEACHER),
    Route("GET", "/staff/apps", client_views.show, Access.TEACHER),
    Route("POST", "/staff/apps", client_views.make, Access.TEACHER),
    Route("POST", "/staff/apps/{client_no}/end", client_views.revoke, Access.TEACHER),
    Route("GET", "/staff/forward", forward_views.show, Access.TEACHER),
    Route("POST", "/staff/forward", forward_views.set_up, Access.TEACHER),
    Route("GET", "/staff/forward/state", forward_views.show_state, Access.TEACHER),
    Route("POST", "/staff/forward/now", forward_views.send_now, Access.TEACHER),
    Route("POST", "/staff/forward/pause", forward_views.pause, Access.TEACHER),
    Route("POST", "/staff/forward/end", forward_views.end, Access.TEACHER),
    Route("GET", "/staff/records", retention_views.show, Access.TEACHER),
    Route("POST", "/staff/records", retention_views.choose, Access.TEACHER),
    Route("POST", "/staff/clock", clock.set_clock, Access.TEACHER),
    Route("GET", "/staff/sync", sync_status.show, Access.TEACHER),
    Route("GET", "/staff/sync/state", sync_status.show_state, Access.TEACHER),
    Route("GET", "/staff/line", line_views.show, Access.TEACHER),
    Route("GET", "/staff/line/state", line_views.show_state, Access.TEACHER),
    Route("POST", "/staff/line", line_views.change, Access.TEACHER),
    Route("POST", "/staff/sync/now", sync_status.sync_now, Access.TEACHER),
    Route("POST", "/staff/sync/enroll", sync_status.enroll, Access.TEACHER),
    Route("POST", "/staff/sync/ticket", sync_status.accept_ticket, Access.TEACHER),
    Route("GET", "/staff/sync/sticks", stick_views.show_sticks, Access.TEACHER),
    Route("POST", "/staff/sync/sticks", sync_status.exchange, Access.TEACHER),
    Route("POST", "/staff/sync/sticks/always", sync_status.always_exchange, Access.TEACHER),
)


def add_routes(app: web.Application) -> None:
    """Put the table into the application; what can be read can also be asked for its headers."""
    for route in ROUTES:
        handler = guarded(route.handler, route.access, form=route.form)
        app.router.add_route(route.method, route.path, handler)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, handler)
