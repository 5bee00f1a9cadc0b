"""What becomes of a bundle: the receiver's table at work, one transaction for each bundle.

A bundle is read once, when its turn has come, and away from the database. Bundles that were held behind a hole are
applied one after the other once it is filled, with other boxes served in between; a hub that is stopped meanwhile goes
on when it starts, or when the box comes again.
"""

import logging
from collections import Counter
from functools import partial

from content_packs.base.clock import Clock
from content_packs.base.errors import EdgeboxError
from sync.bundle.errors import BundleTooLarge
from sync.bundle.layout import Notice
from sync.engine.receiver import Verdict, judge
from sync.hub.arrivals import Arrival, Arrivals
from sync.hub.effort import Effort
from sync.hub.opening import Checked
from sync.hub.store import boxes, bundles, express, outgoing
from sync.hub.store.applying import Applier
from sync.hub.store.boxes import Box
from sync.hub.store.bundles import BundleState, Held, Place, SetAside
from sync.hub.store.express import ExpressApplier
from sync.hub.store.statement_rows import RecordUnresolved
from sync.hub.store.worker import Store, Transaction
from sync.hub.uploads import Uploads
from sync.records.kinds import kind_of
from sync.records.rows import Activity, Boot, Class, Device, Learner, Verb

log = logging.getLogger(__name__)
Word = tuple[Held, Notice]  # what is held of an epoch, and what its box has to know besides
TRIES_MAX = 3
Reasons = set[str]  # for setting bundles aside, that are gone


class Chain:
    """Takes bundles in their order."""

    def __init__(self, store: Store, clock: Clock, arrivals: Arrivals, uploads: Uploads) -> None:
        self._store = store
        self._clock = clock
        self._arrivals = arrivals
        self._uploads = uploads
        self._tries = Counter[bytes]()

    async def take(self, box: Box, checked: Checked, content: bytes, effort: Effort) -> Word:
        """Do with a bundle what is to be done, and return the word on its epoch. The same again changes nothing.

        Raises:
            EdgeboxError: a refusal with a code; nothing was changed.
        """
        arrival = Arrival(box, checked.head, content)
        if checked.head.is_express:
            word = await self._store.run(effort.timed(partial(self._take_express, arrival=arrival)))
            if word is None:
                arrival = await self._arrivals.read(arrival, checked, effort)
                word = await self._store.run(effort.timed(partial(self._take_express, arrival=arrival)))
            assert word is not None
            return word
        word = await self._take_next(arrival, checked, effort)
        return await self.apply_held(box, word, effort)

    async def apply_held(self, box: Box, word: Word, effort: Effort) -> Word:
        """Apply what was held behind a hole that is filled; return the word on all that is there then.

        Whatever it costs is on the box's account before the next, and a box without credit waits for its turn.
        """
        while _is_next_held(word):
            await self._uploads.settle(box.verify_key.key_id, effort)
            try:
                word = await self._apply_next_held(box, word[0], effort)
            except Exception:  # it was acknowledged, so it stays held, and is tried again
                log.exception("hub.bundle_stays_held box=%d", box.no)
                break
        return word

    async def resume(self) -> None:
        """Go on where a stopped hub left off, and try again what could not be applied: this program may be newer."""
        await self._retry_set_aside()
        for place in await self._store.run(bundles.list_next_held):
            box = await self._store.run(partial(boxes.get_box, no=place.box_no))
            if box.is_revoked:
                continue
            try:
                word = await self._store.run(partial(find_word, origin=box.verify_key.key_id, place=place))
                await self.apply_held(box, word, Effort())
            except Exception:  # a fault in it must stop neither another box nor the hub
                log.exception("hub.bundle_stays_held box=%d %s", box.no, place)

    def put_aside(self, connection: Transaction, arrival: Arrival) -> None:
        """Keep a bundle of a box that was revoked, unread; nothing of it counts unless the box is taken back."""
        if not bundles.is_known(connection, arrival.place, arrival.head.hash):
            self._arrivals.keep(arrival)
            self._add(connection, arrival, BundleState.REFUSED)

    async def _take_next(self, arrival: Arrival, checked: Checked, effort: Effort) -> Word:
        word, explained = await self._store.run(effort.timed(partial(self._take, arrival=arrival)))
        if word is None:
            arrival = await self._arrivals.read(arrival, checked, effort)
            word, explained = await self._store.run(effort.timed(partial(self._take, arrival=arrival)))
        assert word is not None
        await self._apply_explained(arrival.box, arrival.head.epoch, explained, effort)
        return word

    async def _apply_next_held(self, box: Box, held: Held, effort: Effort) -> Word:
        origin, place = box.verify_key.key_id, Place(box.no, held.vector.epoch, held.vector.through_seq + 1)
        digest = await self._store.run(effort.timed(partial(bundles.find_held, place=place)))
        refusal: str | None = None
        try:
            arrival = None if digest is None else await self._arrivals.load(box, place, digest, effort)
        except EdgeboxError as error:
            if digest is None or not self._is_refused(digest, error):
                raise
            arrival, refusal = None, error.code
        if arrival is not None:
            word, explained = await self._store.run(effort.timed(partial(self._apply_held, arrival=arrival)))
            await self._apply_explained(box, place.epoch, explained, effort)
            return word

        def let_go(connection: Transaction) -> Word:  # the ack lacks it then, so the box sends it again
            if digest is not None and refusal is None:
                bundles.forget(connection, place, digest, BundleState.HELD)
            elif digest is not None and bundles.find_state(connection, place, digest) is BundleState.HELD:
                bundles.set_state(connection, place, digest, BundleState.REFUSED, refusal)
            return find_word(connection, origin, place)

        return await self._store.run(effort.timed(let_go))

    def _is_refused(self, digest: bytes, error: EdgeboxError) -> bool:
        """Return whether a bundle will never be read. For want of memory or time a few tries fail, or all of them."""
        if not isinstance(error, BundleTooLarge):
            return not error.retryable
        self._tries[digest] += 1
        return self._tries[digest] >= TRIES_MAX

    async def _apply_explained(self, box: Box, epoch: int, explained: Reasons, effort: Effort) -> None:
        """Apply what was set aside for the lack of a number that an applied bundle brings."""
        tried: set[SetAside] = set()
        while explained:
            waiting = await self._store.run(partial(bundles.list_set_aside, box_no=box.no, epoch=epoch))
            ready = next((aside for aside in waiting if aside.reason in explained and aside not in tried), None)
            if ready is None:
                return
            tried.add(ready)
            explained |= await self._apply_again(box, ready, effort) or set()

    async def _retry_set_aside(self) -> None:
        is_any_done = True
        while is_any_done:
            is_any_done = False
            for aside in await self._store.run(bundles.list_set_aside):
                box = await self._store.run(partial(boxes.get_box, no=aside.place.box_no))
                is_any_done |= await self._apply_again(box, aside, Effort()) is not None

    async def _apply_again(self, box: Box, aside: SetAside, effort: Effort) -> Reasons | None:
        """Return what a bundle explains that can be applied by now; a fault in it stops neither another nor the hub."""
        try:
            stored = await self._arrivals.load(box, aside.place, aside.digest, effort)
        except Exception:
            log.exception("hub.bundle_stays_aside box=%d %s", box.no, aside.place)
            return None
        if stored is None:
            return None

        def apply(connection: Transaction) -> BundleState | None:
            if bundles.find_state(connection, aside.place, aside.digest) is not BundleState.QUARANTINED:
                return None  # somebody else did it meanwhile
            state, reason = self._apply(connection, stored)
            bundles.set_state(connection, aside.place, aside.digest, state, reason)
            return state

        try:
            state = await self._store.run(effort.timed(apply))
        except Exception:
            log.exception("hub.bundle_stays_aside box=%d %s", box.no, aside.place)
            return None
        return _explained_by(stored) if state is BundleState.APPLIED else None

    def _take(self, connection: Transaction, arrival: Arrival) -> tuple[Word | None, Reasons]:
        """Do what the receiver's table says; no word means that the bundle must be read first."""
        place, head = arrival.place, arrival.head
        holding = bundles.find_holding(connection, place)
        verdict, explained = judge(holding, head.seq, head.hash, head.previous), Reasons()
        if verdict in _READ and arrival.records is None:
            return None, explained
        if verdict is not Verdict.DUPLICATE:
            self._arrivals.keep(arrival)
        if verdict is Verdict.APPLY:
            state, reason = self._apply(connection, arrival)
            self._add(connection, arrival, state, reason)
            self._move(connection, arrival)
            explained = _explained_by(arrival) if state is BundleState.APPLIED else explained
        elif verdict is Verdict.HOLD:
            self._add(connection, arrival, BundleState.HELD)
        elif verdict is Verdict.FORK:
            self._add(connection, arrival, BundleState.FORKED)
            bundles.mark_forked(connection, place)
        boxes.note_contact(connection, arrival.box.no, self._clock.now_ms(), is_forked=verdict is Verdict.FORK)
        return find_word(connection, head.origin, place), explained

    def _apply_held(self, connection: Transaction, arrival: Arrival) -> tuple[Word, Reasons]:
        """Apply a bundle that is next by now, unless it was applied meanwhile, or follows another than ours."""
        place, head, explained = arrival.place, arrival.head, Reasons()
        holding = bundles.find_holding(connection, place)
        is_next = not holding.is_forked and holding.through_seq + 1 == place.seq
        if is_next and bundles.find_held(connection, place) == head.hash:
            if holding.tail.startswith(head.previous):
                state, reason = self._apply(connection, arrival)
                bundles.set_state(connection, place, head.hash, state, reason)
                self._move(connection, arrival)
                explained = _explained_by(arrival) if state is BundleState.APPLIED else explained
            else:
                bundles.set_state(connection, place, head.hash, BundleState.FORKED)
                bundles.mark_forked(connection, place)
        return find_word(connection, head.origin, place), explained

    def _take_express(self, connection: Transaction, arrival: Arrival) -> Word | None:
        """Apply what came ahead of the chain, once; what cannot be applied is left to the chain, which brings it.

        No word means that it must be read first.
        """
        place, head, now_ms = arrival.place, arrival.head, self._clock.now_ms()
        known = express.find_hashes(connection, place)
        is_new, is_forked = head.hash not in known, bool(known - {head.hash})
        is_applied = is_new and not is_forked and not bundles.find_holding(connection, place).is_forked
        if is_applied and arrival.records is None:
            return None
        if is_forked:
            bundles.mark_forked(connection, place)
        if is_new:
            state = self._apply(connection, arrival)[0] if is_applied else BundleState.FORKED
            express.add(connection, place, head, state, size_bytes=len(arrival.content), now_ms=now_ms)
        boxes.note_contact(connection, arrival.box.no, now_ms, is_forked=is_forked)
        return find_word(connection, head.origin, place)

    def _move(self, connection: Transaction, arrival: Arrival) -> None:
        logged_no = outgoing.last_place(connection, arrival.box.school_no)
        bundles.note_logged(connection, arrival.place, arrival.head.hash, logged_no)
        bundles.move_cursor(connection, arrival.place, arrival.head)

    def _apply(self, connection: Transaction, arrival: Arrival) -> tuple[BundleState, str | None]:
        """Apply the records, or set the whole bundle aside when they make no sense; the box must not get stuck."""
        assert arrival.records is not None
        try:
            with connection.begin_nested():
                applier = ExpressApplier if arrival.head.is_express else Applier
                applier(connection, arrival.box, arrival.place, self._clock.now_ms()).apply(
                    arrival.records, arrival.rows
                )
        except RecordUnresolved as error:
            log.warning("hub.bundle_quarantined box=%d %s %s", arrival.box.no, arrival.place, error)
            return BundleState.QUARANTINED, _reason(error.fields["kind"], error.fields["no"])
        return BundleState.APPLIED, None

    def _add(self, connection: Transaction, arrival: Arrival, state: BundleState, reason: str | None = None) -> None:
        bundles.add_bundle(
            connection,
            arrival.place,
            arrival.head,
            state,
            size_bytes=len(arrival.content),
            now_ms=self._clock.now_ms(),
            reason=reason,
        )


def find_word(connection: Transaction, origin: bytes, place: Place) -> Word:
    """Return what is held of an epoch, and what its box has to know besides."""
    held = express.with_express(connection, place, bundles.find_held_of(connection, origin, place))
    if held.is_forked:
        return held, Notice.FORKED
    is_succeeded = boxes.has_successor(connection, place.box_no)
    return held, Notice.SUCCEEDED if is_succeeded else Notice.NONE


def _is_next_held(word: Word) -> bool:
    """Return whether a bundle is held that is next in order, so that nothing keeps it from being applied."""
    held = word[0]
    first = held.vector.ranges[0][0] if held.vector.ranges else None
    return not held.is_forked and first == held.vector.through_seq + 1


def _explained_by(arrival: Arrival) -> Reasons:
    """Return the reasons for setting a bundle aside that are gone once this one is applied."""
    numbered = (record for record in arrival.records or () if isinstance(record, _NUMBERED))
    return {_reason(kind_of(record).name.lower(), record.no) for record in numbered}


def _reason(kind: object, no: object) -> str:
    return f"{kind} {no}"[:80]


# What is held is read when its turn comes, and what is known was read.
_READ = frozenset({Verdict.APPLY, Verdict.FORK})
_NUMBERED = (Activity, Boot, Class, Device, Learner, Verb)
