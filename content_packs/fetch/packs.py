"""Bringing a pack version to the box: as a patch from the version it has, as a patch from nothing, or file by file.

With a known base one request is enough. Without, there are at most three: the patch that nobody has, the full one; or,
from a neighbour, its manifest and all missing files in one answer.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from content_packs.base.budget import Allowance
from content_packs.base.hashing import HASH_BYTES
from content_packs.base.signing import VerifyKey
from content_packs.fetch.blocks import BlockMap, one_block
from content_packs.fetch.contract import Source
from content_packs.fetch.errors import NotOffered
from content_packs.fetch.partial import PartialFile
from content_packs.fetch.target import Pace, Target
from content_packs.fetch.transfer import Transfer
from content_packs.format import layout
from content_packs.format.keyring import Keyring
from content_packs.format.manifest import FileEntry
from content_packs.patch.head import BODY_MAX_BYTES, HEAD_MAX_BYTES, NOTHING, PREFACE_BYTES, head_length, open_head

BLOB_GIVE_UP_MS = 60_000
PATCH_MAX_BYTES = BODY_MAX_BYTES + HEAD_MAX_BYTES


def patch_target(pack: str, root: bytes, above_version: int, trusted: Mapping[bytes, VerifyKey]) -> Target:
    """Return the patch of `pack` from the version with this Merkle root, or from nothing if `root` is empty.

    It is wanted only if it makes a version above `above_version` that was not withdrawn, and its head has to be signed
    by a trusted key.
    """
    name = layout.patch_name(pack, root)

    def read_head(start: bytes) -> BlockMap | None:
        if len(start) < PREFACE_BYTES:
            return None
        head_bytes = PREFACE_BYTES + head_length(start[:PREFACE_BYTES])
        if len(start) < head_bytes:
            return None
        head, _ = open_head(start[PREFACE_BYTES:head_bytes], trusted)
        if head.pack != pack or head.from_root != (root[: len(NOTHING)] or NOTHING) or head.to_version <= above_version:
            raise NotOffered(file=name)
        if isinstance(trusted, Keyring):
            trusted.check_version(head.pack, head.to_version)
        hashes = tuple(head.blocks[at : at + HASH_BYTES] for at in range(0, len(head.blocks), HASH_BYTES))
        return BlockMap(head_bytes + head.body_bytes, head.block_bytes, hashes, head_bytes)

    return Target(name, PATCH_MAX_BYTES, read_head=read_head)


def blob_target(pack: str, version: int, entry: FileEntry) -> Target:
    """Return one file of a pack, by its hash."""
    name = f"{layout.PACKS_NAME}/{pack}/{version}/{layout.blob_name(entry.hash)}"
    return Target(name, entry.size_bytes, one_block(entry.size_bytes, entry.hash))


async def fetch_blob(
    sources: Sequence[Source], pack: str, version: int, entry: FileEntry, folder: Path, budget: Allowance | None = None
) -> PartialFile:
    """Return one file of an installed pack, verified, on its way into `folder`; `discard` it when it was taken.

    Raises:
        NotOffered, SourceLied, SourceDown, SourceCaptured, FetchPaused: nobody gives it, or nobody now.
    """
    pace = Pace(give_up_ms=BLOB_GIVE_UP_MS)
    return await Transfer(blob_target(pack, version, entry), sources, folder, budget=budget, pace=pace).run()
