"""Where things are: in a pack folder on a stick, and in the box's own folder."""

import re

MANIFEST_NAME = "manifest.ebm"
SELECTION_NAME = "parts.ebs"
BLOBS_NAME = "blobs"
STICK_NAME = "edgebox"
PACKS_NAME = "packs"
PATCHES_NAME = "patches"
PATCH_ENDING = ".ebp"
FULL_NAME = "full"
ROOT_NAME_BYTES = 16
PART_BYTES = 1024**3
PARTS_MAX = 1000
VERSION_MAX = 2**31 - 1

_INSTALLED = re.compile(r"([a-z0-9.-]{3,80})@([1-9][0-9]{0,9})\.ebm")


def pack_folder(pack: str, version: int) -> str:
    """Return the folder of a pack, relative to the root of a stick."""
    return f"{STICK_NAME}/{PACKS_NAME}/{pack}/{version}"


def blob_name(content_hash: bytes) -> str:
    """Return the place of a whole file, relative to its pack folder or to the box's folder."""
    name = content_hash.hex()
    return f"{BLOBS_NAME}/{name[:2]}/{name}"


def part_name(content_hash: bytes, number: int) -> str:
    """Return the place of part `number`, counted from 0, of a file too large for the stick's file system."""
    return f"{blob_name(content_hash)}.{number:03d}"


def patch_name(pack: str, from_root: bytes) -> str:
    """Return the place of the patch from the version with this Merkle root to the newest, relative to `edgebox`.

    No root at all names the patch that needs no version before.
    """
    name = from_root[:ROOT_NAME_BYTES].hex() if any(from_root) else FULL_NAME
    return f"{PATCHES_NAME}/{pack}/{name}{PATCH_ENDING}"


def installed_name(pack: str, version: int) -> str:
    """Return the name of an installed manifest in the box's folder `packs`."""
    return f"{pack}@{version}.ebm"


def selection_name(pack: str, version: int) -> str:
    """Return the name of the file beside an installed manifest that says which parts the box took."""
    return f"{pack}@{version}.parts"


def wanted_name(pack: str, version: int) -> str:
    """Return the name of the file that says which parts an installation that was asked for is to take."""
    return f"{pack}@{version}.wanted"


def qualify(pack: str, version: int, path: str) -> str:
    """Return the qualified path of a file in another pack than the one that shows it."""
    return f"{pack}@{version}:{path}"


def split_qualified(path: str) -> tuple[str, str]:
    """Return the pack with its version, `<pack>@<version>`, and the path in it; no pack for a path without one."""
    name, mark, inner = path.partition(":")
    return (name, inner) if mark else ("", path)


def parse_installed_name(name: str) -> tuple[str, int] | None:
    """Return pack and version, or nothing when `name` is no installed manifest."""
    match = _INSTALLED.fullmatch(name)
    return (match[1], int(match[2])) if match else None
