"""Read bundles and acks: size, signature, hash, seal, compression, columns, fields, in that order.

Every refusal is a subclass of EdgeboxError with a code. Nothing is decompressed before size, signature and hash passed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SealBroken, SealingKey, SignatureInvalid, VerifyKey
from sync.bundle import layout
from sync.bundle.body import RECORD_CODECS, Body, check_codec
from sync.bundle.errors import (
    BundleForged,
    BundleMalformed,
    BundleTooLarge,
    BundleUnknownOrigin,
    BundleUnsupported,
)
from sync.bundle.limits import ACK_MAX_BYTES, FILE_MAX_BYTES
from sync.bundle.paired import is_paired, parse_paired
from sync.bundle.write import sealing_key_id
from sync.records.rows import Record

ONLY_RECORDS = frozenset({layout.BundleKind.RECORDS})


@dataclass(frozen=True, slots=True)
class SignedBundle:
    """A bundle whose head is signed by a known key and whose body has the stated hash; not yet opened.

    Attributes:
        content: the whole of it. The body is copied when it is asked for, so that nobody holds up to 32 MiB twice.
    """

    head: layout.Head
    content: bytes

    @property
    def body(self) -> bytes:
        """Return the sealed body."""
        return split_body(self.content)


def peek_origin(content: bytes) -> bytes:
    """Return the key id a bundle claims as its origin, unverified; to look up the key that checks it."""
    return _records_head(content)[1].origin


def peek_length(content: bytes) -> int:
    """Return how long the whole bundle claims to be whose head this is, unverified; a short one is all here."""
    if is_paired(content):
        return len(content)
    return layout.start_bytes(content) + _records_head(content)[1].sealed_bytes


def split_body(content: bytes) -> bytes:
    """Return the sealed body of a bundle, unverified; to compare it with a hash kept elsewhere."""
    return parse_paired(content).body if is_paired(content) else _records_head(content)[3]


def verify_head(
    content: bytes, trusted: Mapping[bytes, VerifyKey], kinds: frozenset[layout.BundleKind] = ONLY_RECORDS
) -> layout.Head:
    """Return the head of a bundle of these kinds whose body need not be there yet, once its signature passed.

    Raises:
        BundleTooLarge, BundleMalformed, BundleUnsupported, BundleUnknownOrigin, BundleForged.
    """
    signed, head, signature, _body = _records_head(content)
    if head.kind not in kinds:
        raise BundleUnsupported(what=f"kind {int(head.kind)}")
    key = trusted.get(head.origin)
    if key is None or key.key_id != head.origin:
        raise BundleUnknownOrigin(origin=head.origin.hex()[:12])
    _verify(key, layout.RECORDS_DOMAIN, signed, signature)
    return head


def verify_bundle(
    content: bytes, trusted: Mapping[bytes, VerifyKey], kinds: frozenset[layout.BundleKind] = ONLY_RECORDS
) -> SignedBundle:
    """Return the bundle of one of these kinds once size, signature and hash passed.

    Raises:
        BundleTooLarge, BundleMalformed, BundleUnsupported, BundleUnknownOrigin, BundleForged.
    """
    head, body = verify_head(content, trusted, kinds), split_body(content)
    if len(body) != head.sealed_bytes:
        raise BundleMalformed(reason="cut in the body")
    if blake2b_256(body) != head.hash:
        raise BundleForged(part="hash")
    return SignedBundle(head, content)


def open_bundle(bundle: SignedBundle, key: SealingKey) -> list[Record]:
    """Return the records of a verified bundle.

    Raises:
        BundleForged: sealed to another key.
        BundleUnsupported: a codec this program does not know.
        BundleMalformed, RecordMalformed: the body is not what its head says.
    """
    return Body.from_head(bundle.head).unpack(unseal_bundle(bundle, key))


def unseal_bundle(bundle: SignedBundle, key: SealingKey, codecs: frozenset[int] = RECORD_CODECS) -> bytes:
    """Return the body of a verified bundle, packed by one of these codecs, as it was before it was sealed.

    Raises:
        BundleForged: sealed to another key.
        BundleUnsupported: a codec this program does not know.
    """
    check_sealed(bundle.head, key, codecs)
    try:
        return key.unseal(bundle.body)
    except SealBroken as error:
        raise BundleForged(part="seal") from error


def check_sealed(head: layout.Head, key: SealingKey, codecs: frozenset[int] = RECORD_CODECS) -> None:
    """Return if the body is packed by one of these codecs and sealed to this key, as far as its head tells.

    Raises:
        BundleForged: sealed to another key.
        BundleUnsupported: a codec this program does not know.
    """
    check_codec(head, codecs)
    if head.sealed_to != sealing_key_id(key.public):
        raise BundleForged(part="seal")


def peek_maker(content: bytes) -> bytes:
    """Return the key id an ack claims as its maker's, unverified; to look up the key that checks it.

    Raises:
        BundleTooLarge, BundleMalformed, BundleUnsupported.
    """
    return _ack(content)[1].maker


def read_ack(content: bytes, maker: VerifyKey) -> layout.AckHead:
    """Return the ack once its signature passed.

    Raises:
        BundleTooLarge, BundleMalformed, BundleUnsupported, BundleUnknownOrigin, BundleForged.
    """
    signed, ack, signature, body = _ack(content)
    if ack.maker != maker.key_id:
        raise BundleUnknownOrigin(origin=ack.maker.hex()[:12])
    _verify(maker, layout.ACK_DOMAIN, signed, signature)
    if body:
        raise BundleMalformed(reason="trailing bytes")
    return ack


def _ack(content: bytes) -> tuple[bytes, layout.AckHead, bytes, bytes]:
    if len(content) > ACK_MAX_BYTES:
        raise BundleTooLarge(limit="size")
    signed, values, signature, body = layout.split(content)
    return signed, layout.ack_from_list(values), signature, body


def _records_head(content: bytes) -> tuple[bytes, layout.Head, bytes, bytes]:
    if len(content) > FILE_MAX_BYTES:
        raise BundleTooLarge(limit="size")
    signed, values, signature, body = layout.split(content)
    return signed, layout.head_from_list(values), signature, body


def _verify(key: VerifyKey, domain: str, signed: bytes, signature: bytes) -> None:
    try:
        key.verify(domain, signed, signature)
    except SignatureInvalid as error:
        raise BundleForged(part="signature") from error
