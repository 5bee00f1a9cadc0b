"""The process that reads one PDF: `python -I -m edgebox.importer.pdf_child outline|<page number>`.

The document is standard input, the answer standard output. Everything needed is loaded first; then the process gives up
the right to open files and sockets, to start processes and to write files, and only then looks at the document.
"""

import codecs
import io
import json
import math
import os
import sys
import time

import pypdfium2
from PIL import Image, WebPImagePlugin  # noqa: F401 - loaded while files may still be opened

from content_packs.base.limited import give_up_rights

WIDTH_PIXELS = 1000
HEIGHT_MAX_PIXELS = 4000
PAGES_MAX = 2000
TEXT_MAX_CHARACTERS = 4000
TEXT_CPU_SECONDS = 8.0
MEMORY_MAX_BYTES = 512 * 1024**2
CPU_MAX_SECONDS = 20
GREYS = 16
QUALITY = 50
COLOUR_MIN = 48
COLOURED_SHARE = 1 / 500
UNREADABLE = 3


def outline(document: pypdfium2.PdfDocument) -> bytes:
    """Return width, height and text of every page as JSON; after eight seconds, without texts."""
    pages = []
    for index in range(min(len(document), PAGES_MAX)):
        page = document[index]
        width, height = _size(page)
        text = _text(page) if time.process_time() < TEXT_CPU_SECONDS else ""
        pages.append({"width": width, "height": height, "text": text})
        page.close()
    return json.dumps(pages).encode()


def picture(document: pypdfium2.PdfDocument, page_no: int) -> bytes:
    """Return a page as WebP: lossy, or in few greys without loss if it has no colour and that is smaller."""
    page = document[page_no - 1]
    image = page.render(scale=_scale(page), may_draw_forms=False).to_pil().convert("RGB")
    candidates = [_webp(image, lossless=False)]
    if not _is_coloured(image):
        candidates.append(_webp(image.convert("L").quantize(GREYS).convert("RGB"), lossless=True))
    return min(candidates, key=len)


def _scale(page: pypdfium2.PdfPage) -> float:
    width, height = page.get_size()
    if not (width > 0 and height > 0):
        raise ValueError("a page without a size")
    return float(min(WIDTH_PIXELS / width, HEIGHT_MAX_PIXELS / height))


def _size(page: pypdfium2.PdfPage) -> tuple[int, int]:
    scale = _scale(page)
    return math.ceil(page.get_width() * scale), math.ceil(page.get_height() * scale)


def _text(page: pypdfium2.PdfPage) -> str:
    return " ".join(page.get_textpage().get_text_range().split())[:TEXT_MAX_CHARACTERS]


def _is_coloured(image: Image.Image) -> bool:
    """Tell whether more than one pixel in 500 has a visible colour, by a copy of half the size."""
    half = image.reduce(2).convert("HSV")
    colourful = sum(half.getchannel("S").histogram()[COLOUR_MIN:])
    return colourful > half.width * half.height * COLOURED_SHARE


def _webp(image: Image.Image, *, lossless: bool) -> bytes:
    target = io.BytesIO()
    image.save(target, "WEBP", lossless=lossless, quality=QUALITY, method=4)
    return target.getvalue()


def main(task: str) -> int:
    """Do the one task of this process."""
    source = io.FileIO(0, closefd=False)
    codecs.lookup("utf-16-le")  # these two are loaded now, because no module can be opened afterwards
    Image.preinit()
    give_up_rights(memory_max_bytes=MEMORY_MAX_BYTES, cpu_max_seconds=CPU_MAX_SECONDS)
    try:
        document = pypdfium2.PdfDocument(source)
        answer = outline(document) if task == "outline" else picture(document, int(task))
    except (pypdfium2.PdfiumError, ValueError, IndexError, MemoryError, OSError):
        return UNREADABLE
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    # Without the clean-up of the interpreter and the PDF library: the answer is out, and the memory may be full.
    os._exit(main(sys.argv[1]))
