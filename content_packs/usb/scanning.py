"""What is on a stick: a bounded look for pack folders and patches. Nothing is installed and no link is followed.

Packs lie under a folder named `edgebox`, however deep below the place given; the place may also be that folder, or a
pack folder. Capitals in names do not count: other systems change them. Only manifests are read; the files of a pack are
checked when it is installed. A look ends after a number of directory entries and after a time, whatever is on the
stick; what is nearest to the top is found first.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import VerifyKey
from content_packs.format import layout
from content_packs.format.envelope import open_claim, open_envelope
from content_packs.format.errors import PackNotFound, PackUnsigned, SignerUnknown
from content_packs.format.fields import is_pack_id
from content_packs.format.manifest import Manifest
from content_packs.format.selection import EVERYTHING, Selection, selected_size_bytes
from content_packs.format.vouching import REFUSALS
from content_packs.usb.reading import PackFolder
from content_packs.usb.stick import GONE_ERRORS, stick_errors

ENTRIES_MAX = 200_000
LOOK_SECONDS = 20.0
OFFERS_MAX = 500
_CLOCK_STEP = 256
# What systems keep on every stick for themselves.
LITTER = frozenset({"$recycle.bin", "recycler", "system volume information", "lost+found", "lost.dir", "found.000"})


@dataclass(frozen=True, slots=True)
class PackOffer:
    """A pack that was found.

    Attributes:
        manifest: nothing when it could not be read. Without `trusted` it is only what the pack says of itself.
        signer: id of the trusted key that signed it.
        error: why it cannot be installed.
        selection: the parts that are there, as far as that is known.
    """

    folder: Path
    manifest: Manifest | None
    signer: bytes | None
    error: EdgeboxError | None
    selection: Selection = EVERYTHING

    @property
    def trusted(self) -> bool:
        """Return whether a trusted key signed this manifest."""
        return self.signer is not None

    @property
    def size_bytes(self) -> int:
        """Return the bytes of the files that are there, 0 when unknown."""
        return selected_size_bytes(self.manifest, self.selection) if self.manifest else 0


@dataclass(frozen=True, slots=True)
class Look:
    """What a look found.

    Attributes:
        is_whole: False when it ended before everything was looked at.
        patches: folders that may hold patches of a pack, each named after its pack.
    """

    offers: list[PackOffer]
    is_whole: bool
    patches: tuple[Path, ...] = ()


def scan(path: Path, *, trusted: Mapping[bytes, VerifyKey] | None = None) -> list[PackOffer]:
    """Return the offers of `look`. Raises like it."""
    return look(path, trusted=trusted).offers


def look(
    path: Path, *, trusted: Mapping[bytes, VerifyKey] | None = None, clock: Callable[[], float] = time.monotonic
) -> Look:
    """Return what is offered under `path`, in the order of folders; damaged and unknown packs with their error.

    At most 200,000 directory entries are looked at in at most 20 seconds by `clock`, and 500 packs listed. Patches are
    not opened.

    Raises:
        PackNotFound: there is no such folder.
        StickGone: the stick does not answer any more.
    """
    budget = _Budget(ENTRIES_MAX, clock() + LOOK_SECONDS, clock)
    with stick_errors(path):
        folders = list(islice(_find(path, budget), OFFERS_MAX + 1))
    offers = [read_offer(folder, trusted or {}) for folder in sorted(folders[:OFFERS_MAX])]
    is_whole = not budget.is_spent and len(folders) <= OFFERS_MAX
    return Look(offers, is_whole, tuple(sorted(budget.patches[:OFFERS_MAX])))


def read_offer(folder: Path, trusted: Mapping[bytes, VerifyKey]) -> PackOffer:
    """Return what one pack folder offers.

    Raises:
        StickGone: the stick does not answer any more.
    """
    try:
        with PackFolder(folder) as pack:
            data = pack.read_manifest()
            manifest, signer = open_envelope(data, trusted)
            selection = pack.read_selection() if manifest.parts else EVERYTHING
    except (PackUnsigned, SignerUnknown, *REFUSALS) as error:
        return _claimed(folder, data, error)
    except EdgeboxError as error:
        if error.retryable:
            raise
        return PackOffer(folder, None, None, error)
    return PackOffer(folder, manifest, signer, None, selection)


def _claimed(folder: Path, data: bytes, reason: EdgeboxError) -> PackOffer:
    """Return an offer that shows what a pack nobody here vouches for says of itself."""
    try:
        return PackOffer(folder, open_claim(data), None, reason)
    except EdgeboxError as error:
        return PackOffer(folder, None, None, error)


class _Budget:
    """What a look may still cost, directory entries and time; and the folders of patches it came by."""

    def __init__(self, entries: int, end_seconds: float, clock: Callable[[], float]) -> None:
        self._left = entries
        self._end_seconds = end_seconds
        self._clock = clock
        self.patches: list[Path] = []

    @property
    def is_spent(self) -> bool:
        """Return whether the look is over."""
        return self._left <= 0

    def folders(self, path: Path) -> list[Path]:
        """Return the real folders in `path`, in order; fewer when the budget ends or the folder cannot be read.

        Raises:
            OSError: the stick does not answer.
        """
        found: list[Path] = []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if not self._spend():
                        break
                    if entry.is_dir(follow_symlinks=False):
                        found.append(path / entry.name)
        except OSError as error:
            # A damaged or forbidden folder, or one deeper than any path may be, hides what is in it and nothing else.
            if error.errno in GONE_ERRORS:
                raise
        return sorted(found)

    def _spend(self) -> bool:
        if self._left % _CLOCK_STEP == 0 and self._clock() >= self._end_seconds:
            self._left = 0
        self._left -= 1
        return self._left >= 0


def _find(path: Path, budget: _Budget) -> Iterator[Path]:
    """Yield pack folders, those nearest to the top first."""
    if not path.is_dir():
        raise PackNotFound(place=str(path))
    if _is_pack(path):
        yield path
        return
    first = path / layout.STICK_NAME
    if first.is_dir() and not first.is_symlink():
        # Before anything else is listed: there may be a million files beside it.
        yield from _packs_in(budget.folders(first), budget)
    inner = budget.folders(path)
    yield from _packs_in(inner, budget)
    level = [[folder for folder in inner if folder != first]]
    while level and not budget.is_spent:
        for folders in level:
            for folder in folders:
                if is_ours(folder.name):
                    yield from _packs_in(budget.folders(folder), budget)
        searched = (folder for folders in level for folder in folders if _is_searched(folder.name))
        level = [found for folder in searched if (found := budget.folders(folder))]


def is_ours(name: str) -> bool:
    """Return whether a folder has the name of ours, whatever capitals it is written in."""
    return name.lower() == layout.STICK_NAME


def _is_searched(name: str) -> bool:
    return not is_ours(name) and not name.startswith(".") and name.lower() not in LITTER


def _packs_in(folders: list[Path], budget: _Budget) -> Iterator[Path]:
    """Yield the packs when one of the folders is `packs`, and take note of patches when one is `patches`."""
    for packs in folders:
        if packs.name.lower() == layout.PATCHES_NAME:
            budget.patches += [folder for folder in budget.folders(packs) if is_pack_id(folder.name.lower())]
        if packs.name.lower() == layout.PACKS_NAME:
            for pack in budget.folders(packs):
                if is_pack_id(pack.name.lower()):
                    yield from (version for version in budget.folders(pack) if _is_pack(version))


def _is_pack(folder: Path) -> bool:
    """Return whether there is anything with the name of a manifest."""
    return any(os.path.lexists(folder / name) for name in (layout.MANIFEST_NAME, layout.MANIFEST_NAME.upper()))
