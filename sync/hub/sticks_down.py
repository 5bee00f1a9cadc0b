"""What goes onto a stick for the boxes that it comes from or goes to: the bundles that they lack, and no other."""

import asyncio
import logging
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from sync.hub.sending import Sending
from sync.hub.store.boxes import Box
from sync.transport import folder

log = logging.getLogger(__name__)

# A box says it for one epoch of the hub; a stranger's stick may have any number.
WORDS_MAX = 100


async def fill_stick(sending: Sending, root: Path) -> int:
    """Take what the boxes of a stick say they hold, and put on it what they lack; return how many bundles that is.

    A box is one of the stick's when it has a folder there: it wrote one, or got one at an earlier visit. What is not
    wanted any more is removed. One box with which something is wrong keeps no other from its bundles.

    Raises:
        StickMissing, StickUnwritable: there is no such folder, or it is full, gone or write-protected.
    """
    count = 0
    for key_id in await asyncio.to_thread(folder.list_boxes, root):
        box = await sending.find_box_of(key_id)
        if box is not None and not box.is_revoked:
            await _take_words(sending, root, box)
            count += await _put_bundles(sending, root, box)
    return count


async def _take_words(sending: Sending, root: Path, box: Box) -> None:
    listed = await asyncio.to_thread(folder.list_words, root, box.verify_key.key_id)
    for path in listed[:WORDS_MAX]:
        try:
            maker, ack = await sending.find_box(await asyncio.to_thread(folder.read_ack, path))
            if maker == box:
                await sending.take_ack(box, ack)
        except EdgeboxError as error:
            log.info("hub.stick_word_refused %s %s", path.name, error)


async def _put_bundles(sending: Sending, root: Path, box: Box) -> int:
    try:
        await sending.make_due(box)
    except EdgeboxError as error:
        log.warning("hub.stick_not_filled box=%d %s", box.no, error)
        return 0
    key_id, count = box.verify_key.key_id, 0
    waiting = {(bundle.epoch, bundle.seq): bundle for bundle in await sending.waiting(box)}
    for epoch, seq, path in await asyncio.to_thread(folder.list_down, root, key_id):
        if (epoch, seq) not in waiting:
            await asyncio.to_thread(folder.remove_down, path)
    for bundle in waiting.values():
        content = await sending.read(bundle)
        if content is not None:
            await asyncio.to_thread(folder.write_down, root, key_id, bundle.epoch, bundle.seq, content)
            count += 1
    return count
