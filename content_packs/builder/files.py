"""The files a pack will have: those the author wrote, taken as they are, and those made from them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from content_packs.base.errors import N_
from content_packs.base.hashing import Hasher, blake2b_256
from content_packs.builder import media
from content_packs.builder.source import SourceTree
from content_packs.builder.tables import Table
from content_packs.format.errors import FileTooLarge, SourceInvalid
from content_packs.format.manifest import FILE_MAX_BYTES, FileEntry

_CHUNK_BYTES = 1024 * 1024
_TEXT_TYPES = ("text/", "application/json", "image/svg+xml")


class PackFiles:
    """Collects files by their path in the pack. Taking one again is free; two different ones cannot share a path."""

    def __init__(self, tree: SourceTree) -> None:
        self.tree = tree
        self._entries: dict[str, FileEntry] = {}
        self._contents: dict[str, Path | bytes] = {}
        self._made_of: dict[str, str] = {}

    def entries(self) -> tuple[FileEntry, ...]:
        """Return all entries in the order of a manifest."""
        return tuple(self._entries[path] for path in sorted(self._entries))

    def content(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield the content of one of the entries."""
        content = self._contents[entry.path]
        return iter([content] if content else []) if isinstance(content, bytes) else _chunks(content)

    def take(self, path: str, table: Table, *families: str) -> str:
        """Take a file as it is, and return its path in the pack.

        Args:
            path: where it is in the source and will be in the pack.
            table: what named it, for errors.
            families: beginnings of media types that may stand here; none for any.

        Raises:
            SourceInvalid, PathRefused, FileTooLarge: it is missing or cannot be in a pack.
        """
        place = self.tree.find(path, wanted_by=table.where)
        if path not in self._contents:
            self._register(path, place, table.where)
        media_type = media.media_type_of(path, wanted_by=table.where)
        if families and not media_type.startswith(families):
            raise SourceInvalid(file=path, where=table.where, reason=N_("this kind of file cannot stand here"))
        if self._contents[path] != place:
            raise self._twice(path, table)
        return path

    def put_into_part(self, part: int, pattern: str, table: Table) -> None:
        """Put the files of the course whose names in the source fit `pattern` into a part, by its number.

        Raises:
            SourceInvalid: nothing in the course fits, or a file is in another part already.
        """
        names = set(self.tree.match(pattern, wanted_by=table.where))
        found = [path for path in self._entries if self._made_of.get(path, path) in names]
        if not found:
            raise SourceInvalid(file=pattern, where=table.where, reason=N_("no resource needs such a file"))
        for path in found:
            if self._entries[path].part not in (0, part):
                raise SourceInvalid(file=path, where=table.where, reason=N_("a file can be in one part only"))
            self._entries[path] = replace(self._entries[path], part=part)

    def put(self, path: str, content: bytes, table: Table, *, made_of: str) -> str:
        """Add a file that was made from the source file `made_of`, and return its path in the pack.

        Raises:
            SourceInvalid: the author's own file has the same path.
        """
        if self._contents.setdefault(path, content) != content:
            raise self._twice(path, table)
        media_type = media.media_type_of(path, wanted_by=table.where)
        self._entries[path] = FileEntry(path, len(content), blake2b_256(content), media_type)
        self._made_of[path] = made_of
        return path

    def _register(self, path: str, place: Path, wanted_by: str) -> None:
        media_type = media.media_type_of(path, wanted_by=wanted_by)
        media.check_beginning(place, path, media_type, wanted_by=wanted_by)
        if media_type.startswith(_TEXT_TYPES):
            _check_utf8(place, path, wanted_by)
        size_bytes, content_hash = _measure(place)
        if size_bytes > FILE_MAX_BYTES:
            raise FileTooLarge(file=path, size_bytes=size_bytes, limit_bytes=FILE_MAX_BYTES)
        self._contents[path] = place
        self._entries[path] = FileEntry(path, size_bytes, content_hash, media_type)

    def _twice(self, path: str, table: Table) -> SourceInvalid:
        return SourceInvalid(file=path, where=table.where, reason=N_("two files of the pack would get this name"))


def _chunks(place: Path) -> Iterator[bytes]:
    with place.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _measure(place: Path) -> tuple[int, bytes]:
    hasher = Hasher()
    size_bytes = 0
    for chunk in _chunks(place):
        hasher.update(chunk)
        size_bytes += len(chunk)
    return size_bytes, hasher.digest()


def _check_utf8(place: Path, path: str, wanted_by: str) -> None:
    try:
        place.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SourceInvalid(file=path, where=wanted_by, reason=N_("the text is not stored as UTF-8")) from error
