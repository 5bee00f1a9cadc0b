"""What is shown of the packs on the box: without the files that were left out, and under the overlays on the box.

The rules are those of `content_packs.format.merging`; this looks up which parts were taken and which files are there.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from content_packs.format.manifest import Manifest
from content_packs.format.merging import Layer, fitting, merge
from content_packs.format.selection import Selection, selected_files
from content_packs.installer import BlobStore


def layer_of(manifest: Manifest, signer: bytes, selection: Selection, store: BlobStore) -> Layer:
    """Return an overlay as it is on the box: a file of it that was lost is not used. Blocks."""
    files = selected_files(manifest, selection)
    return Layer(manifest, signer, frozenset(file.path for file in files if store.has(file.hash, file.size_bytes)))


def shown_manifest(manifest: Manifest, signer: bytes, selection: Selection, layers: Iterable[Layer]) -> Manifest:
    """Return what is shown of a pack under those of the layers that fit it; an overlay itself stays as it is."""
    fits = fitting(manifest, signer, layers)
    if manifest.overlay is not None or (not fits and all(map(selection.takes, manifest.parts))):
        return manifest
    there = frozenset(entry.path for entry in selected_files(manifest, selection))
    return merge(manifest, signer, there, fits)


def left_out(manifest: Manifest, shown: Manifest) -> Mapping[str, tuple[str, ...]]:
    """Return the ids of the parts that would bring a resource of which nothing is there, by the resource's id."""
    missing = {resource.id for resource in shown.resources if not resource.paths}
    if manifest.overlay is not None or not missing:
        return {}
    part_of = {entry.path: entry.part for entry in manifest.files}
    found: dict[str, tuple[str, ...]] = {}
    for resource in manifest.resources:
        if resource.id in missing:
            numbers = sorted({part_of[path] for path in resource.opened} - {0})
            found[resource.id] = tuple(manifest.parts[number - 1].id for number in numbers)
    return found


def overlays_of(manifest: Manifest, signer: bytes, layers: Iterable[Layer]) -> tuple[str, ...]:
    """Return the ids of the overlays that lie over a pack, the lowest first."""
    return tuple(layer.manifest.pack for layer in fitting(manifest, signer, layers))


def store_beside(packs: Path) -> BlobStore:
    """Return the store of files beside the folder of manifests."""
    return BlobStore(packs.parent / "blobs")
