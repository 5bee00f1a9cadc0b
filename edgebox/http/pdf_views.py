"""A document page by page: pictures made on the box, because old tablets cannot show PDF and new viewers are heavy."""

from typing import Any

from aiohttp import web

from edgebox.http import problems
from edgebox.http.resource_views import Shown
from edgebox.http.sign_in import number_of
from edgebox.keys import BOX

_FOR_EVER = "private, max-age=31536000, immutable"


async def pdf_values(shown: Shown) -> dict[str, Any]:
    """A document: the addresses, sizes and texts of its pages."""
    manifest, path = shown.manifest, shown.file.value
    box = shown.request.app[BOX]
    outline = await box.pdf_pages.outline(await box.library.blob_path(manifest.pack, path, manifest.version))
    base = shown.shelves.content(manifest, path)
    address = base[base.index("/c/") + 2 :]
    name, _, rest = address[1:].partition("/")
    pages = [
        {"source": f"/pdf/{name}/{at}/{rest}.webp", "width": each.width, "height": each.height, "text": each.text}
        for at, each in enumerate(outline, 1)
    ]
    return {"pages": pages, "source": base}


async def pdf_page(request: web.Request) -> web.StreamResponse:
    """Serve the picture of one page."""
    box = request.app[BOX]
    version, page_no = number_of(request, "version"), number_of(request, "page_no")
    blob = await box.library.blob_path(request.match_info["pack"], request.match_info["path"], version)
    picture = await box.pdf_pages.picture(blob, page_no)
    if picture is None:
        raise problems.NotFound
    return web.Response(body=picture, content_type="image/webp", headers={"Cache-Control": _FOR_EVER})
