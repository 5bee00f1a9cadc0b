"""Bundles or answers as one file to carry: the folder of a stick as a tar archive (POSIX ustar, nothing compressed).

See docs/bundle-format.md, "One file to carry". A bundle or an ack alone is taken as well: its first bytes tell. The
reader is fed as the file arrives, keeps one member in memory and only when asked to, and takes no link, device or long
name for anything.
"""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from sync.bundle.errors import BundleMalformed
from sync.bundle.layout import MAGIC
from sync.bundle.limits import FILE_MAX_BYTES, PAIRED_MAX_BYTES

MEDIA_TYPE = "application/x-tar"
BLOCK_BYTES = 512
END = bytes(2 * BLOCK_BYTES)
MEMBERS_MAX = 20_000
START_BYTES = PAIRED_MAX_BYTES
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


def member_header(place: PurePosixPath, size_bytes: int) -> bytes:
    """Return what stands before the content of one file."""
    found = tarfile.TarInfo(place.as_posix())
    found.size = size_bytes
    return found.tobuf(tarfile.USTAR_FORMAT)


def member(place: PurePosixPath, content: bytes) -> bytes:
    """Return one file of the archive."""
    return member_header(place, len(content)) + content + padding(len(content))


def padding(size_bytes: int) -> bytes:
    """Return what stands behind a content of this size."""
    return bytes(-size_bytes % BLOCK_BYTES)


def archive_bytes(sizes: list[int]) -> int:
    """Return the size of the archive of contents of these sizes."""
    return sum(BLOCK_BYTES + size + len(padding(size)) for size in sizes) + len(END)


@dataclass(frozen=True, slots=True)
class Begun:
    """The start of a file, of which `start` is here; set `keep` of the reader to get all of it."""

    name: str
    size_bytes: int | None
    start: bytes


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that was asked for."""

    name: str
    content: bytes


class ArchiveReader:
    """Give it the bytes as they arrive, `finish` it at the end.

    Attributes:
        keep: to be set while a `Begun` is looked at: whether the file is wanted as a whole.
    """

    def __init__(self) -> None:
        self.keep = False
        self._arrived = bytearray()
        self._member: _Member | None = None
        self._padding_bytes = 0
        self._members = 0
        self._is_tar: bool | None = None
        self._is_over = False

    def feed(self, data: bytes) -> Iterator[Begun | Whole]:
        """Take in more bytes and yield what is known by now.

        Raises:
            BundleMalformed: not an archive, nor a bundle, or one with too many files.
        """
        self._arrived += data
        while (found := self._step(is_last=False)) is not None:
            yield from found

    def finish(self) -> Iterator[Begun | Whole]:
        """Yield what the end tells.

        Raises:
            BundleMalformed: it was cut.
        """
        while (found := self._step(is_last=True)) is not None:
            yield from found
        if self._is_tar is None or (self._is_tar and not self._is_over):
            raise BundleMalformed(reason="cut in the file")

    def _step(self, *, is_last: bool) -> Iterator[Begun | Whole] | None:
        """Return what the next step gives; None when more bytes are needed for one."""
        if self._is_over:
            self._arrived.clear()
            return None
        if self._is_tar is None:
            return self._recognise()
        if self._member is not None:
            return self._go_on(self._member, is_last=is_last)
        if len(self._arrived) < self._padding_bytes + BLOCK_BYTES:
            return None
        del self._arrived[: self._padding_bytes]
        self._padding_bytes = 0
        return self._begin(self._take(BLOCK_BYTES))

    def _recognise(self) -> Iterator[Begun | Whole] | None:
        if len(self._arrived) < len(MAGIC):
            return None
        self._is_tar = not self._arrived.startswith(MAGIC)
        if not self._is_tar:
            self._member = _Member("", None)
        return iter(())

    def _begin(self, header: bytes) -> Iterator[Begun | Whole]:
        if not any(header):
            self._is_over = True
            return iter(())
        self._members += 1
        try:
            found = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise BundleMalformed(reason="archive") from error
        if self._members > MEMBERS_MAX or found.size < 0:
            raise BundleMalformed(reason="archive")
        is_fit = found.type in _PLAIN and found.size <= FILE_MAX_BYTES
        self._member = _Member(found.name, found.size, is_told=not is_fit)
        return iter(())

    def _go_on(self, member: "_Member", *, is_last: bool) -> Iterator[Begun | Whole] | None:
        if not member.is_told:
            wanted = START_BYTES if member.size_bytes is None else min(member.size_bytes, START_BYTES)
            if len(self._arrived) < wanted and not (is_last and member.size_bytes is None):
                return None
            member.is_told = True
            return self._tell(member, bytes(self._arrived[:wanted]))
        if member.size_bytes is None:
            return self._take_alone(member, is_last=is_last)
        taken = self._take(min(len(self._arrived), member.size_bytes - member.read_bytes))
        member.read_bytes += len(taken)
        if member.is_kept:
            member.content += taken
        if member.read_bytes == member.size_bytes:
            self._member, self._padding_bytes = None, len(padding(member.size_bytes))
            return iter([Whole(member.name, bytes(member.content))] if member.is_kept else [])
        return None

    def _tell(self, member: "_Member", start: bytes) -> Iterator[Begun | Whole]:
        self.keep = False
        yield Begun(member.name, member.size_bytes, start)
        member.is_kept = self.keep

    def _take_alone(self, member: "_Member", *, is_last: bool) -> Iterator[Begun | Whole] | None:
        """Take a bundle that is no archive: it ends where the file ends."""
        taken = self._take(len(self._arrived))
        if member.is_kept:
            member.content += taken
        if len(member.content) > FILE_MAX_BYTES:
            raise BundleMalformed(reason="size")
        if not is_last:
            return None
        self._member, self._is_over = None, True
        return iter([Whole(member.name, bytes(member.content))] if member.is_kept else [])

    def _take(self, count: int) -> bytes:
        taken = bytes(self._arrived[:count])
        del self._arrived[:count]
        return taken


@dataclass(slots=True)
class _Member:
    """The file that is being read."""

    name: str
    size_bytes: int | None
    is_told: bool = False
    is_kept: bool = False
    read_bytes: int = 0
    content: bytearray = field(default_factory=bytearray)
