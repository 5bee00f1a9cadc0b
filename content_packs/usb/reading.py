"""A pack folder on a stick or disk, read file by file, with every fault named after the file of the course it hits."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from content_packs.format import layout
from content_packs.format.envelope import ENVELOPE_MAX_BYTES
from content_packs.format.errors import (
    BlobAltered,
    BlobMissing,
    FileTooLarge,
    ManifestMalformed,
    PackNotFound,
    StickGone,
)
from content_packs.format.manifest import FileEntry
from content_packs.format.selection import EVERYTHING, SELECTION_MAX_BYTES, Selection, parse_selection
from content_packs.usb.stick import NotPlain, StickFolder


class PackFolder:
    """An open pack folder; use it with `with`.

    Raises:
        PackNotFound: there is no such folder.
        StickGone: the stick does not answer.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._folder = StickFolder(path)
        except OSError as error:
            raise PackNotFound(place=str(path)) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._folder.close()

    def read_manifest(self) -> bytes:
        """Return the bytes of `manifest.ebm`, not verified.

        Raises:
            PackNotFound: there is none.
            ManifestMalformed, FileTooLarge: it cannot be one.
            StickGone: the stick does not answer.
        """
        try:
            size_bytes = self._folder.size_bytes(layout.MANIFEST_NAME)
            if size_bytes > ENVELOPE_MAX_BYTES:
                raise FileTooLarge(file=layout.MANIFEST_NAME, size_bytes=size_bytes, limit_bytes=ENVELOPE_MAX_BYTES)
            return b"".join(self._folder.read(layout.MANIFEST_NAME, size_bytes))
        except OSError as error:
            raise PackNotFound(place=str(self._folder.path)) from error
        except NotPlain as error:
            raise ManifestMalformed(reason="not a file") from error

    def read_selection(self) -> Selection:
        """Return the parts the folder says it holds: all of them unless a file says otherwise.

        Raises:
            ManifestMalformed: that file is damaged.
            StickGone: the stick does not answer.
        """
        try:
            size_bytes = self._folder.size_bytes(layout.SELECTION_NAME)
            if size_bytes > SELECTION_MAX_BYTES:
                raise ManifestMalformed(reason=layout.SELECTION_NAME)
            return parse_selection(b"".join(self._folder.read(layout.SELECTION_NAME, size_bytes)))
        except FileNotFoundError:
            return EVERYTHING
        except (OSError, NotPlain) as error:
            raise ManifestMalformed(reason=layout.SELECTION_NAME) from error

    def check_size(self, entry: FileEntry) -> None:
        """Return if the file is there with the right size; its content is not read.

        Raises:
            BlobMissing, BlobAltered: it is not.
            StickGone: the stick does not answer.
        """
        self._pieces(entry)

    def read_blob(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield the content of the file, at most as many bytes as the manifest says; the hash is for the caller.

        Raises:
            BlobMissing, BlobAltered, StickGone: like `check_size`.
        """
        for name, size_bytes in self._pieces(entry):
            try:
                yield from self._folder.read(name, size_bytes)
            except OSError as error:
                raise self._fault(entry) from error
            except NotPlain as error:
                raise BlobAltered(file=entry.path) from error

    def _pieces(self, entry: FileEntry) -> list[tuple[str, int]]:
        """Return name and size of the one file, or of the parts, that hold the content."""
        try:
            pieces = self._whole(entry) or self._parts(entry)
        except NotPlain as error:
            raise BlobAltered(file=entry.path) from error
        except OSError as error:
            raise self._fault(entry) from error
        if sum(size_bytes for _, size_bytes in pieces) != entry.size_bytes:
            raise BlobAltered(file=entry.path)
        return pieces

    def _whole(self, entry: FileEntry) -> list[tuple[str, int]]:
        name = layout.blob_name(entry.hash)
        try:
            return [(name, self._folder.size_bytes(name))]
        except FileNotFoundError:
            return []

    def _parts(self, entry: FileEntry) -> list[tuple[str, int]]:
        pieces: list[tuple[str, int]] = []
        total_bytes = 0
        while (total_bytes < entry.size_bytes and len(pieces) < layout.PARTS_MAX) or not pieces:
            name = layout.part_name(entry.hash, len(pieces))
            pieces.append((name, self._folder.size_bytes(name)))
            total_bytes += pieces[-1][1]
        return pieces

    def _fault(self, entry: FileEntry) -> BlobMissing | BlobAltered | StickGone:
        """Tell a file that is missing from a stick that is."""
        try:
            self._folder.check_there(layout.MANIFEST_NAME)
        except (OSError, NotPlain):
            return StickGone(place=str(self._folder.path), reason="ENOENT")
        except StickGone as gone:
            return gone
        return BlobMissing(file=entry.path)
