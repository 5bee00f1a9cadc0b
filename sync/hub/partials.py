"""Uploads that are not whole yet, as files; and the acks of those that were, for boxes that did not hear them.

    uploads/<origin>/<key>.part    the bytes so far
    uploads/<origin>/<key>.done    the length, 8 bytes big-endian, and the ack

Bytes are flushed before anybody is told that they are stored. How many files a box may have, and how large each may
get, is bounded; what nobody went on with for a week is removed.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.errors import EdgeboxError
from content_packs.usb.writing import write_all
from sync.bundle.limits import PAIRED_MAX_BYTES
from sync.bundle.read import peek_length

PARTS_MAX = 4
DONE_MAX = 16
KEPT_MS = 7 * 86_400_000
PART_SUFFIX = ".part"
DONE_SUFFIX = ".done"
_LENGTH_BYTES = 8
_NS_PER_MS = 1_000_000


@dataclass
class Partial:
    """One upload of a box that has shown its signed head.

    Attributes:
        length_bytes: of the whole bundle, as its signed head says.
        stored_bytes: flushed, so that it may be told.
        touched_ms: when bytes came last.
        ack: what the hub said to the whole bundle, once it did.
    """

    origin: bytes
    key: str
    path: Path
    length_bytes: int
    stored_bytes: int = 0
    touched_ms: int = 0
    ack: bytes | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is missing."""
        return self.stored_bytes == self.length_bytes

    def append(self, content: bytes, now_ms: int) -> None:
        """Write bytes behind those that are stored, and flush them. Blocks."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, atomic.PRIVATE_MODE)
        try:
            os.ftruncate(descriptor, self.stored_bytes)
            os.lseek(descriptor, self.stored_bytes, os.SEEK_SET)
            write_all(descriptor, content)
            os.utime(descriptor, ns=(now_ms * _NS_PER_MS, now_ms * _NS_PER_MS))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if not self.stored_bytes:
            atomic.sync_directory(self.path.parent)
        self.stored_bytes += len(content)
        self.touched_ms = now_ms

    def truncate(self, stored_bytes: int) -> None:
        """Take back what was written beyond `stored_bytes`: its checksum was wrong. Blocks."""
        os.truncate(self.path, stored_bytes)
        self.stored_bytes = stored_bytes


class Partials:
    """All uploads on the disk, by key. Methods that change files block; looking one up does not."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, Partial] = {}

    def load(self) -> None:
        """Read what an earlier run left; what it did not flush is flushed before it counts."""
        for path in sorted(self._folder.glob("*/*")):
            if path.suffix == PART_SUFFIX:
                self._load_part(path)
            elif path.suffix == DONE_SUFFIX:
                self._load_done(path)
            else:
                path.unlink()

    def find(self, key: str) -> Partial | None:
        """Return an upload of which bytes are stored, or which is done."""
        return self._known.get(key)

    def begin(self, origin: bytes, key: str, length_bytes: int, now_ms: int) -> Partial:
        """Begin an upload, at the cost of the box's oldest one if it has too many. One of this key begins again."""
        self.remove(key)
        self._make_room(origin, PARTS_MAX - 1, lambda partial: partial.ack is None)
        folder = self._folder / origin.hex()
        if not folder.exists():
            folder.mkdir()
            atomic.sync_directory(self._folder)
        partial = Partial(origin, key, folder / (key + PART_SUFFIX), length_bytes, touched_ms=now_ms)
        self._known[key] = partial
        return partial

    def finish(self, partial: Partial, ack: bytes, now_ms: int) -> None:
        """Keep the ack in the place of the bytes, which are kept elsewhere now."""
        self._make_room(partial.origin, DONE_MAX - 1, lambda other: other.ack is not None)
        done = partial.path.with_suffix(DONE_SUFFIX)
        atomic.write_file(done, partial.length_bytes.to_bytes(_LENGTH_BYTES, "big") + ack, mode=atomic.PRIVATE_MODE)
        partial.path.unlink(missing_ok=True)
        partial.path, partial.ack, partial.touched_ms = done, ack, now_ms

    def remove(self, key: str) -> None:
        """Forget an upload; safe to repeat."""
        partial = self._known.pop(key, None)
        if partial is not None:
            partial.path.unlink(missing_ok=True)

    def sweep(self, now_ms: int) -> None:
        """Remove what nobody went on with for a week."""
        for key in [key for key, partial in self._known.items() if now_ms - partial.touched_ms > KEPT_MS]:
            self.remove(key)

    def _make_room(self, origin: bytes, most: int, is_of_kind: Callable[[Partial], bool]) -> None:
        own = [partial for partial in self._known.values() if partial.origin == origin and is_of_kind(partial)]
        own.sort(key=lambda partial: partial.touched_ms)
        for partial in own[: max(len(own) - most, 0)]:
            self.remove(partial.key)

    def _load_part(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            os.fsync(descriptor)
            start, status = file.read(PAIRED_MAX_BYTES), os.fstat(descriptor)
        try:
            length_bytes = peek_length(start)
        except EdgeboxError:
            path.unlink()
            return
        self._know(path, length_bytes, status.st_size, status.st_mtime_ns, None)

    def _load_done(self, path: Path) -> None:
        content = path.read_bytes()
        length_bytes = int.from_bytes(content[:_LENGTH_BYTES], "big")
        self._know(path, length_bytes, length_bytes, path.stat().st_mtime_ns, content[_LENGTH_BYTES:])

    def _know(self, path: Path, length_bytes: int, stored_bytes: int, touched_ns: int, ack: bytes | None) -> None:
        origin, key, touched_ms = bytes.fromhex(path.parent.name), path.stem, touched_ns // _NS_PER_MS
        self._known[key] = Partial(origin, key, path, length_bytes, stored_bytes, touched_ms, ack)
