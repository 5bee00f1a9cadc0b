"""A file a teacher brings: streamed from the form to the disk, or chosen on a stick, and made into a pack."""

import asyncio
from pathlib import Path

from aiohttp import BodyPartReader, web

from content_packs.base.errors import EdgeboxError
from content_packs.format import texts
from content_packs.importers.importing import Wishes
from content_packs.installer.install import full_disk
from edgebox.http import problems
from edgebox.http.body import read_form
from edgebox.http.form_parts import check_csrf, chunks_of, read_part, wait_for_part
from edgebox.http.loading import packs_page
from edgebox.keys import BOX
from edgebox.services.importing import UPLOAD_MAX_BYTES, MadePack

FIELD_MAX_BYTES = 4096
FIELDS_MAX = 10
NAME_MAX = 100
_WISHES = ("title", "language", "license", "level")


async def upload(request: web.Request) -> web.StreamResponse:
    """Take in a file and make a pack of it."""
    importing = request.app[BOX].importing
    try:
        needed_bytes = UPLOAD_MAX_BYTES if request.content_length is None else request.content_length
        await importing.check_space(needed_bytes)
        with full_disk(needed_bytes):
            async with importing.receiving() as folder:
                path, fields = await _read_parts(request, folder)
                made = await importing.make(path, _wishes(fields))
    except EdgeboxError as error:
        return await packs_page(request, error)
    return await _answer(request, made)


async def take_from_stick(request: web.Request) -> web.StreamResponse:
    """Make a pack of a file on a stick."""
    fields = await read_form(request)
    try:
        made = await request.app[BOX].importing.make_from_stick(fields.get("file", ""), _wishes(fields))
    except EdgeboxError as error:
        return await packs_page(request, error)
    return await _answer(request, made)


async def _answer(request: web.Request, made: MadePack) -> web.StreamResponse:
    """Go on to the packs; what will not work is said first."""
    if not made.remarks:
        raise web.HTTPSeeOther("/staff/packs")
    return await packs_page(request, remarks=made.remarks)


def _wishes(fields: dict[str, str]) -> Wishes:
    title, language, license_, level = (texts.make_plain(fields.get(name, ""))[: texts.TITLE_MAX] for name in _WISHES)
    tag = language if texts.is_language(language) else ""
    return Wishes(title=title, language=tag, license=license_, level=level)


async def _read_parts(request: web.Request, folder: Path) -> tuple[Path, dict[str, str]]:
    """Write the file of the form into the folder; return it and the fields before it.

    The form repeats the session's `csrf` in its first field, so a strange page is refused before anything is written.

    Raises:
        OriginRefused, BodyMalformed, BodyTooLarge, BodyTooSlow.
    """
    if request.content_type != "multipart/form-data":
        raise problems.BodyMalformed(reason="form")
    fields: dict[str, str] = {}
    try:
        reader = await request.multipart()
        for _ in range(FIELDS_MAX):
            part = await wait_for_part(reader.next())
            if not isinstance(part, BodyPartReader):
                break
            if part.name == "file":
                check_csrf(request, fields)
                return await _write_file(part, folder), fields
            fields[part.name or ""] = await read_part(part, FIELD_MAX_BYTES)
    except ValueError as error:
        raise problems.BodyMalformed(reason="form") from error
    raise problems.BodyMalformed(reason="form")


async def _write_file(part: BodyPartReader, folder: Path) -> Path:
    """Write one file under the name the teacher knows it by, as far as that can be a title."""
    stem = texts.without_isolates(texts.make_plain(Path(part.filename or "").stem)).replace("/", " ").strip(". ")
    path = folder / f"{texts.shorten(stem, NAME_MAX) or 'App'}.zip"
    left_bytes = UPLOAD_MAX_BYTES
    with await asyncio.to_thread(path.open, "xb") as file:
        async for chunk in chunks_of(part, 1024**2):
            left_bytes -= len(chunk)
            if left_bytes < 0:
                raise problems.BodyTooLarge(limit_bytes=UPLOAD_MAX_BYTES)
            await asyncio.to_thread(file.write, chunk)
    return path
