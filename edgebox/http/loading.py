"""The teacher's pages about courses: what is on the box, what sticks offer, and what is being loaded."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

from content_packs.base.errors import EdgeboxError
from content_packs.base.language import choose
from content_packs.format.errors import PackNotFound, PackUnsigned, SignerUnknown
from content_packs.format.fields import is_local
from content_packs.format.vouching import PackWithdrawn
from content_packs.importers.contract import Remark
from content_packs.installer.planning import reserve_bytes
from content_packs.usb.errors import NothingChosen
from edgebox.domain.catalogue import Shelved
from edgebox.http.body import read_form
from edgebox.http.catalogue_views import catalogue_of
from edgebox.http.hub_news import hub_offers
from edgebox.http.render import page, page_words
from edgebox.http.resource_views import language_name
from edgebox.http.staff import day_text, number_in, problem_text, recorded_problem, size_text
from edgebox.http.updates import updates
from edgebox.http.wording import language_of
from edgebox.keys import BOX
from edgebox.services.library import Library
from edgebox.services.loading import Loading
from edgebox.services.stick_offers import Change, Offer, PartOffer, Stick
from edgebox.store.jobs import InstallJob, JobState

PACKS_SHOWN = 40
SHOWN_REMARKS_MAX = 20
_PERCENT = 100
_OFFERED_FIRST = (Change.NEW, Change.UPDATE, Change.HERE, Change.OLDER, Change.UNUSABLE)
_SHOWN_FIRST = (
    JobState.COPYING,
    JobState.STICK_GONE,
    JobState.FAILED,
    JobState.WAITING,
    JobState.DONE,
    JobState.CANCELLED,
)


async def show_packs(request: web.Request) -> web.StreamResponse:
    """Show courses, sticks and what is being loaded."""
    return await packs_page(request)


async def show_jobs(request: web.Request) -> web.StreamResponse:
    """Answer with what is being loaded, for the page that keeps it fresh."""
    return page(request, "staff/_jobs.html", is_live=True, run=await _run(request))


async def show_shelf(request: web.Request) -> web.StreamResponse:
    """Answer with what is on the box, for the page that keeps it fresh."""
    return page(request, "staff/_shelf.html", is_live=True, **_shelf_values(request))


async def show_sticks(request: web.Request) -> web.StreamResponse:
    """Answer with what sticks offer, for the page that keeps it fresh."""
    return page(request, "staff/_sticks.html", is_live=True, **await _stick_values(request))


async def install(request: web.Request) -> web.StreamResponse:
    """Begin to load what was ticked; only what a stick offers right now can be named."""
    form, loading = await read_form(request), request.app[BOX].loading
    folders = [value for name, value in form.items() if name == "folder" or name.startswith("folder-")]
    try:
        offered = {str(offer.folder): offer for stick in await loading.sticks.look() for offer in stick.offers}
        if not folders:
            raise NothingChosen
        if unknown := [folder for folder in folders if folder not in offered]:
            raise PackNotFound(place=unknown[0])
        await _start(loading, _chosen_parts(form, [offered[folder] for folder in folders]))
    except EdgeboxError as error:
        return await packs_page(request, error)
    raise web.HTTPSeeOther("/staff/packs")


async def _start(loading: Loading, chosen: Mapping[Path, Sequence[str] | None]) -> None:
    """Ask for one, and say at once what is wrong with it; or for several, of which each has its own end."""
    if len(chosen) == 1:
        ((folder, parts),) = chosen.items()
        await loading.start(folder, parts)
    else:
        some = {folder: parts for folder, parts in chosen.items() if parts is not None}
        await loading.start_all(list(chosen), some)


def _chosen_parts(form: Mapping[str, str], offers: Sequence[Offer]) -> dict[Path, Sequence[str] | None]:
    """Return the folders with the parts that are ticked; None for packs whose parts the form does not show."""
    shown = {value for name, value in form.items() if name.startswith("parted-")}
    ticked = [value.rpartition("/") for name, value in form.items() if name.startswith("part-")]
    return {
        offer.folder: [part for of, _, part in ticked if of == key] if (key := _key(offer)) in shown else None
        for offer in offers
    }


def _key(offer: Offer) -> str:
    """Return what a form calls the pack whose parts it shows; short, for there may be many."""
    return f"{offer.manifest.pack}/{offer.manifest.version}" if offer.manifest else ""


async def cancel(request: web.Request) -> web.StreamResponse:
    """Stop loading a course."""
    await request.app[BOX].loading.cancel(number_in(request, "job_no"))
    raise web.HTTPSeeOther("/staff/packs")


async def cancel_all(request: web.Request) -> web.StreamResponse:
    """Stop loading everything that has not ended."""
    await request.app[BOX].loading.cancel_all()
    raise web.HTTPSeeOther("/staff/packs")


async def remove(request: web.Request) -> web.StreamResponse:
    """Take a course off the box."""
    try:
        await request.app[BOX].loading.remove(request.match_info["pack"])
    except EdgeboxError as error:
        return await packs_page(request, error)
    raise web.HTTPSeeOther("/staff/packs")


async def repair(request: web.Request) -> web.StreamResponse:
    """Begin to repair damaged files from whatever has them, a stick that was just put in first of all."""
    request.app[BOX].checking.begin_repair()
    raise web.HTTPSeeOther("/staff/packs")


async def switch_scripts(request: web.Request) -> web.StreamResponse:
    """Allow programs in packs made at this school, or no more."""
    is_on = (await read_form(request)).get("allow") == "on"
    await request.app[BOX].local_packs.allow_scripts(on=is_on)
    raise web.HTTPSeeOther("/staff/packs")


async def packs_page(
    request: web.Request, error: EdgeboxError | None = None, *, remarks: Sequence[Remark] = ()
) -> web.StreamResponse:
    """Answer with the page, and what was wrong or is worth knowing about what was just asked for."""
    gettext = page_words(request).gettext
    return page(
        request,
        "staff/packs.html",
        status=error.status if error else 200,
        tab="packs",
        problem=problem_text(request, error) if error else "",
        remarks=[{"file": remark.file, "reason": gettext(remark.reason)} for remark in remarks[:SHOWN_REMARKS_MAX]],
        stick_files=await _stick_files(request),
        run=await _run(request),
        updates=updates(request),
        hub_offers=hub_offers(request),
        scripts_allowed=await request.app[BOX].local_packs.scripts_allowed(),
        **await _list_values(request),
        **_shelf_values(request),
        **await _stick_values(request),
    )


def _shelf_values(request: web.Request) -> dict[str, Any]:
    """Return what is on the box, and what is wrong with it."""
    catalogue = catalogue_of(request, PACKS_SHOWN, with_overlays=True)
    damage = request.app[BOX].checking.damage
    return {
        "catalogue": catalogue,
        "query": request.query_string,
        "packs": _installed(request, catalogue.page.packs),
        # Several versions of a pack may be damaged.
        "damaged": list(dict.fromkeys(choose(each.title, [language_of(request)]).value for each in damage)),
        "old_versions": size_text(old_bytes) if (old_bytes := request.app[BOX].retiring.old_bytes) else "",
    }


async def _list_values(request: web.Request) -> dict[str, Any]:
    """Return the day the platform's list is from, empty without one, and whether it is out of date."""
    trust = request.app[BOX].library.trust
    now_ms, pack_list = await asyncio.to_thread(trust.trusted_ms), trust.pack_list
    return {
        "list_day": day_text(pack_list.made_ms) if pack_list else "",
        "is_list_old": pack_list is not None and now_ms is not None and now_ms >= pack_list.expires_ms,
    }


def _installed(request: web.Request, packs: Iterable[Shelved]) -> list[dict[str, Any]]:
    library, wanted = request.app[BOX].library, [language_of(request)]
    return [
        {
            "id": pack.pack,
            "version": pack.version,
            "title": choose(pack.title, wanted),
            "lessons": pack.lessons,
            "size": size_text(pack.size_bytes),
            "publisher": library.trust.name_of(pack.signer),
            "is_local": is_local(pack.pack),
            "standing": library.trust.standing(pack, pack.signer).value,
            "languages": [
                {"name": language_name(language) or language, "percent": percent}
                for language, percent in pack.localised.items()
            ],
            "overlay_of": _below(library, pack, wanted),
            "left_out": ", ".join(choose(part.title, wanted).value for part in pack.parts if not part.is_taken),
        }
        for pack in packs
    ]


def _below(library: Library, pack: Shelved, wanted: list[str]) -> str:
    """Return the title of the pack that an overlay lies over, its id when it is not on the box."""
    below = library.shelf.current.get(pack.overlay_of)
    return choose(below.title, wanted).value if below else pack.overlay_of


async def _stick_files(request: web.Request) -> list[dict[str, str]]:
    files = await request.app[BOX].importing.stick_files()
    return [{"path": str(file.path), "name": file.path.name, "size": size_text(file.size_bytes)} for file in files]


async def _run(request: web.Request) -> dict[str, Any]:
    """Return what is on its way together: each pack, and one figure for all of them."""
    jobs = await request.app[BOX].loading.run()
    total_bytes = sum(job.total_bytes for job in jobs)
    done_bytes = sum(job.done_bytes if job.state.is_open else job.total_bytes for job in jobs)
    return {
        "jobs": [_job(request, job) for job in sorted(jobs, key=lambda job: (_SHOWN_FIRST.index(job.state), job.no))],
        "is_open": any(job.state.is_open for job in jobs),
        "ready": sum(job.state is JobState.DONE for job in jobs),
        "failed": sum(job.state is JobState.FAILED for job in jobs),
        "percent": _PERCENT * done_bytes // total_bytes if total_bytes else 0,
        "done": size_text(done_bytes),
        "total": size_text(total_bytes),
    }


def _job(request: web.Request, job: InstallJob) -> dict[str, Any]:
    shelved = request.app[BOX].library.shelf.current.get(job.pack)
    return {
        "no": job.no,
        "state": job.state.value,
        "is_open": job.state.is_open,
        "title": _title(request, job, shelved.title if shelved else {}),
        "version": job.version,
        "percent": _PERCENT * job.done_bytes // job.total_bytes if job.total_bytes else 0,
        "done": size_text(job.done_bytes),
        "total": size_text(job.total_bytes),
        "problem": recorded_problem(request, job.error),
    }


def _title(request: web.Request, job: InstallJob, known: Mapping[str, str]) -> str:
    """Return what a stick or the box calls the pack, or its id when neither does."""
    titles = request.app[BOX].loading.sticks.titles.get((job.pack, job.version)) or known
    return choose(titles, [language_of(request)]).value if titles else job.pack


async def _stick_values(request: web.Request) -> dict[str, Any]:
    loading = request.app[BOX].loading
    space = await loading.disk()
    free_bytes = max(space.free_bytes - reserve_bytes(space.total_bytes), 0)
    return {
        "sticks": [_stick(request, stick) for stick in await loading.sticks.look()],
        "free": size_text(free_bytes),
        "free_bytes": free_bytes,
    }


def _stick(request: web.Request, stick: Stick) -> dict[str, Any]:
    return {
        "name": stick.path.name,
        "problem": problem_text(request, error) if (error := stick.error or stick.list_error) else "",
        "is_whole": stick.is_whole,
        "can_install": any(offer.can_install for offer in stick.offers),
        "offers": [
            _offer(request, offer)
            for offer in sorted(stick.offers, key=lambda offer: _OFFERED_FIRST.index(offer.change))
        ],
    }


def _offer(request: web.Request, offer: Offer) -> dict[str, Any]:
    return {
        "folder": str(offer.folder),
        "title": choose(offer.title, [language_of(request)]) if offer.title else None,
        "name": offer.folder.parent.name,
        "version": offer.version,
        "size": size_text(offer.size_bytes) if offer.version else "",
        "needed": size_text(offer.needed_bytes),
        "publisher": offer.signer_name or "",
        "is_local": offer.signer_name == "",
        "change": offer.change.value,
        "installed_version": offer.installed_version,
        "highest_version": offer.highest_version,
        "can_install": offer.can_install,
        "is_ticked": offer.fits and offer.change in (Change.NEW, Change.UPDATE),
        "is_withdrawn": isinstance(offer.error, PackWithdrawn),
        "is_strange": isinstance(offer.error, PackUnsigned | SignerUnknown),
        "key": _key(offer),
        "parts": [_part(request, part) for part in offer.parts],
        "least_bytes": offer.least_bytes,
        "needed_bytes": offer.needed_bytes,
        "left_out": ", ".join(choose(part.title, [language_of(request)]).value for part in offer.left_out),
        "fits": offer.fits,
        "problem": problem_text(request, offer.error) if offer.error else "",
    }


def _part(request: web.Request, offer: PartOffer) -> dict[str, Any]:
    return {
        "id": offer.part.id,
        "title": choose(offer.part.title, [language_of(request)]),
        "size": size_text(offer.needed_bytes),
        "needed_bytes": offer.needed_bytes,
        "is_taken": offer.is_taken,
    }
