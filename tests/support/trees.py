"""Packs made straight of files, without a course: for what happens below lessons."""

from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType

from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from content_packs.format.envelope import seal_envelope
from content_packs.format.manifest import FileEntry, Manifest, Part
from content_packs.usb.writing import PackWriter
from tests.support.course import PUBLISHER

PACK = "org.example.tree"


def write_tree(
    folder: Path,
    files: Mapping[str, bytes],
    version: int = 1,
    *,
    pack: str = PACK,
    title: str = "A tree",
    key: SigningKey = PUBLISHER,
    parts: Mapping[str, Collection[str]] = MappingProxyType({}),
) -> Path:
    """Write a signed pack with these files into `folder` and return it; `parts` are paths by the id of their part."""
    part_of = {path: number for number, paths in enumerate(parts.values(), 1) for path in paths}
    entries = tuple(
        FileEntry(path, len(content), blake2b_256(content), "application/octet-stream", part_of.get(path, 0))
        for path, content in sorted(files.items())
    )
    manifest = Manifest(
        pack=pack,
        version=version,
        title={"en": title},
        description={},
        languages=("en",),
        license="CC0-1.0",
        files=entries,
        lessons=(),
        resources=(),
        parts=tuple(Part(part, {"en": part}) for part in parts),
        features=("parts",) if parts else (),
    )
    writer = PackWriter(folder)
    for entry in manifest.blobs.values():
        writer.write_blob(entry, [files[entry.path]])
    writer.finish(manifest, seal_envelope(manifest, [key]))
    return folder
