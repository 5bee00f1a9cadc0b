"""Signed statements: a JWS of the statement among its attachments (1.0.3 part 2, 2.6; RFC 7515)."""

import json
import re
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import InvalidVersion, load_der_x509_certificate

from edgebox.domain.xapi.values import StatementMalformed

SIGNATURE_TYPE = "http://adlnet.gov/expapi/attachments/signature"
SIGNATURE_MAX_BYTES = 512 * 1024
_CONTENT_TYPE = "application/octet-stream"
_HASHES: Mapping[str, type[hashes.HashAlgorithm]] = MappingProxyType(
    {"RS256": hashes.SHA256, "RS384": hashes.SHA384, "RS512": hashes.SHA512}
)
# What the record store may set, and the attachment itself, are not compared (1.0.3 part 2, 2.6 and 2.3.1).
_NOT_SIGNED = frozenset({"id", "stored", "timestamp", "authority", "version", "attachments"})
_KEY_BITS_MAX = 8192
_SECONDS = re.compile(r"(\.\d\d)\d+S")


def is_signature(attachment: Mapping[str, Any]) -> bool:
    """Tell whether an attachment says that it is the signature of its statement."""
    return bool(attachment["usageType"] == SIGNATURE_TYPE)


def must_come(attachment: Mapping[str, Any]) -> bool:
    """Tell whether the file of an attachment has to come with its statement."""
    return "fileUrl" not in attachment or is_signature(attachment)


def check_signature(statement: dict[str, Any], attachment: Mapping[str, Any], content: bytes) -> None:
    """Return if `content` is a JWS of the statement; with a certificate in it, also if that one signed.

    Raises:
        StatementMalformed
    """
    if attachment["contentType"] != _CONTENT_TYPE:
        raise _wrong("not " + _CONTENT_TYPE)
    parts = content.split(b".")
    if len(parts) != 3:
        raise _wrong("not a JWS")
    header, payload = _decode_json(parts[0]), _decode_json(parts[1])
    algorithm = header.get("alg") if isinstance(header, dict) else None
    if not isinstance(algorithm, str) or algorithm not in _HASHES:
        raise _wrong("not of an algorithm that is allowed")
    if not isinstance(payload, dict) or _compared(payload) != _compared(statement):
        raise _wrong("not of this statement")
    signature = _decode(parts[2])
    if "x5c" in header:
        _verify(header["x5c"], signature, parts[0] + b"." + parts[1], _HASHES[algorithm]())


def _verify(chain: Any, signature: bytes, signed: bytes, algorithm: hashes.HashAlgorithm) -> None:
    try:
        key = load_der_x509_certificate(b64decode(chain[0], validate=True)).public_key()
    except (ValueError, TypeError, LookupError, UnsupportedAlgorithm, InvalidVersion) as error:
        raise _wrong("no certificate") from error
    if not isinstance(key, RSAPublicKey) or key.key_size > _KEY_BITS_MAX:
        raise _wrong("no RSA certificate")
    try:
        key.verify(signature, signed, PKCS1v15(), algorithm)
    except (InvalidSignature, ValueError) as error:
        raise _wrong("not signed by its certificate") from error


def _compared(statement: dict[str, Any]) -> Any:
    kept = {name: value for name, value in statement.items() if name not in _NOT_SIGNED}
    result = kept.get("result")
    if isinstance(result, dict) and isinstance(result.get("duration"), str):
        # Durations are equal when they are to the hundredth of a second (2.0, 4.2.7).
        kept["result"] = result | {"duration": _SECONDS.sub(r"\1S", result["duration"])}
    return kept


def _decode_json(part: bytes) -> Any:
    try:
        return json.loads(_decode(part))
    except (ValueError, RecursionError) as error:
        raise _wrong("not JSON") from error


def _decode(part: bytes) -> bytes:
    try:
        return urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    except ValueError as error:
        raise _wrong("not base64") from error


def _wrong(reason: str) -> StatementMalformed:
    return StatementMalformed(where="attachments", reason=f"signature {reason}")
