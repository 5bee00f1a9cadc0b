"""Checking a pack folder from end to end without installing it."""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from content_packs.base.hashing import Hasher
from content_packs.base.signing import VerifyKey
from content_packs.format.envelope import open_envelope
from content_packs.format.errors import BlobAltered, BlobMissing
from content_packs.format.manifest import FileEntry, Manifest
from content_packs.format.selection import selected_blobs, selected_files
from content_packs.usb.reading import PackFolder

WORKERS = 2


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file of the course that is not what was signed, and the code of the error: missing or altered."""

    file: str
    code: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The whole of what was found; `bad_files` is empty for a good pack."""

    manifest: Manifest
    signer: bytes
    bad_files: tuple[BadFile, ...]

    @property
    def is_good(self) -> bool:
        """Return whether every file is what was signed."""
        return not self.bad_files


def verify(folder: Path, trusted: Mapping[bytes, VerifyKey]) -> VerifyReport:
    """Return what is wrong with the files of the pack in `folder`; reads all of the parts it says it has.

    Raises:
        PackUnsigned, SignerUnknown, PackSignatureInvalid, ManifestMalformed, FormatUnsupported, PathRefused: the
            manifest itself is refused.
        PackNotFound, StickGone: there is nothing to read.
    """
    with PackFolder(folder) as pack:
        manifest, signer = open_envelope(pack.read_manifest(), trusted)
        selection = pack.read_selection()
        blobs = selected_blobs(manifest, selection)
        # Reading one file and hashing another at the same time: both leave the interpreter to others.
        with ThreadPoolExecutor(WORKERS) as workers:
            codes = dict(zip(blobs, workers.map(partial(_fault_code, pack), blobs.values()), strict=True))
    files = selected_files(manifest, selection)
    bad = tuple(BadFile(entry.path, codes[entry.hash]) for entry in files if codes[entry.hash])
    return VerifyReport(manifest, signer, bad)


def _fault_code(pack: PackFolder, entry: FileEntry) -> str:
    try:
        return "" if _hash_of(pack.read_blob(entry)) == entry.hash else BlobAltered.code
    except (BlobMissing, BlobAltered) as error:
        return error.code


def _hash_of(content: Iterable[bytes]) -> bytes:
    hasher = Hasher()
    for chunk in content:
        hasher.update(chunk)
    return hasher.digest()
