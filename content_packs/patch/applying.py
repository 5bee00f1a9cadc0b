"""Applying a patch: verify who made it, make the new contents from those the box has, then show the version at once.

New contents are blobs under their own hashes, so the version that is there stays whole. Nothing is installed until the
manifest, put together from the old one, was found to carry its publisher's signature, and is written by one rename.
Whatever stops it before leaves the packs of the box as they were, and contents made so far are not made again.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.compress import CompressedMalformed, read_against
from content_packs.base.errors import EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.base.memory import give_back_large_blocks
from content_packs.base.signing import VerifyKey
from content_packs.format import layout
from content_packs.format.envelope import open_envelope, split_envelope
from content_packs.format.errors import (
    InstallCancelled,
    LibraryBusy,
    PackDiffers,
    PackRollback,
    PackSignatureInvalid,
    PackSpace,
    SignerUnknown,
)
from content_packs.format.selection import EVERYTHING, selected_blobs
from content_packs.installer import library, planning
from content_packs.installer.install import Cancelled, InstallResult, OnProgress, full_disk
from content_packs.installer.intake import Intake
from content_packs.installer.planning import MeasureDisk, check_space, measure_disk, on_disk_bytes
from content_packs.patch import journal, plan
from content_packs.patch.errors import PatchBaseMissing, PatchMalformed, PatchMemory, PatchResultDiffers
from content_packs.patch.head import FEATURE_PARTS, MEMORY_BYTES, PatchHead
from content_packs.patch.journal import Journal
from content_packs.patch.plan import PLAN_MAX_BYTES, Known, Plan, Work
from content_packs.patch.reading import PatchFile
from content_packs.patch.table import HASH, NO_BASE, SIZE, part_of
from content_packs.patch.workshop import Unit, Workshop, units


@dataclass(frozen=True, slots=True)
class PatchLimits:
    """What applying may use; `measure` tells the space of the disk."""

    memory_bytes: int = MEMORY_BYTES
    measure: MeasureDisk = measure_disk


@dataclass(frozen=True, slots=True)
class Inspected:
    """What a patch would do on this box.

    Attributes:
        needed_bytes: of the contents it makes here.
        title: of the version it makes, as whoever signed the patch says; empty when it says none.
        usable_bytes: what may be written.
        takes_bytes: what it takes on the disk, with the last block of every file.
    """

    head: PatchHead
    needed_bytes: int
    title: Mapping[str, str]
    takes_bytes: int
    usable_bytes: int

    @property
    def fits(self) -> bool:
        """Return whether the reserve stays free."""
        return self.takes_bytes <= self.usable_bytes

    def check(self) -> None:
        """Return if it fits.

        Raises:
            PackSpace: it does not.
        """
        if not self.fits:
            raise PackSpace(needed_bytes=self.takes_bytes, usable_bytes=self.usable_bytes)


def apply_patch(
    data: Path,
    patch: Path,
    trusted: Mapping[bytes, VerifyKey],
    *,
    limits: PatchLimits = PatchLimits(),
    on_progress: OnProgress = lambda *_: None,
    cancelled: Cancelled = lambda: False,
) -> InstallResult:
    """Install the version that the file `patch` makes. Blocks; call it in a worker thread. Safe to repeat.

    `on_progress` gets bytes done, bytes in all, and the file at work; `cancelled` is asked before every step.
    The version it starts from stays installed.

    Raises:
        PatchMalformed: the file is damaged, cut short or no patch.
        SignerUnknown, PatchSignatureInvalid: it cannot be trusted.
        PatchBaseMissing, PatchResultDiffers, PatchMemory, PatchUnsupported: get the version in another way.
        PackRollback, PackDiffers: the box has or had a higher version, or other content under this one.
        PackSpace: too little space; found before anything is made, or when the disk fills up on the way.
        FormatUnsupported, ManifestMalformed, PathRefused: the new manifest is refused.
        InstallCancelled, LibraryBusy: run it again.
    """
    give_back_large_blocks()
    try:
        with library.library_lock(data), PatchFile(patch, trusted) as file:
            return _Update(data, file, trusted, limits, on_progress, cancelled).run()
    except PatchResultDiffers:
        # What was made is of no use to anybody.
        with suppress(LibraryBusy):
            library.sweep(data)
        raise


def inspect_patch(
    data: Path, patch: Path, trusted: Mapping[bytes, VerifyKey], *, limits: PatchLimits = PatchLimits()
) -> Inspected:
    """Return what a patch would do; nothing is written.

    Raises:
        Like `apply_patch`, as far as it can be known before; but for PackSpace, which `check` raises.
    """
    with PatchFile(patch, trusted) as file:
        return _Update(data, file, trusted, limits, lambda *_: None, lambda: False).inspect()


class _Update:
    def __init__(
        self,
        data: Path,
        file: PatchFile,
        trusted: Mapping[bytes, VerifyKey],
        limits: PatchLimits,
        on_progress: OnProgress,
        cancelled: Cancelled,
    ) -> None:
        self._data = data
        self._file = file
        self._head = file.head
        self._trusted = trusted
        self._limits = limits
        self._on_progress = on_progress
        self._cancelled = cancelled
        self._store = library.blob_store(data)
        self._packs = library.packs_folder(data)
        self._path = self._packs / layout.installed_name(self._head.pack, self._head.to_version)
        self._selection = library.parts_to_take(data, self._head.pack, self._head.to_version, EVERYTHING)

    def inspect(self) -> Inspected:
        """Return what is to be made, if that is possible."""
        self._check_head()
        following = self._read_plan()
        left_out = self._left_out(following)
        targets = following.work.targets
        sizes = [target.size_bytes for number, target in enumerate(targets) if number not in left_out]
        usable_bytes = planning.usable_bytes(self._limits.measure(self._data))
        return Inspected(self._head, sum(sizes), following.title, sum(map(on_disk_bytes, sizes)), usable_bytes)

    def run(self) -> InstallResult:
        """Apply; a record of earlier work that leads to a wrong result is thrown away and all is made again."""
        self._check_head()
        if there := self._already_there():
            return there
        work, left_out = self._read_work()
        self._store.sweep_incoming()
        log = Journal(self._packs, blake2b_256(self._head.blocks + self._head.from_root))
        done = {number: one for number, one in log.read().items() if self._is_done(work, number, one)}
        try:
            return self._finish(self._make(work, log, done, left_out), left_out)
        except PatchResultDiffers:
            journal.discard_all(self._packs)
            self._explain(work, left_out)
            if not done:
                raise
        return self._finish(self._make(work, log, {}, left_out), left_out)

    def _check_head(self) -> None:
        if self._head.memory_bytes > self._limits.memory_bytes:
            raise PatchMemory(needed_bytes=self._head.memory_bytes, usable_bytes=self._limits.memory_bytes)
        highest = library.highest_version(self._data, self._head.pack)
        if self._head.to_version < highest:
            raise PackRollback(pack=self._head.pack, installed=highest, offered=self._head.to_version)

    def _already_there(self) -> InstallResult | None:
        """Return the result if the version is installed and all its files are there."""
        if not self._path.exists():
            return None
        manifest, signer = open_envelope(self._path.read_bytes(), self._trusted)
        if not manifest.root.startswith(self._head.to_root):
            raise PackDiffers(pack=self._head.pack, offered=self._head.to_version)
        needed = selected_blobs(manifest, self._selection)
        if not all(self._store.has(entry.hash, entry.size_bytes) for entry in needed.values()):
            return None
        library.keep_selection(self._data, manifest, self._selection)
        library.want_parts(self._data, manifest.pack, manifest.version, None)
        return InstallResult(manifest, signer, 0)

    def _find_base(self) -> Known:
        """Return what is known of the installed version the patch starts from."""
        if self._head.is_full:
            return plan.known(None)
        path = self._packs / layout.installed_name(self._head.pack, self._head.from_version)
        try:
            base = plan.known(split_envelope(path.read_bytes()))
        except (FileNotFoundError, EdgeboxError) as error:
            raise self._base_missing() from error
        if not base.root.startswith(self._head.from_root):
            raise self._base_missing()
        return base

    def _read_work(self) -> tuple[Work, dict[int, bytes]]:
        """Return what is to be made, if all that stays and is needed is there; and the targets the box does without."""
        following = self._read_plan()
        return following.work, self._left_out(following)

    def _left_out(self, following: Plan) -> dict[int, bytes]:
        """Return the targets the box does without, if all that stays and is needed is there."""
        left_out = following.left_out(self._selection)
        self._check_kept(following, left_out)
        parts = following.work.parts
        return {target: one for target, one in following.told.items() if left_out.issuperset(parts[target])}

    def _read_plan(self) -> Plan:
        """Return the plan; it and the lists in it are read again at the end rather than held all the time."""
        base = self._find_base()
        source = self._file.part(0, self._head.plan_bytes)
        known = bytearray(base.plan_base())
        try:
            steps = read_against(known, source, limit_bytes=PLAN_MAX_BYTES, window_max_bytes=PLAN_MAX_BYTES)
            following = plan.read_plan(b"".join(steps), base, self._file.signer)
        except CompressedMalformed as error:
            raise PatchMalformed(reason="plan") from error
        if bool(following.told) != (FEATURE_PARTS in self._head.features):
            raise PatchMalformed(reason="features")
        if not any(key_id in self._trusted for key_id, _ in following.signatures):
            raise SignerUnknown(signer=self._file.signer.hex())
        return following

    def _check_kept(self, following: Plan, left_out: frozenset[int]) -> None:
        for entry in following.table.entries():
            is_kept = isinstance(entry[HASH], bytes) and part_of(entry) not in left_out
            if is_kept and not self._store.has(entry[HASH], entry[SIZE]):
                raise self._base_missing()

    def _is_done(self, work: Work, number: int, content_hash: bytes) -> bool:
        return number < len(work.targets) and self._store.has(content_hash, work.targets[number].size_bytes)

    def _make(self, work: Work, log: Journal, done: Mapping[int, bytes], left_out: Mapping[int, bytes]) -> list[bytes]:
        """Make what is not done yet and not left out; return the hash of every target."""
        hashes = {**left_out, **done}
        to_make = [target for number, target in enumerate(work.targets) if number not in hashes]
        needed_bytes = sum(on_disk_bytes(target.size_bytes) for target in to_make)
        self._check_space(needed_bytes)
        workshop = Workshop(self._file, work, self._store)
        progress = _Progress(work, left_out, self._on_progress, self._cancelled)
        made: dict[int, bytes] = {}
        with full_disk(needed_bytes), Intake(self._store, lambda: log.take_over(made)) as intake:
            for unit in units(work, self._head.plan_bytes):
                if not all(target in hashes for target in unit.targets):
                    for target, content_hash in self._make_unit(workshop, unit, intake, progress):
                        hashes[target] = made[target] = content_hash
                progress.done(unit)
        return [hashes[number] for number in range(len(work.targets))]

    def _make_unit(
        self, workshop: Workshop, unit: Unit, intake: Intake, progress: "_Progress"
    ) -> Iterator[tuple[int, bytes]]:
        """Make the contents of one unit; yield every target with its hash when it is on its way into the store."""
        try:
            for target, content in zip(unit.targets, workshop.contents(unit), strict=True):
                for step in progress.observed(content):
                    intake.write(step)
                yield target, intake.keep_any()
        except FileNotFoundError as error:
            raise self._base_missing() from error

    def _check_space(self, needed_bytes: int) -> None:
        check_space(self._limits.measure(self._data), needed_bytes)

    def _finish(self, hashes: list[bytes], left_out: Mapping[int, bytes]) -> InstallResult:
        """Put the manifest together, check its own signature, and show it."""
        envelope = plan.rebuild(self._read_plan(), self._head, hashes)
        try:
            manifest, signer = open_envelope(envelope, self._trusted)
        except PackSignatureInvalid as error:
            raise PatchResultDiffers(pack=self._head.pack) from error
        if not manifest.root.startswith(self._head.to_root):
            raise PatchResultDiffers(pack=self._head.pack)
        library.keep_selection(self._data, manifest, self._selection)
        if not self._path.exists() or self._path.read_bytes() != envelope:
            atomic.write_file(self._path, envelope)
        library.want_parts(self._data, manifest.pack, manifest.version, None)
        journal.discard_all(self._packs)
        sizes = {entry.hash: entry.size_bytes for entry in manifest.files}
        made = {content_hash for number, content_hash in enumerate(hashes) if number not in left_out}
        return InstallResult(manifest, signer, sum(sizes[content_hash] for content_hash in made))

    def _explain(self, work: Work, left_out: Mapping[int, bytes]) -> None:
        """Tell a base that is damaged on the box from a result that differs for another reason."""
        used = {target.base for number, target in enumerate(work.targets) if number not in left_out}
        if not all(self._store.is_intact(work.bases[base][0]) for base in used - {NO_BASE}):
            raise self._base_missing()

    def _base_missing(self) -> PatchBaseMissing:
        return PatchBaseMissing(pack=self._head.pack, version=self._head.from_version, root=self._head.from_root.hex())


class _Progress:
    """Tells how far an update is, and stops it when somebody cancels."""

    def __init__(self, work: Work, left_out: Container[int], on_progress: OnProgress, cancelled: Cancelled) -> None:
        self._targets = work.targets
        self._left_out = left_out
        self._total_bytes = self._bytes_of(range(len(work.targets)))
        self._done_bytes = 0
        self._on_progress = on_progress
        self._cancelled = cancelled

    def observed(self, content: Iterator[bytes]) -> Iterator[bytes]:
        """Pass `content` on, and stop when somebody cancels."""
        for step in content:
            if self._cancelled():
                raise InstallCancelled
            yield step

    def done(self, unit: Unit) -> None:
        """Tell that a unit is done."""
        self._done_bytes += self._bytes_of(unit.targets)
        self._on_progress(self._done_bytes, self._total_bytes, "")

    def _bytes_of(self, targets: Iterable[int]) -> int:
        return sum(self._targets[target].size_bytes for target in targets if target not in self._left_out)
