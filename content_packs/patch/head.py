"""The signed head of a patch file: which version it makes of which, and a hash for every block of what follows
(docs/pack-format.md, Patch).

Nothing of the body is used before the signature fits, and no block of it before its hash does; so the parts of one
patch may come from several places and be checked one by one as they arrive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from content_packs.base import codec
from content_packs.base.codec import CodecMalformed
from content_packs.base.hashing import HASH_BYTES, blake2b_256
from content_packs.base.signing import KEY_ID_BYTES, SIGNATURE_BYTES, SignatureInvalid, SigningKey, VerifyKey
from content_packs.format.errors import SignerUnknown
from content_packs.format.fields import is_pack_id
from content_packs.format.layout import ROOT_NAME_BYTES, VERSION_MAX
from content_packs.patch.errors import PatchMalformed, PatchSignatureInvalid, PatchUnsupported

MAGIC: Final = b"EBP\x01"
FORMAT: Final = 1
DOMAIN: Final = "edgebox pack patch v1"
FEATURE_PARTS: Final = "parts"
FEATURES: Final = (FEATURE_PARTS,)
LENGTH_BYTES: Final = 4
HEAD_MAX_BYTES: Final = 1024**2
BODY_MAX_BYTES: Final = 64 * 1024**3
PREFACE_BYTES: Final = len(MAGIC) + LENGTH_BYTES
NOTHING: Final = bytes(ROOT_NAME_BYTES)
MEMORY_UNIT_BYTES: Final = 64 * 1024
# With what the program itself takes, a box that applies a patch stays below 48 MB.
MEMORY_BYTES: Final = 21 * 1024**2

_BLOCK_LOG_MIN, _BLOCK_LOG_MAX = 18, 22
_BLOCKS_WANTED = 1024
_SIZE_MAX = 2**53


@dataclass(frozen=True, slots=True)
class PatchHead:
    """What is signed.

    Attributes:
        from_root: first 16 bytes of the Merkle root of the version it starts from; zeros when it needs none.
        from_version: the number of that version, 0 when it needs none.
        to_root: first 16 bytes of the root of the version it makes.
        memory_bytes: what applying holds at most, beside the program itself and the manifests.
        plan_bytes: length of the plan, with which the body begins.
        blocks: the hash of every block of the body, in order; the last may be shorter than the others.
        features: what has to be understood: `parts` when there are contents that a box may do without.
    """

    pack: str
    from_root: bytes
    from_version: int
    to_root: bytes
    to_version: int
    memory_bytes: int
    plan_bytes: int
    body_bytes: int
    block_log: int
    blocks: bytes
    features: tuple[str, ...] = ()

    @property
    def is_full(self) -> bool:
        """Return whether it needs no version before."""
        return self.from_root == NOTHING

    @property
    def block_bytes(self) -> int:
        """Return the length of every block but the last."""
        return 1 << self.block_log

    @property
    def block_count(self) -> int:
        """Return how many blocks the body has."""
        return len(self.blocks) // HASH_BYTES

    def block_length(self, number: int) -> int:
        """Return the length of block `number`, counted from 0."""
        return min(self.block_bytes, self.body_bytes - number * self.block_bytes)

    def check_block(self, number: int, content: bytes) -> None:
        """Return if these are the bytes of block `number` as they were signed.

        Raises:
            PatchMalformed: they are not.
        """
        expected = self.blocks[number * HASH_BYTES : (number + 1) * HASH_BYTES]
        if blake2b_256(content) != expected:
            raise PatchMalformed(reason=f"block {number}")


def block_log_for(body_bytes: int) -> int:
    """Return the size of blocks, as a power of two: 256 KiB, more for a long body, at most 4 MiB."""
    return min(max(_BLOCK_LOG_MIN, (body_bytes // _BLOCKS_WANTED).bit_length()), _BLOCK_LOG_MAX)


def seal_head(head: PatchHead, key: SigningKey) -> bytes:
    """Return the beginning of a patch file, up to the body."""
    signed = codec.encode(_record(head))
    sealed = codec.encode([signed, key.verify_key.key_id, key.sign(DOMAIN, signed)])
    return MAGIC + len(sealed).to_bytes(LENGTH_BYTES, "big") + sealed


def head_length(preface: bytes) -> int:
    """Return how many bytes of head follow the first 8 bytes of a patch file.

    Raises:
        PatchUnsupported: another format.
        PatchMalformed: no patch, or a head over the limit.
    """
    if len(preface) < PREFACE_BYTES or preface[:3] != MAGIC[:3]:
        raise PatchMalformed(reason="no patch")
    if preface[:4] != MAGIC:
        raise PatchUnsupported(feature=f"patch {preface[3]}")
    length = int.from_bytes(preface[len(MAGIC) : PREFACE_BYTES], "big")
    if not 0 < length <= HEAD_MAX_BYTES:
        raise PatchMalformed(reason="head")
    return length


def open_head(sealed: bytes, trusted: Mapping[bytes, VerifyKey]) -> tuple[PatchHead, bytes]:
    """Return the head, and the id of the trusted key that signed it.

    Raises:
        SignerUnknown, PatchSignatureInvalid: it cannot be trusted.
        PatchUnsupported, PatchMalformed: it cannot be used.
    """
    match _decode(sealed):
        case [bytes(signed), bytes(key_id), bytes(signature)] if (len(key_id), len(signature)) == (
            KEY_ID_BYTES,
            SIGNATURE_BYTES,
        ):
            pass
        case _:
            raise PatchMalformed(reason="head")
    if key_id not in trusted:
        raise SignerUnknown(signer=key_id.hex())
    try:
        trusted[key_id].verify(DOMAIN, signed, signature)
    except SignatureInvalid as error:
        raise PatchSignatureInvalid(signer=key_id.hex()) from error
    return _parse(_decode(signed)), key_id


def _record(head: PatchHead) -> list[Any]:
    return [
        FORMAT,
        list(head.features),
        head.pack,
        head.from_root,
        head.from_version,
        head.to_root,
        head.to_version,
        -(-head.memory_bytes // MEMORY_UNIT_BYTES),
        head.plan_bytes,
        head.body_bytes,
        head.block_log,
        head.blocks,
    ]


def _decode(data: bytes) -> Any:
    try:
        value = codec.decode(data, max_bytes=HEAD_MAX_BYTES)
    except CodecMalformed as error:
        raise PatchMalformed(reason="head") from error
    if codec.encode(value) != data:
        raise PatchMalformed(reason="head")
    return value


def _parse(record: Any) -> PatchHead:
    if not isinstance(record, list) or len(record) < 2 or type(record[0]) is not int:
        raise PatchMalformed(reason="head")
    if record[0] != FORMAT:
        raise PatchUnsupported(feature=f"patch {record[0]}")
    unknown = [one for one in record[1] if one not in FEATURES] if isinstance(record[1], list) else []
    if unknown:
        raise PatchUnsupported(feature=str(unknown[0]))
    kinds = [int, list, str, bytes, int, bytes, int, int, int, int, int, bytes]
    if [type(value) for value in record] != kinds:
        raise PatchMalformed(reason="head")
    head = PatchHead(*record[2:])
    head = replace(head, memory_bytes=head.memory_bytes * MEMORY_UNIT_BYTES, features=tuple(record[1]))
    if not (_are_names_right(head) and _are_sizes_right(head)):
        raise PatchMalformed(reason="head")
    return head


def _are_names_right(head: PatchHead) -> bool:
    return (
        is_pack_id(head.pack)
        and len(head.from_root) == len(head.to_root) == ROOT_NAME_BYTES
        and 0 <= head.from_version < head.to_version <= VERSION_MAX
        and head.is_full == (head.from_version == 0)
    )


def _are_sizes_right(head: PatchHead) -> bool:
    return (
        0 <= head.memory_bytes <= _SIZE_MAX
        and 0 < head.plan_bytes <= head.body_bytes <= BODY_MAX_BYTES
        and _BLOCK_LOG_MIN <= head.block_log <= _BLOCK_LOG_MAX
        and len(head.blocks) == HASH_BYTES * -(-head.body_bytes // head.block_bytes)
    )


def block_hashes(blocks: Sequence[bytes]) -> bytes:
    """Return the hashes of the blocks, one after the other."""
    return b"".join(map(blake2b_256, blocks))
