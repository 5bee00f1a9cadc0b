"""The packs a box has: one verified manifest file each under `<data>/packs`, and how they go away.

A pack is there exactly when its manifest file is. The highest version ever removed is remembered in `<pack>.seen`, so
that an older one cannot come back by removing first.
"""

import fcntl
import os
from collections.abc import Collection, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.errors import EdgeboxError
from content_packs.format import layout
from content_packs.format.envelope import open_unverified
from content_packs.format.errors import LibraryBusy, ManifestMalformed, PackNotFound
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.format.selection import (
    EVERYTHING,
    Selection,
    parse_selection,
    selected_files,
    serialise_selection,
)
from content_packs.installer.blobs import BlobStore
from content_packs.usb.writing import make_folder

_LOCK = "install.lock"


@dataclass(frozen=True, slots=True)
class InstalledPack:
    """A pack on the box: its manifest, the file that holds it, and the parts that were taken."""

    manifest: Manifest
    path: Path
    selection: Selection = EVERYTHING


@dataclass(frozen=True, slots=True)
class DamagedPack:
    """A manifest file on the box that cannot be read any more."""

    path: Path
    error: EdgeboxError


@dataclass(frozen=True, slots=True)
class LostFile:
    """A file of an installed pack that is missing or no longer has its content."""

    pack: str
    version: int
    path: str


def packs_folder(data: Path) -> Path:
    """Return the folder of installed manifests."""
    return data / layout.PACKS_NAME


def blob_store(data: Path) -> BlobStore:
    """Return the store of files of the box."""
    return BlobStore(data / layout.BLOBS_NAME)


def installed(data: Path) -> list[InstalledPack]:
    """Return the packs on the box by id and version; damaged ones are left out, `damaged` has them."""
    return list(iterate_installed(data))


def iterate_installed(data: Path) -> Iterator[InstalledPack]:
    """Yield what `installed` returns, one manifest in memory at a time."""
    return (pack for pack in _read_all(data) if isinstance(pack, InstalledPack))


def find_installed(data: Path, pack: str, version: int) -> InstalledPack:
    """Return one version of a pack.

    Raises:
        PackNotFound: it is not there, or its manifest cannot be read.
    """
    found = _read(data, pack, version)
    if not isinstance(found, InstalledPack):
        raise PackNotFound(place=f"{pack} {version}")
    return found


def damaged(data: Path) -> list[DamagedPack]:
    """Return the manifest files on the box that cannot be read."""
    return [pack for pack in _read_all(data) if isinstance(pack, DamagedPack)]


def lost_files(data: Path) -> Iterator[LostFile]:
    """Yield every file of an installed pack that should be there and is not intact; reads all of them once."""
    store = blob_store(data)
    verdicts: dict[bytes, bool] = {}
    for pack in iterate_installed(data):
        for entry in selected_files(pack.manifest, pack.selection):
            if entry.hash not in verdicts:
                verdicts[entry.hash] = store.is_intact(entry.hash)
            if not verdicts[entry.hash]:
                yield LostFile(pack.manifest.pack, pack.manifest.version, entry.path)


def highest_version(data: Path, pack: str) -> int:
    """Return the highest version of `pack` that is or was on the box, 0 when there was none."""
    versions = [version for name, version in _installed_names(data) if name == pack]
    return max([*versions, _seen_version(data, pack)])


def selection_of(data: Path, pack: str, version: int) -> Selection:
    """Return which parts of an installed pack the box took.

    A file that cannot be read stands for no parts: nothing is offered then that may not be there, nothing is fetched
    that nobody asked for, and the next installation says again what is wanted.
    """
    return _read_selection(packs_folder(data) / layout.selection_name(pack, version)) or EVERYTHING


def want_parts(data: Path, pack: str, version: int, selection: Selection | None) -> None:
    """Note which parts the next installation of this version is to take; None takes such a note back."""
    path = packs_folder(data) / layout.wanted_name(pack, version)
    if selection is None:
        _forget(path)
    else:
        make_folder(path.parent)
        atomic.write_file(path, serialise_selection(selection))


def parts_to_take(data: Path, pack: str, version: int, offered: Selection) -> Selection:
    """Return which parts an installation of this version takes.

    Those that were asked for, in addition to those the box has of this version. If nothing was asked for: those it has
    of this version or, if it has none, those of the version before that are `offered`; of a new pack all offered.
    """
    wanted = _read_selection(packs_folder(data) / layout.wanted_name(pack, version))
    versions = [found for name, found in _installed_names(data) if name == pack]
    if version in versions:
        here = selection_of(data, pack, version)
        return here if wanted is None else here.united(wanted)
    if wanted is not None:
        return wanted
    before = selection_of(data, pack, max(versions)) if versions else EVERYTHING
    if before.parts is None or offered.parts is None:
        return before if offered.parts is None else offered
    return Selection(before.parts & offered.parts)


def keep_selection(data: Path, manifest: Manifest, selection: Selection) -> None:
    """Write which parts the box has, before a new manifest or after the files of more parts; safe to repeat."""
    path = packs_folder(data) / layout.selection_name(manifest.pack, manifest.version)
    if not manifest.parts or all(map(selection.takes, manifest.parts)):
        _forget(path)
    elif _read_selection(path) != selection:
        atomic.write_file(path, serialise_selection(selection))


def remove(data: Path, pack: str, version: int | None = None) -> None:
    """Remove one version of a pack, or all, and every file no other pack uses.

    Manifests go first: a pack whose files are being removed is never listed. A power cut in between leaves files
    nobody uses, which `sweep` removes.

    Raises:
        PackNotFound: it is not there.
        LibraryBusy: another installation or removal is running.
    """
    with library_lock(data):
        versions = [found for name, found in _installed_names(data) if name == pack and version in (None, found)]
        if not versions:
            raise PackNotFound(place=pack if version is None else f"{pack} {version}")
        paths = [packs_folder(data) / layout.installed_name(pack, found) for found in versions]
        freed = {key for path in paths for key in _hashes_in(path)}
        seen = max(*versions, _seen_version(data, pack), 0)
        atomic.write_file(_seen_path(data, pack), str(seen).encode())
        for path in paths:
            path.unlink()
        atomic.sync_directory(packs_folder(data))
        for found in versions:
            want_parts(data, pack, found, None)
            _forget(packs_folder(data) / layout.selection_name(pack, found))
        _remove_unused(data, freed)


def sweep(data: Path) -> int:
    """Remove every file no installed pack uses, also those of cancelled installations; return their bytes.

    Nothing is removed while a manifest is damaged, because nobody knows which files it needs.

    Raises:
        LibraryBusy: another installation or removal is running.
    """
    with library_lock(data):
        store = blob_store(data)
        store.sweep_incoming()
        return _remove_unused(data, set(store.hashes()))


@contextmanager
def library_lock(data: Path) -> Iterator[None]:
    """Hold the right to change what is installed; it ends with the process at the latest.

    Raises:
        LibraryBusy: somebody else holds it.
    """
    make_folder(packs_folder(data))
    descriptor = os.open(packs_folder(data) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LibraryBusy from error
        yield
    finally:
        os.close(descriptor)


def _read_all(data: Path) -> Iterator[InstalledPack | DamagedPack]:
    # What is not there any more was removed since the folder was listed.
    return (found for named in _installed_names(data) if (found := _read(data, *named)) is not None)


def _read(data: Path, pack: str, version: int) -> InstalledPack | DamagedPack | None:
    path = packs_folder(data) / layout.installed_name(pack, version)
    try:
        manifest = open_unverified(path.read_bytes())
        if (manifest.pack, manifest.version) != (pack, version):
            raise ManifestMalformed(reason="name")
    except FileNotFoundError:
        return None
    except OSError:
        return DamagedPack(path, ManifestMalformed(reason="unreadable"))
    except EdgeboxError as error:
        return DamagedPack(path, error)
    return InstalledPack(manifest, path, selection_of(data, pack, version))


def _read_selection(path: Path) -> Selection | None:
    """Return what the file says, no part when it is damaged, and None when there is none."""
    try:
        return parse_selection(path.read_bytes())
    except FileNotFoundError:
        return None
    except (EdgeboxError, OSError):
        return Selection(frozenset())


def _forget(path: Path) -> None:
    if path.exists():
        path.unlink()
        atomic.sync_directory(path.parent)


def _installed_names(data: Path) -> list[tuple[str, int]]:
    if not packs_folder(data).is_dir():
        return []
    parsed = (layout.parse_installed_name(path.name) for path in packs_folder(data).iterdir())
    return sorted(found for found in parsed if found)


def _seen_path(data: Path, pack: str) -> Path:
    return packs_folder(data) / f"{pack}.seen"


def _seen_version(data: Path, pack: str) -> int:
    path = _seen_path(data, pack)
    content = path.read_bytes() if path.exists() else b""
    return int(content) if content.isdigit() else 0


def _hashes_in(path: Path) -> set[bytes]:
    """Return what a manifest file names; nothing when it is damaged: `sweep` removes what was only there."""
    return set(_blobs_in(path))


def _blobs_in(path: Path) -> Mapping[bytes, FileEntry]:
    try:
        return open_unverified(path.read_bytes()).blobs
    except (OSError, EdgeboxError):
        return {}


def only_in_bytes(data: Path, pack: str, versions: Collection[int]) -> int:
    """Return how many bytes of a pack only these versions of it need; a damaged manifest counts as one of no files."""
    only: dict[bytes, int] = {}
    others: set[bytes] = set()
    for name, version in _installed_names(data):
        if name == pack:
            blobs = _blobs_in(packs_folder(data) / layout.installed_name(name, version))
            if version in versions:
                only |= {key: entry.size_bytes for key, entry in blobs.items()}
            else:
                others.update(blobs)
    return sum(size_bytes for key, size_bytes in only.items() if key not in others)


def _remove_unused(data: Path, candidates: Set[bytes]) -> int:
    """Remove those of `candidates` that no installed pack uses; return their bytes."""
    unused = set(candidates)
    for pack in _read_all(data):
        if isinstance(pack, DamagedPack):
            return 0
        unused.difference_update(entry.hash for entry in pack.manifest.files)
    store = blob_store(data)
    removed_bytes = 0
    for content_hash in sorted(unused):
        path = store.path_of(content_hash)
        removed_bytes += path.stat().st_size if path.exists() else 0
        store.remove(content_hash)
    return removed_bytes
