"""What an interrupted update has made so far: a file of fixed records under `packs`, thrown away when it is done.

Hashes of new contents are not in a patch, so without this record nobody would know which blob is which content. It is
not trusted: a wrong record leads to a manifest whose signature does not fit.
"""

import os
from pathlib import Path
from typing import Final

from content_packs.base import atomic
from content_packs.base.hashing import HASH_BYTES, blake2b_256
from content_packs.usb.writing import make_folder, write_all

ENDING: Final = ".making"
_NUMBER_BYTES: Final = 4
_CHECK_BYTES: Final = 4
_RECORD_BYTES: Final = _NUMBER_BYTES + HASH_BYTES + _CHECK_BYTES


class Journal:
    """The targets that are done, by number, for the patch with one signed head."""

    def __init__(self, packs: Path, sealed_head_hash: bytes) -> None:
        self._path = packs / f"{sealed_head_hash.hex()[:32]}{ENDING}"

    def read(self) -> dict[int, bytes]:
        """Return the hash of every target that is done; damaged records are passed over."""
        content = self._path.read_bytes() if self._path.exists() else b""
        records = [content[at : at + _RECORD_BYTES] for at in range(0, len(content), _RECORD_BYTES)]
        return dict(_parse(record) for record in records if _is_whole(record))

    def take_over(self, made: dict[int, bytes]) -> None:
        """Note targets as done, each with its hash, and empty `made`; flushed on return."""
        make_folder(self._path.parent)
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # What a power cut left of a record is written over.
            os.lseek(descriptor, os.fstat(descriptor).st_size // _RECORD_BYTES * _RECORD_BYTES, os.SEEK_SET)
            write_all(descriptor, b"".join(_record(*pair) for pair in made.items()))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            atomic.sync_directory(self._path.parent)
        made.clear()


def discard_all(packs: Path) -> None:
    """Remove the records of updates that are done or were given up; only under the library's lock."""
    for path in sorted(packs.glob(f"*{ENDING}")):
        path.unlink()


def _record(number: int, content_hash: bytes) -> bytes:
    told = number.to_bytes(_NUMBER_BYTES, "big") + content_hash
    return told + blake2b_256(told)[:_CHECK_BYTES]


def _is_whole(record: bytes) -> bool:
    told, check = record[:-_CHECK_BYTES], record[-_CHECK_BYTES:]
    return len(record) == _RECORD_BYTES and blake2b_256(told)[:_CHECK_BYTES] == check


def _parse(record: bytes) -> tuple[int, bytes]:
    return int.from_bytes(record[:_NUMBER_BYTES], "big"), record[_NUMBER_BYTES:-_CHECK_BYTES]
