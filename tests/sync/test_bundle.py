"""A bundle opens for its receiver as it was made, and for nobody else in any other form."""

from dataclasses import replace

import pytest

from content_packs.base import codec
from content_packs.base.compress import compress
from content_packs.base.errors import EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SealingKey, SigningKey, seal
from edgebox.services import spool
from sync.bundle import layout
from sync.bundle.errors import (
    BundleForged,
    BundleMalformed,
    BundleTooLarge,
    BundleUnknownOrigin,
    BundleUnsupported,
)
from sync.bundle.layout import AckHead, Head, Notice, Vector
from sync.bundle.limits import PLAIN_MAX_BYTES, RECORDS_MAX, SEALED_MAX_BYTES
from sync.bundle.read import open_bundle, peek_origin, read_ack, verify_bundle
from sync.bundle.write import Range, write_ack, write_bundle
from sync.records.rows import Activity, Statement
from tests.sync.makers import NOW_MS, Maker, answered, registries

MAKER = Maker()


def remake(content: bytes, maker: Maker, **changes: object) -> bytes:
    """Return the bundle with another head, rightly signed."""
    _signed, values, _signature, body = layout.split(content)
    head = replace(layout.head_from_list(values), **changes)  # type: ignore[arg-type]
    signed = layout.frame(codec.encode(layout.head_to_list(head)))
    return signed + maker.key.sign(layout.RECORDS_DOMAIN, signed) + body


def with_body(plain: bytes, body: bytes, **changes: object) -> bytes:
    """Return a bundle with any body, rightly signed."""
    head = Head(
        MAKER.key.verify_key.key_id, 1, 1, bytes(8), 1, 1, ((6, 1),), 0, NOW_MS, (), 0,
        blake2b_256(MAKER.receiver.public)[:16], len(plain), len(body), blake2b_256(body),
    )  # fmt: skip
    signed = layout.frame(codec.encode(layout.head_to_list(replace(head, **changes))))  # type: ignore[arg-type]
    return signed + MAKER.key.sign(layout.RECORDS_DOMAIN, signed) + body


def read(content: bytes) -> list[object]:
    return list(open_bundle(verify_bundle(content, MAKER.trusted), MAKER.receiver))


def test_a_bundle_gives_back_its_head_and_records() -> None:
    maker = Maker()
    records = [*registries(), answered(1)]
    signed = verify_bundle(maker.next(records), maker.trusted)
    assert (signed.head.epoch, signed.head.seq, signed.head.through_change) == (1, 1, len(records))
    assert set(open_bundle(signed, maker.receiver)) == set(records)


def test_each_bundle_names_the_one_before_it() -> None:
    maker = Maker()
    first = verify_bundle(maker.next(registries()), maker.trusted).head
    second = verify_bundle(maker.next([answered(1)]), maker.trusted).head
    assert (first.previous, second.previous) == (bytes(8), first.hash[:8])


def test_what_it_carries_cannot_be_read_on_the_way() -> None:
    content = Maker().next([Activity(1, "urn:x-edgebox:visible:nowhere")])
    assert b"visible" not in content


def test_only_the_receiver_it_is_sealed_to_opens_it() -> None:
    maker = Maker()
    signed = verify_bundle(maker.next(registries()), maker.trusted)
    with pytest.raises(BundleForged):
        open_bundle(signed, SealingKey.generate())


def test_an_unknown_origin_is_refused_before_anything_is_opened() -> None:
    with pytest.raises(BundleUnknownOrigin):
        verify_bundle(Maker().next(registries()), MAKER.trusted)


def test_a_bundle_signed_by_one_box_in_the_name_of_another_is_refused() -> None:
    thief = Maker()
    forged = remake(thief.next(registries()), thief, origin=MAKER.key.verify_key.key_id)
    with pytest.raises(BundleForged):
        verify_bundle(forged, MAKER.trusted | thief.trusted)


def test_the_body_of_another_box_under_a_good_head_is_refused() -> None:
    own, other = MAKER.next(registries()), Maker(receiver=MAKER.receiver).next(registries())
    head_of_own = own[: len(own) - layout.head_from_list(layout.split(own)[1]).sealed_bytes]
    with pytest.raises((BundleForged, BundleMalformed)):
        verify_bundle(head_of_own + layout.split(other)[3], MAKER.trusted)


def test_an_ack_is_never_taken_for_a_bundle_nor_a_bundle_for_an_ack() -> None:
    hub = SigningKey.generate()
    ack = write_ack(AckHead(hub.verify_key.key_id, Vector(bytes(16), 1, 1, 1), NOW_MS, 0), hub)
    with pytest.raises(BundleUnsupported):
        peek_origin(ack)
    with pytest.raises(BundleUnsupported):
        read_ack(Maker(key=hub).next(registries())[:4096], hub.verify_key)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_format_version_is_refused_as_such(version: int) -> None:
    content = bytearray(Maker().next(registries()))
    content[3] = version
    with pytest.raises(BundleUnsupported):
        peek_origin(bytes(content))


def test_an_unknown_codec_is_refused_as_such() -> None:
    content = remake(MAKER.next(registries()), MAKER, codec=7)
    with pytest.raises(BundleUnsupported):
        read(content)


def test_a_zstd_bomb_stops_at_the_length_its_head_declares() -> None:
    bomb = seal(MAKER.receiver.public, compress(bytes(200 << 20)))
    with pytest.raises(BundleMalformed):
        read(with_body(bytes(1000), bomb))


def test_a_head_that_declares_a_bomb_is_refused_before_anything_is_decompressed() -> None:
    body = seal(MAKER.receiver.public, compress(bytes(50 << 20)))
    with pytest.raises(BundleTooLarge):
        verify_bundle(with_body(bytes(50 << 20), body), MAKER.trusted)
    with pytest.raises(BundleTooLarge):
        verify_bundle(with_body(b"", body, plain_bytes=1 << 30), MAKER.trusted)
    with pytest.raises(BundleTooLarge):
        verify_bundle(with_body(b"", body, sealed_bytes=SEALED_MAX_BYTES + 1), MAKER.trusted)


def test_the_limits_of_a_head_are_those_of_the_document() -> None:
    sealed = blake2b_256(b"") * (1 << 15)
    for counts, plain_bytes, is_refused in (
        (((6, 25_000),), 40 << 20, False),
        (((6, 25_001),), 40 << 20, True),
        (((5, 1), (6, 25_000)), 40 << 20, True),
        (((6, 25_000),), (40 << 20) + 1, True),
    ):
        content = with_body(b"", sealed, counts=counts, plain_bytes=plain_bytes)
        if is_refused:
            with pytest.raises(BundleTooLarge):
                verify_bundle(content, MAKER.trusted)
        else:
            assert verify_bundle(content, MAKER.trusted).head.plain_bytes == plain_bytes


def test_what_a_box_packs_at_most_is_within_the_limits_of_a_bundle() -> None:
    assert spool.CHANGES_PER_BUNDLE < RECORDS_MAX
    assert spool.ROW_BYTES_PER_BUNDLE < PLAIN_MAX_BYTES


def test_a_small_body_of_equal_rows_may_compress_as_far_as_it_likes() -> None:
    records = [Statement(1, 1, NOW_MS, id=bytes([0, seq >> 8, seq & 255]) + bytes(13)) for seq in range(3000)]
    assert len(read(MAKER.next(list(records)))) == 3000


def test_more_than_a_bundle_may_carry_is_refused_when_writing() -> None:
    bodies = [Statement(1, 1, NOW_MS, id=seq.to_bytes(16, "big"), body=bytes(600_000)) for seq in range(4)]
    with pytest.raises(BundleTooLarge):
        write_bundle(bodies, Range(1, 1, 1, 4), key=MAKER.key, receiver_public=MAKER.receiver.public, created_ms=0)


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 0},
        {"from_change": 9, "through_change": 8},
        {"counts": ((1, 0),)},
        {"counts": ((6, 1), (6, 1))},
        {"counts": ((99, 1),)},
        {"hash": bytes(31)},
        {"previous": b""},
        {"epoch": -1},
    ],
)
def test_a_head_out_of_bounds_is_refused_although_it_is_signed(changes: dict[str, object]) -> None:
    content = remake(MAKER.next(registries()), MAKER, **changes)
    with pytest.raises(BundleMalformed):
        verify_bundle(content, MAKER.trusted)


def test_a_body_that_is_no_columns_is_refused_although_it_is_signed() -> None:
    for plain in (b"", b"\xc0", codec.encode([]), codec.encode([[6, []]]), codec.encode({"a": 1})):
        with pytest.raises(BundleMalformed):
            read(with_body(plain, seal(MAKER.receiver.public, compress(plain))))


def test_an_ack_gives_back_its_vector() -> None:
    hub = SigningKey.generate()
    ack = AckHead(hub.verify_key.key_id, Vector(bytes(16), 3, 7, 900, ((9, 12),)), NOW_MS, Notice.FORKED)
    assert read_ack(write_ack(ack, hub), hub.verify_key) == ack


def test_every_altered_or_cut_ack_is_refused() -> None:
    hub = SigningKey.generate()
    ack = write_ack(AckHead(hub.verify_key.key_id, Vector(bytes(16), 3, 7, 900), NOW_MS, 0), hub)
    variants = [ack[:end] for end in range(len(ack))] + [ack + b"\0"]
    variants += [
        ack[:place] + bytes([value]) + ack[place + 1 :]
        for place in range(len(ack))
        for value in {0, 255, ack[place] ^ 1} - {ack[place]}
    ]
    for variant in variants:
        with pytest.raises(EdgeboxError):
            read_ack(variant, hub.verify_key)


def test_an_ack_of_another_hub_is_refused() -> None:
    hub = SigningKey.generate()
    ack = write_ack(AckHead(hub.verify_key.key_id, Vector(bytes(16), 3, 7, 900), NOW_MS, 0), hub)
    with pytest.raises(BundleUnknownOrigin):
        read_ack(ack, SigningKey.generate().verify_key)
