"""Installing a pack: verify who made it, copy what is missing, verify every byte, then make it visible at once.

Nothing is installed until the manifest is written, by one rename, after all files are there. Whatever stops it before
(a pulled stick, a power cut, somebody who cancels) leaves the packs of the box as they were, and the files verified so
far are not copied again.
"""

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from content_packs.base import atomic
from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import VerifyKey
from content_packs.format import layout
from content_packs.format.envelope import open_envelope, split_envelope
from content_packs.format.errors import InstallCancelled, PackDiffers, PackRollback, PackSpace
from content_packs.format.manifest import Manifest
from content_packs.format.selection import Selection
from content_packs.installer import library
from content_packs.installer.intake import Intake
from content_packs.installer.planning import InstallPlan, MeasureDisk, measure_disk, plan
from content_packs.usb.reading import PackFolder
from content_packs.usb.streaming import read_ahead

OnProgress = Callable[[int, int, str], None]
Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class InstallResult:
    """What an installation did; `bytes_copied` is 0 when everything was there before."""

    manifest: Manifest
    signer: bytes
    bytes_copied: int


class Installer:
    """Installs the pack in one folder. It may be run again after any failure; it then goes on where it stopped."""

    def __init__(
        self,
        folder: Path,
        data: Path,
        trusted: Mapping[bytes, VerifyKey],
        *,
        measure: MeasureDisk = measure_disk,
    ) -> None:
        self._folder = folder
        self._data = data
        self._trusted = trusted
        self._measure = measure
        self._store = library.blob_store(data)

    def plan(self) -> InstallPlan:
        """Return what `run` would copy.

        Raises:
            Like `run`, but nothing is copied and PackSpace is not raised.
        """
        with PackFolder(self._folder) as pack:
            manifest, _ = open_envelope(pack.read_manifest(), self._trusted)
            return self._plan(
                manifest, library.parts_to_take(self._data, manifest.pack, manifest.version, pack.read_selection())
            )

    def run(self, on_progress: OnProgress = lambda *_: None, cancelled: Cancelled = lambda: False) -> InstallResult:
        """Install the pack. Blocks; call it in a worker thread.

        `on_progress` gets bytes done, bytes in all, and the file at work, after every step. `cancelled` is asked
        before every step; it may be called from this thread only.

        Raises:
            PackUnsigned, SignerUnknown, PackSignatureInvalid, ManifestMalformed, FormatUnsupported, PathRefused: the
                manifest is refused.
            PackRollback: the box has or had a higher version.
            PackDiffers: the box has other content under this version.
            PackSpace: too little space; found before anything is copied, or when the disk fills up on the way.
            BlobMissing, BlobAltered: a file is not what was signed.
            StickGone, InstallCancelled, LibraryBusy: run it again.
        """
        with library.library_lock(self._data), PackFolder(self._folder) as pack:
            envelope = pack.read_manifest()
            manifest, signer = open_envelope(envelope, self._trusted)
            self._refuse_rollback(manifest, envelope)
            selection = library.parts_to_take(self._data, manifest.pack, manifest.version, pack.read_selection())
            to_copy = self._plan(manifest, selection)
            to_copy.check()
            for entry in to_copy.missing.values():
                pack.check_size(entry)
            with full_disk(to_copy.bytes_needed):
                self._store.sweep_incoming()
                self._copy(pack, to_copy, on_progress, cancelled)
                self._finish(manifest, envelope, selection)
        return InstallResult(manifest, signer, to_copy.bytes_to_copy)

    def _plan(self, manifest: Manifest, selection: Selection) -> InstallPlan:
        """Plan; when the pack is installed already, installing it again is a repair, so its files are read."""
        space = self._measure(self._data)
        is_repair = self._manifest_path(manifest).exists()
        return plan(manifest, self._store, space.free_bytes, space.total_bytes, recheck=is_repair, selection=selection)

    def _refuse_rollback(self, manifest: Manifest, envelope: bytes) -> None:
        highest = library.highest_version(self._data, manifest.pack)
        if manifest.version < highest:
            raise PackRollback(pack=manifest.pack, installed=highest, offered=manifest.version)
        path = self._manifest_path(manifest)
        if path.exists() and not _is_same(path.read_bytes(), envelope):
            raise PackDiffers(pack=manifest.pack, offered=manifest.version)

    def _copy(self, pack: PackFolder, to_copy: InstallPlan, on_progress: OnProgress, cancelled: Cancelled) -> None:
        done_bytes = to_copy.bytes_total - to_copy.bytes_to_copy
        steps = read_ahead(to_copy.missing.values(), pack.read_blob)
        with closing(steps), Intake(self._store) as intake:
            for entry, chunk, is_last in steps:
                if cancelled():
                    raise InstallCancelled
                intake.write(chunk)
                if is_last:
                    intake.keep(entry.hash, entry.path)
                done_bytes += len(chunk)
                on_progress(done_bytes, to_copy.bytes_total, entry.path)
        if cancelled():
            raise InstallCancelled
        on_progress(done_bytes, to_copy.bytes_total, "")

    def _finish(self, manifest: Manifest, envelope: bytes, selection: Selection) -> None:
        """Write the parts first: a manifest never promises files that were not asked for."""
        path = self._manifest_path(manifest)
        library.keep_selection(self._data, manifest, selection)
        if not path.exists() or path.read_bytes() != envelope:
            atomic.write_file(path, envelope)
        library.want_parts(self._data, manifest.pack, manifest.version, None)

    def _manifest_path(self, manifest: Manifest) -> Path:
        return library.packs_folder(self._data) / layout.installed_name(manifest.pack, manifest.version)


@contextmanager
def full_disk(needed_bytes: int) -> Iterator[None]:
    """Turn what the system says when the disk fills up into PackSpace."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise PackSpace(needed_bytes=needed_bytes, usable_bytes=0) from error
        raise


def _is_same(stored: bytes, offered: bytes) -> bool:
    """Return whether both sign the same manifest; a damaged one on the box may be replaced."""
    try:
        return split_envelope(stored).signed == split_envelope(offered).signed
    except EdgeboxError:
        return True
