"""Putting files on a stick so that each is there whole or not at all, and stays there."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.hashing import Hasher, blake2b_256
from content_packs.format.errors import StickGone
from content_packs.usb.errors import StickLies, StickPlaceTaken
from content_packs.usb.faults import FULL_ERRORS, stick_faults
from content_packs.usb.writing import BESIDE, holds, make_folder, read_past_cache, write_beside
from sync.transport.errors import StickFilled, StickMissing

BATCH_BYTES = 64 << 20
_MB = 1_000_000


class StickWriter:
    """Puts files on one stick: written beside, flushed, named, flushed, and read back as the stick gives them.

    Pulled out or without power at any moment, the stick has each file whole or not at all, and running it again goes on
    where it stopped: a file that is there with its content is left alone. Nothing is written through a link.

    Attributes:
        pending_bytes: put there and not read back yet.
        written_bytes: read back.
    """

    def __init__(self, root: Path) -> None:
        """Look at the stick.

        Raises:
            StickMissing: there is no such folder; it is not made, for it would be one of the memory card.
        """
        if not root.is_dir():
            raise StickMissing(folder=str(root))
        self._root = root
        self._status = root.stat()
        self._pending: list[tuple[Path, bytes]] = []
        self.pending_bytes = 0
        self.written_bytes = 0

    def put(self, place: Path, content: bytes) -> Path:
        """Write one file; it counts after `settle`, which is called now and then. Returns its path.

        Raises:
            StickFilled: it does not fit; what was put before is settled.
            StickPlaceTaken: something else has the name of the file or of one of our folders.
            StickReadOnly, StickLies, StickGone: as they say.
        """
        path = self._root / place
        with stick_faults(self._root):
            self.check_there()
            self._check_places(place)
            if holds(path, content):
                return path
            try:
                make_folder(path.parent)
                write_beside(path, content)
            except OSError as error:
                if error.errno not in FULL_ERRORS:
                    raise
                self._give_up(path)
                raise StickFilled(stick=self._root.name) from error
        self._pending.append((path, blake2b_256(content)))
        self.pending_bytes += len(content)
        if self.pending_bytes >= BATCH_BYTES:
            self.settle()
        return path

    def settle(self) -> None:
        """Flush what was put, give it its names, flush these, and compare it with what the stick gives back.

        Raises:
            StickLies: it does not keep what is written on it. The files that came back changed are removed.
            StickReadOnly, StickFull, StickGone: as they say.
        """
        pending, self._pending, self.pending_bytes = self._pending, [], 0
        if not pending:
            return
        with stick_faults(self._root):
            self.check_there()
            atomic.sync_file_system(self._root)
            for path, _digest in pending:
                path.with_name(path.name + BESIDE).replace(path)
            atomic.sync_file_system(self._root)
            lost = [path for path, digest in pending if not self._is_kept(path, digest)]
            self.check_there()
            for path in lost:
                path.unlink(missing_ok=True)
        if lost:
            raise self._lies()

    def finish(self) -> None:
        """Settle, and flush whatever else was changed: after that the stick may be pulled out. Raises like `settle`."""
        self.settle()
        with stick_faults(self._root):
            self.check_there()
            atomic.sync_file_system(self._root)

    def make_folder(self, place: Path) -> None:
        """Make a folder, so that the other side knows for whom the stick was there. Raises like `put`."""
        with stick_faults(self._root):
            self.check_there()
            self._check_places(place / "any")
            make_folder(self._root / place)

    def remove(self, path: Path) -> None:
        """Take a listed file off the stick; one that is gone already is fine.

        Raises:
            StickReadOnly, StickGone: as they say.
        """
        with stick_faults(self._root):
            self.check_there()
            path.unlink(missing_ok=True)

    def check_there(self) -> None:
        """Return if the stick is still where it was: what is written into a folder that is left is on the box.

        Raises:
            StickGone
        """
        with stick_faults(self._root):
            if os.path.samestat(self._root.stat(), self._status):
                return
        raise StickGone(place=str(self._root), reason="ENOENT")

    def _check_places(self, place: Path) -> None:
        for part in [*reversed(place.parents)][1:]:
            _check_kind(self._root / part, stat.S_ISDIR, part)
        _check_kind(self._root / place, stat.S_ISREG, place)

    def _give_up(self, path: Path) -> None:
        with suppress(OSError):
            path.with_name(path.name + BESIDE).unlink(missing_ok=True)
        self.settle()

    def _is_kept(self, path: Path, digest: bytes) -> bool:
        hasher, size_bytes = Hasher(), 0
        for chunk in read_past_cache(path):
            hasher.update(chunk)
            size_bytes += len(chunk)
        if hasher.digest() != digest:
            return False
        self.written_bytes += size_bytes
        return True

    def _lies(self) -> StickLies:
        status = os.statvfs(self._root)
        claimed_mb = status.f_blocks * status.f_frsize // _MB
        return StickLies(stick=self._root.name, claimed_mb=claimed_mb, kept_mb=self.written_bytes // _MB)


def _check_kind(path: Path, is_right: Callable[[int], bool], place: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not is_right(mode):
        raise StickPlaceTaken(place=place.as_posix())
