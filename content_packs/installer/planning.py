"""Whether a pack fits: what is missing, and how much must stay free for learners' work."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from content_packs.format.errors import PackSpace
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.format.selection import EVERYTHING, Selection, selected_blobs
from content_packs.installer.blobs import BlobStore

RESERVE_SHARE_PERCENT = 5
RESERVE_MIN_BYTES = 500_000_000
_BLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """What a disk has."""

    free_bytes: int
    total_bytes: int


class MeasureDisk(Protocol):
    """Returns the space of the disk that holds a folder."""

    def __call__(self, folder: Path) -> DiskSpace:
        """Measure now."""


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """What has to be copied.

    Attributes:
        missing: one entry per content the box does not have, in the order of paths.
        bytes_needed: what that takes on disk, with the last block of every file.
        usable_bytes: what is free above the reserve.
    """

    missing: Mapping[bytes, FileEntry]
    bytes_total: int
    bytes_to_copy: int
    bytes_needed: int
    reserve_bytes: int
    usable_bytes: int

    @property
    def fits(self) -> bool:
        """Return whether the reserve stays free."""
        return self.bytes_needed <= self.usable_bytes or not self.missing

    def check(self) -> None:
        """Return if it fits.

        Raises:
            PackSpace: it does not.
        """
        if not self.fits:
            raise PackSpace(needed_bytes=self.bytes_needed, usable_bytes=self.usable_bytes)


def reserve_bytes(total_bytes: int) -> int:
    """Return what must stay free: 5 % of the disk, at least 500 MB."""
    return max(total_bytes * RESERVE_SHARE_PERCENT // 100, RESERVE_MIN_BYTES)


def plan(
    manifest: Manifest,
    store: BlobStore,
    free_bytes: int,
    total_bytes: int,
    *,
    recheck: bool = False,
    selection: Selection = EVERYTHING,
) -> InstallPlan:
    """Return what installing these parts of `manifest` takes; a file that several paths share is counted once.

    With `recheck` the content of what is there is read, and what is damaged counts as missing.
    """
    blobs = selected_blobs(manifest, selection)
    missing = {
        key: entry
        for key, entry in blobs.items()
        if not (store.is_intact(key) if recheck else store.has(key, entry.size_bytes))
    }
    reserve = reserve_bytes(total_bytes)
    return InstallPlan(
        missing=missing,
        bytes_total=sum(entry.size_bytes for entry in blobs.values()),
        bytes_to_copy=sum(entry.size_bytes for entry in missing.values()),
        bytes_needed=sum(on_disk_bytes(entry.size_bytes) for entry in missing.values()),
        reserve_bytes=reserve,
        usable_bytes=max(free_bytes - reserve, 0),
    )


def check_space(space: DiskSpace, needed_bytes: int) -> None:
    """Return if so much may be written and the reserve stays free.

    Raises:
        PackSpace: it may not.
    """
    if needed_bytes > usable_bytes(space):
        raise PackSpace(needed_bytes=needed_bytes, usable_bytes=usable_bytes(space))


def usable_bytes(space: DiskSpace) -> int:
    """Return what may be written so that the reserve stays free."""
    return max(space.free_bytes - reserve_bytes(space.total_bytes), 0)


def measure_disk(folder: Path) -> DiskSpace:
    """Return the space of the disk that holds `folder`, or the nearest folder above it that exists."""
    while not folder.exists():
        folder = folder.parent
    status = os.statvfs(folder)
    return DiskSpace(status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize)


def on_disk_bytes(size_bytes: int) -> int:
    """Return what a file takes on disk at most, with its last block and its entry."""
    return (size_bytes // _BLOCK_BYTES + 2) * _BLOCK_BYTES
