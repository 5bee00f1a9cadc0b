"""Files that hold compressed streams, opened so that a small edit stays small, and closed to the very same bytes.

*Opening* is a function of the bytes alone: both sides do it to the old file. *Closing* needs the numbers with which
each stream was compressed; whoever makes a patch finds them by trial, and leaves alone what does not come out the same.
"""

from collections.abc import Container, Iterator, Mapping
from typing import Final

from content_packs.patch.containers.closing import close
from content_packs.patch.containers.mp4 import scan_mp4
from content_packs.patch.containers.pdf import scan_pdf
from content_packs.patch.containers.pieces import Buffer, Scan, opened
from content_packs.patch.containers.recipe import Recipe, find_recipe
from content_packs.patch.containers.steps import Steps
from content_packs.patch.containers.zips import scan_zip

ZIP: Final = 1
PDF: Final = 2
MP4: Final = 3
KINDS: Final[Mapping[int, Scan]] = {ZIP: scan_zip, PDF: scan_pdf, MP4: scan_mp4}


def kind_of(beginning: bytes) -> int | None:
    """Return which kind of container begins so, nothing if none that can be opened."""
    if beginning.startswith(b"PK\x03\x04"):
        return ZIP
    if beginning[4:8] == b"ftyp":
        return MP4
    return PDF if beginning.startswith(b"%PDF-") else None


def open_container(data: Buffer, kind: int, left: Container[int]) -> Iterator[bytes]:
    """Yield the opened form of `data`; the streams numbered in `left` stay as they are."""
    return opened(KINDS[kind](data, left), data)


def recipe_of(data: Buffer, kind: int) -> Recipe:
    """Return which streams of `data` come out the same when they are compressed again, and with which parameters."""
    return find_recipe(KINDS[kind](data, ()), data)


__all__ = ["KINDS", "Buffer", "Recipe", "Steps", "close", "kind_of", "open_container", "recipe_of"]
