"""Filling a stick for the next school: packs of this box, read back as the stick gives them before they count.

A pack is on the stick once its manifest is, and that is written last, after every file of every pack was read back and
compared: a stick that is pulled out, or that keeps less than it says, never offers half a pack. A cheap test beforehand
would prove little, because where a file lies is the file system's choice; so all that was written is read. Nothing that
is not ours is changed, and no link is followed.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from content_packs.format import layout
from content_packs.format.errors import BlobAltered, BlobMissing, StickGone
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.format.selection import EVERYTHING, Selection, selected_blobs, serialise_selection
from content_packs.usb.errors import ExportCancelled, StickFull, StickLies, StickPlaceTaken
from content_packs.usb.faults import stick_faults
from content_packs.usb.reading import PackFolder
from content_packs.usb.streaming import ReadFile, read_ahead
from content_packs.usb.writing import PackWriter, holds, make_folder, write_whole

RESERVE_BYTES = 16_000_000
_CLUSTER_BYTES = 64 * 1024  # the largest unit in which FAT32 and exFAT sticks are commonly made
_MB = 1_000_000
_PROBE_NAME = "probe.tmp"

OnProgress = Callable[[int, int, str], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True)
class Cargo:
    """One pack to be put on a stick.

    Attributes:
        envelope: the bytes of its signed manifest.
        read: gives the content of one of its files.
        selection: the parts that are taken along.
        beside: further files that go with it, by their place below the stick's folder `edgebox`.
    """

    manifest: Manifest
    envelope: bytes
    read: ReadFile
    selection: Selection = EVERYTHING
    beside: Mapping[str, Path] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Return the folder of the pack, relative to the stick."""
        return layout.pack_folder(self.manifest.pack, self.manifest.version)

    @cached_property
    def entries(self) -> tuple[FileEntry, ...]:
        """Return one entry per distinct content."""
        return tuple(selected_blobs(self.manifest, self.selection).values())

    @cached_property
    def size_bytes(self) -> int:
        """Return the bytes of all distinct contents."""
        return sum(entry.size_bytes for entry in self.entries)


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """What filling a stick takes: `needed_bytes` of space, of which `usable_bytes` there are."""

    needed_bytes: int
    usable_bytes: int

    @property
    def fits(self) -> bool:
        """Return whether all of it fits."""
        return self.needed_bytes <= self.usable_bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A pack that could not be put on the stick, while the others could."""

    manifest: Manifest
    error: EdgeboxError


@dataclass(frozen=True, slots=True)
class ExportResult:
    """What is on the stick now, and what could not be put there."""

    exported: tuple[Manifest, ...]
    refused: tuple[Refused, ...]
    written_bytes: int


class Exporter:
    """Puts packs on one stick. It may be run again after any failure; it then goes on where it stopped.

    Attributes:
        stick: where it is.
    """

    def __init__(self, stick: Path, cargo: Sequence[Cargo], *, part_bytes: int = layout.PART_BYTES) -> None:
        self.stick = stick
        self._cargo = tuple(cargo)
        self._part_bytes = part_bytes
        self._root: os.stat_result | None = None
        self._written: set[tuple[str, bytes]] = set()
        self._written_bytes = 0
        self._good_bytes = 0
        self._done_bytes = 0
        self._on_progress: OnProgress = lambda *_: None
        self._cancelled: Cancelled = lambda: False

    def plan(self) -> ExportPlan:
        """Return what has to be written and how much room there is. Blocks.

        Raises:
            StickGone: the stick does not answer.
        """
        with stick_faults(self.stick):
            missing = [entry for cargo in self._cargo for entry in self._missing(cargo)]
            status = os.statvfs(self.stick)
        usable_bytes = max(status.f_bavail * status.f_frsize - RESERVE_BYTES, 0)
        return ExportPlan(sum(map(needed_bytes, missing)), usable_bytes)

    def run(self, on_progress: OnProgress = lambda *_: None, cancelled: Cancelled = lambda: False) -> ExportResult:
        """Write the packs, read them back, then write their manifests. Blocks; call it in a worker thread.

        `on_progress` gets bytes done, bytes in all (every byte counts twice: written and read back), and the file.

        Raises:
            StickFull: found before anything is written, or when the stick fills up on the way.
            StickLies: the stick did not keep what was written.
            StickPlaceTaken: something else has the name of one of our folders.
            StickReadOnly, StickGone, ExportCancelled: run it again.
        """
        self._on_progress, self._cancelled = on_progress, cancelled
        with stick_faults(self.stick):
            self.check()
            refused = [found for cargo in self._cargo if (found := self._write(cargo)) is not None]
            bad = {one.manifest.pack for one in refused}
            whole = [cargo for cargo in self._cargo if cargo.manifest.pack not in bad]
            for cargo in whole:
                self._read_back(cargo)
            for cargo in whole:
                self._finish(cargo)
        return ExportResult(tuple(cargo.manifest for cargo in whole), tuple(refused), self._written_bytes)

    def check(self) -> None:
        """Return if the packs can be put on the stick; nothing is written.

        Raises:
            StickFull, StickPlaceTaken, StickGone: they cannot.
        """
        with stick_faults(self.stick):
            self._check_there()
            self._check_places()
            self._cargo = tuple(map(self._with_parts_there, self._cargo))
            plan = self.plan()
        if not plan.fits:
            raise _full(plan)

    @property
    def total_bytes(self) -> int:
        """Return what progress counts up to."""
        return 2 * sum(cargo.size_bytes for cargo in self._cargo)

    def _missing(self, cargo: Cargo) -> list[FileEntry]:
        folder = self.stick / cargo.place
        if not folder.is_dir():
            return list(cargo.entries)
        writer = self._writer(cargo)
        return [entry for entry in cargo.entries if not writer.has(entry)]

    def _writer(self, cargo: Cargo) -> PackWriter:
        self._check_there()
        return PackWriter(self.stick / cargo.place, part_bytes=self._part_bytes)

    def _check_there(self) -> None:
        """Raise StickGone if the stick was unmounted: what is written into the folder that is left is on the box."""
        status = self.stick.stat()
        self._root = self._root or status
        if not os.path.samestat(status, self._root):
            raise StickGone(place=str(self.stick), reason="ENOENT")

    def _check_places(self) -> None:
        """Refuse to write through anything that is not a plain folder, or over a manifest that is another one."""
        for cargo in self._cargo:
            for folder in _folders_of(cargo):
                self._check_folder(folder)
            manifest = self.stick / cargo.place / layout.MANIFEST_NAME
            if os.path.lexists(manifest) and not holds(manifest, cargo.envelope):
                raise StickPlaceTaken(place=f"{cargo.place}/{layout.MANIFEST_NAME}")

    def _check_folder(self, folder: str) -> None:
        try:
            status = (self.stick / folder).lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(status.st_mode):
            raise StickPlaceTaken(place=folder)

    def _write(self, cargo: Cargo) -> Refused | None:
        """Write what is missing; a pack whose files are damaged on this box is refused, and the others go on."""
        missing = self._missing(cargo)
        self._step(cargo.size_bytes - sum(entry.size_bytes for entry in missing), "")
        try:
            self._write_files(cargo, missing)
        except (BlobMissing, BlobAltered) as error:
            return Refused(cargo.manifest, error)
        return None

    def _write_files(self, cargo: Cargo, entries: Iterable[FileEntry]) -> None:
        writer = self._writer(cargo)
        steps = read_ahead(entries, cargo.read)
        try:
            for first in steps:
                entry = first[0]
                self._check_there()
                writer.write_blob(entry, self._chunks(first, steps))
                self._written.add((cargo.manifest.pack, entry.hash))
                self._written_bytes += entry.size_bytes
        finally:
            steps.close()
            writer.settle()

    def _chunks(
        self, step: tuple[FileEntry, bytes, bool], steps: Iterator[tuple[FileEntry, bytes, bool]]
    ) -> Iterator[bytes]:
        """Yield the chunks of one file from the stream of all."""
        while True:
            entry, chunk, is_last = step
            yield chunk
            self._step(len(chunk), entry.path)
            if is_last:
                return
            step = next(steps)

    def _read_back(self, cargo: Cargo) -> None:
        """Compare all files of the pack as the stick gives them; what an earlier run left damaged is written again."""
        writer = self._writer(cargo)
        spoiled = [entry for entry in cargo.entries if not self._is_kept(writer, cargo, entry)]
        if not spoiled:
            return
        for entry in spoiled:
            writer.remove(entry)
        self._write_files(cargo, spoiled)
        for entry in spoiled:
            if not writer.is_intact(entry):
                raise self._lies()

    def _is_kept(self, writer: PackWriter, cargo: Cargo, entry: FileEntry) -> bool:
        if writer.is_intact(entry, lambda size_bytes: self._step(size_bytes, entry.path)):
            self._good_bytes += entry.size_bytes
            return True
        if (cargo.manifest.pack, entry.hash) in self._written:
            raise self._lies()
        return False

    def _with_parts_there(self, cargo: Cargo) -> Cargo:
        """Add the parts that the stick has of this version already: nothing is taken away from it."""
        if not os.path.lexists(self.stick / cargo.place / layout.MANIFEST_NAME):
            return cargo
        with PackFolder(self.stick / cargo.place) as there:
            return replace(cargo, selection=cargo.selection.united(there.read_selection()))

    def _finish(self, cargo: Cargo) -> None:
        """Write what goes with the pack and its manifest, and see that the stick keeps these as well."""
        for name, source in cargo.beside.items():
            self._put(self.stick / layout.STICK_NAME / name, source.read_bytes())
        parts = self.stick / cargo.place / layout.SELECTION_NAME
        if cargo.manifest.parts and not all(map(cargo.selection.takes, cargo.manifest.parts)):
            self._put(parts, serialise_selection(cargo.selection))
        elif os.path.lexists(parts):
            parts.unlink()
        self._put(self.stick / cargo.place / layout.MANIFEST_NAME, cargo.envelope)
        self._on_progress(self._done_bytes, self.total_bytes, "")

    def _put(self, path: Path, content: bytes) -> None:
        self._check_there()
        make_folder(path.parent)
        if not holds(path, content):
            write_whole(path, content)
        if not holds(path, content):
            path.unlink()
            raise self._lies()

    def _step(self, size_bytes: int, file: str) -> None:
        if self._cancelled():
            raise ExportCancelled
        self._done_bytes = min(self._done_bytes + size_bytes, self.total_bytes)
        self._on_progress(self._done_bytes, self.total_bytes, file)

    def _lies(self) -> StickLies:
        """Return what to raise when a file came back changed, unless the stick was pulled.

        FAT says of every file of a pulled stick that it does not exist; only a write tells.
        """
        self._check_there()
        probe = self.stick / layout.STICK_NAME / _PROBE_NAME
        write_whole(probe, b"is anybody there")
        probe.unlink()
        status = os.statvfs(self.stick)
        claimed_mb = status.f_blocks * status.f_frsize // _MB
        return StickLies(stick=self.stick.name, claimed_mb=claimed_mb, kept_mb=self._good_bytes // _MB)


def needed_bytes(entry: FileEntry) -> int:
    """Return what a file takes on a stick, whose last unit is rarely full."""
    return (entry.size_bytes // _CLUSTER_BYTES + 1) * _CLUSTER_BYTES


def _folders_of(cargo: Cargo) -> Iterator[str]:
    """Yield every folder that is written into, from the top down, relative to the stick."""
    inner = {f"{cargo.place}/{layout.BLOBS_NAME}"}
    inner |= {f"{cargo.place}/{layout.blob_name(entry.hash)}".rpartition("/")[0] for entry in cargo.entries}
    inner |= {f"{layout.STICK_NAME}/{name}".rpartition("/")[0] for name in cargo.beside}
    yield from sorted({folder[:end] for path in inner for folder in [path + "/"] for end in _ends(folder)})


def _ends(folder: str) -> list[int]:
    return [place for place, mark in enumerate(folder) if mark == "/"]


def _full(plan: ExportPlan) -> StickFull:
    return StickFull(needed_mb=-(-plan.needed_bytes // _MB), usable_mb=plan.usable_bytes // _MB)
