"""An archive whose structure was found safe, and its content, unpacked in steps against the sizes it states."""

import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

from content_packs.format.errors import FileTooLarge
from content_packs.importers import errors
from content_packs.importers.entry_names import is_litter, shown
from content_packs.importers.zip_directory import STORED, Entry, read_directory

CHUNK_BYTES = 64 * 1024
HEAD_BYTES = 8

_ARCHIVE_ENDINGS = frozenset({
    "7z", "apk", "arj", "bz2", "cab", "cpio", "deb", "dmg", "epub", "gz", "h5p", "imscc", "iso", "jar", "lha", "lz",
    "lz4",
    "lzh", "rar", "rpm", "tar", "tbz", "tgz", "txz", "war", "xz", "z", "zip", "zst",
})  # fmt: skip
_ARCHIVE_BEGINNINGS = (
    b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"7z\xbc\xaf\x27\x1c", b"Rar!",
    b"\x28\xb5\x2f\xfd",
)  # fmt: skip


class Archive:
    """A ZIP file that can be read in one way only. The file stays the caller's.

    Raises:
        One of the errors of `content_packs.importers.errors`.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._entries = {entry.name: entry for entry in read_directory(file) if not entry.is_folder}

    @cached_property
    def names(self) -> list[str]:
        """Return the names of all files but what file managers leave behind, in order."""
        return sorted(name for name in self._entries if not is_litter(name))

    @cached_property
    def top(self) -> str:
        """Return the only folder at the top with a slash, or nothing when there are files or more folders."""
        tops = {name.partition("/")[0] + "/" if "/" in name else "" for name in self.names}
        return tops.pop() if len(tops) == 1 else ""

    def size_bytes(self, name: str) -> int:
        """Return the size of a file as the archive states it."""
        return self._entries[name].size_bytes

    def check_nested(self) -> None:
        """Return if no file is called like an archive.

        Raises:
            ArchiveNested.
        """
        for name in self.names:
            if name.rpartition(".")[2].lower() in _ARCHIVE_ENDINGS:
                raise errors.ArchiveNested(name=shown(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in small steps; it is right only if this ends without an error.

        Raises:
            SizeWrong: it has another size than stated; no more than stated was yielded.
            ArchiveMalformed: its checksum is wrong, or it cannot be unpacked.
            ArchiveNested: it is an archive itself, whatever its name.
        """
        entry = self._entries[name]
        size_bytes, crc, head = 0, 0, b""
        for chunk in self._unpacked(entry):
            size_bytes += len(chunk)
            if size_bytes > entry.size_bytes:
                raise errors.SizeWrong(name=shown(name))
            crc = zlib.crc32(chunk, crc)
            head = head if len(head) == HEAD_BYTES else (head + chunk)[:HEAD_BYTES]
            if head.startswith(_ARCHIVE_BEGINNINGS):
                raise errors.ArchiveNested(name=shown(name))
            yield chunk
        if size_bytes != entry.size_bytes:
            raise errors.SizeWrong(name=shown(name))
        if crc != entry.crc:
            raise errors.ArchiveMalformed(reason="checksum")

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return the content of a small file. Raises like `chunks`, and FileTooLarge over `max_bytes`."""
        if self._entries[name].size_bytes > max_bytes:
            raise FileTooLarge(file=shown(name), size_bytes=self._entries[name].size_bytes, limit_bytes=max_bytes)
        return b"".join(self.chunks(name))

    def _unpacked(self, entry: Entry) -> Iterator[bytes]:
        packed = self._packed(entry)
        if entry.method == STORED:
            yield from packed
            return
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            for step in packed:
                if inflater.eof:
                    raise errors.SizeWrong(name=shown(entry.name))
                rest = step
                while rest and not inflater.eof:
                    yield inflater.decompress(rest, CHUNK_BYTES)
                    rest = inflater.unconsumed_tail
            while not inflater.eof and (chunk := inflater.decompress(inflater.unconsumed_tail, CHUNK_BYTES)):
                yield chunk
        except zlib.error as error:
            raise errors.ArchiveMalformed(reason="packed bytes") from error
        if not inflater.eof:
            raise errors.ArchiveMalformed(reason="packed bytes")
        if inflater.unused_data:
            raise errors.SizeWrong(name=shown(entry.name))

    def _packed(self, entry: Entry) -> Iterator[bytes]:
        """Yield the packed bytes; the place in the file is kept, because several files may be read at once."""
        at, ends = entry.data_offset, entry.data_offset + entry.packed_bytes
        while at < ends:
            self._file.seek(at)
            step = self._file.read(min(CHUNK_BYTES, ends - at))
            if not step:
                raise errors.ArchiveMalformed(reason="cut short")
            at += len(step)
            yield step
