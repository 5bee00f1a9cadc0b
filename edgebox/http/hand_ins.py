"""Handing in: the learner's form, which needs no script, and the files as staff open them."""

from contextlib import suppress
from typing import Any

from aiohttp import BodyPartReader, web

from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.language import choose
from content_packs.format.errors import PackNotFound
from edgebox.domain.media_type import ENDINGS
from edgebox.http import problems
from edgebox.http.body import end_seconds, read_form
from edgebox.http.form_parts import check_csrf, chunks_of, read_part, wait_for_part
from edgebox.http.guard import IS_SANDBOXED
from edgebox.http.render import page, page_words
from edgebox.http.staff import moment_text, number_in, problem_text, size_text
from edgebox.http.wording import language_of
from edgebox.keys import BOX, SESSION
from edgebox.services.hand_ins import FILE_MAX_BYTES, TEXT_MAX_CHARACTERS, Taken
from edgebox.services.shelf import ResourceGone
from edgebox.store.hand_ins import Assigned, Handed
from sync.engine.lanes import Lane, Tariff
from sync.records.lessons import OWN_PACK
from sync.records.sizes import TEXT_TYPE
from sync.records.stamps import stamp_ms

# What a browser adds to a file: the other fields, names and borders.
FORM_MAX_BYTES = FILE_MAX_BYTES + 4 * TEXT_MAX_CHARACTERS + 16_384
FIELD_MAX_BYTES = 4 * TEXT_MAX_CHARACTERS
FIELDS_MAX = 5
KINDS = "image/*,audio/*,video/*,application/pdf"
_KINDS = {
    "application": N_("Document"),
    "audio": N_("Recording"),
    "image": N_("Photo"),
    "text": N_("Text"),
    "video": N_("Film"),
}
_LANE_TEXTS = {
    Lane.SMALL: N_("The file goes to the hub with the line."),
    Lane.LARGE: N_("The file goes to the hub at the hours for large packs."),
}


async def show_form(request: web.Request) -> web.StreamResponse:
    """Show what a learner handed in for a lesson, and the form for more."""
    return await _show(request, await _assigned(request))


async def hand_in(request: web.Request) -> web.StreamResponse:
    """Take in a text, a file or both."""
    assigned, hand_ins = await _assigned(request), request.app[BOX].hand_ins
    fields: dict[str, str] = {}
    taken: Taken | None = None
    try:
        if (request.content_length or 0) > FORM_MAX_BYTES:
            raise problems.BodyTooLarge(limit_bytes=FORM_MAX_BYTES)
        size_bytes = request.content_length or FORM_MAX_BYTES
        with hand_ins.under_way(request[SESSION].person_no):
            async with hand_ins.room(size_bytes):
                taken = await _read_parts(request, fields, end_seconds(size_bytes))
                check_csrf(request, fields)
                await hand_ins.hand_in(request[SESSION].person_no, assigned.no, fields.get("text", ""), taken)
    except problems.OriginRefused:
        raise
    except EdgeboxError as error:
        return await _show(request, assigned, error=error, text=fields.get("text", ""))
    finally:
        if taken is not None:
            await hand_ins.drop(taken)
    raise web.HTTPSeeOther(f"/hand-in/{assigned.no}?done=1")


async def send_file(request: web.Request) -> web.StreamResponse:
    """Give staff a file that was handed in: to save, never to be run or shown as a page of ours."""
    handed = await request.app[BOX].hand_ins.find(number_in(request, "hand_in_no"))
    path = await request.app[BOX].hand_ins.path_of(handed)
    media_type = handed.record.media_type
    ending = ENDINGS.get(media_type)
    request[IS_SANDBOXED] = True
    shown_type = media_type if ending else "application/octet-stream"
    charset = "; charset=utf-8" if shown_type == TEXT_TYPE else ""
    headers = {
        "Content-Type": shown_type + charset,
        "Content-Disposition": f'attachment; filename="hand-in-{handed.no}.{ending or "bin"}"',
        "Cache-Control": "private, no-cache",
    }
    return web.FileResponse(path, headers=headers)


async def release(request: web.Request) -> web.StreamResponse:
    """Let a large file go over the line now."""
    await read_form(request)
    await request.app[BOX].hand_ins.release(number_in(request, "hand_in_no"))
    class_no, assignment_no = number_in(request, "class_no"), number_in(request, "assignment_no")
    raise web.HTTPSeeOther(f"/staff/classes/{class_no}/assignments/{assignment_no}/marks")


def shown(request: web.Request, handed: Handed, *, has_hub: bool) -> dict[str, Any]:
    """Return what a page says of something that was handed in; where its file is, in one sentence."""
    record, words = handed.record, page_words(request)
    kind = words.gettext(_KINDS.get(record.media_type.partition("/")[0], _KINDS["application"]))
    tariff = request.app[BOX].line.tariff
    return {
        "no": handed.no,
        "text": handed.text,
        "when": moment_text(stamp_ms(record.stamp)),
        "kind": kind if handed.has_file else "",
        "size": size_text(record.size_bytes),
        "is_here": handed.file_no is not None,
        "where": words.gettext(_where(handed, tariff)) if has_hub and handed.has_file else "",
        "may_release": has_hub and _may_release(handed, tariff),
    }


def _where(handed: Handed, tariff: Tariff) -> str:
    """Return the sentence that tells where a file is on its way to the hub."""
    if handed.is_arrived:
        return N_("The hub has the file.")
    if handed.file_no is None:
        return N_("The file is on another box.")
    if handed.is_sent:
        return N_("The file was sent; the hub will confirm it.")
    lane = tariff.lane_of_file(handed.record.size_bytes, is_released=handed.is_released)
    if lane is None:
        return N_("The file waits for a stick.")
    return _LANE_TEXTS[lane]


def _may_release(handed: Handed, tariff: Tariff) -> bool:
    is_waiting = handed.file_no is not None and not handed.is_arrived and not handed.is_released
    size_bytes = handed.record.size_bytes
    return is_waiting and not tariff.is_metered and tariff.lane_of_file(size_bytes, is_released=False) is None


async def _assigned(request: web.Request) -> Assigned:
    return await request.app[BOX].hand_ins.assigned(request[SESSION].person_no, number_in(request, "assignment_no"))


async def _show(
    request: web.Request, assigned: Assigned, error: EdgeboxError | None = None, text: str = ""
) -> web.StreamResponse:
    box = request.app[BOX]
    handed, is_own = await box.hand_ins.of_learner(assigned), assigned.pack == OWN_PACK
    return page(
        request,
        "hand_in.html",
        status=200 if error is None else error.status,
        problem="" if error is None else problem_text(request, error),
        is_done=request.query.get("done") == "1" and error is None,
        assignment_no=assigned.no,
        lesson_href=f"/own/{assigned.lesson}" if is_own else f"/learn/{assigned.pack}/{assigned.lesson}",
        title=await _title(request, assigned),
        handed=[shown(request, each, has_hub=False) for each in handed],
        mark=await box.marks.of_learner(assigned.id, assigned.learner),
        text=text,
        text_max=TEXT_MAX_CHARACTERS,
        kinds=KINDS,
    )


async def _title(request: web.Request, assigned: Assigned) -> Any:
    with suppress(PackNotFound, ResourceGone):
        box, is_own = request.app[BOX], assigned.pack == OWN_PACK
        find = box.own_lessons.listed(assigned.lesson) if is_own else None
        listed = await (find or box.library.listed_lesson(assigned.pack, assigned.lesson))
        return choose(listed.lesson.title, [language_of(request)])
    return None


async def _read_parts(request: web.Request, fields: dict[str, str], until_seconds: float) -> Taken | None:
    """Read the fields of the form and write its file, all until then; the `csrf` field comes first.

    Raises:
        OriginRefused, BodyMalformed, BodyTooLarge, BodyTooSlow, HandInRefused, PackSpace.
    """
    if request.content_type != "multipart/form-data":
        raise problems.BodyMalformed(reason="form")
    hand_ins = request.app[BOX].hand_ins
    taken: Taken | None = None
    try:
        reader = await request.multipart()
        for _ in range(FIELDS_MAX):
            part = await wait_for_part(reader.next(), until_seconds)
            if not isinstance(part, BodyPartReader):
                break
            if part.name == "file" and taken is None:
                check_csrf(request, fields)
                taken = await hand_ins.take(chunks_of(part, until_seconds=until_seconds))
            else:
                fields[part.name or ""] = await read_part(part, FIELD_MAX_BYTES, until_seconds)
    except BaseException as error:
        # Also when the line broke, or the box stops.
        if taken is not None:
            await hand_ins.drop(taken)
        if isinstance(error, ValueError):
            raise problems.BodyMalformed(reason="form") from error
        raise
    return taken
