"""Reading a folder somebody brought: nothing is followed, nothing but plain files and folders is opened.

A stick is another person's file system. Every step of a path is opened relative to the folder before it and refused
when it is a link, so that no name leads out of the stick, and a name of a device or a pipe is never opened.
"""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from content_packs.format.errors import StickGone

CHUNK_BYTES = 1024 * 1024
SPELLINGS_MAX = 20_000
# What Linux answers when the thing under a mounted folder is no longer there or no longer answers.
GONE_ERRORS = frozenset(
    {
        errno.EIO,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOMEDIUM,
        errno.EREMOTEIO,
        errno.ESHUTDOWN,
        errno.ENOTCONN,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotPlain(Exception):
    """A link, device, pipe or folder where a plain file is needed."""


@contextmanager
def stick_errors(place: Path) -> Iterator[None]:
    """Turn what happens when a stick is pulled into StickGone; let every other error pass."""
    try:
        yield
    except OSError as error:
        if error.errno in GONE_ERRORS:
            raise StickGone(place=str(place), reason=errno.errorcode[error.errno]) from error
        raise


class StickFolder:
    """An open folder; use it with `with`. Paths are relative, with `/`, and never leave it. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # The folder that was used last stays open: files of a pack are read folder by folder.
        self._inner: tuple[str, int] | None = None
        self._finding = threading.Lock()
        with stick_errors(path):
            self._descriptor = os.open(path, _FOLDER_FLAGS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder, so that the stick can be unmounted."""
        self._leave()
        os.close(self._descriptor)

    def size_bytes(self, name: str) -> int:
        """Return the size of the plain file `name`.

        Raises:
            FileNotFoundError: nothing has this name.
            NotPlain: something else has it.
            StickGone: the stick does not answer.
        """
        with stick_errors(self.path), self._finding:
            return self._find(name)[2]

    def read(self, name: str, size_bytes: int, start: int = 0) -> Iterator[bytes]:
        """Yield up to `size_bytes` of the plain file `name` from the byte `start`; fewer when it is shorter.

        Raises like `size_bytes`.
        """
        with stick_errors(self.path):
            descriptor = self._open(name)
            try:
                if size_bytes > CHUNK_BYTES:
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
                os.lseek(descriptor, start, os.SEEK_SET)
                while size_bytes > 0:
                    chunk = os.read(descriptor, min(CHUNK_BYTES, size_bytes))
                    if not chunk:
                        return
                    size_bytes -= len(chunk)
                    yield chunk
            finally:
                os.close(descriptor)

    def open(self, name: str) -> BinaryIO:
        """Return the plain file `name`, open for reading. Raises like `size_bytes`."""
        with stick_errors(self.path):
            return os.fdopen(self._open(name), "rb")

    def check_there(self, name: str) -> None:
        """Return if this folder is still at its path and the device still gives the plain file `name`.

        Of a stick that was pulled the kernel goes on telling what it remembers, and FAT says of everything else that it
        does not exist; so the file is read again, past what is remembered.

        Raises:
            FileNotFoundError, NotPlain, StickGone: the stick was pulled, or another one is in its place.
        """
        with stick_errors(self.path):
            if not os.path.samestat(self.path.stat(), os.fstat(self._descriptor)):
                raise FileNotFoundError(errno.ENOENT, "another folder", str(self.path))
            descriptor = self._open(name)
            try:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.read(descriptor, 1)
            finally:
                os.close(descriptor)

    def _open(self, name: str) -> int:
        with self._finding:
            parent, last, _ = self._find(name)
            descriptor = os.open(last, _FILE_FLAGS, dir_fd=parent)
        try:
            _plain_size(os.fstat(descriptor))
        except NotPlain:
            os.close(descriptor)
            raise
        return descriptor

    def _find(self, name: str) -> tuple[int, str, int]:
        """Return the folder that holds the plain file `name`, the file's name there, and its size."""
        folder, _, last = name.rpartition("/")
        parent = self._enter(folder)
        try:
            status = os.stat(last, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            last = _spelled(parent, last)
            status = os.stat(last, dir_fd=parent, follow_symlinks=False)
        return parent, last, _plain_size(status)

    def _enter(self, folder: str) -> int:
        """Return the open folder, which stays open until another one is entered."""
        if not folder:
            return self._descriptor
        if self._inner is None or self._inner[0] != folder:
            entered = self._walk(folder)
            self._leave()
            self._inner = (folder, entered)
        return self._inner[1]

    def _leave(self) -> None:
        if self._inner is not None:
            os.close(self._inner[1])
            self._inner = None

    def _walk(self, folder: str) -> int:
        """Open each folder of the path inside the one before."""
        descriptor = os.dup(self._descriptor)
        for part in folder.split("/"):
            try:
                inner = _open_folder(part, descriptor)
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor


def _spelled(parent: int, name: str) -> str:
    """Return how the folder spells `name`: what wrote the stick may have changed capitals.

    Raises:
        FileNotFoundError: nothing there has this name.
    """
    wanted = name.casefold()
    with os.scandir(parent) as entries:
        for entry in islice(entries, SPELLINGS_MAX):
            if entry.name.casefold() == wanted:
                return entry.name
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def _open_folder(name: str, parent: int) -> int:
    try:
        try:
            return os.open(name, _FOLDER_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            return os.open(_spelled(parent, name), _FOLDER_FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise NotPlain(name) from error
        raise


def _plain_size(status: os.stat_result) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise NotPlain
    return status.st_size
