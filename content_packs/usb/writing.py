"""Writing a pack folder: blobs first, each beside and then renamed, the manifest last.

A power cut therefore leaves the folder without a manifest, with the old one, or with the new one; and a manifest is
only there when all its blobs are.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.hashing import Hasher
from content_packs.format import layout
from content_packs.format.errors import BlobAltered, FileTooLarge
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.usb.reading import PackFolder

_BESIDE = ".part"


class PackWriter:
    """Writes one pack into `folder`, which may hold an earlier state of it."""

    def __init__(self, folder: Path, *, part_bytes: int = layout.PART_BYTES) -> None:
        self._folder = folder
        self._part_bytes = part_bytes
        make_folder(folder)

    def write_blob(self, entry: FileEntry, content: Iterable[bytes]) -> None:
        """Write the content of one file, unless it is already there in the right form.

        Raises:
            BlobAltered: `content` is not what the entry says; nothing new is visible then.
        """
        names = self._names(entry)
        if self._is_there(entry, names):
            return
        make_folder((self._folder / names[0]).parent)
        hasher = Hasher()
        steps = _hashed(content, hasher)
        rest = b""
        for name in names:
            rest = _write_piece(self._folder / (name + _BESIDE), steps, rest, self._part_bytes)
        if rest or hasher.digest() != entry.hash:
            raise BlobAltered(file=entry.path)
        for name in names:
            (self._folder / (name + _BESIDE)).replace(self._folder / name)
        atomic.sync_directory((self._folder / names[0]).parent)

    def finish(self, manifest: Manifest, envelope: bytes) -> None:
        """Write the manifest, then remove what earlier states left behind."""
        atomic.write_file(self._folder / layout.MANIFEST_NAME, envelope)
        wanted = {name for entry in manifest.files for name in self._names(entry)}
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

    def _is_there(self, entry: FileEntry, names: list[str]) -> bool:
        if not all((self._folder / name).is_file() for name in names):
            return False
        hasher = Hasher()
        try:
            with PackFolder(self._folder) as folder:
                for chunk in folder.read_blob(entry):
                    hasher.update(chunk)
        except BlobAltered:
            return False
        return hasher.digest() == entry.hash


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


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of `data`, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _hashed(content: Iterable[bytes], hasher: Hasher) -> Iterator[bytes]:
    for chunk in content:
        hasher.update(chunk)
        yield chunk


def _write_piece(path: Path, steps: Iterator[bytes], first: bytes, size_bytes: int) -> bytes:
    """Write up to `size_bytes` from `first` and `steps`, flush, and return what is over."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        chunk = first
        while size_bytes > 0:
            chunk = chunk or next(steps, b"")
            if not chunk:
                break
            write_all(descriptor, chunk[:size_bytes])
            size_bytes, chunk = size_bytes - len(chunk[:size_bytes]), chunk[size_bytes:]
        os.fsync(descriptor)
        return chunk
    finally:
        os.close(descriptor)
