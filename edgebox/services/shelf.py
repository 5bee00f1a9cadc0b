"""The packs on this box: what lists say of each is in memory, a manifest is read only when a lesson of it is opened."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType

from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.signing import VerifyKey
from content_packs.format import envelope, keyfile, layout
from content_packs.format.errors import PackNotFound
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Resource
from content_packs.format.merging import Layer
from content_packs.format.selection import EVERYTHING, Selection, selected_size_bytes
from content_packs.installer import Publisher
from content_packs.installer.library import selection_of
from edgebox.domain.catalogue import ListedPart, Shelved
from edgebox.domain.localised import localised_percent
from edgebox.services import overlaying
from edgebox.store.catalogue import Catalogue

log = logging.getLogger(__name__)

Stamp = frozenset[tuple[str, int, int, int]]


class ResourceGone(EdgeboxError):
    """A lesson, resource or file that no installed pack has."""

    code = "library.not_found"
    status = 404
    exit_code = 110
    sentence = N_("This lesson is not on the box any more.")
    remedy = N_("Go back to the start and choose another one.")


class FileDamaged(EdgeboxError):
    """A file of an installed pack that is missing on the disk or no longer what was installed."""

    code = "library.file_damaged"
    status = 503
    exit_code = 106
    retryable = True
    sentence = N_("A file of this lesson is damaged on the box, so it is not shown.")
    remedy = N_("Take another lesson meanwhile. The teacher can repair it: put in a stick with this pack.")


class PartLeftOut(EdgeboxError):
    """A resource none of whose files were taken when its pack was loaded."""

    code = "library.part_left_out"
    status = 404
    exit_code = 115
    sentence = N_("This was left out to save space when the pack was loaded.")
    remedy = N_("Take another lesson. The teacher can load the missing part of the pack.")


@dataclass(frozen=True)
class Installed:
    """One version of a pack with what it consists of by name.

    Attributes:
        manifest: what is shown of it: without what was left out, and with overlays laid over it.
        envelope_bytes: of the files that were read for it.
        size_bytes: of the files that were taken, without those of overlays.
        selection: the parts that were taken.
        left_out: the parts that would bring a resource of which nothing was taken, by the resource's id.
        overlays: the packs that lie over it, the lowest first.
    """

    manifest: Manifest
    signer: bytes
    envelope_bytes: int = 0
    size_bytes: int = 0
    selection: Selection = EVERYTHING
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    overlays: tuple[str, ...] = ()

    @cached_property
    def lessons(self) -> Mapping[str, Lesson]:
        """Return the lessons by id, in their order."""
        return {lesson.id: lesson for lesson in self.manifest.lessons}

    @cached_property
    def resources(self) -> Mapping[str, Resource]:
        """Return the resources by id."""
        return {resource.id: resource for resource in self.manifest.resources}

    @cached_property
    def files(self) -> Mapping[str, FileEntry]:
        """Return the files by path."""
        return {entry.path: entry for entry in self.manifest.files}

    @cached_property
    def lesson_of(self) -> Mapping[str, Lesson]:
        """Return the lesson of each resource, by the resource's id."""
        return {resource_id: lesson for lesson in self.manifest.lessons for resource_id in lesson.resource_ids}


@dataclass(frozen=True)
class Shelf:
    """All packs that can be used: the highest version of each, and all versions kept on disk."""

    current: Mapping[str, Shelved]
    kept: Mapping[tuple[str, int], Shelved]

    def find(self, pack: str, version: int | None = None) -> Shelved:
        """Return a pack, the current version unless another one is named.

        Raises:
            PackNotFound: the box does not have it.
        """
        found = self.current.get(pack) if version is None else self.kept.get((pack, version))
        if found is None:
            raise PackNotFound(place=pack if version is None else f"{pack}@{version}")
        return found

    @cached_property
    def versions(self) -> Mapping[str, tuple[int, ...]]:
        """Return the versions that are kept of each pack, in order."""
        found: dict[str, list[int]] = {}
        for pack, version in sorted(self.kept):
            found.setdefault(pack, []).append(version)
        return {pack: tuple(versions) for pack, versions in found.items()}


EMPTY_SHELF = Shelf(MappingProxyType({}), MappingProxyType({}))


def read_publishers(folder: Path) -> dict[bytes, Publisher]:
    """Return the trusted publishers by key id; a file that is no key is logged and left out. Blocks."""
    found: dict[bytes, Publisher] = {}
    for path in sorted(folder.glob("*.pub")):
        try:
            key, name = keyfile.parse_public(path.read_bytes(), path.name)
        except (EdgeboxError, OSError) as error:
            log.warning("library.publisher_unreadable file=%s error=%s", path.name, error)
            continue
        found[key.key_id] = Publisher(key, name)
    return found


def stamp_publishers(folder: Path) -> Stamp:
    """Return what differs as soon as a key file is put there, replaced, made readable or removed. Blocks."""
    found = set()
    for path in folder.glob("*.pub"):
        with suppress(OSError):
            status = path.stat()
            found.add((path.name, status.st_ino, status.st_ctime_ns, status.st_size))
    return frozenset(found)


def read_shelf(folder: Path, publishers: Mapping[bytes, Publisher], catalogue: Catalogue) -> Shelf:
    """Return the packs whose manifests are in the folder and signed by one of these keys. Blocks.

    Only manifests that are new or changed since the catalogue was last brought up to date are read, and those under
    overlays that are.
    """
    reading = _Reading(folder, publishers, catalogue)
    return reading.shelf()


def open_manifest(
    folder: Path, publishers: Mapping[bytes, Publisher], shelf: Shelf, pack: str, version: int
) -> Installed:
    """Return a version of a pack as it is shown, its signature and those of its overlays checked. Blocks.

    Raises:
        PackNotFound: it is not there.
        PackUnsigned, SignerUnknown, PackSignatureInvalid, ManifestMalformed, FormatUnsupported, PathRefused: it is
            not what was installed.
    """
    trusted = {key_id: publisher.key for key_id, publisher in publishers.items()}
    above = [each for each in shelf.kept.values() if each.overlay_of == pack]
    maker = partial(_maker, publishers)
    layers = _layers(folder, [_open(folder, trusted, each.pack, each.version) for each in above], maker)
    return _shown(_open(folder, trusted, pack, version), layers, maker)


def read_manifest(folder: Path, publishers: Mapping[bytes, Publisher], pack: str, version: int) -> Manifest:
    """Return a manifest as it was signed. Blocks. Raises like `open_manifest`."""
    return _open(folder, {key_id: publisher.key for key_id, publisher in publishers.items()}, pack, version).manifest


def _open(folder: Path, trusted: Mapping[bytes, VerifyKey], pack: str, version: int) -> Installed:
    try:
        content = (folder / layout.installed_name(pack, version)).read_bytes()
    except OSError as error:
        raise PackNotFound(place=f"{pack}@{version}") from error
    manifest, signer = envelope.open_envelope(content, trusted)
    if (manifest.pack, manifest.version) != (pack, version):
        raise PackNotFound(place=f"{pack}@{version}")
    return Installed(manifest, signer, len(content), selection=selection_of(folder.parent, pack, version))


class _Reading:
    """One look at the folder of manifests.

    A pack's stamp is that of its own file and of its choice of parts, followed by those of the overlays of it: an
    overlay that comes or goes changes what lists show of the pack below.
    """

    def __init__(self, folder: Path, publishers: Mapping[bytes, Publisher], catalogue: Catalogue) -> None:
        self._folder = folder
        self._trusted = {key_id: publisher.key for key_id, publisher in publishers.items()}
        self._maker = partial(_maker, publishers)
        self._catalogue = catalogue
        self._known = catalogue.list_shelved()
        self._files = _files(folder)
        self._opened: dict[str, Installed] = {}

    def shelf(self) -> Shelf:
        for file in self._known.keys() - self._files.keys():
            self._catalogue.remove_shelved(file)
        overlays = self._overlays()
        kept: dict[tuple[str, int], Shelved] = {}
        for file in sorted(self._files):
            shelved = self._shelved(file, overlays)
            if shelved is not None and shelved.signer in self._trusted:
                kept[shelved.pack, shelved.version] = shelved
        return Shelf(_current(kept.values()), kept)

    def _overlays(self) -> dict[str, list[str]]:
        """Return the files of overlays by the id of the pack below; takes in what is new, as it is without them."""
        found: dict[str, list[str]] = {}
        for file in sorted(self._files):
            known = self._known.get(file)
            if known is None or known.stamp.partition("|")[0] != self._files[file].stamp:
                known = self._take_in(file, [])
            if known is not None and known.overlay_of and known.signer in self._trusted:
                found.setdefault(known.overlay_of, []).append(file)
        return found

    def _shelved(self, file: str, overlays: Mapping[str, list[str]]) -> Shelved | None:
        named = layout.parse_installed_name(file)
        above = overlays.get(named[0], []) if named else []
        known = self._known.get(file)
        if known is None or known.stamp == self._stamp(file, above):
            return known
        return self._take_in(file, above)

    def _stamp(self, file: str, above: Iterable[str]) -> str:
        """Return what differs as soon as a file is another one, or the maker of an overlay is told to be another."""
        makers = {each: self._maker(known.signer) for each in (file, *above) if (known := self._known.get(each))}
        overlays = [self._files[each].stamp + "=" * (makers.get(each) == makers.get(file)) for each in above]
        return "|".join([self._files[file].stamp, *overlays])

    def _take_in(self, file: str, above: list[str]) -> Shelved | None:
        """Put a pack under its overlays into the catalogue, or take it out if its file is refused."""
        installed = self._open(file)
        if installed is None:
            self._catalogue.remove_shelved(file)
            self._known.pop(file, None)
            return None
        layers = _layers(self._folder, filter(None, map(self._open, above)), self._maker)
        shown = _shown(installed, layers, self._maker)
        shelved = _summary(shown, self._stamp(file, above), self._files[file].at_ms)
        self._catalogue.put_shelved(file, shelved, shown.manifest)
        self._known[file] = shelved
        return shelved

    def _open(self, file: str) -> Installed | None:
        """Return what a file holds; one that is refused is logged and left out."""
        named = layout.parse_installed_name(file)
        if named is None or file in self._opened:
            return self._opened.get(file)
        try:
            installed = _open(self._folder, self._trusted, *named)
        except (EdgeboxError, OSError) as error:
            log.warning("library.manifest_refused file=%s error=%s", file, error)
            return None
        if installed.manifest.overlay is not None:
            self._opened[file] = installed
        return installed


@dataclass(frozen=True, slots=True)
class _File:
    """A manifest file: what differs when it is another one, and since when it is there."""

    stamp: str
    at_ms: int


def _files(folder: Path) -> dict[str, _File]:
    found: dict[str, _File] = {}
    for entry in os.scandir(folder) if folder.is_dir() else ():
        if named := layout.parse_installed_name(entry.name):
            with suppress(FileNotFoundError):
                status = entry.stat()
                stamp = f"{status.st_ino}-{status.st_mtime_ns}-{status.st_size}"
                parts = _parts_stamp(folder / layout.selection_name(*named))
                found[entry.name] = _File(stamp + parts, status.st_mtime_ns // 1_000_000)
    return found


def _parts_stamp(path: Path) -> str:
    try:
        return f"+{path.stat().st_mtime_ns}"
    except OSError:
        return ""


def _maker(publishers: Mapping[bytes, Publisher], signer: bytes) -> bytes:
    """Return what is the same for all keys a publisher has or had; without a list that knows it, the key itself."""
    publisher = publishers.get(signer)
    return publisher.prefix.encode() if publisher and publisher.prefix else signer


def _layers(folder: Path, read: Iterable[Installed], maker: Callable[[bytes], bytes]) -> list[Layer]:
    store = overlaying.store_beside(folder)
    return [
        overlaying.layer_of(one.manifest, maker(one.signer), one.selection, store)
        for one in read
        if one.manifest.overlay is not None
    ]


def _shown(installed: Installed, layers: list[Layer], maker: Callable[[bytes], bytes]) -> Installed:
    manifest, signer, selection = installed.manifest, maker(installed.signer), installed.selection
    shown = overlaying.shown_manifest(manifest, signer, selection, layers)
    return replace(
        installed,
        manifest=shown,
        size_bytes=selected_size_bytes(manifest, selection),
        left_out=overlaying.left_out(manifest, shown),
        overlays=overlaying.overlays_of(manifest, signer, layers),
    )


def _summary(installed: Installed, stamp: str, installed_ms: int) -> Shelved:
    manifest = installed.manifest
    return Shelved(
        pack=manifest.pack,
        version=manifest.version,
        signer=installed.signer,
        title=manifest.title,
        languages=manifest.languages,
        educational_level=manifest.educational_level,
        about=manifest.about,
        lessons=len(manifest.lessons),
        resources=len(manifest.resources),
        size_bytes=installed.size_bytes,
        stamp=stamp,
        installed_ms=installed_ms,
        overlay_of=manifest.overlay.of if manifest.overlay else "",
        overlays=installed.overlays,
        localised=localised_percent(manifest),
        parts=tuple(ListedPart(part.id, part.title, installed.selection.takes(part)) for part in manifest.parts),
    )


def _current(kept: Iterable[Shelved]) -> dict[str, Shelved]:
    current: dict[str, Shelved] = {}
    for shelved in sorted(kept, key=lambda each: (each.pack, each.version)):
        current[shelved.pack] = shelved
    return current
