"""The teacher's page for filling a stick: which stick, which packs, how far it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from content_packs.base.errors import EdgeboxError
from content_packs.base.language import choose
from content_packs.format.errors import StickGone
from content_packs.format.manifest import Part
from content_packs.format.selection import Selection
from edgebox.http.body import read_form
from edgebox.http.render import page
from edgebox.http.resource_views import language_name
from edgebox.http.staff import problem_text, recorded_problem, size_text
from edgebox.http.wording import language_of
from edgebox.keys import BOX
from edgebox.services.exporting import Choice, ExportJob, choose_fitting, matches, usable_bytes

HERE = "/staff/packs/export"
_PERCENT = 100


async def show(request: web.Request) -> web.StreamResponse:
    """Show sticks, packs, and the stick that is being filled."""
    return await _show(request)


async def show_state(request: web.Request) -> web.StreamResponse:
    """Answer with the stick that is being filled, for the page that keeps it fresh."""
    return page(request, "staff/_export.html", is_live=True, job=_job(request))


async def start(request: web.Request) -> web.StreamResponse:
    """Begin to fill a stick; only a stick that is there now can be named."""
    form, exporting = await read_form(request), request.app[BOX].exporting
    packs = [value for name, value in form.items() if name.startswith("pack-")]
    try:
        stick = Path(form.get("stick", ""))
        if stick not in await request.app[BOX].loading.sticks.mounted():
            raise StickGone(place=str(stick), reason="ENOENT")
        await exporting.start(stick, packs, _chosen_parts(form))
    except EdgeboxError as error:
        return await _show(request, error, frozenset(packs))
    raise web.HTTPSeeOther(HERE)


async def cancel(request: web.Request) -> web.StreamResponse:
    """Stop filling the stick."""
    await request.app[BOX].exporting.cancel()
    raise web.HTTPSeeOther(HERE)


def _chosen_parts(form: Mapping[str, str]) -> dict[str, Selection]:
    """Return the parts that are ticked, of each pack whose parts the form shows."""
    shown = {value for name, value in form.items() if name.startswith("parted-")}
    ticked = [value.partition("/") for name, value in form.items() if name.startswith("part-")]
    return {pack: Selection(frozenset(part for of, _, part in ticked if of == pack)) for pack in shown}


async def _show(
    request: web.Request, error: EdgeboxError | None = None, ticked: frozenset[str] | None = None
) -> web.StreamResponse:
    box = request.app[BOX]
    sticks = await box.loading.sticks.mounted()
    stick = next((path for path in sticks if str(path) == request.query.get("stick")), sticks[0] if sticks else None)
    room_bytes = await usable_bytes(stick) if stick else 0
    choices = await box.exporting.choices()
    shown = [choice for choice in choices if matches(choice.manifest, *_wishes(request))]
    if "fit" in request.query:
        ticked = frozenset(choose_fitting(shown, room_bytes))
    return page(
        request,
        "staff/export.html",
        status=error.status if error else 200,
        tab="packs",
        problem=problem_text(request, error) if error else "",
        job=_job(request),
        sticks=[{"path": str(path), "name": path.name} for path in sticks],
        stick=str(stick or ""),
        room=size_text(room_bytes),
        room_bytes=room_bytes,
        wishes={"language": request.query.get("language", ""), "level": request.query.get("level", "")},
        pack_languages={name: language_name(name) for choice in choices for name in choice.manifest.languages},
        levels=sorted({choice.manifest.educational_level for choice in choices} - {""}),
        packs=[_pack(request, choice, ticked) for choice in shown],
        has_packs=bool(choices),
    )


def _wishes(request: web.Request) -> tuple[list[str], list[str]]:
    return [value for value in request.query.getall("language", []) if value], [
        value for value in request.query.getall("level", []) if value
    ]


def _pack(request: web.Request, choice: Choice, ticked: frozenset[str] | None) -> dict[str, Any]:
    manifest = choice.manifest
    parts = [part for part in manifest.parts if part.id in choice.part_bytes]
    return {
        "id": manifest.pack,
        "version": manifest.version,
        "title": choose(manifest.title, [language_of(request)]),
        "languages": ", ".join(language_name(name) for name in manifest.languages),
        "level": manifest.educational_level,
        "size": size_text(choice.size_bytes),
        "size_bytes": choice.least_bytes,
        "is_ticked": ticked is not None and manifest.pack in ticked,
        "parts": [_part(request, part, choice.part_bytes[part.id]) for part in parts],
    }


def _part(request: web.Request, part: Part, size_bytes: int) -> dict[str, Any]:
    return {
        "id": part.id,
        "title": choose(part.title, [language_of(request)]),
        "size": size_text(size_bytes),
        "size_bytes": size_bytes,
    }


def _job(request: web.Request) -> dict[str, Any] | None:
    job = request.app[BOX].exporting.job
    return None if job is None else _shown(request, job)


def _shown(request: web.Request, job: ExportJob) -> dict[str, Any]:
    wanted = [language_of(request)]
    return {
        "stick": job.stick.name,
        "state": job.state.value,
        "is_open": job.state.is_open,
        # Every byte is written and read back; people think of it once.
        "is_checking": job.done_bytes * 2 >= job.total_bytes,
        "percent": _PERCENT * job.done_bytes // job.total_bytes if job.total_bytes else 0,
        "total": size_text(job.total_bytes // 2),
        "packs": [choose(manifest.title, wanted).value for manifest in job.exported or job.packs],
        "refused": [
            {"title": choose(manifest.title, wanted).value, "problem": recorded_problem(request, dict(error))}
            for manifest, error in job.refused
        ],
        "problem": recorded_problem(request, dict(job.error) if job.error else None),
    }
