"""Take bundles off the stick that brought the hub's word that it has them, so that sticks do not fill up."""

import asyncio
import logging
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from edgebox.services.identity import Identity
from edgebox.store import changes
from edgebox.store.database import Database
from sync.bundle.layout import AckHead, Head, Notice
from sync.bundle.read import verify_bundle
from sync.transport import folder as stick

log = logging.getLogger(__name__)


async def remove_confirmed(database: Database, identity: Identity, root: Path, ack: AckHead) -> int:
    """Remove what this box wrote and the ack covers; return how many. A stick that cannot be written stays as it is.

    After a fork nothing is removed: a bundle of a copy of this box has the same name, and may be the only one.
    """
    if ack.notice == Notice.FORKED:
        return 0
    removed = 0
    try:
        for head in await asyncio.to_thread(_read_own, root, identity):
            if not covers(ack, head.epoch, head.seq) or not await _is_ours(database, head):
                continue
            await asyncio.to_thread(stick.remove_bundle, root, identity.box_id, head.epoch, head.seq)
            removed += 1
    except EdgeboxError as error:
        log.info("sync.stick_not_tidied %s", error)
    return removed


def covers(ack: AckHead, epoch: int, seq: int) -> bool:
    """Tell whether the hub says that it has a bundle."""
    covered = [(0, ack.vector.through_seq), *ack.vector.ranges]
    return ack.vector.epoch == epoch and any(first <= seq <= last for first, last in covered)


def _read_own(root: Path, identity: Identity) -> list[Head]:
    """Return the heads of the bundles on a stick that are whole, signed by this box and named as they should be."""
    found = []
    trusted = {identity.box_id: identity.signing.verify_key}
    for path in stick.list_bundles(root):
        if path.parent.name != identity.box_id.hex():
            continue
        try:
            head = verify_bundle(stick.read_bundle(path), trusted).head
        except EdgeboxError as error:
            log.info("sync.stick_bundle_left %s %s", path.name, error)
            continue
        if path.name == stick.bundle_name(head.epoch, head.seq):
            found.append(head)
    return found


async def _is_ours(database: Database, head: Head) -> bool:
    """Tell whether a bundle is the one this box made, as far as it still knows: it forgets a week after the ack."""
    known = await database.read(lambda connection: changes.find_bundle_hash(connection, head.epoch, head.seq))
    return known in (None, head.hash)
