"""Keys as one line of text: `edgebox-key-1 <64 hex>` is secret, `edgebox-pub-1 <64 hex> <name>` is public."""

import re

from content_packs.base.errors import N_
from content_packs.base.signing import SigningKey, VerifyKey
from content_packs.format import texts
from content_packs.format.errors import SourceInvalid

KEY_FILE_MAX_BYTES = 1024

_SECRET = re.compile(r"edgebox-key-1 ([0-9a-f]{64})\n?")
_PUBLIC = re.compile(r"edgebox-pub-1 ([0-9a-f]{64}) ([^\n]{1,200})\n?")


def format_secret(key: SigningKey) -> str:
    """Return the content of a secret key file."""
    return f"edgebox-key-1 {key.seed.hex()}\n"


def format_public(key: VerifyKey, name: str) -> str:
    """Return the content of a public key file; `name` is what people see as the publisher.

    Raises:
        SourceInvalid: a name that cannot be shown.
    """
    if not 1 <= len(name) <= texts.TITLE_MAX or "\n" in name or not texts.is_plain(name) or name != name.strip():
        raise SourceInvalid(file="", where="name", reason=N_("the name of a publisher has 1 to 200 plain characters"))
    return f"edgebox-pub-1 {key.raw.hex()} {name}\n"


def parse_secret(content: bytes, file: str) -> SigningKey:
    """Return the key in `content`; `file` is its name for the error.

    Raises:
        SourceInvalid: anything else than one secret key.
    """
    match = _SECRET.fullmatch(_text(content))
    if match is None:
        raise SourceInvalid(file=file, where="line 1", reason=N_("this is not a secret key of a publisher"))
    return SigningKey(bytes.fromhex(match[1]))


def parse_public(content: bytes, file: str) -> tuple[VerifyKey, str]:
    """Return the key and the publisher's name in `content`; `file` is its name for the error.

    Raises:
        SourceInvalid: anything else than one public key.
    """
    match = _PUBLIC.fullmatch(_text(content))
    if match is None or not texts.is_plain(match[2]) or match[2] != match[2].strip():
        raise SourceInvalid(file=file, where="line 1", reason=N_("this is not a public key of a publisher"))
    return VerifyKey(bytes.fromhex(match[1])), match[2]


def _text(content: bytes) -> str:
    return content[:KEY_FILE_MAX_BYTES].decode(errors="replace")
