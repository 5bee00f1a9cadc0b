"""A bundle that carries one file that a learner handed in, as it is. See docs/bundle-format.md, "Files".

Its hash and its media type are told by a record of the chain; here are the bytes, sealed, so that whoever carries them
learns no more than how many there are.
"""

from content_packs.base import codec
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SealingKey, SigningKey, seal
from sync.bundle import layout
from sync.bundle.errors import BundleMalformed, BundleTooLarge
from sync.bundle.limits import SEALED_MAX_BYTES
from sync.bundle.read import SignedBundle, unseal_bundle
from sync.bundle.write import sealing_key_id

CODEC = 4
_ONE = 1


def write_file_bundle(
    content: bytes,
    *,
    epoch: int,
    no: int,
    key: SigningKey,
    receiver_public: bytes,
    created_ms: int,
    clock_quality: int = layout.ClockQuality.UNKNOWN,
) -> bytes:
    """Return the file as one bundle, sealed to the holder of `receiver_public`; `no` is its number at its maker.

    Raises:
        BundleTooLarge: more than fits into one bundle.
    """
    body = seal(receiver_public, content)
    if len(body) > SEALED_MAX_BYTES:
        raise BundleTooLarge(limit="size")
    head = layout.Head(
        origin=key.verify_key.key_id,
        epoch=epoch,
        seq=no,
        previous=layout.NO_PREVIOUS,
        from_change=_ONE,
        through_change=_ONE,
        counts=(),
        clock_quality=int(clock_quality),
        created_ms=max(created_ms, 0),
        acks=(),
        codec=CODEC,
        sealed_to=sealing_key_id(receiver_public),
        plain_bytes=len(content),
        sealed_bytes=len(body),
        hash=blake2b_256(body),
        kind=layout.BundleKind.FILE,
    )
    signed = layout.frame(codec.encode(layout.head_to_list(head)))
    return signed + key.sign(layout.RECORDS_DOMAIN, signed) + body


def open_file(bundle: SignedBundle, key: SealingKey) -> bytes:
    """Return the file in a verified bundle.

    Raises:
        BundleUnsupported: a codec this program does not know.
        BundleForged: sealed to another key.
        BundleMalformed: another length than its head says.
    """
    content = unseal_bundle(bundle, key, frozenset({CODEC}))
    if len(content) != bundle.head.plain_bytes:
        raise BundleMalformed(reason="plain length")
    return content
