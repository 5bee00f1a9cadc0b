"""What commands ask of a box about filling sticks."""

from pathlib import Path
from typing import Any

from content_packs.format.errors import PackNotFound
from content_packs.format.manifest import Manifest
from content_packs.format.selection import Selection, choose_parts
from edgebox.domain.recorded_error import error_of
from edgebox.keys import Box
from edgebox.services.exporting import Choice, ExportState, choose_fitting, matches, usable_bytes


async def export(box: Box, arguments: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Put packs on the stick `path`: the named ones, or all; in `languages` and of `levels`; as many as `fit`.

    A pack that cannot be put there does not keep the others from it: it is in `failed`, with its error.
    """
    path, languages, levels = Path(arguments["path"]), arguments["languages"], arguments["levels"]
    choices = _named(await box.exporting.choices(), arguments["packs"])
    wanted = [choice for choice in choices if matches(choice.manifest, languages, levels)]
    packs = [choice.manifest.pack for choice in wanted]
    if arguments["fit"] or arguments["max_bytes"] is not None:
        room_bytes = await usable_bytes(path)
        packs = choose_fitting(wanted, min(room_bytes, arguments["max_bytes"] or room_bytes))
    await box.exporting.start(path, packs, _parts(wanted, languages, levels))
    async for job in box.exporting.watch():
        progress({"done_bytes": job.done_bytes, "total_bytes": job.total_bytes})
        last = job
    if last.state is not ExportState.DONE:
        await box.exporting.cancel()
        raise error_of(last.error or {"code": "usb.cancelled"})
    return {
        "path": str(path),
        "exported": [_pack(manifest) for manifest in last.exported],
        "left_out": sorted({choice.manifest.pack for choice in wanted} - set(packs)),
        "failed": [_pack(manifest) | {"error": dict(error)} for manifest, error in last.refused],
    }


def _named(choices: list[Choice], packs: list[str]) -> list[Choice]:
    known = {choice.manifest.pack for choice in choices}
    for name in packs:
        if name not in known:
            raise PackNotFound(place=name)
    return [choice for choice in choices if not packs or choice.manifest.pack in packs]


def _parts(choices: list[Choice], languages: list[str], levels: list[str]) -> dict[str, Selection]:
    """Return which parts go along when not everything was asked for."""
    if not languages and not levels:
        return {}
    return {
        choice.manifest.pack: choose_parts(choice.manifest, languages=languages or None, levels=levels or None)
        for choice in choices
        if choice.manifest.parts
    }


def _pack(manifest: Manifest) -> dict[str, Any]:
    return {"pack": manifest.pack, "version": manifest.version}
