"""Reading the files of a box in turn, to find damage before a class does; and what is damaged now.

The turn is the order of hashes, and where it stands is kept in `<data>/blobs/scrub.cursor`, so the file that was not
read for longest is always next, however often the box was switched off. A damaged file is put aside by one rename.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.format.errors import LibraryBusy
from content_packs.format.manifest import FileEntry
from content_packs.format.selection import selected_blobs
from content_packs.installer import library
from content_packs.installer.blobs import BlobStore, Verdict

CURSOR_NAME = "scrub.cursor"
NOTE_EVERY_MS = 60_000

OnChecked = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What a run did; `has_gone_round` when it has read every file."""

    checked_files: int
    checked_bytes: int
    damaged_files: int
    has_gone_round: bool


@dataclass(frozen=True, slots=True)
class WantedBlob:
    """A file that installed packs need and the box does not have.

    Attributes:
        packs: (pack, version) of those that need it; each place that has one of them may have the file.
    """

    entry: FileEntry
    packs: tuple[tuple[str, int], ...]


def scrub(
    data: Path,
    *,
    budget_ms: int | None,
    monotonic_ms: Callable[[], int],
    stopped: Callable[[], bool] = lambda: False,
    on_checked: OnChecked = lambda _: None,
) -> ScrubReport:
    """Read files until the time is over, or all of them once. Blocks; safe to stop and to repeat.

    A file that has begun is read to its end, so that a large one has its turn as well.

    Raises:
        OSError: the disk does not take the note of how far it got.
    """
    store, begun_ms = library.blob_store(data), monotonic_ms()
    for content_hash in store.aside():
        store.put_back(content_hash)
    noted_ms = begun_ms
    files = total_bytes = damaged = 0
    last = b""
    for content_hash in _turn(store, _read_cursor(data)):
        now_ms = monotonic_ms()
        if stopped() or (files and budget_ms is not None and now_ms - begun_ms >= budget_ms):
            break
        size_bytes = _size_bytes(store, content_hash)
        verdict = store.check(content_hash, stopped)
        if verdict is Verdict.UNKNOWN:
            break
        damaged += verdict is Verdict.DAMAGED and _put_aside(data, store, content_hash)
        files, total_bytes, last = files + 1, total_bytes + size_bytes, content_hash
        on_checked(total_bytes)
        if now_ms - noted_ms >= NOTE_EVERY_MS:
            noted_ms = now_ms
            _write_cursor(data, last)
    else:
        return _noted(data, last, ScrubReport(files, total_bytes, damaged, has_gone_round=True))
    return _noted(data, last, ScrubReport(files, total_bytes, damaged, has_gone_round=False))


def wanted_blobs(data: Path) -> list[WantedBlob]:
    """Return the files that installed packs need and the box does not have; looks at sizes, reads no content."""
    store = library.blob_store(data)
    missing: dict[bytes, FileEntry] = {}
    packs: dict[bytes, list[tuple[str, int]]] = {}
    for pack in library.iterate_installed(data):
        for key, entry in selected_blobs(pack.manifest, pack.selection).items():
            if key in missing or not store.has(key, entry.size_bytes):
                missing.setdefault(key, entry)
                packs.setdefault(key, []).append((pack.manifest.pack, pack.manifest.version))
    return [WantedBlob(entry, tuple(packs[key])) for key, entry in missing.items()]


def _turn(store: BlobStore, cursor: bytes) -> Iterator[bytes]:
    hashes = list(store.hashes())
    yield from (each for each in hashes if each > cursor)
    yield from (each for each in hashes if each <= cursor)


def _put_aside(data: Path, store: BlobStore, content_hash: bytes) -> bool:
    """Put a damaged file aside, unless something is being installed: then it is found again in the next round."""
    try:
        with library.library_lock(data):
            # Once more under the lock: an installation may have repaired it.
            if store.check(content_hash) is not Verdict.DAMAGED:
                return False
            store.put_aside(content_hash)
    except LibraryBusy:
        return False
    # Whoever has the file open looks at the folder of packs for changes, and closes it then.
    os.utime(library.packs_folder(data))
    return True


def _size_bytes(store: BlobStore, content_hash: bytes) -> int:
    try:
        return store.path_of(content_hash).stat().st_size
    except OSError:
        return 0


def _noted(data: Path, last: bytes, report: ScrubReport) -> ScrubReport:
    if last:
        _write_cursor(data, last)
    return report


def _read_cursor(data: Path) -> bytes:
    try:
        return bytes.fromhex((library.blob_store(data).root / CURSOR_NAME).read_text())
    except (OSError, ValueError):
        return b""


def _write_cursor(data: Path, content_hash: bytes) -> None:
    atomic.write_file(library.blob_store(data).root / CURSOR_NAME, content_hash.hex().encode())
