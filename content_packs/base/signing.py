"""Ed25519 signatures (RFC 8032) with a domain tag, and sealed boxes (X25519, XSalsa20-Poly1305) to one receiver.

Whoever has shown a signing key can be sealed to as well: an Ed25519 key is an X25519 key in other coordinates
(RFC 7748, section 4.1), and libsodium turns one into the other.
"""

from dataclasses import dataclass
from typing import Self

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_scalarmult,
)
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.exceptions import RuntimeError as SodiumRefused
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.signing import SigningKey as _NaclSigningKey
from nacl.signing import VerifyKey as _NaclVerifyKey

from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.hashing import blake2b_256, keyed_blake2b_256

KEY_ID_BYTES = 16
SIGNATURE_BYTES = 64
_NONCE_BYTES = 24


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

    @property
    def sealing_public(self) -> bytes:
        """Return the 32 bytes that senders seal to, for the holder of this key's secret half to open.

        Raises:
            SealBroken: the key was made so that nobody could open it; some of those do verify signatures.
        """
        try:
            return bytes(_NaclVerifyKey(self.raw).to_curve25519_public_key())
        except (SodiumRefused, ValueError, TypeError) as error:
            raise SealBroken from error

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

    @property
    def sealing_key(self) -> "SealingKey":
        """Return the key that opens what is sealed to `verify_key.sealing_public`; always the same one."""
        return SealingKey(bytes(self._key.to_curve25519_private_key()))

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


class PairKey:
    """The secret that two holders of X25519 keys share (RFC 7748); each makes it of its own half and the other's."""

    def __init__(self, own: SealingKey, other_public: bytes) -> None:
        """Make the secret.

        Raises:
            SealBroken: the other key was made so that nobody could open anything.
        """
        try:
            secret = crypto_scalarmult(own.seed, other_public)
        except (SodiumRefused, ValueError, TypeError) as error:
            raise SealBroken from error
        low, high = sorted((own.public, other_public))
        self._secret = keyed_blake2b_256(secret, low + high)

    def seal(self, context: bytes, head: bytes, data: bytes) -> bytes:
        """Return `data` sealed together with `head`, which stays readable; 16 bytes longer.

        The key is one for this head, so no two heads may ever be equal: put a counter and a few random bytes there.
        """
        key = keyed_blake2b_256(self._secret, context + head)
        return crypto_aead_xchacha20poly1305_ietf_encrypt(data, head, bytes(_NONCE_BYTES), key)

    def unseal(self, context: bytes, head: bytes, sealed: bytes) -> bytes:
        """Return what `seal` was given.

        Raises:
            SealBroken: of another pair, another context, or altered.
        """
        key = keyed_blake2b_256(self._secret, context + head)
        try:
            return crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, head, bytes(_NONCE_BYTES), key)
        except (CryptoError, ValueError, TypeError) as error:
            raise SealBroken from error


def seal(receiver_public: bytes, data: bytes) -> bytes:
    """Return `data` readable only by the holder of the receiver's secret key; 48 bytes longer.

    Raises:
        SealBroken: nobody can have a secret key to this one.
    """
    try:
        return SealedBox(PublicKey(receiver_public)).encrypt(data)
    except CryptoError as error:
        raise SealBroken from error


def _tagged(domain: str, message: bytes) -> bytes:
    return domain.encode() + b"\0" + message
