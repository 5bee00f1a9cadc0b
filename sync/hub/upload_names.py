"""Names of uploads in their addresses. Neither kind makes the hub remember anything before a signed head is shown.

A bundle sent with the request that creates its upload is named by its head: 32 hexadecimal digits, which its box can
work out as well, so that it finds the upload again after a cut in the very first answer. Any other creation gets a name
that holds what was said in it, under the hub's seal.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from hashlib import sha256

from content_packs.base import ids
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from sync.bundle.layout import upload_name

METADATA_MAX_BYTES = 1024
_PREFIX = "new."
_PURPOSE = b"edgebox upload name 1\0"
_NUMBER_BYTES = 8
_NONCE_BYTES = 8
_FIXED_BYTES = 2 * _NUMBER_BYTES + _NONCE_BYTES
_SEAL_BYTES = 16


@dataclass(frozen=True, slots=True)
class Created:
    """What was said when an upload was created."""

    length_bytes: int
    created_ms: int
    metadata: str


class UploadNames:
    """Makes and reads the names that hold what was said."""

    def __init__(self, key: SigningKey) -> None:
        self._key = blake2b_256(_PURPOSE + key.seed)

    def make(self, created: Created) -> str:
        """Return a new name."""
        content = (
            created.length_bytes.to_bytes(_NUMBER_BYTES, "big")
            + created.created_ms.to_bytes(_NUMBER_BYTES, "big")
            + ids.random_bytes(_NONCE_BYTES)
            + created.metadata.encode()
        )
        return _PREFIX + urlsafe_b64encode(self._seal(content) + content).rstrip(b"=").decode()

    def read(self, name: str) -> Created | None:
        """Return what a name holds; None if it holds nothing, or not under our seal."""
        if not name.startswith(_PREFIX):
            return None
        text = name.removeprefix(_PREFIX)
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (NotBase64, ValueError):
            return None
        seal, content = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(content)):
            return None
        length, created, rest = content[:_NUMBER_BYTES], content[_NUMBER_BYTES:][:_NUMBER_BYTES], content[_FIXED_BYTES:]
        return Created(int.from_bytes(length, "big"), int.from_bytes(created, "big"), rest.decode())

    def _seal(self, content: bytes) -> bytes:
        return hmac.new(self._key, content, sha256).digest()[:_SEAL_BYTES]


def file_key(name: str) -> str:
    """Return the name of the file that an upload is kept in."""
    return upload_name(name.encode()) if name.startswith(_PREFIX) else name
