"""Ed25519 keys for python-tuf, verified and signed by libsodium: its default needs another library for the same thing.

A key is named by the same 16 bytes in a list as in a pack.
"""

from typing import Any, Self

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as NaclSigningKey
from nacl.signing import VerifyKey as NaclVerifyKey
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, Key, SecretsHandler, Signature, Signer

from content_packs.base.signing import SigningKey, VerifyKey

KEY_TYPE = SCHEME = "ed25519"
_PUBLIC_BYTES = 32


class ListKey(Key):
    """The public half of a key that signs lists."""

    def __init__(self, key: VerifyKey, keyid: str = "", unrecognized_fields: dict[str, Any] | None = None) -> None:
        keyval = {"public": key.raw.hex()}
        super().__init__(keyid or key.key_id.hex(), KEY_TYPE, SCHEME, keyval, unrecognized_fields)
        self.verify_key = key

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> Self:
        """Return the key in a record of a list; raises ValueError, KeyError or TypeError for anything else."""
        _keytype, _scheme, keyval = cls._from_dict(key_dict)
        raw = bytes.fromhex(keyval["public"])
        if len(raw) != _PUBLIC_BYTES:
            raise ValueError("a public key has 32 bytes")
        if VerifyKey(raw).key_id.hex() != keyid:
            raise ValueError("a key has one name only: two names for it would count as two keys")
        return cls(VerifyKey(raw), keyid, key_dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the record that `from_dict` reads."""
        return self._to_dict()

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Return if the signature fits; raises UnverifiedSignatureError."""
        try:
            NaclVerifyKey(self.verify_key.raw).verify(data, bytes.fromhex(signature.signature))
        except (BadSignatureError, ValueError, TypeError) as error:
            raise UnverifiedSignatureError(f"signature of {self.keyid}") from error


class ListSigner(Signer):
    """The secret half."""

    def __init__(self, key: SigningKey) -> None:
        self._key = NaclSigningKey(key.seed)
        self._public = ListKey(key.verify_key)

    @property
    def public_key(self) -> ListKey:
        """Return the public half."""
        return self._public

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> Signer:
        """Refuse: keys come from key files only."""
        raise ValueError(f"no address of a key: {priv_key_uri}")

    def sign(self, payload: bytes) -> Signature:
        """Return the signature on the bytes of a list."""
        return Signature(self._public.keyid, self._key.sign(payload).signature.hex())


# python-tuf asks this table which class reads a key; it is filled once, when this module is imported.
KEY_FOR_TYPE_AND_SCHEME.clear()
KEY_FOR_TYPE_AND_SCHEME[KEY_TYPE, SCHEME] = ListKey
