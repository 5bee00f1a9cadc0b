"""Keep the box's identity its own, and make it known to the hub: tickets, new keys after a copy or a restore.

A new key is made on the disk first, in one step; the database follows, and notes what it was about to tell. Whatever a
power cut leaves between the two, the next start finds a key that differs from the one in the database, and follows.
"""

import asyncio
import logging
from pathlib import Path
from typing import Protocol

from content_packs.base import ids
from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import VerifyKey
from edgebox.services import copy_marks
from edgebox.services.identity import Identity
from edgebox.store import changes, express, identities
from edgebox.store.database import Database
from edgebox.store.identities import Introduction, Life, Reason
from sync import introduction
from sync.bundle.errors import BundleUnknownOrigin
from sync.bundle.layout import AckHead, Notice
from sync.enrolment import EnrolmentExpired, EnrolmentRefused, Hub
from sync.introduction import IntroductionKind, Ticket
from sync.transport import tickets
from sync.transport.errors import HubRefused, LinkCaptured

log = logging.getLogger(__name__)

_EPOCH_STEP_BYTES = 3
# What a hub says of a ticket that it will never take; after anything else it is asked again.
_LOST_TICKETS = frozenset({"hub.enrolment_code_invalid", "hub.enrolment_code_used", EnrolmentExpired.code})


class Link(Protocol):
    """A line to the hub."""

    async def introduce(self, content: bytes) -> bytes:
        """Return the hub's answer to a request or a succession."""


class Introducing:
    """The identity of a box as its hub gets to know it. Safe to call from any task of the loop, one at a time."""

    def __init__(self, database: Database, identity: Identity, clock: Clock) -> None:
        self._database = database
        self._identity = identity
        self._clock = clock

    async def settle(self) -> None:
        """Bring key and database together; before anything is recorded or sent.

        A data folder that is a copy, and a database that is older than its keys, go on under a new key at once.
        """
        folder = self._identity.folder
        life = await self._database.read(identities.find_life)
        made = await asyncio.to_thread(copy_marks.last_made, folder)
        reason = None
        if await asyncio.to_thread(copy_marks.is_moved, folder):
            reason = Reason.COPIED
        elif made > await self._database.read(changes.last_bundle):
            reason = Reason.RESTORED
        if reason is not None:
            await self.renew(reason)
        elif life is None:
            first = Life(self._identity.box_id, Reason.FIRST, self._clock.now_ms())
            await self._database.write(lambda connection: identities.note_first_life(connection, first))
        elif life.key_id != self._identity.box_id:
            await self._follow(Reason.COPIED)
        await asyncio.to_thread(copy_marks.note_place, folder)

    async def renew(self, reason: Reason) -> None:
        """Go on under a new key, send everything again under it, and let the hub know whose it is."""
        log.warning("identity.renewed reason=%s old=%s", reason.value, self._identity.box_id.hex())
        await asyncio.to_thread(self._identity.renew)
        await asyncio.to_thread(copy_marks.note_place, self._identity.folder)
        await self._follow(reason)

    async def last_life(self) -> Life | None:
        """Return under which key the box lives, why, and since when."""
        return await self._database.read(identities.find_life)

    async def list_tickets(self, stick: Path) -> dict[str, Ticket]:
        """Return the whole tickets on a stick by a name of their content. Nothing is done with them.

        What is no ticket, or was changed, is left out.
        """
        return await asyncio.to_thread(_read_tickets, stick)

    async def accept(self, ticket: Ticket) -> Hub:
        """Know the hub of a ticket from now on, and have a request ready for it. Safe to repeat.

        Raises:
            EnrolmentExpired: it is too old, by the clock of this box; the hub has the last word.
            EnrolmentRefused: nothing can be sealed to the key in it.
        """
        now_ms = self._clock.now_ms()
        if ticket.expires_ms <= now_ms:
            raise EnrolmentExpired
        content = await asyncio.to_thread(introduction.write_request, ticket, self._identity.signing)
        hub = Hub(ticket.hub, ticket.sealing_key, 0)
        await self._database.write(lambda connection: identities.meet_hub(connection, ticket.url, hub, now_ms, content))
        return hub

    async def pending(self) -> list[Introduction]:
        """Return what the hub has to be told before it takes bundles, in order."""
        return await self._database.read(identities.list_introductions)

    async def tell(self, link: Link, hub: VerifyKey) -> bool:
        """Tell the hub over a line what it has to be told, and return whether there was anything.

        Raises:
            LinkDown, LinkCaptured, HubBusy, HubRefused: no answer, none of the hub's, or no.
        """
        pending = await self.pending()
        for told in pending:
            try:
                await self.take_answer(hub, told, await link.introduce(told.content))
            except HubRefused as error:
                await self._note_refused(told, error.fields["hub_code"])
                raise
            except EnrolmentRefused as error:
                raise LinkCaptured(reason=error.code) from error
        return bool(pending)

    async def put_on_stick(self, root: Path) -> None:
        """Put on a stick what the hub has to be told.

        Raises:
            StickMissing, StickUnwritable: there is no such folder, or it is full, gone or write-protected.
        """
        for told in await self.pending():
            place = root, self._identity.box_id, told.kind, told.content
            await asyncio.to_thread(tickets.write_introduction, *place)

    async def take_from_stick(self, root: Path, hub: VerifyKey) -> HubRefused | None:
        """Take the hub's answers off a stick and return the last refusal; what is no answer of the hub is left."""
        refused = None
        for told in await self.pending():
            content = await asyncio.to_thread(tickets.read_answer, root, self._identity.box_id, told.kind)
            try:
                if content is not None:
                    await self.take_answer(hub, told, content)
            except EnrolmentRefused as error:
                log.warning("identity.stick_answer_refused %s", error)
            except HubRefused as error:
                refused = error
        return refused

    async def is_of_a_copy(self, ack: AckHead) -> bool:
        """Return whether another box uses this identity, by what the hub says or by what it has."""
        if ack.notice == Notice.SUCCEEDED:
            return True
        if ack.notice == Notice.FORKED and ack.vector.epoch == await self._database.read(changes.find_epoch):
            return True
        return await self._database.read(
            lambda connection: (
                changes.is_of_a_copy(connection, ack.vector, ack.tail) or express.is_of_a_copy(connection, ack)
            )
        )

    async def take_answer(self, hub: VerifyKey, told: Introduction, content: bytes) -> None:
        """Note what the hub answered.

        Raises:
            EnrolmentRefused: this is no answer of the hub to what it was told; nothing is changed.
            HubRefused: it said no.
        """
        answer = introduction.read_answer(content, hub)
        if (answer.box_id, answer.about) != (self._identity.box_id, introduction.about(told.content)):
            raise EnrolmentRefused(reason="answer")
        if answer.code:
            await self._note_refused(told, answer.code)
            raise HubRefused(hub_code=answer.code)
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: identities.note_answered(connection, told, answer.box_no, now_ms))

    async def _note_refused(self, told: Introduction, code: str) -> None:
        """Tell a ticket no more that the hub will never take; after any other refusal it is told again."""
        if code in _LOST_TICKETS and told.kind == IntroductionKind.REQUEST:
            await self._database.write(lambda connection: identities.drop_introduction(connection, told))

    async def note_known(self) -> None:
        """Note that the hub knows the present key, as an ack shows."""
        if await self.pending():
            now_ms = self._clock.now_ms()
            await self._database.write(lambda connection: identities.note_known(connection, now_ms))

    async def note_error(self, error: EdgeboxError) -> None:
        """Tell everything again when the hub says that it does not know this box, as after a restore of its own."""
        if error.fields.get("hub_code") == BundleUnknownOrigin.code:
            await self._database.write(identities.forget_answers)

    async def _follow(self, reason: Reason) -> None:
        """Let the database go on under the key that is on the disk."""
        now_ms, folder = self._clock.now_ms(), self._identity.folder
        made_epoch, _seq = await asyncio.to_thread(copy_marks.last_made, folder)
        epoch = _above(made_epoch, await self._database.read(changes.find_epoch))
        keys = self._identity.keys[::-1]
        before = await self._database.read(identities.find_life)
        is_next = before is not None and before.key_id == keys[-2].verify_key.key_id
        last = await self._database.read(changes.find_last_confirmed) if is_next else None
        content = await asyncio.to_thread(introduction.write_succession, keys, now_ms, last)
        life = Life(self._identity.box_id, reason, now_ms)
        await self._database.write(lambda connection: identities.begin_life(connection, life, epoch, content))


def _above(*epochs: int) -> int:
    """Return an epoch that a copy of this box is unlikely to choose as well."""
    return max(epochs) + 1 + int.from_bytes(ids.random_bytes(_EPOCH_STEP_BYTES), "big")


def _read_tickets(stick: Path) -> dict[str, Ticket]:
    found = {}
    for content in tickets.list_tickets(stick):
        try:
            found[introduction.about(content).hex()] = introduction.read_ticket(content)
        except EnrolmentRefused as error:
            log.info("identity.ticket_left %s", error)
    return found
