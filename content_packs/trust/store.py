"""What a box trusts, on disk: the root it began with, the records it has seen, and the last whole list.

    root.json    the root a technician gave; whatever follows is signed by its keys or by those that replaced them
    records/     the newest records, one by one as they were verified: they make rollback impossible
    list.ebl     the last whole list (`content_packs.trust.listing`)
    spare.ebl    the same, for when the disk spoils the first: what was withdrawn is not forgotten then

A power cut, a line that drops or a hostile stick in the middle of a newer list leaves the old list in use.
"""

import logging
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Timestamp

from content_packs.base import atomic
from content_packs.base.errors import N_, EdgeboxError
from content_packs.trust import roles
from content_packs.trust.errors import ListTooLarge, RootRefused
from content_packs.trust.listing import PackList, decode_list, encode_list
from content_packs.trust.reading import DepotReader, FolderReader, NotThere
from content_packs.usb.writing import make_folder, write_whole

NO_ROOT = N_("no such file was given to this box yet")
_HISTORY = "root_history"
NOT_A_ROOT = N_("it is not a root of lists, or not enough of its own keys signed it")

log = logging.getLogger(__name__)


class TrustStore:
    """The folder `keys/trust` of a box. One process at a time; all calls block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder / "root.json"
        self._records = folder / "records"
        self._lists = (folder / "list.ebl", folder / "spare.ebl")

    @property
    def has_root(self) -> bool:
        """Return whether this box goes by lists at all."""
        return self._root.exists()

    def set_root(self, content: bytes) -> None:
        """Begin to trust the lists that follow from a root; another root than before makes the old list void.

        Raises:
            RootRefused: it is none.
        """
        check_root(content)
        make_folder(self._folder)
        if self.has_root and self._root.read_bytes() != content:
            for path in self._lists:
                path.unlink(missing_ok=True)
            shutil.rmtree(self._records, ignore_errors=True)
        atomic.write_file(self._root, content)

    def copy_to(self, folder: Path) -> "TrustStore":
        """Return a store in another folder that has seen what this one has."""
        shutil.copytree(self._folder, folder)
        return TrustStore(folder)

    def load(self) -> PackList | None:
        """Return the last whole list; nothing when there is none, or when both of its files are damaged."""
        for path in self._lists:
            try:
                return decode_list(path.read_bytes())
            except FileNotFoundError:
                continue
            except (OSError, EdgeboxError, KeyError, ValueError, TypeError) as error:
                log.warning("trust.list_unreadable file=%s error=%s", path.name, error)
        return None

    def refresh(self, reader: DepotReader, now_ms: int | None) -> PackList:
        """Take over the list of a depot and return it; when it is refused, the box keeps the one it has.

        A depot with the very list the box has costs one small file.

        `now_ms` is None when the clock is not trusted. It never counts as earlier than the day of the last list.

        Raises:
            RootRefused: this box has no root.
            ListUnsigned, ListRollback, ListBroken, ListExpired, ListTooLarge: the list is refused.
            EdgeboxError: what `reader` raises.
        """
        if not self.has_root:
            raise RootRefused(reason=NO_ROOT)
        before = self.load()
        if before is not None and self._is_same(reader, before):
            self._keep(before)
            return before
        if now_ms is not None and before is not None:
            now_ms = max(now_ms, before.made_ms)
        # Here, because most boxes follow no list, and the client takes 3 MB of a box's memory.
        from content_packs.trust.client import fetch_list

        found = fetch_list(self._records, self._root.read_bytes(), reader, now_ms)
        self._keep(found)
        return found

    def _keep(self, found: PackList) -> None:
        """Write the list into each file that does not hold it yet; the first is the one that is read."""
        content = encode_list(found)
        for path in self._lists:
            if not path.exists() or path.read_bytes() != content:
                atomic.write_file(path, content)

    def write_records(self, depot: Path) -> bool:
        """Write the records of the box's list into a depot for others, such as `edgebox` on a stick; return success.

        Nothing is written when the box has no whole list, or when the depot has one that is not older, or one of
        another platform; and nothing through a link. Blocks.
        """
        found, timestamp = self.load(), self._records / f"{Timestamp.type}.json"
        if depot.is_symlink() or (depot / roles.METADATA_NAME).is_symlink():
            return False
        if found is None or sha256(timestamp.read_bytes()).digest() != found.stamp or not self._may_replace(depot):
            return False
        make_folder(depot / roles.METADATA_NAME)
        for path in sorted((self._records / _HISTORY).glob("*.json")):
            write_whole(depot / roles.METADATA_NAME / path.name, path.read_bytes())
        for path in sorted(self._records.glob("*.json"), key=lambda path: (path == timestamp, path.name)):
            content = path.read_bytes()
            write_whole(depot / roles.file_name(path.name.removesuffix(".json"), _version(content)), content)
        return True

    def _may_replace(self, depot: Path) -> bool:
        """Return whether a folder has no list yet, or an older one of the same platform: with a root in common."""
        reader, roots = FolderReader(depot), sorted((self._records / _HISTORY).glob("*.json"))
        try:
            theirs = _version(reader.read(roles.file_name(Timestamp.type, 0), roles.TIMESTAMP_MAX_BYTES))
        except NotThere:
            return True
        except (RepositoryError, ListTooLarge):
            return False
        ours = _version((self._records / f"{Timestamp.type}.json").read_bytes())
        return theirs < ours and any(_has_root(reader, path) for path in roots)

    def _is_same(self, reader: DepotReader, pack_list: PackList) -> bool:
        try:
            timestamp = reader.read(roles.file_name(Timestamp.type, 0), roles.TIMESTAMP_MAX_BYTES)
        except NotThere:
            return False
        return sha256(timestamp).digest() == pack_list.stamp


def _has_root(reader: DepotReader, path: Path) -> bool:
    try:
        return reader.read(f"{roles.METADATA_NAME}/{path.name}", roles.ROOT_MAX_BYTES) == path.read_bytes()
    except (NotThere, ListTooLarge):
        return False


def _version(content: bytes) -> int:
    return int(Metadata[Any].from_bytes(content).signed.version)


def check_root(content: bytes) -> None:
    """Return if `content` is a root record signed by itself.

    Raises:
        RootRefused: it is not.
    """
    try:
        if len(content) > roles.ROOT_MAX_BYTES:
            raise ValueError("too large")
        found = Metadata[Root].from_bytes(content)
        if found.signed.type != Root.type or not found.signed.consistent_snapshot:
            raise ValueError("not a root")
        found.signed.verify_delegate(Root.type, found.signed_bytes, found.signatures)
    except (RepositoryError, ValueError) as error:
        raise RootRefused(reason=NOT_A_ROOT) from error
