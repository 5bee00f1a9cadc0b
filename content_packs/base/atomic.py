"""Files that are either old or new, never half: written beside, flushed, renamed, directory flushed."""

import ctypes
import os
from functools import cache
from pathlib import Path

PRIVATE_MODE = 0o600
_SYNC_FILE_RANGE_WRITE = 2


def write_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` with `content`; after return the new content survives a power cut."""
    beside = path.with_name(path.name + ".part")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    sync_directory(path.parent)


def make_private(path: Path) -> None:
    """Make an empty file for its user only, if there is none. SQLite gives a database's mode to files beside it."""
    path.touch(mode=PRIVATE_MODE)


def sync_directory(path: Path) -> None:
    """Flush a directory, so that renames and removals in it survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file_system(path: Path) -> None:
    """Flush all that was written to the file system that holds `path`: contents, and names made, renamed or removed.

    For thousands of small files this is one turn of the disk's journal instead of one each (syncfs(2)).
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _libc().syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(descriptor)


def begin_writing(descriptor: int, from_bytes: int, size_bytes: int) -> None:
    """Let the disk begin to write a part of a file, so that little is left to do at the flush; a hint, never an error.

    Also keeps what waits to be written small on a machine with little memory (sync_file_range(2)).
    """
    _libc().sync_file_range(descriptor, ctypes.c_int64(from_bytes), ctypes.c_int64(size_bytes), _SYNC_FILE_RANGE_WRITE)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def read_or_create(path: Path, make: bytes, *, mode: int = PRIVATE_MODE) -> bytes:
    """Return the content of `path`, after creating it with `make` when it does not exist."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, make, mode=mode)
    return path.read_bytes()
