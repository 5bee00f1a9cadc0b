"""Ed25519 signatures (RFC 8032) with a domain tag, and sealed boxes (X25519, XSalsa20-Poly1305) to one receiver."""

from dataclasses import dataclass
from typing import Self

from nacl.exceptions import BadSignatureError, CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.signing import SigningKey as _NaclSigningKey
from nacl.signing import VerifyKey as _NaclVerifyKey

from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.hashing import blake2b_256

KEY_ID_BYTES = 16
SIGNATURE_BYTES = 64


class SignatureInvalid(EdgeboxError):
    """A signature that does not belong to the bytes and key given."""

    code = "signature.invalid"
    status = 403
    exit_code = 12
    sentence = N_("The signature does not fit: the file was changed after it was signed.")
    remedy = N_("Do not use it. Get it again from its publisher.")


class SealBroken(EdgeboxError):
    """A sealed box that this key cannot open, or that was altered."""

    code = "seal.broken"
    status = 403
    exit_code = 13
    sentence = N_("The file is sealed for somebody else, or was changed on its way.")
    remedy = N_("Check which hub the box is enrolled with.")


@dataclass(frozen=True)
class VerifyKey:
    """The public half of a signing key."""

    raw: bytes

    @property
    def key_id(self) -> bytes:
        """Return 16 bytes that name the key: the start of its BLAKE2b-256."""
        return blake2b_256(self.raw)[:KEY_ID_BYTES]

    def verify(self, domain: str, message: bytes, signature: bytes) -> None:
        """Return if the signature fits.

        Raises:
            SignatureInvalid: it does not, or key or signature have the wrong length.
        """
        try:
            _NaclVerifyKey(self.raw).verify(_tagged(domain, message), signature)
        except (BadSignatureError, ValueError, TypeError) as error:
            raise SignatureInvalid from error


class SigningKey:
    """The secret half of an Ed25519 key."""

    def __init__(self, seed: bytes) -> None:
        self._key = _NaclSigningKey(seed)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the operating system's generator."""
        return cls(bytes(_NaclSigningKey.generate()))

    @property
    def seed(self) -> bytes:
        """Return the 32 secret bytes, to be stored."""
        return bytes(self._key)

    @property
    def verify_key(self) -> VerifyKey:
        """Return the public half."""
        return VerifyKey(bytes(self._key.verify_key))

    def sign(self, domain: str, message: bytes) -> bytes:
        """Return 64 bytes over the domain tag and the message; the tag keeps one use from serving another."""
        return self._key.sign(_tagged(domain, message)).signature


class SealingKey:
    """The secret key that opens sealed boxes."""

    def __init__(self, seed: bytes) -> None:
        self._key = PrivateKey(seed)

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the operating system's generator."""
        return cls(bytes(PrivateKey.generate()))

    @property
    def seed(self) -> bytes:
        """Return the 32 secret bytes, to be stored."""
        return bytes(self._key)

    @property
    def public(self) -> bytes:
        """Return the 32 bytes that senders seal to."""
        return bytes(self._key.public_key)

    def unseal(self, sealed: bytes) -> bytes:
        """Return what was sealed to this key.

        Raises:
            SealBroken: sealed to another key, or altered.
        """
        try:
            return SealedBox(self._key).decrypt(sealed)
        except (CryptoError, ValueError, TypeError) as error:
            raise SealBroken from error


def seal(receiver_public: bytes, data: bytes) -> bytes:
    """Return `data` readable only by the holder of the receiver's secret key; 48 bytes longer."""
    return SealedBox(PublicKey(receiver_public)).encrypt(data)


def _tagged(domain: str, message: bytes) -> bytes:
    return domain.encode() + b"\0" + message
