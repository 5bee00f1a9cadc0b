"""What is known of a class as a file that the teacher takes along: a table, or its statements."""

from collections.abc import AsyncIterator

from aiohttp import web

from content_packs.base.errors import N_
from edgebox.http.render import page_words
from edgebox.http.staff import number_in
from edgebox.http.wording import language_of
from edgebox.keys import BOX

HEADINGS = (
    N_("First name"),
    N_("Family name"),
    N_("Pack"),
    N_("Resource"),
    N_("Attempts"),
    N_("Progress in %"),
    N_("Complete (1 = yes)"),
    N_("Best score in %"),
    N_("Time in seconds"),
    N_("First worked on (UTC)"),
    N_("Last worked on (UTC)"),
)


async def send_table(request: web.Request) -> web.StreamResponse:
    """Answer with the work of a class as CSV."""
    class_no, words = number_in(request, "class_no"), page_words(request)
    headings = [words.gettext(heading) for heading in HEADINGS]
    chunks = request.app[BOX].class_records.write_table(class_no, headings, [language_of(request)])
    return await _send(request, class_no, chunks, "csv", "text/csv")


async def send_statements(request: web.Request) -> web.StreamResponse:
    """Answer with the statements of a class as lines of JSON."""
    class_no = number_in(request, "class_no")
    chunks = request.app[BOX].class_records.write_statements(class_no)
    return await _send(request, class_no, chunks, "jsonl", "application/jsonl")


async def _send(
    request: web.Request, class_no: int, chunks: AsyncIterator[bytes], ending: str, media_type: str
) -> web.StreamResponse:
    school_class = await request.app[BOX].class_records.find_class(class_no)
    response = web.StreamResponse(
        headers={
            "Content-Type": f"{media_type}; charset=utf-8",
            # The code and not the title: a file's name must hold for every system, and may be seen by others.
            "Content-Disposition": f'attachment; filename="edgebox-{school_class.code}.{ending}"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response
