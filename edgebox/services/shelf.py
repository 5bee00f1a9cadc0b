"""The packs on this box, in memory: read once from their signed manifests, replaced as a whole when one changes."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from content_packs.base.errors import N_, EdgeboxError
from content_packs.format import envelope, keyfile, layout
from content_packs.format.errors import PackNotFound
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Resource
from content_packs.format.merging import Layer
from content_packs.format.selection import EVERYTHING, Selection, selected_size_bytes
from content_packs.installer import Publisher
from content_packs.installer.library import selection_of
from edgebox.services import overlaying

log = logging.getLogger(__name__)

Stamp = frozenset[tuple[str, int, int, int]]


class ResourceGone(EdgeboxError):
    """A lesson, resource or file that no installed pack has."""

    code = "library.not_found"
    status = 404
    exit_code = 110
    sentence = N_("This lesson is not on the box any more.")
    remedy = N_("Go back to the start and choose another one.")


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
        size_bytes: of the files that were taken, without those of overlays.
        selection: the parts that were taken.
        left_out: the parts that would bring a resource of which nothing was taken, by the resource's id.
        overlays: the packs that lie over it, the lowest first.
    """

    manifest: Manifest
    signer: bytes
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

    current: Mapping[str, Installed]
    kept: Mapping[tuple[str, int], Installed]

    def find(self, pack: str, version: int | None = None) -> Installed:
        """Return a pack, the current version unless another one is named.

        Raises:
            PackNotFound: the box does not have it.
        """
        found = self.current.get(pack) if version is None else self.kept.get((pack, version))
        if found is None:
            raise PackNotFound(place=pack if version is None else f"{pack}@{version}")
        return found


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


def read_shelf(folder: Path, publishers: Mapping[bytes, Publisher]) -> Shelf:
    """Return the packs whose manifests are in the folder and signed by one of these keys. Blocks."""
    trusted = {key_id: publisher.key for key_id, publisher in publishers.items()}
    read: dict[tuple[str, int], Installed] = {}
    for path in sorted(folder.glob("*.ebm")):
        try:
            manifest, signer = envelope.open_envelope(path.read_bytes(), trusted)
        except (EdgeboxError, OSError) as error:
            log.warning("library.manifest_refused file=%s error=%s", path.name, error)
            continue
        named = (manifest.pack, manifest.version)
        if layout.parse_installed_name(path.name) == named:
            read[named] = Installed(manifest, signer, selection=selection_of(folder.parent, *named))
    layers = _layers(folder, read.values())
    kept = {named: _shown(installed, layers) for named, installed in read.items()}
    return Shelf(_current(kept.values()), kept)


def _layers(folder: Path, read: Iterable[Installed]) -> list[Layer]:
    store = overlaying.store_beside(folder)
    return [
        overlaying.layer_of(one.manifest, one.signer, one.selection, store)
        for one in read
        if one.manifest.overlay is not None
    ]


def _shown(installed: Installed, layers: list[Layer]) -> Installed:
    manifest, signer, selection = installed.manifest, installed.signer, installed.selection
    shown = overlaying.shown_manifest(manifest, signer, selection, layers)
    return Installed(
        manifest=shown,
        signer=signer,
        size_bytes=selected_size_bytes(manifest, selection),
        selection=selection,
        left_out=overlaying.left_out(manifest, shown),
        overlays=overlaying.overlays_of(manifest, signer, layers),
    )


def _current(kept: Iterable[Installed]) -> dict[str, Installed]:
    current: dict[str, Installed] = {}
    for installed in sorted(kept, key=lambda each: (each.manifest.pack, each.manifest.version)):
        current[installed.manifest.pack] = installed
    return current
