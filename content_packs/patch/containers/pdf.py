"""The zlib streams of a PDF (ISO 32000-2, 7.3.8 and 7.4.4), found by the word before them; all else stays as it is."""

import re
import zlib
from collections.abc import Container, Iterator

from content_packs.patch.containers.pieces import RAW, Buffer, Piece, Stream, measure

_BEGIN = re.compile(rb"(?<!end)stream\r?\n")


def scan_pdf(data: Buffer, left: Container[int]) -> Iterator[Piece | Stream]:
    """Yield the pieces of `data`, in order and without a gap; streams numbered in `left` stay raw."""
    at, number = 0, 0
    for found in _BEGIN.finditer(data):
        start = found.end()
        measured = measure(data, start, len(data), zlib.MAX_WBITS) if start >= at else None
        if measured is None:
            continue
        end, content = measured
        if number not in left:
            yield Piece(RAW, at, start)
            yield Stream(number, content, start, end, zlib.MAX_WBITS)
            at = end
        number += 1
    yield Piece(RAW, at, len(data))
