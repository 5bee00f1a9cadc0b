"""Packs onto the box and off it: plan, copy with verification, make visible at once, list, check, remove."""

from content_packs.installer.blobs import BlobStore, Verdict
from content_packs.installer.install import Installer, InstallResult
from content_packs.installer.library import (
    DamagedPack,
    InstalledPack,
    LostFile,
    blob_store,
    damaged,
    find_installed,
    installed,
    iterate_installed,
    lost_files,
    only_in_bytes,
    remove,
    sweep,
)
from content_packs.installer.planning import DiskSpace, InstallPlan, measure_disk, plan
from content_packs.installer.repairing import BlobSource, repair
from content_packs.installer.scrubbing import ScrubReport, WantedBlob, scrub, wanted_blobs
from content_packs.installer.trust import Publisher, publishers, trusted_keys
from content_packs.installer.verifying import BadFile, VerifyReport, verify

__all__ = [
    "BadFile",
    "BlobSource",
    "BlobStore",
    "DamagedPack",
    "DiskSpace",
    "InstallPlan",
    "InstallResult",
    "InstalledPack",
    "Installer",
    "LostFile",
    "Publisher",
    "ScrubReport",
    "Verdict",
    "VerifyReport",
    "WantedBlob",
    "blob_store",
    "damaged",
    "find_installed",
    "installed",
    "iterate_installed",
    "lost_files",
    "measure_disk",
    "only_in_bytes",
    "plan",
    "publishers",
    "remove",
    "repair",
    "scrub",
    "sweep",
    "trusted_keys",
    "verify",
    "wanted_blobs",
]
