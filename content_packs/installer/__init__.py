"""Packs onto the box and off it: plan, copy with verification, make visible at once, list, check, remove."""

from content_packs.installer.blobs import BlobStore
from content_packs.installer.install import Installer, InstallResult
from content_packs.installer.library import (
    DamagedPack,
    InstalledPack,
    LostFile,
    blob_store,
    damaged,
    installed,
    lost_files,
    remove,
    sweep,
)
from content_packs.installer.planning import DiskSpace, InstallPlan, measure_disk, plan
from content_packs.installer.trust import Publisher, publishers, trusted_keys
from content_packs.installer.verifying import BadFile, VerifyReport, verify

__all__ = [
    "BadFile",
    "BlobStore",
    "DamagedPack",
    "DiskSpace",
    "InstallPlan",
    "InstallResult",
    "InstalledPack",
    "Installer",
    "LostFile",
    "Publisher",
    "VerifyReport",
    "blob_store",
    "damaged",
    "installed",
    "lost_files",
    "measure_disk",
    "plan",
    "publishers",
    "remove",
    "sweep",
    "trusted_keys",
    "verify",
]
