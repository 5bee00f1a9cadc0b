"""The box's store of files by their hash. What is visible in it was verified; it is never changed, only removed."""

import os
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import BinaryIO

from content_packs.base import atomic, ids
from content_packs.base.hashing import Hasher
from content_packs.format.errors import BlobAltered
from content_packs.usb.writing import make_folder, write_all

INCOMING = "incoming"
_ASIDE = "damaged"
_CHUNK_BYTES = 1024 * 1024


class Verdict(Enum):
    """What a content was found to be."""

    INTACT = "intact"
    DAMAGED = "damaged"
    GONE = "gone"
    UNKNOWN = "unknown"


class BlobStore:
    """Files under `<data>/blobs/<2 hex>/<64 hex>`; those on their way are in `incoming`, damaged ones in `damaged`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._root_name = str(root)

    def path_of(self, content_hash: bytes) -> Path:
        """Return where the content is or would be."""
        name = content_hash.hex()
        return self.root / name[:2] / name

    def has(self, content_hash: bytes, size_bytes: int) -> bool:
        """Return whether the content is there with this size; the content itself is not read."""
        try:
            return os.stat(self._place(content_hash)).st_size == size_bytes  # noqa: PTH116 - asked for thousands
        except FileNotFoundError:
            return False

    def open(self, content_hash: bytes) -> BinaryIO:
        """Return the content, open for reading."""
        return open(self._place(content_hash), "rb")  # noqa: PTH123 - a path object costs as much again

    def add(self, content_hash: bytes, content: Iterable[bytes], file: str) -> None:
        """Take in the content and make it visible once its hash was found right; safe to repeat.

        `file` names it in the error.

        Raises:
            BlobAltered: the content has another hash; nothing is visible then.
            OSError: the disk is full or broken.
        """
        beside = self.root / INCOMING / f"{ids.new_token()}.part"
        try:
            self._receive(beside, content_hash, content, file)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    def begin(self) -> Path:
        """Return where content may be written whose hash is not known yet; then `adopt` it, or remove it."""
        folder = self.root / INCOMING
        make_folder(folder)
        return folder / f"{ids.new_token()}.part"

    def adopt(self, beside: Path, content_hash: bytes) -> None:
        """Flush content that was written where `begin` said, and make it visible; `content_hash` was found meanwhile.

        Raises:
            OSError: the disk is full or broken.
        """
        descriptor = os.open(beside, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._show(beside, content_hash)

    def check(self, content_hash: bytes, stopped: Callable[[], bool] = lambda: False) -> Verdict:
        """Read the content from the disk, not from memory, and return what it is; `stopped` is asked on the way."""
        hasher = Hasher()
        try:
            with self.open(content_hash) as file:
                _forget_cached(file)
                while chunk := file.read(_CHUNK_BYTES):
                    if stopped():
                        return Verdict.UNKNOWN
                    hasher.update(chunk)
                _forget_cached(file)
        except FileNotFoundError:
            return Verdict.GONE
        except OSError:
            return Verdict.DAMAGED
        return Verdict.INTACT if hasher.digest() == content_hash else Verdict.DAMAGED

    def put_aside(self, content_hash: bytes) -> None:
        """Take damaged content out of sight, in one step; what served it finds it missing from now on.

        It is kept until it is repaired, because a disk that could not be read may be read again later.
        """
        aside = self._aside(content_hash)
        make_folder(aside.parent)
        self.path_of(content_hash).replace(aside)
        atomic.sync_directory(aside.parent)
        atomic.sync_directory(self.path_of(content_hash).parent)

    def put_back(self, content_hash: bytes) -> bool:
        """Show content that was put aside again if it can be read after all, and return whether it can."""
        aside = self._aside(content_hash)
        try:
            if _hash_of(aside) != content_hash:
                return False
        except OSError:
            return False
        make_folder(self.path_of(content_hash).parent)
        aside.replace(self.path_of(content_hash))
        atomic.sync_directory(self.path_of(content_hash).parent)
        atomic.sync_directory(aside.parent)
        return True

    def aside(self) -> list[bytes]:
        """Return the hashes of what was put aside, in order."""
        return [bytes.fromhex(path.name) for path in sorted((self.root / _ASIDE).glob("?" * 64))]

    def forget_aside(self, content_hash: bytes) -> None:
        """Remove what was put aside; safe to repeat."""
        aside = self._aside(content_hash)
        if aside.exists():
            aside.unlink()
            atomic.sync_directory(aside.parent)

    def is_intact(self, content_hash: bytes) -> bool:
        """Read the content and return whether it still has its hash; False when it is not there."""
        try:
            return _hash_of(self.path_of(content_hash)) == content_hash
        except FileNotFoundError:
            return False

    def remove(self, content_hash: bytes) -> None:
        """Remove the content; safe to repeat."""
        path = self.path_of(content_hash)
        if path.exists():
            path.unlink()
            atomic.sync_directory(path.parent)
        self.forget_aside(content_hash)

    def hashes(self) -> Iterator[bytes]:
        """Yield the hash of every content, in order."""
        for path in sorted(self.root.glob("[0-9a-f][0-9a-f]/*")):
            if len(path.name) == 64:
                yield bytes.fromhex(path.name)

    def sweep_incoming(self) -> None:
        """Remove what interrupted copies left; only while nothing is being added."""
        for path in sorted((self.root / INCOMING).glob("*.part")):
            path.unlink()

    def _place(self, content_hash: bytes) -> str:
        name = content_hash.hex()
        return f"{self._root_name}/{name[:2]}/{name}"

    def _aside(self, content_hash: bytes) -> Path:
        return self.root / _ASIDE / content_hash.hex()

    def _receive(self, beside: Path, content_hash: bytes, content: Iterable[bytes], file: str) -> None:
        make_folder(beside.parent)
        hasher = Hasher()
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            for chunk in content:
                hasher.update(chunk)
                write_all(descriptor, chunk)
            if hasher.digest() != content_hash:
                raise BlobAltered(file=file)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._show(beside, content_hash)

    def _show(self, beside: Path, content_hash: bytes) -> None:
        path = self.path_of(content_hash)
        make_folder(path.parent)
        beside.replace(path)
        atomic.sync_directory(path.parent)


def _hash_of(path: Path) -> bytes:
    hasher = Hasher()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.digest()


def _forget_cached(file: BinaryIO) -> None:
    """Let the system read from the disk what it has in memory, and keep nothing of it: others need the memory more."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
