"""Take bundles off the stick that brought the hub's word that it has them, so that sticks do not fill up."""

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from edgebox.services.identity import Identity
from edgebox.store import changes, express
from edgebox.store.database import Database
from sync.bundle.layout import CARRIES_RECORDS, AckHead, Head, Notice
from sync.bundle.paired import is_paired, parse_paired
from sync.bundle.read import verify_head
from sync.transport import folder
from sync.transport.stick_writing import StickWriter

log = logging.getLogger(__name__)


async def remove_confirmed(database: Database, identity: Identity, root: Path, acks: Iterable[AckHead]) -> int:
    """Remove what this box wrote and the acks cover; return how many. A stick that cannot be written stays as it is.

    After a fork nothing is removed: a bundle of a copy of this box has the same name, and may be the only one.
    """
    by_epoch = {ack.vector.epoch: ack for ack in acks if ack.notice != Notice.FORKED}
    if not by_epoch:
        return 0
    removed = 0
    try:
        writer = await asyncio.to_thread(StickWriter, root)
        for path, head in await asyncio.to_thread(_read_covered, root, identity, by_epoch):
            if await _is_ours(database, head):
                await asyncio.to_thread(writer.remove, path)
                removed += 1
    except EdgeboxError as error:
        log.info("sync.stick_not_tidied %s", error)
    return removed


def covers(ack: AckHead, epoch: int, seq: int) -> bool:
    """Tell whether the hub says that it has a bundle of the chain."""
    covered = [(0, ack.vector.through_seq), *ack.vector.ranges]
    return ack.vector.epoch == epoch and any(first <= seq <= last for first, last in covered)


def makes_needless(ack: AckHead, head: Head) -> bool:
    """Tell whether the hub says that it has a bundle, or of an express one all that it brings."""
    if not head.is_express:
        return covers(ack, head.epoch, head.seq)
    has_it = any(first <= head.seq <= last for first, last in ack.express)
    return ack.vector.epoch == head.epoch and (has_it or head.through_change <= ack.vector.through_change)


def _read_covered(root: Path, identity: Identity, acks: dict[int, AckHead]) -> list[tuple[Path, Head]]:
    """Return the bundles on a stick that an ack covers, are signed by this box and named as they should be."""
    paths = [
        path
        for path in folder.list_bundles(root, identity.box_id)
        for epoch, seq in [folder.bundle_numbers(path.name) or (-1, -1)]
        if epoch in acks and covers(acks[epoch], epoch, seq)
    ]
    paths += [
        path
        for path in folder.list_express(root, identity.box_id)
        if (folder.express_numbers(path.name) or (-1, -1))[0] in acks
    ]
    found = ((path, _read_head(path, identity)) for path in paths)
    return [(path, head) for path, head in found if head is not None and makes_needless(acks[head.epoch], head)]


def _read_head(path: Path, identity: Identity) -> Head | None:
    """Return the head of a bundle on a stick that this box signed and that is named as it should be."""
    trusted = {identity.box_id: identity.signing.verify_key}
    try:
        start = folder.read_start(path)
        head = parse_paired(start).head if is_paired(start) else verify_head(start, trusted, CARRIES_RECORDS)
    except EdgeboxError as error:
        log.info("sync.stick_bundle_left %s %s", path.name, error)
        return None
    return head if path.name.lower() == folder.bundle_name(head.epoch, head.seq, is_express=head.is_express) else None


async def _is_ours(database: Database, head: Head) -> bool:
    """Tell whether a bundle is the one this box made, as far as it still knows: it forgets a week after the ack.

    A short bundle names no origin and only the hub can check it, so that one has to be known.
    """
    find = express.find_hash if head.is_express else changes.find_bundle_hash
    known = await database.read(lambda connection: find(connection, head.epoch, head.seq))
    return known == head.hash or (known is None and bool(head.origin))
