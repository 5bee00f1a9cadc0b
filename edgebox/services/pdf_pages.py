"""Pages of PDF documents as pictures, made by a child process and kept in a cache that may be deleted.

A PDF is somebody's file, and its reader is a large C library: it runs in a process of its own that has no rights left,
and dies alone. One runs at a time, because a box has little memory.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from content_packs.base import atomic
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.limited import LimitedChild

CHILD_SECONDS = 60.0
ANSWER_MAX_BYTES = 16 * 1024**2
CACHE_MAX_BYTES = 256 * 1024**2
FAILURES_MAX = 1000
PIXELS_MAX = 4096
CHILD = ("-I", "-m", "edgebox.importer.pdf_child")


class DocumentUnreadable(EdgeboxError):
    """The PDF cannot be shown: damaged, encrypted, or too much for the box."""

    code = "library.document_unreadable"
    status = 422
    exit_code = 94
    sentence = N_("This document cannot be shown.")
    remedy = N_("Tell your teacher. The other parts of the lesson still work.")


@dataclass(frozen=True)
class PdfPage:
    """One page: its size as a picture, in pixels, and its text for screen readers."""

    width: int
    height: int
    text: str


class PdfPages:
    """The pages of documents, by the file that holds the document. Files never change, so neither do pictures.

    Args:
        folder: of the cache.
        child: arguments of the Python interpreter that read one document.
    """

    def __init__(
        self,
        folder: Path,
        child: tuple[str, ...] = CHILD,
        *,
        child_seconds: float = CHILD_SECONDS,
        cache_max_bytes: int = CACHE_MAX_BYTES,
    ) -> None:
        self._folder = folder
        self._child = child
        self._child_seconds = child_seconds
        self._cache_max_bytes = cache_max_bytes
        self._turn = asyncio.Lock()
        self._failed: set[str] = set()

    async def outline(self, document: Path) -> list[PdfPage]:
        """Return the pages of a document, in order.

        Raises:
            DocumentUnreadable
        """
        rows = json.loads(await self._made(document, f"{document.name}-outline.json", "outline"))
        return [PdfPage(**row) for row in rows]

    async def picture(self, document: Path, page_no: int) -> bytes | None:
        """Return a page as WebP, the first one being 1; None when the document has no such page.

        Raises:
            DocumentUnreadable
        """
        if not 1 <= page_no <= len(await self.outline(document)):
            return None
        return await self._made(document, f"{document.name}-{page_no}.webp", str(page_no))

    async def _made(self, document: Path, name: str, task: str) -> bytes:
        kept = self._folder / name
        if (content := await asyncio.to_thread(_read, kept)) is not None:
            return content
        async with self._turn:
            if (content := await asyncio.to_thread(_read, kept)) is None:
                content = await self._make(document, name, task)
                # A picture that cannot be kept, on a full disk, can still be shown.
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(_keep, kept, content, self._cache_max_bytes)
        return content

    async def _make(self, document: Path, name: str, task: str) -> bytes:
        """Return what the child makes; what it cannot read is not tried again before the next start."""
        if name in self._failed:
            raise DocumentUnreadable
        content = await self._ask_child(document, task)
        if content is None or not (_is_outline(content) if task == "outline" else _is_webp(content)):
            if len(self._failed) < FAILURES_MAX:
                self._failed.add(name)
            raise DocumentUnreadable
        return content

    async def _ask_child(self, document: Path, task: str) -> bytes | None:
        try:
            source: BinaryIO = await asyncio.to_thread(document.open, "rb")
        except FileNotFoundError as error:
            raise DocumentUnreadable from error
        child = LimitedChild((*self._child, task), source, seconds=self._child_seconds)
        try:
            content = await asyncio.to_thread(_answer_of, child)
            if child.is_late:
                # Perhaps the box had too much to do; the next try may be in time.
                raise DocumentUnreadable
            return content
        finally:
            child.kill()
            source.close()


def _answer_of(child: LimitedChild) -> bytes | None:
    with child:
        return child.read_all(ANSWER_MAX_BYTES)


def _is_outline(content: bytes) -> bool:
    """Check what a child says, which the document may have taken over."""
    try:
        rows: Any = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(rows, list) and all(_is_row(row) for row in rows)


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or row.keys() != {"width", "height", "text"} or not isinstance(row["text"], str):
        return False
    return all(type(size) is int and 1 <= size <= PIXELS_MAX for size in (row["width"], row["height"]))


def _is_webp(content: bytes) -> bool:
    size_bytes = int.from_bytes(content[4:8], "little") + 8
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP" and size_bytes == len(content)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _keep(path: Path, content: bytes, cache_max_bytes: int) -> None:
    """Write one file and remove the oldest ones beyond the size of the cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_file(path, content)
    files = sorted((file.stat().st_mtime_ns, file.stat().st_size, file) for file in path.parent.iterdir())
    excess_bytes = sum(size_bytes for _, size_bytes, _ in files) - cache_max_bytes
    for _, size_bytes, file in files:
        if excess_bytes <= 0:
            break
        file.unlink()
        excess_bytes -= size_bytes
