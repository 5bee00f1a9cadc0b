"""Files of a depot in a folder: a stick, a disk, a share. No link is followed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from content_packs.base.errors import N_
from content_packs.fetch.contract import Ask
from content_packs.fetch.errors import NotOffered, SourceDown
from content_packs.format import layout
from content_packs.format.errors import StickGone
from content_packs.usb.stick import CHUNK_BYTES, NotPlain, StickFolder


class FolderSource:
    """A depot in `folder`, which is the folder `edgebox` of a stick or any other."""

    is_metered = False
    streams_max = 1

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder

    async def open(self, ask: Ask) -> "FolderStream":
        """Return the answer to a request; see `Source`."""
        try:
            pieces = await asyncio.to_thread(self._pieces, ask.name)
        except StickGone as error:
            raise SourceDown(source=self.name, reason=N_("the stick is gone"), fault="stick") from error
        except (OSError, NotPlain) as error:
            raise NotOffered(file=ask.name) from error
        return FolderStream(self._folder, pieces, ask)

    async def close(self) -> None:
        """Do nothing: nothing stays open."""

    def _pieces(self, name: str) -> list[tuple[str, int]]:
        """Return name and size of the one file, or of the parts a large one was written in."""
        with StickFolder(self._folder) as folder:
            try:
                return [(name, folder.size_bytes(name))]
            except FileNotFoundError:
                pieces = [(f"{name}.000", folder.size_bytes(f"{name}.000"))]
            for number in range(1, layout.PARTS_MAX):
                try:
                    pieces.append((f"{name}.{number:03d}", folder.size_bytes(f"{name}.{number:03d}")))
                except FileNotFoundError:
                    break
            return pieces


class FolderStream:
    """A file read from the disk; see `Stream`."""

    validator = ""

    def __init__(self, folder: Path, pieces: list[tuple[str, int]], ask: Ask) -> None:
        self._folder = folder
        self._pieces = pieces
        self._ask = ask
        self.start = ask.start
        self.total_bytes: int | None = sum(size_bytes for _, size_bytes in pieces)

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the bytes; see `Stream`."""
        at, stop = self.start, self._ask.end if self._ask.end is not None else self.total_bytes or 0
        while at < stop:
            try:
                part = await asyncio.to_thread(self._read, at, min(CHUNK_BYTES, stop - at))
            except (StickGone, OSError, NotPlain) as error:
                raise SourceDown(source=str(self._folder), reason=N_("the stick is gone"), fault="stick") from error
            if not part:
                return
            yield part
            at += len(part)

    async def close(self) -> None:
        """Do nothing: nothing stays open."""

    def _read(self, at: int, size_bytes: int) -> bytes:
        for name, piece_bytes in self._pieces:
            if at < piece_bytes:
                with StickFolder(self._folder) as folder:
                    return b"".join(folder.read(name, min(size_bytes, piece_bytes - at), at))
            at -= piece_bytes
        return b""
