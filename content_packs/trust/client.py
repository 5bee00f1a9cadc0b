"""A box's walk through the records of a depot: python-tuf's client workflow, fed from any `DepotReader`.

python-tuf decides on signatures, versions and hashes; it gets the time from here, because a box without a clock must
not take a good list for an old one. What comes out is one whole `PackList` or a typed refusal.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadHTTPError,
    ExpiredMetadataError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Snapshot, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from content_packs.base import atomic
from content_packs.base.signing import VerifyKey
from content_packs.format.texts import TITLE_MAX, is_plain
from content_packs.format.vouching import ListExpired
from content_packs.trust import roles
from content_packs.trust.errors import ListBroken, ListRollback, ListUnsigned
from content_packs.trust.keys import ListKey
from content_packs.trust.listing import ListedPack, ListedPublisher, PackList
from content_packs.trust.reading import DepotReader, NotThere
from content_packs.usb.writing import make_folder

log = logging.getLogger(__name__)

_ALWAYS = datetime(1, 1, 1, tzinfo=UTC)
_NOT_FOUND = 404
_PUBLIC_BYTES = 32


def _limits() -> UpdaterConfig:
    """Return the limits a box reads lists with. Manifests keep their plain names: their folder names the version."""
    return UpdaterConfig(
        max_root_rotations=roles.ROOT_ROTATIONS_MAX,
        max_delegations=roles.PUBLISHERS_MAX,
        root_max_length=roles.ROOT_MAX_BYTES,
        timestamp_max_length=roles.TIMESTAMP_MAX_BYTES,
        snapshot_max_length=roles.SNAPSHOT_MAX_BYTES,
        targets_max_length=roles.TARGETS_MAX_BYTES,
        prefix_targets_with_hash=False,
    )


def fetch_list(records: Path, root: bytes, reader: DepotReader, now_ms: int | None) -> PackList:
    """Verify the newest list in a depot and return it. Blocks.

    Args:
        records: the box's folder of records seen so far; every verified one is kept there at once.
        root: the record the box began with.
        reader: the depot.
        now_ms: the time, or None when the clock is not trusted: then nothing is out of date.

    Raises:
        ListUnsigned, ListRollback, ListBroken, ListExpired: the list is refused.
        ListTooLarge, and what `reader` raises.
    """
    make_folder(records / "root_history")
    fetcher = _Fetcher(reader)
    with _refusals(fetcher):
        client = _Client(records, root, fetcher, _ALWAYS if now_ms is None else roles.to_time(now_ms))
        client.refresh()
        return client.read_list((records / f"{Timestamp.type}.json").read_bytes())


class _Fetcher(FetcherInterface):
    """Gives python-tuf the files of a depot, and remembers which was last, for the name of a refusal."""

    def __init__(self, reader: DepotReader) -> None:
        self._reader = reader
        self.name = ""
        self.content = b""

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Return a record; `url` is its name in the depot."""
        self.name, self.content = url, b""
        try:
            self.content = self._reader.read(url, max_length)
        except NotThere as error:
            raise DownloadHTTPError(url, _NOT_FOUND) from error
        return self.content

    def _fetch(self, url: str) -> Iterator[bytes]:
        yield self.download_bytes(url, roles.TARGETS_MAX_BYTES)

    @property
    def role(self) -> str:
        """Return the role of the file that was last."""
        name = self.name.rpartition("/")[2].removesuffix(".json")
        number, _, role = name.partition(".")
        return role if number.isdigit() else name

    @property
    def version(self) -> int:
        """Return the version that the last file says it has, 0 when it says none."""
        try:
            return int(Metadata[Any].from_bytes(self.content).signed.version)
        except RepositoryError:
            return 0


class _Client(Updater):
    """python-tuf's client with the time given, and with files that survive a power cut.

    Two things of it are not in its public interface: the time its trusted set goes by, and the loading of one role.
    """

    def __init__(self, records: Path, root: bytes, fetcher: _Fetcher, at: datetime) -> None:
        super().__init__(str(records), roles.METADATA_NAME, fetcher=fetcher, config=_limits(), bootstrap=root)
        self._trusted_set.reference_time = at

    def read_list(self, timestamp: bytes) -> PackList:
        """Load what every publisher says, and return all of it. Whether a publisher is late is judged at use."""
        trusted = self._trusted_set
        expires = min(each.expires for each in (trusted.root, trusted.timestamp, trusted.snapshot, trusted.targets))
        trusted.reference_time = _ALWAYS
        delegations = trusted.targets.delegations or Delegations({}, {})
        publishers = list((delegations.roles or {}).values())
        if len(publishers) > roles.PUBLISHERS_MAX:
            raise ListBroken(role=Targets.type)
        said = {role.name: record for role in publishers if (record := self._load_publisher(role.name))}
        return PackList(
            stamp=sha256(timestamp).digest(),
            made_ms=_made_ms(trusted.timestamp),
            expires_ms=roles.to_ms(expires),
            publishers=tuple(_publisher(role, delegations, said.get(role.name)) for role in publishers),
            packs=dict(_listed(delegations, said)),
            withdrawn=frozenset(_withdrawn(trusted.targets, delegations, said)),
        )

    def _load_publisher(self, name: str) -> Targets | None:
        """Return what a publisher says; nothing before its first pack, and between a change of key and the next one.

        Neither keeps the box from the packs of the others.
        """
        if f"{name}.json" not in self._trusted_set.snapshot.meta:
            return None
        try:
            return self._load_targets(name, Targets.type)
        except UnsignedMetadataError:
            log.warning("trust.publisher_unsigned role=%s", name)
            return None

    def _persist_file(self, filename: str, data: bytes) -> None:
        path = Path(filename)
        if not path.exists() or path.read_bytes() != data:
            atomic.write_file(path, data)

    def _update_root_symlink(self) -> None:
        """Do nothing: a box always begins with the root its technician gave, never with the last one it saw."""


@contextmanager
def _refusals(fetcher: _Fetcher) -> Iterator[None]:
    """Turn what python-tuf says into our errors; those of the reader pass."""
    try:
        yield
    except UnsignedMetadataError as error:
        raise ListUnsigned(role=fetcher.role) from error
    except ExpiredMetadataError as error:
        raise ListExpired(since=_since(fetcher)) from error
    except BadVersionNumberError as error:
        is_older = fetcher.role == Timestamp.type or (
            fetcher.role == Snapshot.type and fetcher.name == roles.file_name(Snapshot.type, fetcher.version)
        )
        raise (ListRollback if is_older else ListBroken)(role=fetcher.role) from error
    except (RepositoryError, DownloadHTTPError, ValueError) as error:
        raise ListBroken(role=fetcher.role) from error


def _since(fetcher: _Fetcher) -> str:
    expires = Metadata[Any].from_bytes(fetcher.content).signed.expires
    return str(expires.date().isoformat())


def _made_ms(timestamp: Timestamp) -> int:
    made_ms = timestamp.unrecognized_fields.get(roles.MADE_FIELD)
    return made_ms if type(made_ms) is int else 0


def _publisher(role: DelegatedRole, delegations: Delegations, said: Targets | None) -> ListedPublisher:
    name = role.unrecognized_fields.get(roles.NAME_FIELD)
    is_shown = isinstance(name, str) and 1 <= len(name) <= TITLE_MAX and is_plain(name)
    keys = [delegations.keys[keyid] for keyid in role.keyids if keyid in delegations.keys]
    return ListedPublisher(
        prefix=role.name,
        name=str(name) if is_shown else role.name,
        keys=tuple(key.verify_key for key in keys if isinstance(key, ListKey)),
        expires_ms=roles.to_ms(said.expires) if said else 0,
    )


def _listed(delegations: Delegations, said: dict[str, Targets]) -> Iterator[tuple[tuple[str, int], ListedPack]]:
    """Yield what each publisher lists of its own: names that others were given are not looked at (TUF 5.6.7)."""
    for prefix, targets in said.items():
        for path, target in targets.targets.items():
            named = roles.parse_target_path(path)
            if named is None or not _is_owner(prefix, path, delegations):
                continue
            try:
                digest = bytes.fromhex(target.hashes["sha256"])
                signer = VerifyKey(bytes.fromhex(target.unrecognized_fields["custom"][roles.SIGNER_FIELD]))
            except (KeyError, TypeError, ValueError):
                continue
            if len(signer.raw) == _PUBLIC_BYTES:
                yield named, ListedPack(prefix, target.length, digest, signer)


def _withdrawn(platform: Targets, delegations: Delegations, said: dict[str, Targets]) -> Iterator[tuple[str, int]]:
    """Yield what the platform took back, and what each publisher took back of its own."""
    for path in _paths(platform):
        if named := roles.parse_target_path(path):
            yield named
    for prefix, targets in said.items():
        for path in _paths(targets):
            if _is_owner(prefix, path, delegations) and (named := roles.parse_target_path(path)):
                yield named


def _paths(targets: Targets) -> list[str]:
    found = targets.unrecognized_fields.get(roles.WITHDRAWN_FIELD)
    return [path for path in found if isinstance(path, str)] if isinstance(found, list) else []


def _is_owner(prefix: str, path: str, delegations: Delegations) -> bool:
    """Return whether this publisher is the first that was given the path: publishers do not share ids."""
    return next((name for name, _ in delegations.get_roles_for_target(path)), None) == prefix
