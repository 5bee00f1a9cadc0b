"""What becomes of a bundle: the receiver's table at work, one transaction for each bundle.

A bundle is read once, when its turn has come, and away from the database. What is held behind a hole, or was set aside
and is explained by now, is applied later, see `sync.hub.catching_up`.
"""

import logging
from collections import Counter
from collections.abc import Callable
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
from sync.hub.store.bundles import BundleState, Held, Place, Waiting
from sync.hub.store.express import ExpressApplier
from sync.hub.store.statement_rows import RecordUnresolved
from sync.hub.store.worker import Store, Transaction
from sync.records.kinds import kind_of
from sync.records.rows import Activity, Boot, Class, Device, Learner, Verb

log = logging.getLogger(__name__)
Word = tuple[Held, Notice]  # what is held of an epoch, and what its box has to know besides
TRIES_MAX = 3
_LOST = "lost"


class Chain:
    """Takes bundles in their order."""

    def __init__(self, store: Store, clock: Clock, arrivals: Arrivals) -> None:
        self._store = store
        self._clock = clock
        self._arrivals = arrivals
        self._tries = Counter[bytes]()

    async def take(self, box: Box, checked: Checked, content: bytes, effort: Effort) -> tuple[Word, bool]:
        """Do with a bundle what is to be done. The same again changes nothing.

        Returns:
            The word on its epoch, and whether the turn of others has come, which wait.

        Raises:
            EdgeboxError: a refusal with a code; nothing was changed.
        """
        arrival = Arrival(box, checked.head, content)
        step = self._take_express if checked.head.is_express else self._take
        taken = await self._store.run(effort.timed(partial(step, arrival=arrival)))
        if taken is None:
            arrival = await self._arrivals.read(arrival, checked, effort)
            taken = await self._store.run(effort.timed(partial(step, arrival=arrival)))
        assert taken is not None
        return taken

    async def apply(self, box: Box, waiting: Waiting, effort: Effort) -> bool:
        """Apply a bundle whose turn has come, or let it wait no longer; return whether anything was changed.

        Raises:
            Exception: it could not be read or applied now, and is left as it is.
        """
        step: Callable[[Transaction], bool] = partial(self._drop, waiting=waiting)
        try:
            arrival = await self._arrivals.load(box, waiting.place, waiting.digest, effort)
        except EdgeboxError as error:
            if not self._is_refused(waiting.digest, error):
                raise
            step = partial(self._drop, waiting=waiting, refusal=error.code)
        else:
            if arrival is not None:
                apply = self._apply_held if waiting.state is BundleState.HELD else self._apply_again
                step = partial(apply, arrival=arrival)
        self._tries.pop(waiting.digest, None)
        return await self._store.run(effort.timed(step))

    def put_aside(self, connection: Transaction, arrival: Arrival) -> None:
        """Keep a bundle of a box that was revoked, unread; nothing of it counts unless the box is taken back."""
        if not bundles.is_known(connection, arrival.place, arrival.head.hash):
            self._arrivals.keep(arrival)
            self._add(connection, arrival, BundleState.REFUSED)

    def _is_refused(self, digest: bytes, error: EdgeboxError) -> bool:
        """Return whether a bundle will never be read. For want of memory or time a few tries fail, or all of them."""
        if not isinstance(error, BundleTooLarge):
            return not error.retryable
        self._tries[digest] += 1
        return self._tries[digest] >= TRIES_MAX

    def _drop(self, connection: Transaction, waiting: Waiting, refusal: str | None = None) -> bool:
        """Let a bundle wait no longer that is lost or refused, unless something else became of it meanwhile.

        The ack lacks one that was held then, so the box sends it again, and is told why it is refused. One that was set
        aside stays so, for a later version of this program.
        """
        place, digest, state = waiting.place, waiting.digest, waiting.state
        if bundles.find_state(connection, place, digest) is not state:
            return False
        if state is BundleState.QUARANTINED:
            bundles.set_state(connection, place, digest, state, refusal or _LOST)
        elif refusal is None:
            bundles.forget(connection, place, digest, state)
        else:
            bundles.set_state(connection, place, digest, BundleState.REFUSED, refusal)
        return True

    def _take(self, connection: Transaction, arrival: Arrival) -> tuple[Word, bool] | None:
        """Do what the receiver's table says; None means that the bundle must be read first."""
        place, head = arrival.place, arrival.head
        holding = bundles.find_holding(connection, place)
        verdict, is_any_explained = judge(holding, head.seq, head.hash, head.previous), False
        if verdict in _READ and arrival.records is None:
            return None
        if verdict is not Verdict.DUPLICATE:
            self._arrivals.keep(arrival)
        if verdict is Verdict.APPLY:
            state, reason = self._apply(connection, arrival)
            self._add(connection, arrival, state, reason)
            self._move(connection, arrival)
            is_any_explained = _explain(connection, arrival, state)
        elif verdict is Verdict.HOLD:
            self._add(connection, arrival, BundleState.HELD)
        elif verdict is Verdict.FORK:
            self._add(connection, arrival, BundleState.FORKED)
            bundles.mark_forked(connection, place)
        boxes.note_contact(connection, arrival.box.no, self._clock.now_ms(), is_forked=verdict is Verdict.FORK)
        word = find_word(connection, head.origin, place)
        return word, is_any_explained or _is_next_held(word)

    def _apply_held(self, connection: Transaction, arrival: Arrival) -> bool:
        """Apply a bundle that is next by now, unless it was applied meanwhile, or follows another than ours."""
        place, head = arrival.place, arrival.head
        holding = bundles.find_holding(connection, place)
        is_next = not holding.is_forked and holding.through_seq + 1 == place.seq
        if not is_next or not _is_still(connection, arrival, BundleState.HELD):
            return False
        if holding.tail.startswith(head.previous):
            state, reason = self._apply(connection, arrival)
            bundles.set_state(connection, place, head.hash, state, reason)
            self._move(connection, arrival)
            _explain(connection, arrival, state)
        else:
            bundles.set_state(connection, place, head.hash, BundleState.FORKED)
            bundles.mark_forked(connection, place)
        return True

    def _apply_again(self, connection: Transaction, arrival: Arrival) -> bool:
        """Apply a bundle that was set aside, unless it was applied meanwhile."""
        if not _is_still(connection, arrival, BundleState.QUARANTINED):
            return False
        state, reason = self._apply(connection, arrival)
        bundles.set_state(connection, arrival.place, arrival.head.hash, state, reason)
        _explain(connection, arrival, state)
        return True

    def _take_express(self, connection: Transaction, arrival: Arrival) -> tuple[Word, bool] | None:
        """Apply what came ahead of the chain, once; what cannot be applied is left to the chain, which brings it.

        None means that it must be read first.
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
        return find_word(connection, head.origin, place), False

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


def _is_still(connection: Transaction, arrival: Arrival, state: BundleState) -> bool:
    """Return whether nothing else became of a bundle while it was read, and its box counts."""
    is_same = bundles.find_state(connection, arrival.place, arrival.head.hash) is state
    return is_same and not boxes.get_box(connection, arrival.box.no).is_revoked


def _explain(connection: Transaction, arrival: Arrival, state: BundleState) -> bool:
    """Let bundles be tried again that lacked what an applied one brings, and return whether there are any."""
    if state is not BundleState.APPLIED:
        return False
    numbered = (record for record in arrival.records or () if isinstance(record, _NUMBERED))
    reasons = {_reason(kind_of(record).name.lower(), record.no) for record in numbered}
    return bundles.note_explained(connection, arrival.place, reasons)


def _reason(kind: object, no: object) -> str:
    return f"{kind} {no}"[:80]


# What is held is read when its turn comes, and what is known was read.
_READ = frozenset({Verdict.APPLY, Verdict.FORK})
_NUMBERED = (Activity, Boot, Class, Device, Learner, Verb)
