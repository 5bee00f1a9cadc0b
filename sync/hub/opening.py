"""From the bytes of a bundle to its box, head and records, whichever of the two forms it has."""

from dataclasses import dataclass, replace

from content_packs.base.signing import PairKey, SealingKey
from sync.bundle.body import Body
from sync.bundle.errors import BundleUnknownOrigin
from sync.bundle.layout import HAS_BODY, BundleKind, Head, Vector
from sync.bundle.paired import Paired, is_paired, parse_paired, unseal_paired
from sync.bundle.read import SignedBundle, check_sealed, peek_origin, unseal_bundle, verify_bundle, verify_head
from sync.hub.decoding import Leash, decode_apart
from sync.hub.keys import HubKeys
from sync.hub.store import boxes
from sync.hub.store.boxes import Box
from sync.hub.store.worker import Transaction
from sync.records.rows import Record

# A child that reads a bundle costs some 0.1 s, as much as reading this many records here.
LARGE_MIN_RECORDS = 2_000
LARGE_MIN_BYTES = 1 << 20


@dataclass(frozen=True)
class Checked:
    """A bundle that its box made; its records are not read yet, whichever form it has."""

    head: Head
    _found: SignedBundle | bytes

    @property
    def with_file(self) -> SignedBundle | None:
        """Return the bundle if it carries a file and no records."""
        is_file = self.head.kind is BundleKind.FILE
        return self._found if is_file and isinstance(self._found, SignedBundle) else None

    @property
    def is_large(self) -> bool:
        """Return whether its records take long to read, or much memory; that shows in its head, not in its length."""
        return (
            self.head.plain_bytes > LARGE_MIN_BYTES or sum(count for _, count in self.head.counts) > LARGE_MIN_RECORDS
        )

    def open(self, key: SealingKey) -> list[Record]:
        """Return the records. Raises like `Body.unpack`, and like `unseal_bundle`."""
        return Body.from_head(self.head).unpack(self._unseal(key))

    def open_apart(self, key: SealingKey, leash: Leash) -> list[Record]:
        """Return the records, read by a process of their own. Raises like `decode_apart`, and like `unseal_bundle`."""
        return decode_apart(self._unseal(key), Body.from_head(self.head), leash=leash)

    def _unseal(self, key: SealingKey) -> bytes:
        """Return the packed body; a short one was unsealed when it was checked."""
        return unseal_bundle(self._found, key) if isinstance(self._found, SignedBundle) else self._found


def find_sender(connection: Transaction, content: bytes) -> Box:
    """Return the box that a bundle claims to be from, unverified.

    Raises:
        BundleUnknownOrigin: none that is enrolled here.
        EdgeboxError: not a bundle.
    """
    if is_paired(content):
        box_no = parse_paired(content).box_no
        box, name = boxes.find_box_no(connection, box_no), str(box_no)
    else:
        origin = peek_origin(content)
        box, name = boxes.find_box(connection, origin), origin.hex()[:12]
    if box is None:
        raise BundleUnknownOrigin(origin=name)
    return box


def check_start(start: bytes, box: Box, keys: HubKeys) -> Head:
    """Return the head of a bundle that the box made, whose start is here; of a short one that is all of it.

    Raises:
        EdgeboxError: a refusal with a code; the body need not be read.
    """
    if is_paired(start):
        return check(start, box, keys).head
    return verify_head(start, {box.verify_key.key_id: box.verify_key}, HAS_BODY)


def check(content: bytes, box: Box, keys: HubKeys) -> Checked:
    """Return the bundle, once it is clear that the box made it.

    Raises:
        EdgeboxError: a refusal with a code.
    """
    if is_paired(content):
        paired = parse_paired(content)
        head = replace(paired.head, origin=box.verify_key.key_id, acks=(_vector(paired, keys),))
        return Checked(head, unseal_paired(paired, PairKey(keys.sealing, box.verify_key.sealing_public)))
    signed = verify_bundle(content, {box.verify_key.key_id: box.verify_key}, HAS_BODY)
    if signed.head.kind is not BundleKind.FILE:
        check_sealed(signed.head, keys.sealing)
    return Checked(signed.head, signed)


def _vector(paired: Paired, keys: HubKeys) -> Vector:
    """Return the box's word on the hub's bundles; a short bundle without one says that it has none."""
    said = paired.head.acks[0] if paired.head.acks else Vector(b"", 0, 0, 0)
    return replace(said, origin=keys.signing.verify_key.key_id)
