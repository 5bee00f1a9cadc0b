"""Room that nobody uses until the disk is full: then it is let go, so that what makes room again can be written."""

import os
from pathlib import Path

_FREE_SHARE = 2  # it is taken only when as much stays free besides


class Reserve:
    """A file of a fixed size in the data folder; of none when the size is 0."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = size_bytes

    def is_held(self) -> bool:
        """Return whether the room is kept. Blocks."""
        return not self._size_bytes or self._path.exists()

    def hold(self) -> bool:
        """Keep the room if there is plenty, and return whether it is kept. Blocks; safe to repeat."""
        if self.is_held():
            return True
        free = os.statvfs(self._path.parent)
        if free.f_bavail * free.f_frsize < _FREE_SHARE * self._size_bytes:
            return False
        beside = self._path.with_name(f"{self._path.name}.part")
        try:
            with beside.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
        except OSError:
            beside.unlink(missing_ok=True)
            return False
        beside.replace(self._path)
        return True

    def release(self) -> bool:
        """Let the room go, and return whether there was any. Blocks; safe to repeat."""
        if not self._size_bytes or not self._path.exists():
            return False
        self._path.unlink()
        return True
