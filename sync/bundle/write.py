"""Make bundles and acks. A bundle is sealed with fresh randomness, so it is made once and its bytes are kept."""

from collections.abc import Sequence
from dataclasses import dataclass

from content_packs.base import codec
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import KEY_ID_BYTES, SigningKey, seal
from sync.bundle import codec0, codec1, layout
from sync.bundle.errors import BundleTooLarge
from sync.bundle.limits import PLAIN_MAX_BYTES, RECORDS_MAX, SEALED_MAX_BYTES, exceeds_ratio
from sync.records.rows import Record


@dataclass(frozen=True, slots=True)
class Range:
    """Which part of the log a bundle carries, and where it stands in its origin's order.

    `previous_hash` is the hash in the head of the bundle before; None for the first.
    """

    epoch: int
    seq: int
    from_change: int
    through_change: int
    previous_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """Records as the body of a bundle, before it is sealed."""

    codec_no: int
    plain_bytes: int
    content: bytes
    counts: tuple[tuple[int, int], ...]


def pack(
    records: Sequence[Record], *, created_ms: int, codec_no: int = codec1.CODEC, is_coarse: bool = False
) -> Packed:
    """Return the body of a bundle that is created at this time; see `write_bundle`."""
    if len(records) > RECORDS_MAX:
        raise BundleTooLarge(limit="records")
    if codec_no == codec0.CODEC:
        plain_bytes, content = codec0.pack_records(records)
    else:
        plain_bytes, content = codec1.pack_records(records, around_ms=max(created_ms, 0), is_coarse=is_coarse)
    counts = sorted((int(kind), count) for kind, count in codec0.count_by_kind(records).items())
    return Packed(codec_no, plain_bytes, content, tuple(counts))


def write_bundle(
    records: Sequence[Record] | Packed,
    span: Range,
    *,
    key: SigningKey,
    receiver_public: bytes,
    created_ms: int,
    clock_quality: int = layout.ClockQuality.UNKNOWN,
    acks: Sequence[layout.Vector] = (),
    codec_no: int = codec1.CODEC,
    is_coarse: bool = False,
    kind: layout.BundleKind = layout.BundleKind.RECORDS,
) -> bytes:
    """Return one bundle file, sealed to the holder of `receiver_public`.

    `is_coarse` writes times in whole seconds and durations in tenths, which halves the bytes; codec 1 only. Records
    that were packed for this time of creation stay as they are.

    Raises:
        BundleTooLarge: the records are too many or too large for one bundle; nearly equal records over 1 MiB count as
            too large as well, because no reader would expand them. Half the range always fits sooner or later.
        RecordMalformed: a field out of its bounds.
    """
    created_ms = max(created_ms, 0)
    if not isinstance(records, Packed):
        records = pack(records, created_ms=created_ms, codec_no=codec_no, is_coarse=is_coarse)
    if records.plain_bytes > PLAIN_MAX_BYTES:
        raise BundleTooLarge(limit="size")
    body = seal(receiver_public, records.content)
    if len(body) > SEALED_MAX_BYTES or exceeds_ratio(records.plain_bytes, len(body)):
        raise BundleTooLarge(limit="size" if len(body) > SEALED_MAX_BYTES else "ratio")
    head = layout.Head(
        origin=key.verify_key.key_id,
        epoch=span.epoch,
        seq=span.seq,
        previous=(span.previous_hash or layout.NO_PREVIOUS)[: layout.PREVIOUS_BYTES],
        from_change=span.from_change,
        through_change=span.through_change,
        counts=records.counts,
        clock_quality=int(clock_quality),
        created_ms=created_ms,
        acks=tuple(acks),
        codec=records.codec_no,
        sealed_to=sealing_key_id(receiver_public),
        plain_bytes=records.plain_bytes,
        sealed_bytes=len(body),
        hash=blake2b_256(body),
        kind=kind,
    )
    signed = layout.frame(codec.encode(layout.head_to_list(head)))
    return signed + key.sign(layout.RECORDS_DOMAIN, signed) + body


def write_ack(ack: layout.AckHead, key: SigningKey) -> bytes:
    """Return one ack file, signed by its maker's key."""
    signed = layout.frame(codec.encode(layout.ack_to_list(ack)))
    return signed + key.sign(layout.ACK_DOMAIN, signed)


def sealing_key_id(public: bytes) -> bytes:
    """Return 16 bytes that name a sealing key."""
    return blake2b_256(public)[:KEY_ID_BYTES]
