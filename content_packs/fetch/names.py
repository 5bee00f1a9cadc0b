"""Names of files in a depot, as they may be asked for."""

import re

DEPOT_NAME = "depot"
NAME_MAX_BYTES = 400
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_BLOB = re.compile(r"(?:.*/)?blobs/[0-9a-f]{2}/([0-9a-f]{64})")


def is_depot_name(name: str) -> bool:
    """Return whether `name` can be a file of a depot; one that could lead out of it, or is hidden, is none."""
    return len(name) <= NAME_MAX_BYTES and _NAME.fullmatch(name) is not None


def blob_hash_in(name: str) -> str:
    """Return the hash, in hexadecimal digits, of a name that says its content; "" for any other."""
    match = _BLOB.fullmatch(name)
    return match[1] if match else ""
