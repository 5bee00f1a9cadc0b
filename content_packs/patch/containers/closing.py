"""From the opened form back to the file, as it streams by; one stream of the container is held at a time."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from content_packs.patch.containers import pieces, zips
from content_packs.patch.containers.pieces import INFLATED_MAX_BYTES, PIECE_MAX_BYTES, shifted
from content_packs.patch.containers.recipe import compressed
from content_packs.patch.containers.steps import Steps
from content_packs.patch.errors import PatchMalformed

_HEADERS: Final = {
    pieces.LOCAL: zips.LOCAL_BYTES,
    pieces.DESCRIPTOR: 12,
    pieces.CENTRAL: zips.CENTRAL_BYTES,
    pieces.END: zips.END_BYTES,
    pieces.PLACES: 4,
}


def close(opened: Iterator[bytes], parameters: Sequence[int]) -> Iterator[bytes]:
    """Yield the file whose opened form is `opened`.

    Raises:
        PatchMalformed: no opened form, or parameters that do not belong to it.
    """
    return _Closer(opened, parameters).steps()


class _Closer:
    def __init__(self, opened: Iterator[bytes], parameters: Sequence[int]) -> None:
        self._input = Steps(opened)
        self._parameters = iter(parameters)
        self._at = 0
        self._values: list[zips.Values] = []
        self._listed = 0
        self._list_at: int | None = None
        self._list_end = 0
        self._told = (0, 0, 0)

    def steps(self) -> Iterator[bytes]:
        while (tag := self._input.tag()) is not None:
            for step in self._piece(tag):
                self._at += len(step)
                yield step
        if next(self._parameters, None) is not None:
            raise PatchMalformed(reason="container")

    def _piece(self, tag: int) -> Iterator[bytes]:
        match tag:
            case pieces.RAW | pieces.MEMBER:
                if tag == pieces.MEMBER:
                    self._values.append(zips.Values(0, 0, 0, self._at))
                yield from self._input.pass_on(self._input.number())
            case pieces.ZLIB:
                yield self._stream(is_bare=False)[1]
            case pieces.PLACES:
                table = self._header(tag)
                if len(table) % 4:
                    raise PatchMalformed(reason="container")
                yield pieces.places_closed(table)
            case pieces.LOCAL:
                yield from self._member(self._header(tag))
            case pieces.DESCRIPTOR:
                yield self._descriptor(self._header(tag))
            case pieces.CENTRAL:
                yield self._central(self._header(tag))
            case pieces.END:
                first = self._at if self._list_at is None else self._list_at
                yield shifted(self._header(tag), zips.end_fields(first, self._list_end), 1)
            case _:
                raise PatchMalformed(reason="container")

    def _member(self, header: bytes) -> Iterator[bytes]:
        content, packed = self._stream(is_bare=True)
        self._told = (zlib.crc32(content), len(packed), len(content))
        self._values.append(zips.Values(*self._told, self._at))
        (flags,) = struct.unpack_from("<H", header, zips.FLAGS_AT)
        yield shifted(header, zips.local_fields(flags, *self._told), 1)
        yield packed

    def _descriptor(self, header: bytes) -> bytes:
        mark_bytes = len(header) - _HEADERS[pieces.DESCRIPTOR]
        if mark_bytes not in (0, len(zips.DESCRIPTOR_MARK)):
            raise PatchMalformed(reason="container")
        return shifted(header, zips.descriptor_fields(bool(mark_bytes), *self._told), 1)

    def _central(self, header: bytes) -> bytes:
        if self._listed == len(self._values):
            raise PatchMalformed(reason="container")
        if self._list_at is None:
            self._list_at = self._at
        self._list_end = self._at + len(header)
        self._listed += 1
        return shifted(header, zips.central_fields(self._values[self._listed - 1]), 1)

    def _header(self, tag: int) -> bytes:
        length = self._input.number()
        if not _HEADERS[tag] <= length <= PIECE_MAX_BYTES:
            raise PatchMalformed(reason="container")
        return self._input.take(length)

    def _stream(self, *, is_bare: bool) -> tuple[bytes, bytes]:
        length = self._input.number()
        parameter = next(self._parameters, None)
        if length > INFLATED_MAX_BYTES or parameter is None:
            raise PatchMalformed(reason="container")
        content = self._input.take(length)
        try:
            return content, compressed(content, parameter, is_bare=is_bare)
        except ValueError as error:
            raise PatchMalformed(reason="container") from error
