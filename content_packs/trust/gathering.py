"""A depot read ahead: what a newer list takes comes over a slow line first, and is taken over from memory at once.

So nobody who wants to read a stick, or the list of the box, waits for a line. What came before a line broke counts.
"""

from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType

from tuf.api.metadata import Timestamp

from content_packs.base.errors import EdgeboxError
from content_packs.trust import roles
from content_packs.trust.errors import ListBroken, ListTooLarge
from content_packs.trust.listing import PackList
from content_packs.trust.reading import DepotReader, NotThere


class GatheringReader:
    """Reads every file of a depot once and keeps it; see `DepotReader`."""

    def __init__(self, reader: DepotReader) -> None:
        self._reader = reader
        self._kept: dict[str, bytes | None] = {}
        self._error: EdgeboxError | None = None

    def has_news(self, known: PackList | None) -> bool:
        """Return whether the depot has a list, and another one than the known. Costs one small file.

        Raises:
            Like `read`.
        """
        try:
            timestamp = self.read(roles.file_name(Timestamp.type, 0), roles.TIMESTAMP_MAX_BYTES)
        except NotThere:
            return False
        return known is None or sha256(timestamp).digest() != known.stamp

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a whole file. Raises like `DepotReader`; what went wrong once goes wrong again."""
        if self._error is not None:
            raise self._error
        if name not in self._kept:
            self._kept[name] = self._ask(name, max_bytes)
        return _whole(name, self._kept[name], max_bytes)

    def gathered(self) -> "Gathered":
        """Return what was read, to be read again."""
        return Gathered(MappingProxyType(self._kept), self._error)

    def _ask(self, name: str, max_bytes: int) -> bytes | None:
        try:
            return self._reader.read(name, max_bytes)
        except NotThere:
            return None
        except EdgeboxError as error:
            self._error = error
            raise


class Gathered:
    """What was read of a depot; see `DepotReader`."""

    def __init__(self, kept: Mapping[str, bytes | None], error: EdgeboxError | None) -> None:
        self._kept = kept
        self._error = error

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a file that was read.

        Raises:
            NotThere, ListTooLarge: like `DepotReader`.
            EdgeboxError: it was not read, for this reason.
            ListBroken: it was not asked for.
        """
        if name not in self._kept:
            raise self._error or ListBroken(role=name)
        return _whole(name, self._kept[name], max_bytes)


def _whole(name: str, content: bytes | None, max_bytes: int) -> bytes:
    if content is None:
        raise NotThere(name)
    if len(content) > max_bytes:
        raise ListTooLarge(name=name)
    return content
