"""Writing a pack folder: blobs first, each beside and then renamed, the manifest last.

A power cut therefore leaves the folder without a manifest, with the old one, or with the new one; and a manifest is
only there when all its blobs are.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.hashing import Hasher
from content_packs.format import layout
from content_packs.format.errors import BlobAltered, FileTooLarge
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.usb.stick import CHUNK_BYTES

BATCH_BYTES = 64 * 1024 * 1024
BATCH_FILES = 1_000
BESIDE = ".part"


class PackWriter:
    """Writes one pack into `folder`, which may hold an earlier state of it.

    Files are flushed and get their names many at a time; `settle` does it for the last ones, and `finish` calls it.
    """

    def __init__(self, folder: Path, *, part_bytes: int = layout.PART_BYTES) -> None:
        self._folder = folder
        self._part_bytes = part_bytes
        self._pieces: list[str] = []
        self._pieces_bytes = 0
        make_folder(folder)

    def write_blob(self, entry: FileEntry, content: Iterable[bytes]) -> None:
        """Write the content of one file, unless it is already there in the right form.

        Raises:
            BlobAltered: `content` is not what the entry says; nothing new is visible then.
        """
        if self.has(entry) and self.is_intact(entry):
            return
        hasher = Hasher()
        steps = _hashed(content, hasher)
        names = self._names(entry)
        make_folder((self._folder / names[0]).parent)
        rest = b""
        for name in names:
            rest = _write_piece(self._folder / (name + BESIDE), steps, rest, self._part_bytes)
        if rest or hasher.digest() != entry.hash:
            for name in names:
                (self._folder / (name + BESIDE)).unlink()
            raise BlobAltered(file=entry.path)
        self._pieces += names
        self._pieces_bytes += entry.size_bytes
        if self._pieces_bytes >= BATCH_BYTES or len(self._pieces) >= BATCH_FILES:
            self.settle()

    def has(self, entry: FileEntry) -> bool:
        """Return whether the file is there with its size; its content is not read."""
        try:
            sizes = [_plain_size(self._folder / name) for name in self._names(entry)]
        except FileNotFoundError:
            return False
        return sum(sizes) == entry.size_bytes

    def is_intact(self, entry: FileEntry, on_read: Callable[[int], None] = lambda _: None) -> bool:
        """Read the file past what the system remembers of it, and return whether it has its content."""
        hasher = Hasher()
        try:
            for name in self._names(entry):
                for chunk in read_past_cache(self._folder / name):
                    hasher.update(chunk)
                    on_read(len(chunk))
        except FileNotFoundError:
            return False
        return hasher.digest() == entry.hash

    def remove(self, entry: FileEntry) -> None:
        """Remove the file, so that it is written again; safe to repeat."""
        for name in self._names(entry):
            (self._folder / name).unlink(missing_ok=True)

    def settle(self) -> None:
        """Flush what was written, then give it its names, and flush these."""
        if not self._pieces:
            return
        atomic.sync_file_system(self._folder)
        for name in self._pieces:
            (self._folder / (name + BESIDE)).replace(self._folder / name)
        atomic.sync_file_system(self._folder)
        self._pieces.clear()
        self._pieces_bytes = 0

    def finish(self, manifest: Manifest, envelope: bytes) -> None:
        """Write the manifest, then remove what earlier states left behind."""
        self.settle()
        write_whole(self._folder / layout.MANIFEST_NAME, envelope)
        self._remove_others({name for entry in manifest.files for name in self._names(entry)})

    def _remove_others(self, wanted: set[str]) -> None:
        for path in sorted((self._folder / layout.BLOBS_NAME).rglob("*")):
            if path.is_file() and path.relative_to(self._folder).as_posix() not in wanted:
                path.unlink()
        for path in sorted((self._folder / layout.BLOBS_NAME).glob("*")):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()

    def _names(self, entry: FileEntry) -> list[str]:
        if entry.size_bytes <= self._part_bytes:
            return [layout.blob_name(entry.hash)]
        count = -(-entry.size_bytes // self._part_bytes)
        return [layout.part_name(entry.hash, number) for number in range(count)]


def check_parts(manifest: Manifest, part_bytes: int) -> None:
    """Return if every file can be written in parts of this size.

    Raises:
        FileTooLarge: one needs more parts than a pack may have.
    """
    limit_bytes = layout.PARTS_MAX * part_bytes
    for entry in manifest.files:
        if entry.size_bytes > limit_bytes:
            raise FileTooLarge(file=entry.path, size_bytes=entry.size_bytes, limit_bytes=limit_bytes)


def make_folder(path: Path) -> None:
    """Make `path` and the folders above it, each one flushed into its parent."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    atomic.sync_directory(path.parent)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a small file as `atomic.write_file` does, but never through a link that somebody put beside it."""
    beside = write_beside(path, content)
    atomic.sync_file_system(path.parent)
    beside.replace(path)
    atomic.sync_directory(path.parent)


def write_beside(path: Path, content: bytes) -> Path:
    """Write what is to become the file `path` beside it, not flushed, never through a link; return where that is."""
    beside = path.with_name(path.name + BESIDE)
    _write_piece(beside, iter([content]), b"", len(content))
    return beside


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _hashed(content: Iterable[bytes], hasher: Hasher) -> Iterator[bytes]:
    for chunk in content:
        hasher.update(chunk)
        yield chunk


def read_past_cache(path: Path) -> Iterator[bytes]:
    """Yield the content of a file as the device gives it back, not as the system remembers it (posix_fadvise(2)).

    What was not flushed before is remembered all the same.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        while chunk := os.read(descriptor, CHUNK_BYTES):
            yield chunk
    finally:
        os.close(descriptor)


def holds(path: Path, content: bytes) -> bool:
    """Return whether the file has this content, as the device gives it back."""
    try:
        return _plain_size(path) == len(content) and b"".join(read_past_cache(path)) == content
    except FileNotFoundError:
        return False


def _plain_size(path: Path) -> int:
    """Return the size of a plain file. Raises FileNotFoundError for everything else as well."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    return status.st_size


def _write_piece(path: Path, steps: Iterator[bytes], first: bytes, size_bytes: int) -> bytes:
    """Write up to `size_bytes` from `first` and `steps`, and return what is over."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        chunk = first
        while size_bytes > 0:
            chunk = chunk or next(steps, b"")
            if not chunk:
                break
            write_all(descriptor, chunk[:size_bytes])
            size_bytes, chunk = size_bytes - len(chunk[:size_bytes]), chunk[size_bytes:]
        return chunk
    finally:
        os.close(descriptor)
