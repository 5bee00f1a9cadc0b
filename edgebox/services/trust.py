"""Whom this box believes about packs: publishers its technician knows, the platform's list, and itself.

A pack on the box was verified when it was installed, and is read by the keys that were good then: a new list, a
publisher's new key or a wrong clock takes no pack from a class. Only a publisher whose key file the technician removes
is gone at once with all packs, as is said in the technician's guide.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory

from content_packs.base import atomic
from content_packs.base.clock import Clock, SystemClock
from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import VerifyKey
from content_packs.format import keyfile
from content_packs.format.fields import is_local
from content_packs.format.manifest import Manifest
from content_packs.installer import Publisher
from content_packs.trust.errors import ListRollback
from content_packs.trust.gathering import GatheringReader
from content_packs.trust.keyring import BoxKeyring
from content_packs.trust.listing import PackList
from content_packs.trust.reading import DepotReader, FolderReader
from content_packs.trust.roles import METADATA_NAME
from content_packs.trust.store import TrustStore
from content_packs.usb.writing import make_folder
from edgebox.domain.catalogue import Shelved
from edgebox.services.identity import Identity
from edgebox.services.shelf import Stamp, read_publishers, stamp_publishers
from edgebox.settings import Settings

# A box does not know the name of its school; what it made itself is shown as such, by the pack's id.
OWN_NAME = "Edgebox"
ROOT_NAME = "edgebox-root.json"

log = logging.getLogger(__name__)


class Standing(Enum):
    """What is said today about a pack that is on the box."""

    GOOD = "good"
    WITHDRAWN = "withdrawn"
    UNLISTED = "unlisted"


class Trust:
    """The keys in `<data>/keys`, in memory. Lookups do not block; what does says so.

    Attributes:
        publishers: those the technician trusts, by key id.
        pack_list: the platform's, nothing on a box that has no root or has not seen a list yet.
        withdrawn_by_hub: versions of packs that the hub told this box to take for withdrawn.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        own: Identity | None = None,
        *,
        clock_is_set: Callable[[], bool] | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._own = own
        self._clock_is_set = clock_is_set or SystemClock().is_set
        self._store = TrustStore(settings.keys / "trust")
        self._kept: Mapping[bytes, Publisher] = {}
        self._refreshing = threading.Lock()
        self.publishers: Mapping[bytes, Publisher] = {}
        self.pack_list: PackList | None = None
        self.withdrawn_by_hub: frozenset[tuple[str, int]] = frozenset()

    def reload(self) -> None:
        """Read all keys and the list again. Blocks."""
        self.publishers = read_publishers(self._settings.keys / "publishers")
        self._kept = read_publishers(self._settings.keys / "signers")
        with self._refreshing:
            self.pack_list = self._store.load()

    def stamp(self) -> Stamp:
        """Return what differs as soon as a publisher's key file is put there, replaced or removed. Blocks."""
        return stamp_publishers(self._settings.keys / "publishers")

    @property
    def is_listed(self) -> bool:
        """Return whether this box goes by a platform's list. Blocks."""
        return self._store.has_root

    @property
    def withdrawn(self) -> frozenset[tuple[str, int]]:
        """Return the versions of packs that were taken back, by the list or by the hub."""
        return self.withdrawn_by_hub | (self.pack_list.withdrawn if self.pack_list else frozenset())

    def keyring(self) -> BoxKeyring:
        """Return the rules for taking new packs, as of now."""
        keys = {key_id: publisher.key for key_id, publisher in self.publishers.items()}
        return BoxKeyring(
            keys, own=self._own_keys(), pack_list=self.pack_list, now_ms=self.trusted_ms(), withdrawn=self.withdrawn
        )

    def trusted_ms(self) -> int | None:
        """Return the time, or None while nobody has set the clock. Blocks for as long as looking for a file takes."""
        return self._clock.now_ms() if self._clock_is_set() else None

    def readers(self) -> Mapping[bytes, Publisher]:
        """Return the keys by which packs on the box are read."""
        listed = {key_id: Publisher(*known) for key_id, known in self.pack_list.keys.items()} if self.pack_list else {}
        own = {key.key_id: Publisher(key, "") for key in self._own_keys()}
        known = {**listed, **self._kept, **self.publishers, **own}
        prefixes = self.pack_list.prefixes if self.pack_list else {}
        return {key_id: replace(one, prefix=prefixes.get(key_id, "")) for key_id, one in known.items()}

    def _own_keys(self) -> tuple[VerifyKey, ...]:
        """Return every key of this box: packs made here stay good when it gets a new one."""
        return self._own.verify_keys if self._own else ()

    def name_of(self, signer: bytes) -> str:
        """Return the name of who signed a pack, empty for this box itself and for strangers."""
        publisher = self.readers().get(signer)
        return publisher.name if publisher else ""

    def keep(self, signers: Iterable[Publisher]) -> None:
        """Keep the keys that signed packs on the box, so that these are read whatever a later list says. Blocks.

        Keys of the technician's publishers are not kept: removing their file is meant.
        """
        folder = self._settings.keys / "signers"
        for signer in signers:
            key_id = signer.key.key_id
            if key_id not in self._kept and key_id not in self.publishers:
                make_folder(folder)
                content = keyfile.format_public(signer.key, signer.name or OWN_NAME).encode()
                atomic.write_file(folder / f"{key_id.hex()}.pub", content)
        self._kept = read_publishers(folder)

    def add(self, content: bytes) -> str:
        """Trust a publisher, by the public key file, or a platform, by its root, and return the name of it. Blocks.

        Raises:
            SourceInvalid: it is no public key file.
            RootRefused: it is no root.
        """
        if content.lstrip().startswith(b"{"):
            self.set_root(content)
            return ROOT_NAME
        key, name = keyfile.parse_public(content, "--trust")
        folder = self._settings.keys / "publishers"
        make_folder(folder)
        atomic.write_file(folder / f"{key.key_id.hex()}.pub", keyfile.format_public(key, name).encode())
        return name

    def set_root(self, content: bytes) -> None:
        """Go by the lists that follow from this root. Blocks.

        Raises:
            RootRefused: it is none.
        """
        with self._refreshing:
            self._store.set_root(content)
            self.pack_list = self._store.load()

    def refresh(self, reader: DepotReader) -> PackList:
        """Take over the list of a depot. Blocks.

        Raises:
            Like `TrustStore.refresh`; the box goes on with the list it has.
        """
        with self._refreshing:
            self.pack_list = self._store.refresh(reader, self.trusted_ms())
            return self.pack_list

    def refresh_far(self, reader: DepotReader) -> None:
        """Take over the list of a depot behind a line; nobody else waits for the line meanwhile. Blocks.

        Nothing is asked by a box that goes by no list. A depot without one, or with the very list the box has, costs
        one small file; an older list is no trouble.

        Raises:
            Like `TrustStore.refresh`; the box goes on with the list it has.
        """
        line = GatheringReader(reader)
        if not self.is_listed or not line.has_news(self.pack_list):
            return
        with TemporaryDirectory() as folder:
            with self._refreshing:
                beside = self._store.copy_to(Path(folder) / "trust")
            # What is wrong with it is found again below, after what is good was kept.
            with suppress(EdgeboxError):
                beside.refresh(line, self.trusted_ms())
        try:
            self.refresh(line.gathered())
        except ListRollback:
            log.info("trust.older_list")

    def refresh_from(self, depots: Iterable[Path]) -> EdgeboxError | None:
        """Take over the lists in folders that may be depots; return why the last bad one was refused. Blocks.

        An older list is no trouble: sticks stay in drawers, and the box has a newer one.
        """
        refused: EdgeboxError | None = None
        for depot in depots:
            if self.is_listed and (depot / METADATA_NAME).is_dir():
                try:
                    self.refresh(FolderReader(depot))
                except ListRollback:
                    log.info("trust.older_list place=%s", depot)
                except EdgeboxError as error:
                    refused = error
        return refused

    def hand_on(self, depot: Path) -> bool:
        """Write the list this box goes by into a depot for others; see `TrustStore.write_records`. Blocks."""
        with self._refreshing:
            return self._store.write_records(depot)

    def standing(self, manifest: Manifest | Shelved, signer: bytes) -> Standing:
        """Return what is said today about a pack on the box."""
        named = (manifest.pack, manifest.version)
        if named in self.withdrawn:
            return Standing.WITHDRAWN
        if is_local(manifest.pack) or signer in self.publishers or not self.pack_list:
            return Standing.GOOD
        return Standing.GOOD if named in self.pack_list.packs else Standing.UNLISTED
