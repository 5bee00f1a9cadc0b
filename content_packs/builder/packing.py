"""Building a pack: the same course, version and key give the same bytes, on any machine and any day."""

from dataclasses import dataclass
from pathlib import Path

from content_packs.base.errors import N_
from content_packs.base.signing import SigningKey
from content_packs.builder.course import read_course
from content_packs.format import layout
from content_packs.format.envelope import seal_envelope
from content_packs.format.errors import BlobAltered, SourceInvalid
from content_packs.format.manifest import Manifest
from content_packs.usb.writing import PackWriter, check_parts


@dataclass(frozen=True, slots=True)
class BuildResult:
    """A pack that was built; `files` counts paths, `size_bytes` distinct contents."""

    folder: Path
    manifest: Manifest
    files: int
    size_bytes: int


def build(source: Path, out: Path, key: SigningKey, *, part_bytes: int = layout.PART_BYTES) -> BuildResult:
    """Build the course in `source` into `out/edgebox/packs/<id>/<version>`, signed by `key`.

    `out` may be a stick. Nothing is written before the whole course was found right, and the manifest is written last,
    so that a build that is interrupted leaves no pack, or the one that was there before. May block for long.

    Raises:
        SourceInvalid, PathRefused, FileTooLarge: what the author has to correct, with file and place.
        PackNotFound: there is no folder `source`.
    """
    manifest, files = read_course(source)
    check_parts(manifest, part_bytes)
    folder = out / layout.pack_folder(manifest.pack, manifest.version)
    writer = PackWriter(folder, part_bytes=part_bytes)
    for entry in manifest.blobs.values():
        try:
            writer.write_blob(entry, files.content(entry))
        except BlobAltered as error:
            reason = N_("the file changed while the pack was built")
            raise SourceInvalid(file=entry.path, where=manifest.pack, reason=reason) from error
    writer.finish(manifest, seal_envelope(manifest, [key]))
    return BuildResult(folder, manifest, len(manifest.files), manifest.size_bytes)
