"""The files of a pack folder as whoever makes a patch needs them: verified, whole, and large ones not in memory."""

import mmap
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

from content_packs.base.hashing import Hasher
from content_packs.format.envelope import Envelope, split_envelope
from content_packs.format.errors import BlobAltered
from content_packs.format.manifest import FileEntry
from content_packs.patch import containers
from content_packs.patch.containers import Buffer
from content_packs.patch.table import Entry
from content_packs.usb.reading import PackFolder

_HELD_MAX_BYTES: Final = 32 * 1024**2


def read_envelope(folder: Path) -> Envelope:
    """Return the envelope of the pack in `folder`. Raises like `PackFolder` and `split_envelope`."""
    with PackFolder(folder) as pack:
        return split_envelope(pack.read_manifest())


def read_content(folder: Path, entry: Entry) -> Buffer:
    """Return one file of the pack.

    Raises:
        BlobMissing, BlobAltered, StickGone: it is not there as it was signed.
    """
    hasher = Hasher()
    with PackFolder(folder) as pack:
        content = whole(_hashed(pack.read_blob(FileEntry(*entry[:4])), hasher))
    if hasher.digest() != entry[2]:
        raise BlobAltered(file=entry[0])
    return content


def opened_content(content: Buffer, kind: int, left: tuple[int, ...]) -> Buffer:
    """Return the opened form of a container."""
    return whole(containers.open_container(content, kind, left))


def whole(steps: Iterable[bytes]) -> Buffer:
    """Return all of `steps` in one; what is long is mapped from a file without a name."""
    with TemporaryFile() as file:
        for step in steps:
            file.write(step)
        file.flush()
        length = file.tell()
        if length <= _HELD_MAX_BYTES:
            file.seek(0)
            return file.read()
        return mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ)


def _hashed(steps: Iterable[bytes], hasher: Hasher) -> Iterable[bytes]:
    for step in steps:
        hasher.update(step)
        yield step
