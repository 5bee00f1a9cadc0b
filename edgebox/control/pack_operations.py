"""What commands ask of a box about packs."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from content_packs.format.errors import PackNotFound, PackRollback
from content_packs.installer.planning import reserve_bytes
from edgebox.domain.recorded_error import error_of
from edgebox.keys import Box
from edgebox.services.stick_offers import Change, Offer
from edgebox.store.jobs import InstallJob, JobState


async def install(box: Box, arguments: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Trust the publisher key or the root in `trust`, then install the pack in `folder` or only its `parts`.

    Both `trust` and `folder` may be left out.
    """
    result: dict[str, Any] = {}
    if arguments.get("trust"):
        result["trusted"] = await box.loading.trust(arguments["trust"].encode())
    if arguments.get("folder"):
        result |= await _install(box, Path(arguments["folder"]), progress, arguments.get("parts"))
    return result


async def remove(box: Box, arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """Remove `pack` with all its versions."""
    await box.loading.remove(arguments["pack"])
    return {"removed": arguments["pack"]}


async def list_packs(box: Box, _arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """List the packs that can be used, what the platform's list says of them, and when it was made, if there is one."""
    pack_list = box.library.trust.pack_list
    return {
        "packs": [
            {
                "pack": shelved.pack,
                "version": shelved.version,
                "title": dict(shelved.title),
                "size_bytes": shelved.size_bytes,
                "publisher": box.library.trust.name_of(shelved.signer) or shelved.signer.hex(),
                "standing": box.library.trust.standing(shelved, shelved.signer).value,
                "localised_percent": dict(shelved.localised),
                "parts": {part.id: part.is_taken for part in shelved.parts},
                "overlay_of": shelved.overlay_of or None,
                "overlays": list(shelved.overlays),
            }
            for shelved in box.library.shelf.current.values()
        ],
        **({"list_made_ms": pack_list.made_ms} if pack_list else {}),
    }


async def scan(box: Box, arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """List what the folder `path` offers."""
    stick = await box.loading.sticks.look_at(Path(arguments["path"]))
    if stick.error is not None:
        raise stick.error
    space = await box.loading.disk()
    free_bytes = max(space.free_bytes - reserve_bytes(space.total_bytes), 0)
    return {
        "path": arguments["path"],
        "offers": [_offer(offer) for offer in stick.offers],
        "list_error": stick.list_error.as_record() if stick.list_error else None,
        "free_bytes": free_bytes,
    }


async def install_from_stick(box: Box, arguments: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Install what `path` offers: all that is new or newer, or the one `pack`, each in its highest version.

    Of the one `pack` only `parts` may be named; of a version that is on the box these are taken in addition. A pack
    that cannot be installed does not keep the others from it: it is in `failed`, with its error.
    """
    path, pack = arguments["path"], arguments.get("pack")
    parts = None if pack is None else arguments.get("parts")
    stick = await box.loading.sticks.look_at(Path(path))
    offers = [offer for offer in stick.offers if pack is None or offer.pack == pack]
    if stick.error is not None or not offers:
        raise stick.error or PackNotFound(place=path if pack is None else f"{path} {pack}")
    changes = (Change.NEW, Change.UPDATE) if parts is None else (Change.NEW, Change.UPDATE, Change.HERE)
    done = await _install_all(box, [offer.folder for offer in _newest(offers, changes)], parts, progress)
    failed = [_refused(offer) for offer in offers if offer.error is not None]
    failed += [_failure(job) for job in done if job.state is not JobState.DONE]
    installed = [_outcome(job) for job in done if job.state is JobState.DONE]
    older = [error.fields for error in _older(offers)]
    if older and not installed and not failed:
        raise _older(offers)[0]
    return {"path": path, "installed": installed, "older": older, "failed": failed}


async def _install_all(box: Box, folders: list[Path], parts: list[str] | None, progress: Any) -> list[InstallJob]:
    last: list[InstallJob] = []
    if folders:
        chosen = {} if parts is None else dict.fromkeys(folders, parts)
        async for last in box.loading.watch_all(await box.loading.start_all(folders, chosen)):
            progress(_overall(last))
    return last


def _overall(run: list[InstallJob]) -> dict[str, Any]:
    """Return how far all of them are together; what has ended counts in full."""
    done_bytes = sum(job.done_bytes if job.state.is_open else job.total_bytes for job in run)
    return {"done_bytes": done_bytes, "total_bytes": sum(job.total_bytes for job in run)}


def _refused(offer: Offer) -> dict[str, Any]:
    return {
        "pack": offer.pack or str(offer.folder),
        "version": offer.version or None,
        "error": offer.error.as_record() if offer.error else None,
    }


def _failure(job: InstallJob) -> dict[str, Any]:
    return {"pack": job.pack, "version": job.version, "error": job.error or {"code": "pack.cancelled", "fields": {}}}


async def _install(box: Box, folder: Path, progress: Any, parts: list[str] | None = None) -> dict[str, Any]:
    async for job in box.loading.watch(await box.loading.start(folder, parts)):
        progress({"done_bytes": job.done_bytes, "total_bytes": job.total_bytes})
        last = job
    return _outcome(last)


def _outcome(job: InstallJob) -> dict[str, Any]:
    """Return what was installed, or raise why it was not."""
    if job.state is JobState.DONE:
        return {"pack": job.pack, "version": job.version, "size_bytes": job.total_bytes}
    raise error_of(job.error or {"code": "pack.cancelled"})


def _newest(offers: list[Offer], changes: Collection[Change]) -> list[Offer]:
    """Return the offers with these changes, one per pack: older versions would be refused after the highest."""
    best: dict[str, tuple[int, Offer]] = {}
    for offer in offers:
        known = best.get(offer.pack)
        if offer.change in changes and (known is None or known[0] < offer.version):
            best[offer.pack] = (offer.version, offer)
    return [offer for _, offer in best.values()]


def _older(offers: list[Offer]) -> list[PackRollback]:
    """Return why packs are not loaded of which nothing on the stick is as new as the box has or had, one per pack."""
    best: dict[str, tuple[int, Offer]] = {}
    for offer in offers:
        if offer.change is Change.UNUSABLE:
            continue
        if offer.pack not in best or best[offer.pack][0] < offer.version:
            best[offer.pack] = (offer.version, offer)
    return [
        PackRollback(pack=pack, installed=offer.highest_version, offered=version)
        for pack, (version, offer) in best.items()
        if offer.change is Change.OLDER
    ]


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        "folder": str(offer.folder),
        "pack": offer.pack or None,
        "version": offer.version or None,
        "title": dict(offer.title),
        "size_bytes": offer.size_bytes,
        "parts": {part.part.id: part.needed_bytes for part in offer.parts},
        "needed_bytes": offer.needed_bytes,
        "fits": offer.fits,
        "publisher": offer.signer_name,
        "change": offer.change.value,
        "installed_version": offer.installed_version or None,
        "error": offer.error.as_record() if offer.error else None,
    }
