"""The short form of a small bundle, between a box and a hub that know each other. See docs/bundle-format.md.

Their two long-lived keys give one secret (X25519, RFC 7748) that only they have. Head and body are sealed with it by
one XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha), whose 16-byte tag stands in for signature, seal and hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from content_packs.base import ids
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import PairKey, SealBroken
from sync.bundle import codec0, codec1, layout, varint
from sync.bundle.errors import BundleForged, BundleMalformed, BundleTooLarge, BundleUnsupported
from sync.bundle.limits import PAIRED_MAX_BYTES, PLAIN_MAX_BYTES, RANGES_MAX
from sync.bundle.write import Range
from sync.records.kinds import Kind
from sync.records.rows import Record

FORMAT_VERSION = 2
PREVIOUS_BYTES = 4
_FRAME = layout.MAGIC + bytes([FORMAT_VERSION])
_SALT_BYTES = 4
_TAG_BYTES = 16
_SECOND_MS = 1000
_HAS_VECTOR = 1 << 3
_IS_EXPRESS = 1 << 4
_QUALITY = _HAS_VECTOR - 1
_FLAGS = _QUALITY | _HAS_VECTOR | _IS_EXPRESS
_CONTEXT = b"edgebox paired 2\0"


@dataclass(frozen=True, slots=True)
class Paired:
    """A short bundle as far as its head tells, unverified.

    Attributes:
        head: `origin` and `sealed_to` are empty, they are not in the file.
        head_bytes: the bytes up to the body, which the tag covers.
    """

    box_no: int
    head: layout.Head
    head_bytes: bytes
    body: bytes


def is_paired(content: bytes) -> bool:
    """Return whether the bytes begin like a short bundle."""
    return content.startswith(_FRAME)


def write_paired(
    records: Sequence[Record],
    span: Range,
    *,
    pair: PairKey,
    box_no: int,
    created_ms: int,
    clock_quality: int = layout.ClockQuality.UNKNOWN,
    vector: layout.Vector | None = None,
    is_coarse: bool = False,
    kind: layout.BundleKind = layout.BundleKind.RECORDS,
) -> bytes:
    """Return one short bundle; `vector` is what the box holds of this hub's bundles.

    Raises:
        BundleTooLarge: over 8 KiB; make a bundle of the usual form.
        RecordMalformed: a field out of its bounds.
    """
    created_seconds, is_express = max(created_ms, 0) // _SECOND_MS, kind is layout.BundleKind.EXPRESS
    plain_bytes, packed = codec1.pack_records(records, around_ms=created_seconds * _SECOND_MS, is_coarse=is_coarse)
    counts = sorted(codec0.count_by_kind(records).items())
    numbers = [span.epoch, span.seq, span.from_change, span.through_change - span.from_change, created_seconds]
    numbers += [plain_bytes, len(counts), *(number for pair_ in counts for number in pair_)]
    if vector is not None:
        numbers += [vector.epoch, vector.through_seq, vector.through_change, len(vector.ranges)]
        numbers += [number for first, last in vector.ranges for number in (first, last)]
    head = b"".join(
        [
            _FRAME,
            bytes([int(clock_quality) & _QUALITY | _HAS_VECTOR * (vector is not None) | _IS_EXPRESS * is_express]),
            varint.pack(box_no),
            b"" if is_express else (span.previous_hash or bytes(PREVIOUS_BYTES))[:PREVIOUS_BYTES],
            *map(varint.pack, numbers),
            ids.random_bytes(_SALT_BYTES),
        ]
    )
    content = head + pair.seal(_CONTEXT, head, packed)
    if len(content) > PAIRED_MAX_BYTES:
        raise BundleTooLarge(limit="size")
    return content


def parse_paired(content: bytes) -> Paired:
    """Return the parts of a short bundle, every number of the head within its bounds.

    Raises:
        BundleMalformed, BundleTooLarge, BundleUnsupported: not a short bundle.
    """
    if not is_paired(content):
        raise BundleMalformed(reason="not a bundle")
    if len(content) > PAIRED_MAX_BYTES:
        raise BundleTooLarge(limit="size")
    cursor = _Cursor(content, len(_FRAME))
    flags = cursor.take_bytes(1)[0]
    if flags > _FLAGS:
        raise BundleUnsupported(what=f"flags {flags}")
    box_no, is_express = cursor.number(), bool(flags & _IS_EXPRESS)
    previous = layout.NO_PREVIOUS if is_express else cursor.take_bytes(PREVIOUS_BYTES)
    epoch, seq, first, more, created_seconds, plain_bytes = (cursor.number() for _ in range(6))
    kind = layout.BundleKind.EXPRESS if is_express else layout.BundleKind.RECORDS
    counts = cursor.counts(kind)
    vectors = (cursor.vector(),) if flags & _HAS_VECTOR else ()
    cursor.take_bytes(_SALT_BYTES)
    body = content[cursor.place :]
    if seq < 1 or first < 1 or len(body) < _TAG_BYTES or plain_bytes > PLAIN_MAX_BYTES:
        raise BundleMalformed(reason="head number")
    head = layout.Head(
        origin=b"",
        epoch=epoch,
        seq=seq,
        previous=previous,
        from_change=first,
        through_change=first + more,
        counts=counts,
        clock_quality=flags & _QUALITY,
        created_ms=created_seconds * _SECOND_MS,
        acks=vectors,
        codec=codec1.CODEC,
        sealed_to=b"",
        plain_bytes=plain_bytes,
        sealed_bytes=len(body),
        hash=blake2b_256(body),
        kind=kind,
    )
    return Paired(box_no, head, content[: cursor.place], body)


def unseal_paired(bundle: Paired, pair: PairKey) -> bytes:
    """Return the body as it was before it was sealed, once the tag passed.

    Raises:
        BundleForged: not made by the box with this number for this hub, or altered.
    """
    try:
        return pair.unseal(_CONTEXT, bundle.head_bytes, bundle.body)
    except SealBroken as error:
        raise BundleForged(part="tag") from error


class _Cursor:
    """A place in the bytes of a head."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content = content
        self.place = place

    def number(self) -> int:
        """Return the next number, within the bounds of every number in a head."""
        value, self.place = varint.take(self._content, self.place)
        if value > layout.NUMBER_MAX:
            raise BundleMalformed(reason="head number")
        return value

    def take_bytes(self, count: int) -> bytes:
        """Return the next bytes."""
        start, self.place = self.place, self.place + count
        if self.place > len(self._content):
            raise BundleMalformed(reason="cut in the head")
        return self._content[start : self.place]

    def counts(self, bundle: layout.BundleKind) -> tuple[tuple[int, int], ...]:
        """Return how many records of each kind there are."""
        length = self.number()
        if length > len(Kind):
            raise BundleMalformed(reason="head counts")
        pairs = tuple((self.number(), self.number()) for _ in range(length))
        layout.check_counts(pairs, bundle)
        return pairs

    def vector(self) -> layout.Vector:
        """Return what the box holds of the hub's bundles."""
        epoch, through_seq, through_change, length = (self.number() for _ in range(4))
        if length > RANGES_MAX:
            raise BundleMalformed(reason="head vector")
        ranges = tuple((self.number(), self.number()) for _ in range(length))
        return layout.Vector(b"", epoch, through_seq, through_change, ranges)
