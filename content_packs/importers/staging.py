"""The folder where a foreign file becomes the source of a course, and from which nothing is left.

Every import has a folder of its own below the root of all stagings, and holds a lock in it as long as it lives. What a
killed process or a power cut leaves has no lock, and is removed before the next import and when a box starts.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from content_packs.base import ids

_LOCK = "lock"


@contextmanager
def staging(root: Path) -> Iterator[Path]:
    """Make an empty folder below `root`, and remove it with all that is in it afterwards."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(root)
    folder = root / ids.new_token()
    folder.mkdir(mode=0o700)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def sweep(root: Path) -> None:
    """Remove the stagings nobody works in any more; safe at any time."""
    for folder in sorted(root.iterdir()) if root.is_dir() else []:
        if folder.is_dir() and not folder.is_symlink() and _is_left(folder):
            shutil.rmtree(folder, ignore_errors=True)


def write(folder: Path, path: str, content: Iterable[bytes]) -> None:
    """Write one file below `folder`. Not flushed: after a power cut a staging is removed, not read."""
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("xb") as file:
        for chunk in content:
            file.write(chunk)


def _is_left(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
