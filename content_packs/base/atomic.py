"""Files that are either old or new, never half: written beside, flushed, renamed, directory flushed."""

import os
from pathlib import Path

PRIVATE_MODE = 0o600


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


def read_or_create(path: Path, make: bytes, *, mode: int = PRIVATE_MODE) -> bytes:
    """Return the content of `path`, after creating it with `make` when it does not exist."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, make, mode=mode)
    return path.read_bytes()
