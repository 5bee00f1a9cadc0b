"""What the sticks in the box offer, and what taking an offer would mean.

A stick is a file system of a device that is mounted below one of the box's stick folders. A folder that is left when a
stick was pulled is none: what is written there lands on the memory card. Plain folders play sticks only in a folder of
one's own, and only when they hold a folder `edgebox`, as in the demo.
"""

import asyncio
import contextlib
import errno
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import VerifyKey
from content_packs.format import layout
from content_packs.format.envelope import open_unverified
from content_packs.format.errors import StickGone
from content_packs.format.manifest import Manifest
from content_packs.format.selection import Selection, selected_blobs
from content_packs.installer import DiskSpace, blob_store, measure_disk, plan
from content_packs.installer.library import highest_version, parts_to_take, selection_of
from content_packs.installer.planning import InstallPlan, on_disk_bytes
from content_packs.patch import PatchLimits
from content_packs.usb.scanning import Look, PackOffer, look, read_offer
from edgebox.services.library import Library
from edgebox.services.mounts import mounted_devices
from edgebox.services.stick_offers import Change, Offer, PartOffer, Stick, cheapest
from edgebox.services.stick_patches import PatchOffer, find_patches, patch_makes
from edgebox.settings import MOUNT_ROOTS, Settings

FRESH_MS = 10_000
FRESH_LOOKS = 10
DEPTH_MAX = 3


class Sticks:
    """Looks at sticks, at most once every ten seconds and a tenth of the time, however many pages ask.

    Attributes:
        titles: what the packs that were seen are called, by id and version.
    """

    def __init__(self, library: Library, settings: Settings, clock: Clock) -> None:
        self._library = library
        self._settings = settings
        self._clock = clock
        self._lock = asyncio.Lock()
        self._found: list[Stick] = []
        self._found_ms: int | None = None
        self._took_ms = 0
        self._roots: dict[tuple[str, int], bytes] = {}
        self.titles: dict[tuple[str, int], Mapping[str, str]] = {}

    async def look(self, *, afresh: bool = False) -> list[Stick]:
        """Return all sticks with anything that is a folder, in the order of their paths."""
        async with self._lock:
            now_ms = self._clock.monotonic_ms()
            fresh_ms = max(FRESH_MS, FRESH_LOOKS * self._took_ms)
            if afresh or self._found_ms is None or now_ms - self._found_ms >= fresh_ms:
                # Before the look: what is installed or removed in the middle of it must not be taken for looked at.
                self._found_ms = now_ms
                await self._library.notice_publishers()
                self._found = await asyncio.to_thread(self._look)
                self._took_ms = self._clock.monotonic_ms() - now_ms
            return self._found

    async def look_at(self, path: Path) -> Stick:
        """Return what one folder offers, wherever it is."""
        await self._library.notice_publishers()
        return await asyncio.to_thread(self._stick, path)

    async def mounted(self) -> list[Path]:
        """Return where sticks are, whatever is on them."""
        return await asyncio.to_thread(self._mounted)

    async def find(self, pack: str, version: int) -> Path | None:
        """Return where a stick offers this version of a pack, however deep."""
        offers = [offer for stick in await self.look() for offer in stick.offers]
        for offer in offers:
            if offer.error is None and (offer.pack, offer.version) == (pack, version):
                return offer.folder
        return None

    def forget(self) -> None:
        """Look again when asked next: something was installed or removed."""
        self._found_ms = None

    def _look(self) -> list[Stick]:
        found = [self._stick(path) for path in self._mounted()]
        return [stick for stick in found if stick.offers or stick.error or not stick.is_whole]

    def _mounted(self) -> list[Path]:
        data = self._settings.data.resolve()
        mounts = [path for path in mounted_devices() if not data.is_relative_to(path)]
        return find_sticks(self._settings.stick_folders, mounts)

    def _stick(self, path: Path) -> Stick:
        try:
            found, list_error = self._scan(path)
            patches = self._find_patches(found)
        except EdgeboxError as error:
            return Stick(path, (), error)
        except OSError as error:
            return Stick(path, (), StickGone(place=str(path), reason=errno.errorcode.get(error.errno or 0, "")))
        self._remember(found.offers)
        space = measure_disk(self._settings.data)
        offers = [self._offer(offer, space) for offer in found.offers]
        folders = tuple((offer.pack, offer.folder) for offer in offers if offer.pack)
        best = tuple(cheapest(offers, [self._patch_offer(patch) for patch in patches]))
        return Stick(path, best, list_error=list_error, is_whole=found.is_whole, packs=folders)

    def _find_patches(self, found: Look) -> list[PatchOffer]:
        trusted = self._library.trust.keyring()
        return find_patches(self._settings.data, found.patches, self._base_of, trusted, PatchLimits())

    def _base_of(self, pack: str) -> tuple[int, bytes]:
        """Return version and Merkle root of a pack on the box."""
        current = self._library.shelf.current.get(pack)
        if current is None:
            return 0, b""
        named = (pack, current.version)
        if named not in self._roots:
            path = self._settings.packs / layout.installed_name(*named)
            try:
                self._roots[named] = open_unverified(path.read_bytes()).root
            except (OSError, EdgeboxError):
                return current.version, b""
        return current.version, self._roots[named]

    def _scan(self, path: Path) -> tuple[Look, EdgeboxError | None]:
        """Return what is offered by the newest list there is, on the stick or on the box, and why a list is refused."""
        trust = self._library.trust
        before, found = trust.pack_list, look(path, trusted=trust.keyring())
        folders = [*(offer.folder for offer in found.offers), *(folder / layout.FULL_NAME for folder in found.patches)]
        depots = dict.fromkeys([path / layout.STICK_NAME, *map(depot_of, folders)])
        list_error = trust.refresh_from(depots)
        return found if trust.pack_list == before else look(path, trusted=trust.keyring()), list_error

    def _remember(self, offers: list[PackOffer]) -> None:
        seen = [offer.manifest for offer in offers if offer.manifest is not None and offer.error is None]
        self.titles |= {(manifest.pack, manifest.version): manifest.title for manifest in seen}

    def _offer(self, offer: PackOffer, space: DiskSpace) -> Offer:
        manifest = offer.manifest
        current = self._library.shelf.current.get(manifest.pack) if manifest else None
        installed_version = current.version if current else 0
        highest = highest_version(self._settings.data, manifest.pack) if manifest else 0
        change = _change(offer, installed_version, highest)
        costs = self._costs(offer, manifest, space, change) if manifest and not offer.error else _Costs()
        return Offer(
            folder=offer.folder,
            pack=manifest.pack if manifest else "",
            version=manifest.version if manifest else 0,
            title=manifest.title if manifest else {},
            size_bytes=offer.size_bytes,
            manifest=manifest,
            signer_name=self._library.trust.name_of(offer.signer) if offer.signer else None,
            change=change,
            installed_version=installed_version,
            highest_version=highest,
            needed_bytes=costs.needed_bytes,
            fits=costs.needed_bytes <= costs.usable_bytes,
            read_bytes=costs.needed_bytes,
            error=offer.error,
            left_out=tuple(part for part in manifest.parts if not offer.selection.takes(part)) if manifest else (),
            parts=costs.parts,
            least_bytes=costs.least_bytes,
            fits_without_parts=costs.least_bytes <= costs.usable_bytes,
        )

    def _patch_offer(self, patch: PatchOffer) -> Offer:
        current = self._library.shelf.current.get(patch.pack)
        change = Change.UNUSABLE if patch.error else Change.UPDATE if current else Change.NEW
        title = patch.title or (current.title if current else {})
        if patch.error is None and title:
            self.titles.setdefault((patch.pack, patch.version), title)
        return Offer(
            folder=patch.path,
            pack=patch.pack,
            version=patch.version,
            title=title,
            size_bytes=patch.size_bytes,
            manifest=None,
            signer_name=self._library.trust.name_of(patch.signer) if patch.signer else None,
            change=change,
            installed_version=current.version if current else 0,
            highest_version=current.version if current else 0,
            needed_bytes=patch.needed_bytes,
            fits=patch.fits,
            read_bytes=patch.size_bytes,
            error=patch.error,
            least_bytes=patch.needed_bytes,
            fits_without_parts=patch.fits,
        )

    def _costs(self, offer: PackOffer, manifest: Manifest, space: DiskSpace, change: Change) -> "_Costs":
        """Return what the parts that are on the stick take, beside those the box has of this version."""
        data = self._settings.data
        is_here = change is Change.HERE
        here = selection_of(data, manifest.pack, manifest.version) if is_here else Selection(frozenset())
        taken = parts_to_take(data, manifest.pack, manifest.version, offer.selection)
        to_copy = plan(manifest, blob_store(data), space.free_bytes, space.total_bytes, selection=offer.selection)
        least_bytes = _needed_bytes(manifest, here, to_copy)
        parts = [part for part in manifest.parts if offer.selection.takes(part) and not here.takes(part)]
        return _Costs(
            to_copy.usable_bytes,
            _needed_bytes(manifest, taken, to_copy),
            least_bytes,
            tuple(
                PartOffer(
                    part,
                    _needed_bytes(manifest, here.united(Selection(frozenset({part.id}))), to_copy) - least_bytes,
                    is_here or taken.takes(part),
                )
                for part in parts
            ),
        )


@dataclass(frozen=True)
class _Costs:
    """What an offer takes on the disk; without fields, of one that is refused."""

    usable_bytes: int = -1
    needed_bytes: int = 0
    least_bytes: int = 0
    parts: tuple[PartOffer, ...] = ()


def _needed_bytes(manifest: Manifest, selection: Selection, to_copy: InstallPlan) -> int:
    """Return what of the missing files these parts take on the disk."""
    wanted = selected_blobs(manifest, selection)
    return sum(on_disk_bytes(entry.size_bytes) for key, entry in to_copy.missing.items() if key in wanted)


def find_sticks(folders: tuple[Path, ...], mounts: list[Path]) -> list[Path]:
    """Return the sticks in the folders where sticks appear, each once. Blocks."""
    found: list[Path] = []
    for folder in (folder.resolve() for folder in folders):
        found += [path for path in mounts if path.is_relative_to(folder) and _depth(path, folder) <= DEPTH_MAX]
        if not any(folder.is_relative_to(root) for root in MOUNT_ROOTS):
            found += _playing_sticks(folder)
    return list(dict.fromkeys(found))


def depot_of(folder: Path) -> Path:
    """Return the depot that a pack folder is in, if it is in one: `<depot>/packs/<pack>/<version>`."""
    return folder.parent.parent.parent


def claimed(folder: Path) -> tuple[str, int]:
    """Return what a pack that cannot be installed calls itself, or the names of its folders. Blocks."""
    with contextlib.suppress(EdgeboxError, OSError):
        manifest = read_offer(folder, {}).manifest
        if manifest is not None:
            return manifest.pack, manifest.version
    return folder.parent.name or str(folder), 0


def _depth(path: Path, folder: Path) -> int:
    return len(path.relative_to(folder).parts)


def _playing_sticks(folder: Path) -> list[Path]:
    """Return the folder itself when it is used as a stick, else those in it that are."""
    try:
        if _holds_ours(folder):
            return [folder]
        return [path for path in sorted(folder.iterdir()) if not path.is_symlink() and _holds_ours(path)]
    except OSError:
        return []


def _holds_ours(folder: Path) -> bool:
    return (folder / layout.STICK_NAME).is_dir()


def find_again(
    stick_folders: tuple[Path, ...], folder: Path, pack: str, version: int, trusted: Mapping[bytes, VerifyKey]
) -> Path | None:
    """Return where a pack or patch is whose stick was pulled: its old place, or the same on any stick. Blocks."""
    is_patch = folder.suffix == layout.PATCH_ENDING
    usual = f"{layout.STICK_NAME}/{layout.PATCHES_NAME}/{pack}/{folder.name}"
    if not is_patch:
        usual = layout.pack_folder(pack, version)
    for path in (folder, *(match for root in stick_folders for match in _usual_places(root, usual))):
        try:
            if patch_makes(path, trusted) == (pack, version) if is_patch else (path / layout.MANIFEST_NAME).is_file():
                return path
        except OSError:
            continue
    return None


def _usual_places(root: Path, usual: str) -> list[Path]:
    try:
        return [path for depth in range(DEPTH_MAX + 1) for path in sorted(root.glob("*/" * depth + usual))]
    except OSError:
        return []


def _change(offer: PackOffer, installed_version: int, highest_version: int) -> Change:
    if offer.error is not None or offer.manifest is None:
        return Change.UNUSABLE
    if offer.manifest.version < highest_version:
        return Change.OLDER
    if offer.manifest.version == installed_version:
        return Change.HERE
    return Change.UPDATE if installed_version else Change.NEW
