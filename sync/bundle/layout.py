"""The bytes before the body: magic, format version, head, signature. See docs/bundle-format.md, "Bundle file"."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from content_packs.base import codec
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import KEY_ID_BYTES, SIGNATURE_BYTES
from sync.bundle.errors import BundleMalformed, BundleTooLarge, BundleUnsupported
from sync.bundle.limits import (
    HEAD_MAX_BYTES,
    PAIRED_MAX_BYTES,
    PLAIN_MAX_BYTES,
    RANGES_MAX,
    RECORDS_MAX,
    SEALED_MAX_BYTES,
    exceeds_ratio,
)
from sync.records.kinds import Kind

MAGIC = b"EBB"
FORMAT_VERSION = 1
RECORDS_DOMAIN = "edgebox bundle 1"
ACK_DOMAIN = "edgebox ack 1"
HASH_BYTES = 32
PREVIOUS_BYTES = 8
NAME_BYTES = 16
NO_PREVIOUS = bytes(PREVIOUS_BYTES)
_PREFIX_BYTES = len(MAGIC) + 1 + 2
NUMBER_MAX = (1 << 53) - 1
_MS_MAX = 1 << 47
_READS_SHORT = 8
_ACK_WITH_TAIL = 6
_ACK_WITH_EXPRESS = 8


class BundleKind(IntEnum):
    """What a bundle file is."""

    RECORDS = 1
    ACK = 2
    EXPRESS = 3
    FILE = 4


CARRIES_RECORDS = frozenset({BundleKind.RECORDS, BundleKind.EXPRESS})
ONLY_FILE = frozenset({BundleKind.FILE})
HAS_BODY = CARRIES_RECORDS | ONLY_FILE
# What closes something, and what explains its numbers and times.
EXPRESS_KINDS = frozenset(
    {
        Kind.STATEMENT,
        Kind.LEARNER,
        Kind.ACTIVITY,
        Kind.VERB,
        Kind.DEVICE,
        Kind.BOOT,
        Kind.MARK,
        Kind.HAND_IN,
    }
)


class ClockQuality(IntEnum):
    """How far the maker's clock is to be trusted."""

    UNKNOWN = 0
    RESTORED = 1
    TABLETS = 2
    HUB = 3
    HARDWARE = 4


class Notice(IntEnum):
    """What a receiver tells beside the ack."""

    NONE = 0
    FORKED = 1  # one (epoch, seq) has two contents, as after a copy was made or restored: make a new key, or start anew
    SET_ASIDE = 2  # a bundle that came whole could not be read or applied here; it is kept
    WAITING = 3  # bundles for the other side wait here: it is worth its while to ask
    SUCCEEDED = 4  # a copy of the box went on under a new key: make a new key as well


@dataclass(frozen=True, slots=True)
class Vector:
    """What a receiver holds of one (origin, epoch): everything through `through_seq`, and `ranges` beyond the gap."""

    origin: bytes
    epoch: int
    through_seq: int
    through_change: int
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a bundle with records or with a file; (kind, origin, epoch, seq) is its identity.

    `previous` is the start of the hash of bundle seq - 1, zeros for the first: a copy of a box cannot go on where the
    original stopped without being noticed. An express bundle has numbers of its own and follows none: zeros. So has one
    with a file, which is no part of the log.
    """

    origin: bytes
    epoch: int
    seq: int
    previous: bytes
    from_change: int
    through_change: int
    counts: tuple[tuple[int, int], ...]
    clock_quality: int
    created_ms: int
    acks: tuple[Vector, ...]
    codec: int
    sealed_to: bytes
    plain_bytes: int
    sealed_bytes: int
    hash: bytes
    kind: BundleKind = BundleKind.RECORDS

    @property
    def is_express(self) -> bool:
        """Return whether it goes ahead of the others."""
        return self.kind is BundleKind.EXPRESS


@dataclass(frozen=True, slots=True)
class AckHead:
    """A receiver's signed word on what it holds of a sender; the hub's `created_ms` also tells the box the time.

    Attributes:
        reads_short: the maker reads codec 1, paired and express bundles; one that says nothing reads codec 0 only.
        tail: start of the hash of bundle `vector.through_seq`, so that a box that was restored from a backup does not
            take what a later life of it sent for its own; empty in an ack for a box that wrote codec 0.
        express: numbers of the express bundles of this epoch that the maker took in, as inclusive ranges.
        express_tail: start of the hash of the last of them, for the same reason as `tail`.
    """

    maker: bytes
    vector: Vector
    created_ms: int
    notice: int
    reads_short: bool = False
    tail: bytes = b""
    express: tuple[tuple[int, int], ...] = ()
    express_tail: bytes = b""


def frame(encoded_head: bytes) -> bytes:
    """Return magic, version, length and head: the bytes that are signed."""
    return MAGIC + bytes([FORMAT_VERSION]) + len(encoded_head).to_bytes(2, "big") + encoded_head


def start_bytes(content: bytes) -> int:
    """Return how many bytes to read before the maker can be known, as far as the first bytes of a bundle tell."""
    if len(content) < _PREFIX_BYTES:
        return _PREFIX_BYTES
    if content[len(MAGIC)] != FORMAT_VERSION:
        return PAIRED_MAX_BYTES + 1  # a short bundle is known by its end only
    head_bytes = int.from_bytes(content[_PREFIX_BYTES - 2 : _PREFIX_BYTES], "big")
    return _PREFIX_BYTES + min(head_bytes, HEAD_MAX_BYTES) + SIGNATURE_BYTES


def upload_name(start: bytes) -> str:
    """Return the name under which a hub keeps an unfinished upload, from the head and signature it starts with."""
    return blake2b_256(start)[:NAME_BYTES].hex()


def split(content: bytes) -> tuple[bytes, list[Any], bytes, bytes]:
    """Return the signed bytes, the head's values, the signature and the body.

    Raises:
        BundleMalformed: not a bundle, or shorter than its head says.
        BundleUnsupported: of another format version.
    """
    if content[: len(MAGIC)] != MAGIC or len(content) < _PREFIX_BYTES:
        raise BundleMalformed(reason="not a bundle")
    if content[len(MAGIC)] != FORMAT_VERSION:
        raise BundleUnsupported(what=f"format {content[len(MAGIC)]}")
    head_bytes = int.from_bytes(content[_PREFIX_BYTES - 2 : _PREFIX_BYTES], "big")
    signed_bytes = _PREFIX_BYTES + head_bytes
    if head_bytes > HEAD_MAX_BYTES or len(content) < signed_bytes + SIGNATURE_BYTES:
        raise BundleMalformed(reason="cut in the head")
    try:
        head = codec.decode(content[_PREFIX_BYTES:signed_bytes], max_bytes=HEAD_MAX_BYTES, max_depth=4)
    except codec.CodecMalformed as error:
        raise BundleMalformed(reason="head") from error
    if not isinstance(head, list) or not head:
        raise BundleMalformed(reason="head")
    body_start = signed_bytes + SIGNATURE_BYTES
    return content[:signed_bytes], head, content[signed_bytes:body_start], content[body_start:]


def head_to_list(head: Head) -> list[Any]:
    """Return the values of a head in the order of the format."""
    return [
        int(head.kind),
        head.origin,
        head.epoch,
        head.seq,
        head.previous,
        head.from_change,
        head.through_change,
        [list(pair) for pair in head.counts],
        head.clock_quality,
        head.created_ms,
        [_vector_to_list(vector) for vector in head.acks],
        head.codec,
        head.sealed_to,
        head.plain_bytes,
        head.sealed_bytes,
        head.hash,
    ]


def head_from_list(values: list[Any]) -> Head:
    """Return the head of a bundle with a body, every value within its bounds.

    Raises:
        BundleUnsupported: of another kind.
        BundleMalformed, BundleTooLarge: a value out of bounds.
    """
    kind = _expect_kind(values, HAS_BODY, 16)
    _, origin, epoch, seq, previous, first, through, counts, quality, created_ms, acks, number, key_id, *sizes = values
    plain, sealed, digest = sizes
    head = Head(
        origin=_bytes(origin, KEY_ID_BYTES),
        epoch=_number(epoch),
        seq=_number(seq, low=1),
        previous=_bytes(previous, PREVIOUS_BYTES),
        from_change=_number(first, low=1),
        through_change=_number(through, low=1),
        counts=_counts(counts, kind),
        clock_quality=_number(quality, high=255),
        created_ms=_number(created_ms, high=_MS_MAX),
        acks=tuple(_vector_from_list(entry) for entry in _list(acks, RANGES_MAX)),
        codec=_number(number, high=255),
        sealed_to=_bytes(key_id, KEY_ID_BYTES),
        plain_bytes=_number(plain),
        sealed_bytes=_number(sealed),
        hash=_bytes(digest, HASH_BYTES),
        kind=kind,
    )
    is_chained = head.kind is BundleKind.RECORDS
    if head.through_change < head.from_change or not (is_chained or head.previous == NO_PREVIOUS):
        raise BundleMalformed(reason="head range")
    _check_sizes(head)
    return head


def ack_to_list(ack: AckHead) -> list[Any]:
    """Return the values of an ack's head in the order of the format."""
    notice = int(ack.notice) | _READS_SHORT * ack.reads_short
    values = [int(BundleKind.ACK), ack.maker, _vector_to_list(ack.vector), ack.created_ms, notice]
    if ack.express:
        return [*values, ack.tail or NO_PREVIOUS, [list(pair) for pair in ack.express], ack.express_tail]
    return [*values, ack.tail] if ack.tail else values


def ack_from_list(values: list[Any]) -> AckHead:
    """Return the head of an ack, every value within its bounds."""
    express: tuple[tuple[int, int], ...] = ()
    express_tail = b""
    if len(values) == _ACK_WITH_EXPRESS:
        express_tail, express = _bytes(values.pop(), PREVIOUS_BYTES), _ranges(values.pop())
    tail = _bytes(values.pop(), PREVIOUS_BYTES) if len(values) == _ACK_WITH_TAIL else b""
    _expect_kind(values, frozenset({BundleKind.ACK}), _ACK_WITH_TAIL - 1)
    _, maker, vector, created_ms, notice = values
    word = _number(notice, high=255)
    return AckHead(
        maker=_bytes(maker, KEY_ID_BYTES),
        vector=_vector_from_list(vector),
        created_ms=_number(created_ms, high=_MS_MAX),
        notice=word & ~_READS_SHORT,
        reads_short=bool(word & _READS_SHORT),
        tail=tail,
        express=express,
        express_tail=express_tail,
    )


def _expect_kind(values: list[Any], kinds: frozenset[BundleKind], length: int) -> BundleKind:
    if not isinstance(values[0], int) or isinstance(values[0], bool) or values[0] not in kinds:
        raise BundleUnsupported(what=f"kind {values[0]!r}"[:40])
    if len(values) != length:
        raise BundleMalformed(reason="head length")
    return BundleKind(values[0])


def _check_sizes(head: Head) -> None:
    if head.sealed_bytes > SEALED_MAX_BYTES or head.plain_bytes > PLAIN_MAX_BYTES:
        raise BundleTooLarge(limit="size")
    if exceeds_ratio(head.plain_bytes, head.sealed_bytes):
        raise BundleTooLarge(limit="ratio")


def _vector_to_list(vector: Vector) -> list[Any]:
    ranges = [list(pair) for pair in vector.ranges]
    return [vector.origin, vector.epoch, vector.through_seq, vector.through_change, ranges]


def _vector_from_list(values: Any) -> Vector:
    if len(_list(values, 5)) != 5:
        raise BundleMalformed(reason="head vector")
    origin, epoch, through_seq, through_change, ranges = values
    return Vector(
        _bytes(origin, KEY_ID_BYTES), _number(epoch), _number(through_seq), _number(through_change), _ranges(ranges)
    )


def _ranges(values: Any) -> tuple[tuple[int, int], ...]:
    return tuple(_pair(pair) for pair in _list(values, RANGES_MAX))


def check_counts(pairs: tuple[tuple[int, int], ...], bundle: BundleKind) -> None:
    """Return if kinds are known, in order, not too many, and such as a bundle of this kind may carry.

    Raises:
        BundleMalformed, BundleTooLarge, BundleUnsupported: they are not.
    """
    kinds = [kind for kind, _count in pairs]
    if bundle is BundleKind.EXPRESS and not set(kinds) <= EXPRESS_KINDS:
        raise BundleUnsupported(what="express kinds")
    if bundle is BundleKind.FILE and kinds:
        raise BundleMalformed(reason="head counts")
    if kinds != sorted(set(kinds)) or not set(kinds) <= set(Kind) or any(count < 1 for _kind, count in pairs):
        raise BundleMalformed(reason="head counts")
    if sum(count for _kind, count in pairs) > RECORDS_MAX:
        raise BundleTooLarge(limit="records")


def _counts(values: Any, bundle: BundleKind) -> tuple[tuple[int, int], ...]:
    pairs = tuple(_pair(pair) for pair in _list(values, len(Kind)))
    check_counts(pairs, bundle)
    return pairs


def _pair(value: Any) -> tuple[int, int]:
    if len(_list(value, 2)) != 2:
        raise BundleMalformed(reason="head pair")
    return _number(value[0]), _number(value[1])


def _list(value: Any, max_length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > max_length:
        raise BundleMalformed(reason="head list")
    return value


def _bytes(value: Any, size_bytes: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != size_bytes:
        raise BundleMalformed(reason="head bytes")
    return value


def _number(value: Any, *, low: int = 0, high: int = NUMBER_MAX) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise BundleMalformed(reason="head number")
    return value
