"""A depot as its operator keeps it: the records on disk, the changes to come, and writing them so that none is half.

Everything a record names is written before it, and `timestamp.json`, by which readers find the rest, is replaced by
one rename at the end. So whatever stops it leaves the old depot; what was already written is taken up by the next run.
"""

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Signed,
    Snapshot,
    Targets,
    Timestamp,
)

from content_packs.base import atomic
from content_packs.base.errors import N_
from content_packs.base.signing import SigningKey, VerifyKey
from content_packs.trust import roles
from content_packs.trust.errors import DepotRefused
from content_packs.trust.keys import ListKey, ListSigner
from content_packs.usb.writing import make_folder

NOT_A_DEPOT = N_("there is no depot in this folder; make one with --init")
DAMAGED = N_("this record of the depot is damaged or not signed as it should be")
KEYS_MISSING = N_("not enough of the keys that sign it are at hand")

IS_A_DEPOT = N_("there is a depot in this folder already")

_Record = TypeVar("_Record", bound=Signed)
Keys = dict[str, SigningKey]


class Depot:
    """The newest state of a depot. Change the records, call `touch` for each one that was changed, then `commit`.

    Attributes:
        folder: where it is.
        root, targets: the records of the platform.
        publishers: the records of the publishers by their prefix; those whose right was taken away are not in it.
    """

    def __init__(self, folder: Path, root: Metadata[Root]) -> None:
        expires = root.signed.expires
        self.folder = folder
        self._root_before = root
        self.root = copy.deepcopy(root)
        self.targets: Metadata[Targets] = Metadata(_unwritten(Targets(expires=expires)))
        self.publishers: dict[str, Metadata[Targets]] = {}
        self._snapshot: Metadata[Snapshot] = Metadata(_unwritten(Snapshot(expires=expires, meta={})))
        self._timestamp: Metadata[Timestamp] = Metadata(_unwritten(Timestamp(expires=expires)))
        self._touched: set[str] = set()

    @classmethod
    def create(cls, folder: Path, keys: Mapping[str, Sequence[VerifyKey]], now_ms: int) -> "Depot":
        """Return a depot with its first root, of these keys by role, in memory.

        Raises:
            DepotRefused: there is a depot in the folder already.
        """
        if (folder / roles.file_name(Root.type, 1)).exists():
            raise DepotRefused(place=str(folder), reason=IS_A_DEPOT)
        root = _unwritten(Root(expires=roles.expiry(Root.type, now_ms)))
        for role, role_keys in keys.items():
            root.roles[role].threshold = roles.THRESHOLDS[role]
            for key in role_keys:
                root.add_key(ListKey(key), role)
        depot = cls(folder, Metadata(root))
        depot.touch(Root.type)
        depot.touch(Targets.type)
        return depot

    @classmethod
    def open(cls, folder: Path) -> "Depot":
        """Read a depot, together with what an interrupted run has written already.

        Raises:
            DepotRefused: there is none, or it is damaged.
        """
        depot = cls(folder, _newest_root(folder))
        depot._read()
        return depot

    @property
    def delegations(self) -> Delegations:
        """Return who may publish what."""
        if self.targets.signed.delegations is None:
            self.targets.signed.delegations = Delegations({}, {})
        return self.targets.signed.delegations

    @property
    def delegated(self) -> dict[str, DelegatedRole]:
        """Return the roles of the publishers by prefix."""
        return self.delegations.roles or {}

    @property
    def version(self) -> int:
        """Return the number of the list readers get; 0 before the first commit."""
        return self._timestamp.signed.version

    def touch(self, role: str) -> None:
        """Note that a record changed: it gets a new version, a new day it holds until, and new signatures."""
        self._touched.add(role)

    def is_written(self, role: str) -> bool:
        """Return whether there is a version of this role's record."""
        return bool(self._record(role).signed.version)

    def holds_until(self, role: str) -> int:
        """Return until when a record holds, in milliseconds UTC."""
        return roles.to_ms(self._record(role).signed.expires)

    def can_sign(self, role: str, keys: Keys) -> bool:
        """Return whether enough keys are there to sign a role's next record."""
        wanted = self._role(role, self.root.signed)
        return len(set(wanted.keyids) & keys.keys()) >= wanted.threshold

    def listed_version(self, role: str) -> int:
        """Return the highest version of a role's record that readers were given, 0 for none."""
        meta = self._snapshot.signed.meta.get(f"{role}.json")
        return meta.version if meta else 0

    def commit(self, keys: Keys, now_ms: int) -> bool:
        """Sign and write what was touched, and a new list over all of it; return whether readers see it now.

        Without the keys of the hub the records of publishers are written and wait for the hub's next run.

        Raises:
            DepotRefused: keys are missing; nothing was written then.
        """
        self._touch_stale(keys)
        at_hub = self.can_sign(Snapshot.type, keys) and self.can_sign(Timestamp.type, keys)
        if not at_hub and (not self._touched or self._touched & set(roles.TOP_ROLES)):
            raise DepotRefused(place=Snapshot.type, reason=KEYS_MISSING)
        records = self._next_records(keys, now_ms, at_hub=at_hub)
        root_last = self._reads_as_before(records)
        names = sorted(records, key=lambda role: _write_order(role, root_last=root_last))
        contents = [(roles.file_name(role, records[role].signed.version), records[role].to_bytes()) for role in names]
        make_folder(self.folder / roles.METADATA_NAME)
        for name, content in contents:
            atomic.write_file(self.folder / name, content)
        self._touched.clear()
        return at_hub

    def _read(self) -> None:
        self._timestamp = self._load(roles.file_name(Timestamp.type, 1))
        self._snapshot = self._load(roles.file_name(Snapshot.type, self._timestamp.signed.snapshot_meta.version))
        self.targets = self._newest(Targets.type)
        for prefix in self.delegated:
            self.publishers[prefix] = self._newest(prefix)

    def _newest(self, role: str) -> Metadata[Targets]:
        """Return the record that readers get, or the next one, if an interrupted run or a publisher left it ready."""
        version = self.listed_version(role)
        try:
            ready = self._load(roles.file_name(role, version + 1))
            if self._is_signed(role, ready):
                return ready
        except DepotRefused:
            pass
        if not version:
            return Metadata(_unwritten(Targets(expires=self.root.signed.expires)))
        return self._load(roles.file_name(role, version))

    def _load(self, name: str) -> Metadata[Any]:
        try:
            return Metadata.from_bytes((self.folder / name).read_bytes())
        except (OSError, RepositoryError) as error:
            raise DepotRefused(place=name, reason=DAMAGED) from error

    def _is_signed(self, role: str, record: Metadata[Any]) -> bool:
        delegator = self.root.signed if role in roles.TOP_ROLES else self.targets.signed
        return _is_signed(delegator, role, record)

    def _touch_stale(self, keys: Keys) -> None:
        """Sign anew what an interrupted change of keys left with signatures of the keys before."""
        if not self._is_signed(Targets.type, self.targets):
            self.touch(Targets.type)
        for prefix, record in self.publishers.items():
            if record.signed.version and not self._is_signed(prefix, record) and self.can_sign(prefix, keys):
                self.touch(prefix)

    def _record(self, role: str) -> Metadata[Any]:
        top: dict[str, Metadata[Any]] = {
            Root.type: self.root,
            Targets.type: self.targets,
            Snapshot.type: self._snapshot,
            Timestamp.type: self._timestamp,
        }
        return top[role] if role in top else self.publishers[role]

    def _role(self, role: str, root: Root) -> Role:
        return root.roles[role] if role in roles.TOP_ROLES else self.delegated[role]

    def _next_records(self, keys: Keys, now_ms: int, *, at_hub: bool) -> dict[str, Metadata[Any]]:
        """Return the records to write, signed; nothing of them is on disk yet."""
        written = {role: self._record(role) for role in self._touched}
        for role, record in written.items():
            record.signed.version += 1
            self._sign(role, record, keys, now_ms)
        if not at_hub:
            return written
        self._list_all()
        self._sign(Snapshot.type, self._snapshot, keys, now_ms)
        content = self._snapshot.to_bytes()
        self._timestamp.signed.version += 1
        self._timestamp.signed.snapshot_meta = MetaFile.from_data(self._snapshot.signed.version, content, ["sha256"])
        self._timestamp.signed.unrecognized_fields[roles.MADE_FIELD] = now_ms
        self._sign(Timestamp.type, self._timestamp, keys, now_ms)
        return written | {Snapshot.type: self._snapshot, Timestamp.type: self._timestamp}

    def _list_all(self) -> None:
        """Put the versions of all records into the snapshot; one that was ever in it stays, or boxes call it older."""
        for role, record in {Targets.type: self.targets, **self.publishers}.items():
            version = record.signed.version
            if role in self._touched:
                content = record.to_bytes()
            elif version:
                content = (self.folder / roles.file_name(role, version)).read_bytes()
            else:
                continue
            self._snapshot.signed.meta[f"{role}.json"] = MetaFile.from_data(version, content, ["sha256"])
        self._snapshot.signed.version += 1

    def _sign(self, role: str, record: Metadata[Any], keys: Keys, now_ms: int) -> None:
        """Sign by every key at hand that may: those of now, and those of before for readers with the old root."""
        record.signed.expires = roles.expiry(role, now_ms)
        record.signatures.clear()
        wanted = list(self._role(role, self.root.signed).keyids)
        if role in roles.TOP_ROLES:
            wanted += self._root_before.signed.roles[role].keyids
        for keyid in dict.fromkeys(wanted):
            if keyid in keys:
                record.sign(ListSigner(keys[keyid]), append=True)
        follows = role != Root.type or not self._is_begun or _is_signed(self._root_before.signed, role, record)
        if not follows or not self._is_signed(role, record):
            raise DepotRefused(place=role, reason=KEYS_MISSING)

    @property
    def _is_begun(self) -> bool:
        return self._root_before.signed.version > 0

    def _reads_as_before(self, records: Mapping[str, Metadata[Any]]) -> bool:
        """Return whether readers that do not know the new root yet can read the new list, if there are readers."""
        before, top = self._root_before.signed, set(records) & set(roles.TOP_ROLES)
        return not self._is_begun or all(_is_signed(before, role, records[role]) for role in top)


def key_ids(keys: Iterable[SigningKey]) -> dict[str, SigningKey]:
    """Return keys by the names they have in a list."""
    return {key.verify_key.key_id.hex(): key for key in keys}


def _unwritten(signed: _Record) -> _Record:
    """Return a record that is on no disk yet: its first version will be 1."""
    signed.version = 0
    return signed


def _is_signed(delegator: Root | Targets, role: str, record: Metadata[Any]) -> bool:
    try:
        delegator.verify_delegate(role, record.signed_bytes, record.signatures)
    except (RepositoryError, ValueError):
        return False
    return True


def _newest_root(folder: Path) -> Metadata[Root]:
    version = 0
    while (folder / roles.file_name(Root.type, version + 1)).is_file():
        version += 1
    if not version:
        raise DepotRefused(place=str(folder), reason=NOT_A_DEPOT)
    name = roles.file_name(Root.type, version)
    try:
        return Metadata.from_bytes((folder / name).read_bytes())
    except (OSError, RepositoryError) as error:
        raise DepotRefused(place=name, reason=DAMAGED) from error


def _write_order(role: str, *, root_last: bool) -> tuple[int, str]:
    """Return the place of a record in the order of writing: what is named before what names it."""
    order = {Targets.type: 1, Snapshot.type: 2, Timestamp.type: 3, Root.type: 4 if root_last else 0}
    return order.get(role, 1), role
