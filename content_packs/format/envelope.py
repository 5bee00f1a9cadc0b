"""The signed wrapping of a manifest: who vouches for it (docs/pack-format.md, Envelope).

The signature is checked over the bytes as they came, before anything in them is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from content_packs.base import codec
from content_packs.base.signing import KEY_ID_BYTES, SIGNATURE_BYTES, SignatureInvalid, SigningKey, VerifyKey
from content_packs.format import manifest as manifests
from content_packs.format.errors import (
    FormatUnsupported,
    ManifestMalformed,
    PackSignatureInvalid,
    PackUnsigned,
    SignerUnknown,
)
from content_packs.format.fields import Fields
from content_packs.format.keyring import Keyring
from content_packs.format.manifest import Manifest

DOMAIN = "edgebox pack manifest v1"
FORMAT = 1
SIGNATURES_MAX = 8
ENVELOPE_MAX_BYTES = manifests.MANIFEST_MAX_BYTES + 4096

_KEYS = {"format", "signed", "signatures"}
_PARTS_MAX = 2 + SIGNATURES_MAX
_CLAIM_MAX_BYTES = 1024**2
_CLAIM_PARTS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Envelope:
    """The bytes that are signed, and the signatures as (key id, signature)."""

    signed: bytes
    signatures: tuple[tuple[bytes, bytes], ...]


def seal_envelope(manifest: Manifest, keys: Sequence[SigningKey]) -> bytes:
    """Return the file `manifest.ebm` signed by every one of `keys`."""
    signed = manifests.serialise(manifest)
    signatures = sorted([key.verify_key.key_id, key.sign(DOMAIN, signed)] for key in keys)
    return codec.encode({"format": FORMAT, "signed": signed, "signatures": signatures})


def open_envelope(data: bytes, trusted: Mapping[bytes, VerifyKey]) -> tuple[Manifest, bytes]:
    """Return the manifest and the id of the trusted key that signed it.

    Every signature by a trusted key must fit; signatures by other keys are not looked at. A `Keyring` also says which
    of the keys may sign which pack.

    Raises:
        PackUnsigned, SignerUnknown, PackSignatureInvalid: it cannot be trusted.
        PackNotListed, PackWithdrawn, ListExpired, LocalPackRefused: the keyring refuses it.
        FormatUnsupported, ManifestMalformed, PathRefused: it cannot be used.
    """
    envelope = split_envelope(data)
    signers = _check_signatures(envelope, trusted)
    manifest = manifests.parse(envelope.signed)
    if isinstance(trusted, Keyring):
        return manifest, trusted.accept(manifest, signers, data)
    return manifest, signers[0]


def open_unverified(data: bytes) -> Manifest:
    """Return the manifest without asking who signed it, for what the box itself has verified.

    Raises:
        FormatUnsupported, ManifestMalformed, PathRefused: it cannot be used.
    """
    return manifests.parse(split_envelope(data).signed)


def open_claim(data: bytes) -> Manifest | None:
    """Return what a pack that nobody here vouches for says of itself; nothing when that is more than a screen needs.

    A stranger's list of contents may be small and still fill a memory, so its size and its parts are bounded.

    Raises:
        FormatUnsupported, ManifestMalformed, PathRefused: it is not what a pack would say.
    """
    signed = split_envelope(data).signed
    return manifests.parse(signed, max_parts=_CLAIM_PARTS_MAX) if len(signed) <= _CLAIM_MAX_BYTES else None


def split_envelope(data: bytes) -> Envelope:
    """Return the two halves of an envelope, with nothing verified.

    Raises:
        FormatUnsupported: another format number.
        ManifestMalformed: not a canonical envelope.
    """
    value = manifests.decode_canonical(data, max_bytes=ENVELOPE_MAX_BYTES, max_parts=_PARTS_MAX)
    number = Fields(value, "envelope").integer("format", low=0, high=2**31 - 1)
    if number != FORMAT:
        raise FormatUnsupported(feature=f"envelope {number}")
    if value.keys() != _KEYS or not isinstance(value["signed"], bytes) or not _are_signatures(value["signatures"]):
        raise ManifestMalformed(reason="envelope")
    return Envelope(value["signed"], tuple((key_id, signature) for key_id, signature in value["signatures"]))


def _are_signatures(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > SIGNATURES_MAX:
        return False
    return all(
        isinstance(pair, list)
        and [type(part) for part in pair] == [bytes, bytes]
        and [len(part) for part in pair] == [KEY_ID_BYTES, SIGNATURE_BYTES]
        for pair in value
    )


def _check_signatures(envelope: Envelope, trusted: Mapping[bytes, VerifyKey]) -> list[bytes]:
    """Return the ids of the trusted keys that signed, at least one."""
    if not envelope.signatures:
        raise PackUnsigned
    known = [(key_id, signature) for key_id, signature in envelope.signatures if key_id in trusted]
    if not known:
        raise SignerUnknown(signer=envelope.signatures[0][0].hex())
    for key_id, signature in known:
        try:
            trusted[key_id].verify(DOMAIN, envelope.signed, signature)
        except SignatureInvalid as error:
            raise PackSignatureInvalid(signer=key_id.hex()) from error
    return [key_id for key_id, _ in known]
