"""What a depot says it has, and the request for many files of a pack at once, which boxes answer.

    packs/index.ebl       what there is, as msgpack: a list of [pack, version]
    want                  POST one `Want`, get the files one after the other: hash (32), length (8, big-endian), content

Nothing of this is signed: the list says what to ask for, and what comes is checked against signed manifests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from content_packs.base import codec
from content_packs.base.codec import CodecMalformed
from content_packs.base.hashing import HASH_BYTES
from content_packs.format import layout
from content_packs.format.fields import is_pack_id

INDEX_NAME = f"{layout.PACKS_NAME}/index.ebl"
WANT_NAME = "want"
WANT_TYPE = "application/vnd.edgebox.want"
WANT_MAX_BYTES = 1024 * 1024
WANT_HASHES_MAX = 20_000
INDEX_MAX_BYTES = 1024 * 1024
PACKS_MAX = 5_000
SIZE_BYTES = 8
HEADER_BYTES = HASH_BYTES + SIZE_BYTES


@dataclass(frozen=True, slots=True)
class Offered:
    """One pack in the list of a source."""

    pack: str
    version: int


@dataclass(frozen=True, slots=True)
class Want:
    """Files of one pack version that are missing.

    Attributes:
        hashes: in the order in which they are to come; at most 20,000, so that servers take the request.
        skip_bytes: how much of the answer came before, the first time.
    """

    pack: str
    version: int
    hashes: tuple[bytes, ...]
    skip_bytes: int = 0


def write_index(offered: Sequence[Offered]) -> bytes:
    """Return the list as it is sent."""
    return codec.encode([[one.pack, one.version] for one in offered])


def read_index(content: bytes) -> list[Offered]:
    """Return the packs in a list; what cannot be one is left out.

    Raises:
        CodecMalformed: it is no list.
    """
    value = codec.decode(content, max_bytes=INDEX_MAX_BYTES)
    if not isinstance(value, list) or len(value) > PACKS_MAX:
        raise CodecMalformed(reason="index")
    return [Offered(*one) for one in value if _is_offered(one)]


def write_want(want: Want) -> bytes:
    """Return the request as it is sent."""
    hashes = b"".join(want.hashes)
    return codec.encode({"pack": want.pack, "version": want.version, "hashes": hashes, "skip_bytes": want.skip_bytes})


def read_want(content: bytes) -> Want:
    """Return the request.

    Raises:
        CodecMalformed: it is none.
    """
    match codec.decode(content, max_bytes=WANT_MAX_BYTES):
        case {"pack": str(pack), "version": int(version), "hashes": bytes(hashes), "skip_bytes": int(skip_bytes)}:
            if len(hashes) % HASH_BYTES or skip_bytes < 0 or not is_pack_id(pack):
                raise CodecMalformed(reason="want")
            split = tuple(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
            return Want(pack, version, split, skip_bytes)
    raise CodecMalformed(reason="want")


def file_header(content_hash: bytes, size_bytes: int) -> bytes:
    """Return what stands before a file in the answer to a request."""
    return content_hash + size_bytes.to_bytes(SIZE_BYTES, "big")


def _is_offered(value: Any) -> bool:
    return (
        isinstance(value, list)
        and [type(part) for part in value] == [str, int]
        and is_pack_id(value[0])
        and 1 <= value[1] <= layout.VERSION_MAX
    )
