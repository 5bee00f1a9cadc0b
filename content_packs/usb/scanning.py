"""What is on a stick: a bounded look for pack folders. Nothing is installed and no link is followed.

Packs lie under a folder named `edgebox`, up to `max_depth` folders below the place given; the place may also be that
folder, or a pack folder. Only manifests are read; the files of a pack are checked when it is installed.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import VerifyKey
from content_packs.format import layout
from content_packs.format.envelope import open_claim, open_envelope
from content_packs.format.errors import PackNotFound, PackUnsigned, SignerUnknown
from content_packs.format.fields import is_pack_id
from content_packs.format.manifest import Manifest
from content_packs.format.vouching import REFUSALS
from content_packs.usb.reading import PackFolder
from content_packs.usb.stick import stick_errors

ENTRIES_MAX = 5_000
OFFERS_MAX = 500


@dataclass(frozen=True, slots=True)
class PackOffer:
    """A pack that was found.

    Attributes:
        manifest: nothing when it could not be read. Without `trusted` it is only what the pack says of itself.
        signer: id of the trusted key that signed it.
        error: why it cannot be installed.
    """

    folder: Path
    manifest: Manifest | None
    signer: bytes | None
    error: EdgeboxError | None

    @property
    def trusted(self) -> bool:
        """Return whether a trusted key signed this manifest."""
        return self.signer is not None

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all files, 0 when unknown."""
        return self.manifest.size_bytes if self.manifest else 0


def scan(path: Path, max_depth: int = 4, *, trusted: Mapping[bytes, VerifyKey] | None = None) -> list[PackOffer]:
    """Return what is offered under `path`, in the order of folders; damaged and unknown packs with their error.

    At most 5,000 directory entries are looked at and 500 packs listed; on a stick with more, what lies in `edgebox`
    at the top is found first.

    Raises:
        StickGone: the stick does not answer any more.
    """
    budget = _Budget(ENTRIES_MAX)
    folders: list[Path] = []
    with stick_errors(path):
        for folder in _find(path, max_depth, budget):
            folders.append(folder)
            if len(folders) == OFFERS_MAX:
                break
    return [read_offer(folder, trusted or {}) for folder in sorted(folders)]


def read_offer(folder: Path, trusted: Mapping[bytes, VerifyKey]) -> PackOffer:
    """Return what one pack folder offers.

    Raises:
        StickGone: the stick does not answer any more.
    """
    try:
        with PackFolder(folder) as pack:
            data = pack.read_manifest()
        manifest, signer = open_envelope(data, trusted)
    except (PackUnsigned, SignerUnknown, *REFUSALS) as error:
        return _claimed(folder, data, error)
    except EdgeboxError as error:
        if error.retryable:
            raise
        return PackOffer(folder, None, None, error)
    return PackOffer(folder, manifest, signer, None)


def _claimed(folder: Path, data: bytes, reason: EdgeboxError) -> PackOffer:
    """Return an offer that shows what a pack nobody here vouches for says of itself."""
    try:
        return PackOffer(folder, open_claim(data), None, reason)
    except EdgeboxError as error:
        return PackOffer(folder, None, None, error)


class _Budget:
    """Counts directory entries down."""

    def __init__(self, entries: int) -> None:
        self._left = entries

    def folders(self, path: Path) -> list[Path]:
        """Return the real folders in `path`, in order; fewer when the budget ends or the folder cannot be read."""
        found: list[Path] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if self._left == 0:
                        break
                    self._left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        found.append(path / entry.name)
        except PermissionError:
            return []
        return sorted(found)


def _find(path: Path, max_depth: int, budget: _Budget) -> Iterator[Path]:
    """Yield pack folders, those nearest to the top first."""
    if not path.is_dir():
        raise PackNotFound(place=str(path))
    if (path / layout.MANIFEST_NAME).is_file():
        yield path
        return
    yield from _packs_in(path, budget)
    level = [path]
    for depth in range(max_depth + 1):
        deeper: list[Path] = []
        for folder in level:
            yield from _packs_in(folder / layout.STICK_NAME, budget)
            if depth < max_depth:
                deeper += [inner for inner in budget.folders(folder) if _is_searched(inner)]
        level = deeper


def _is_searched(folder: Path) -> bool:
    return folder.name != layout.STICK_NAME and not folder.name.startswith(".")


def _packs_in(stick: Path, budget: _Budget) -> Iterator[Path]:
    packs = stick / layout.PACKS_NAME
    if stick.is_symlink() or packs.is_symlink() or not packs.is_dir():
        return
    for pack in budget.folders(packs):
        if is_pack_id(pack.name):
            yield from (version for version in budget.folders(pack) if _is_pack(version))


def _is_pack(folder: Path) -> bool:
    return os.path.lexists(folder / layout.MANIFEST_NAME)
