"""Routes for outside programs: bring a course, launch its units, waive, abandon (docs/cmi5.md).

They are for teachers who are signed in, and for credentials that staff let launch.
"""

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from content_packs.base import ids
from content_packs.base.errors import N_, EdgeboxError
from content_packs.format import cmi5, texts
from content_packs.format.fields import is_local
from content_packs.importers.importing import Wishes
from content_packs.installer.install import full_disk
from edgebox.domain.cmi5.session import Mode
from edgebox.domain.session import Access, may_use
from edgebox.domain.xapi.rules import check_actor
from edgebox.domain.xapi.values import check_uuid
from edgebox.http import problems
from edgebox.http.body import in_time, read_json
from edgebox.http.cmi5.starting import address_of, origin_of
from edgebox.http.guard import check_origin, find_session
from edgebox.http.xapi.call import decode_basic
from edgebox.keys import BOX
from edgebox.services.course_units import UnitUnknown, open_unit
from edgebox.services.importing import UPLOAD_MAX_BYTES
from edgebox.services.launching import Wish
from edgebox.store.jobs import JobState

JSON_MAX_BYTES = 64 * 1024
_TYPES = {"application/zip": ".zip", "text/xml": ".xml", "application/xml": ".xml"}
_DIGITS_MAX = 6


class LaunchingRefused(EdgeboxError):
    """A credential that staff do not let launch."""

    code = "course.launching_refused"
    status = 403
    exit_code = 169
    sentence = N_("This sign-in may not bring or start cmi5 courses.")
    remedy = N_("Ask a teacher for one that may.")


class CourseNotTaken(EdgeboxError):
    """A course that was read, and could not be installed."""

    code = "course.not_taken"
    status = 422
    exit_code = 170
    sentence = N_("The course could not be put on the box.")
    remedy = N_("The page Packs says why.")


async def bring_course(request: web.Request) -> web.StreamResponse:
    """Take in a course, as a ZIP file or as the structure alone; answer when it is installed."""
    await _check_right(request)
    box = request.app[BOX]
    ending = _TYPES.get(request.content_type)
    if ending is None:
        raise problems.BodyMalformed(reason=", ".join(_TYPES))
    needed_bytes = UPLOAD_MAX_BYTES if request.content_length is None else request.content_length
    await box.importing.check_space(needed_bytes)
    with full_disk(needed_bytes):
        async with box.importing.receiving() as folder:
            path = folder / f"course{ending}"
            await _write_body(request, path)
            made = await box.importing.make(path, Wishes(), only=cmi5.KIND)
    async for job in box.loading.watch(made.job_no):
        state = job.state
    if state is not JobState.DONE:
        raise CourseNotTaken
    answer = {"id": made.pack, "remarks": [{"file": one.file, "reason": one.reason} for one in made.remarks]}
    return web.json_response(answer, status=201)


async def remove_course(request: web.Request) -> web.StreamResponse:
    """Take a course off the box; what was recorded stays."""
    await _check_right(request)
    box, pack = request.app[BOX], request.match_info["pack"]
    manifest = await box.library.pack(pack)
    if not is_local(pack) or not all(resource.kind == cmi5.KIND for resource in manifest.resources):
        raise problems.NotFound
    await box.loading.remove(pack)
    return web.Response(status=204)


async def launch(request: web.Request) -> web.StreamResponse:
    """Launch a unit for an actor, and answer with the address that a browser opens."""
    await _check_right(request)
    box, fields = request.app[BOX], await _fields(request)
    actor: Any = fields.get("actor")
    check_actor(actor, "actor")
    index, manifest = _index(request), await box.library.pack(request.match_info["pack"])
    units = [resource.id for resource in manifest.resources if resource.kind == cmi5.KIND]
    if index >= len(units):
        raise UnitUnknown(unit=index)
    opened = await open_unit(box.library, manifest.pack, units[index], manifest.version)
    registration = _text(fields, "registration")
    if registration:
        check_uuid(registration, "registration")
    wish = Wish(
        actor,
        address_of(request, opened),
        _mode(fields),
        ids.parse_uuid(registration) if registration else None,
        fields.get("retake") is True,
        _text(fields, "returnURL"),
    )
    person_no = await box.record_store.person_of(actor)
    launched = await box.launching.launch(opened, wish, origin_of(request), person_no)
    answer = {
        "url": launched.url,
        "registration": ids.format_uuid(launched.registration),
        "session": ids.format_uuid(launched.session),
        "launchMethod": opened.unit.launch_method.value,
    }
    return web.json_response(answer)


async def waive(request: web.Request) -> web.StreamResponse:
    """Let a unit count as done in a registration."""
    await _check_right(request)
    reason = _text(await _fields(request), "reason")
    await request.app[BOX].launching.waive(
        _uuid(request, "registration"), _index(request) + 1, texts.make_plain(reason)
    )
    return web.Response(status=204)


async def abandon(request: web.Request) -> web.StreamResponse:
    """End a session on behalf of its unit."""
    await _check_right(request)
    await request.app[BOX].launching.abandon(_uuid(request, "session"))
    return web.Response(status=204)


async def _check_right(request: web.Request) -> None:
    """Return if a teacher or a credential that may launch asks; nothing of the body was read.

    Raises:
        OriginRefused, SignInNeeded, NotAllowed, TokenInvalid, LaunchingRefused
    """
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        login, secret = decode_basic(value)
        caller = await request.app[BOX].clients.check(login, secret)
        if caller.client is None or not caller.client.may_launch:
            raise LaunchingRefused
        return
    check_origin(request)
    session = find_session(request)
    if not may_use(Access.TEACHER, session):
        raise problems.SignInNeeded if session is None else problems.NotAllowed


async def _write_body(request: web.Request, path: Path) -> None:
    left_bytes = UPLOAD_MAX_BYTES
    with await asyncio.to_thread(path.open, "xb") as file:
        try:
            while chunk := await in_time(request.content.readany()):
                left_bytes -= len(chunk)
                if left_bytes < 0:
                    raise problems.BodyTooLarge(limit_bytes=UPLOAD_MAX_BYTES)
                await asyncio.to_thread(file.write, chunk)
        except web.RequestPayloadError as error:
            raise problems.BodyMalformed(reason="encoding") from error


async def _fields(request: web.Request) -> dict[str, Any]:
    fields = await read_json(request, JSON_MAX_BYTES)
    if not isinstance(fields, dict):
        raise problems.BodyMalformed(reason="JSON")
    return fields


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise problems.BodyMalformed(reason=name)
    return value or ""


def _mode(fields: dict[str, Any]) -> Mode:
    try:
        return Mode(_text(fields, "launchMode") or Mode.NORMAL.value)
    except ValueError as error:
        raise problems.BodyMalformed(reason="launchMode") from error


def _index(request: web.Request) -> int:
    text = request.match_info["unit"]
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise problems.NotFound
    return int(text)


def _uuid(request: web.Request, name: str) -> bytes:
    try:
        return ids.parse_uuid(request.match_info[name])
    except ValueError as error:
        raise problems.NotFound from error
