"""A file on its way: the bytes so far, and a journal that says which of them count.

    <key>.part      the file at its final length as far as it was written, with holes
    <key>.journal   what it will be, which blocks are verified, how much there is of others, and what sources called it

The journal is replaced as a whole after the bytes it speaks of were flushed. A power cut therefore loses what came
since it was last written, and never makes anything count that is not there.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from content_packs.base import atomic, codec
from content_packs.base.codec import CodecMalformed
from content_packs.base.hashing import Hasher
from content_packs.fetch.blocks import BlockMap
from content_packs.usb.writing import make_folder, write_all

JOURNAL_MAX_BYTES = 16 * 1024**2
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Journal:
    """What counts of a partial file.

    Attributes:
        target: hash that stands for what is being fetched; bytes of another target are never mixed in.
        head_bytes: how much of the head is there.
        held: one byte per block, 1 where it is verified.
        parts: bytes of blocks that are not whole.
        validators: by source, what it called this state of its file.
    """

    target: bytes
    head_bytes: int = 0
    held: bytes = b""
    parts: dict[int, int] = field(default_factory=dict)
    validators: dict[str, str] = field(default_factory=dict)


class PartialFile:
    """The two files of one fetch in `folder`. Every method blocks."""

    def __init__(self, folder: Path, key: str) -> None:
        make_folder(folder)
        self.path = folder / f"{key}.part"
        self._journal = folder / f"{key}.journal"
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def read_journal(self, target: bytes) -> Journal:
        """Return what counts, nothing if the files are of another target or damaged."""
        found = None
        if os.fstat(self._descriptor).st_size and self._journal.exists():
            found = _parse(self._journal.read_bytes())
        if found is not None and found.target == target:
            return found
        self._forget()
        os.ftruncate(self._descriptor, 0)
        return Journal(target)

    def write(self, offset: int, content: bytes) -> None:
        """Write bytes to their place; they count once the journal was written."""
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        write_all(self._descriptor, content)

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return bytes, fewer if there are not so many."""
        return os.pread(self._descriptor, size_bytes, offset)

    def is_good(self, blocks: BlockMap, block: int) -> bool:
        """Read a block and return whether it has its hash."""
        at, end = blocks.bounds(block)
        hasher = Hasher()
        while at < end and (chunk := self.read(at, min(_CHUNK_BYTES, end - at))):
            hasher.update(chunk)
            at += len(chunk)
        return hasher.digest() == blocks.hashes[block]

    def write_journal(self, journal: Journal) -> None:
        """Flush the bytes, then make the journal count."""
        os.fsync(self._descriptor)
        record = {
            "target": journal.target,
            "head_bytes": journal.head_bytes,
            "held": journal.held,
            "parts": [[block, got_bytes] for block, got_bytes in sorted(journal.parts.items())],
            "validators": journal.validators,
        }
        atomic.write_file(self._journal, codec.encode(record), mode=0o600)

    def discard(self) -> None:
        """Close and remove both files; safe to repeat."""
        self.close()
        self._forget()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file; what was written stays. Safe to repeat."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _forget(self) -> None:
        """Remove the journal, for good, before the bytes change that it speaks of."""
        if self._journal.exists():
            self._journal.unlink()
            atomic.sync_directory(self._journal.parent)


def sweep(folder: Path, before_ms: int) -> None:
    """Remove what nobody went on with since then: the version it was meant for is history. Blocks."""
    for path in sorted(folder.glob("*.journal")):
        if path.stat().st_mtime_ns < before_ms * 1_000_000:
            path.unlink()
            path.with_suffix(".part").unlink(missing_ok=True)
    for path in sorted(folder.glob("*.part")):
        if path.stat().st_mtime_ns < before_ms * 1_000_000 and not path.with_suffix(".journal").exists():
            path.unlink()


def _parse(content: bytes) -> Journal | None:
    """Return the journal in a file this program wrote, None if the disk made something else of it."""
    try:
        record: Any = codec.decode(content, max_bytes=JOURNAL_MAX_BYTES)
        parts = {int(block): int(got_bytes) for block, got_bytes in record["parts"]}
        validators = {str(name): str(value) for name, value in record["validators"].items()}
        return Journal(bytes(record["target"]), int(record["head_bytes"]), bytes(record["held"]), parts, validators)
    except (CodecMalformed, KeyError, TypeError, ValueError, AttributeError):
        return None
