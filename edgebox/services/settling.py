"""What the hub's signed word changes: which bundles are settled, and whether everything has to be sent again."""

import logging

from edgebox.services.asking import Asking
from edgebox.services.box_clock import BoxClock
from edgebox.services.introducing import Introducing
from edgebox.services.spool import Spool
from edgebox.services.uploading import Uploading
from edgebox.store import changes, express, switches
from edgebox.store.database import Database
from edgebox.store.identities import Reason
from sync.bundle.errors import BundleUnknownOrigin
from sync.bundle.layout import AckHead, Notice
from sync.bundle.read import read_ack
from sync.enrolment import Hub

log = logging.getLogger(__name__)


class Settling:
    """Takes acks; whoever calls holds the books."""

    def __init__(
        self,
        database: Database,
        clock: BoxClock,
        spool: Spool,
        introducing: Introducing,
        asking: Asking,
        uploading: Uploading,
    ) -> None:
        self._database = database
        self._clock = clock
        self._spool = spool
        self._introducing = introducing
        self._asking = asking
        self._uploading = uploading

    async def take(self, ack: AckHead, *, is_carried: bool = False) -> bool:
        """Move the cursor, and return whether everything has to be sent again in a new epoch, which is begun then.

        That is so when two boxes use this identity, and when the hub lost bundles that are no longer kept here. Of the
        first, the ack may be the word on the other box's bundles, so it settles none of ours.
        """
        await self._introducing.note_known()
        now_ms = self._clock.now_ms()
        if await self._introducing.is_of_a_copy(ack):
            await self._introducing.renew(Reason.HUB)
            await self._spool.sweep()
            return True
        self._asking.has_waiting |= ack.notice == Notice.WAITING
        is_whole = await self._database.write(
            lambda connection: changes.settle(
                connection, ack.vector, now_ms, said_ms=ack.created_ms, is_carried=is_carried
            )
        )
        await self._database.write(lambda connection: express.settle(connection, ack, now_ms))
        if ack.reads_short:
            await self._database.write(
                lambda connection: switches.set_switch(connection, switches.HUB_READS_SHORT, on=True)
            )
        if not is_whole:
            log.warning("sync.starts_over epoch=%d", ack.vector.epoch)
            await self.start_over()
        await self._spool.forget_old(now_ms)
        return not is_whole

    async def start_over(self) -> None:
        """End what is on its way, and begin a new epoch, in which everything is sent."""
        await self._uploading.end()
        await self._spool.start_epoch()


def read_carried(content: bytes, hub: Hub, box_id: bytes) -> AckHead:
    """Return an ack that somebody carried here.

    Raises:
        BundleMalformed, BundleTooLarge, BundleUnsupported, BundleUnknownOrigin, BundleForged: not the hub's word
            about this box.
    """
    ack = read_ack(content, hub.verify_key)
    if ack.vector.origin != box_id:
        raise BundleUnknownOrigin(origin=ack.vector.origin.hex()[:12])
    return ack
