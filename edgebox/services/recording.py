"""Recording what learners do: an answer is given only after the commit, and the same work sent twice is stored once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from content_packs.base.clock import Clock
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.caller import Caller
from edgebox.domain.events import EventMalformed, parse_event, parse_outbox, seq_of
from edgebox.domain.statement_in import from_event
from edgebox.domain.statements import NewStatement
from edgebox.services.identity import Identity
from edgebox.services.stored_times import StoredTimes
from edgebox.services.submit_token import SubmitRight, SubmitTokens, TokenInvalid
from edgebox.store import registry, statement_filters, statements
from edgebox.store.database import Database
from edgebox.store.registry import Numbers, Registry
from edgebox.store.statements import Accepted, Batch, DeviceState

REFUSED_SHOWN_MS = 30 * 86_400_000  # a tablet that is lost says no more that it is well again

# Called with a tablet's id, the learner whose work it brought, and what it takes for the time.
NoteTablet = Callable[[bytes, int, int], None]

log = logging.getLogger(__name__)


class PersonUnknown(EdgeboxError):
    """A valid submit token of somebody who is not a learner of this box (any more)."""

    code = "record.person_unknown"
    status = 403
    exit_code = 82
    sentence = N_("The learner who did this is not on the box any more.")
    remedy = N_("Show this tablet to your teacher.")


class ActorRefused(EdgeboxError):
    """A statement or document in the name of somebody else."""

    code = "record.actor_refused"
    status = 403
    exit_code = 85
    sentence = N_("Work can only be recorded for the learner who is signed in.")
    remedy = N_("Sign in as the learner, then open the page again.")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tablet is told about one request."""

    acked: list[int]
    rejected: list[dict[str, Any]]
    box_seq: int
    hub_seq: int
    server_ms: int


class Recording:
    """What tablets hand in of our own pages."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        identity: Identity,
        numbers: Registry,
        note_tablet: NoteTablet,
        times: StoredTimes,
    ) -> None:
        self._note_tablet = note_tablet
        self._database = database
        self._clock = clock
        self.registry = numbers
        self.times = times
        self.tokens = SubmitTokens(identity.submit_key)
        self.on_stored: Callable[[], None] = _nobody_listens  # called after each commit

    @classmethod
    async def open(cls, database: Database, clock: Clock, identity: Identity, note_tablet: NoteTablet) -> "Recording":
        """Load the numbers of verbs and activities, and when the last statement was stored."""
        times = StoredTimes(database, clock, await database.read(statement_filters.find_last_stored))
        return cls(database, clock, identity, await database.read(registry.load), note_tablet, times)

    async def store_outbox(self, request: Any) -> Answer:
        """Store the events of one request of a tablet and say which are durable.

        Raises:
            EventMalformed: the request itself is; single events are refused in the answer.
            StoreUnavailable: nothing of the request was kept.
        """
        outbox = parse_outbox(request)
        accepted: list[NewStatement] = []
        rejected: list[dict[str, Any]] = []
        people: dict[int, bytes] = {}
        for received in outbox.events:
            try:
                event = parse_event(received)
                right = self.tokens.check(event.token)
            except (EventMalformed, TokenInvalid) as error:
                rejected.append({"seq": seq_of(received), "code": error.code})
                continue
            people[right.person_no] = right.pseudonym
            kept = {name: value for name, value in received.items() if name != "token"}
            accepted.append(from_event(event, outbox.device_id, right.person_no, kept))
        refused_seqs = [row["seq"] for row in rejected if row["seq"] is not None]
        batch = Batch(outbox.device_id, outbox.held_from, accepted, people, refused_seqs)
        done = await self._insert_batch(batch)
        if outbox.tablet_ms is not None and accepted and accepted[-1].person_no in done.known_people:
            self._note_tablet(outbox.device_id, accepted[-1].person_no, outbox.tablet_ms)
        await self._note_refused(done.device, outbox.refused)
        return self._answer(batch, done, rejected)

    async def _insert_batch(self, batch: Batch) -> Accepted:
        now_ms = self._clock.now_ms()
        if not batch.statements:
            return await self._database.read(
                lambda connection: statements.insert_batch(connection, self.registry, batch, now_ms)
            )
        done = await self.times.write(
            now_ms, lambda connection, at_ms: statements.insert_batch(connection, self.registry, batch, at_ms)
        )
        self.note_stored(done.numbers)
        return done

    async def _note_refused(self, device: DeviceState | None, refused: int | None) -> None:
        """Keep what a known device says; a stranger gets no row for it, because this needs no token."""
        if device is None or refused is None or refused == device.refused:
            return
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: statements.note_refused(connection, device.no, refused, now_ms))

    async def has_refused_work(self) -> bool:
        """Tell whether a tablet said lately that it holds work the box did not take."""
        since_ms = self._clock.now_ms() - REFUSED_SHOWN_MS
        return await self._database.read(lambda connection: statements.count_refusing_devices(connection, since_ms)) > 0

    def _answer(self, batch: Batch, done: Accepted, rejected: list[dict[str, Any]]) -> Answer:
        acked = []
        for statement in batch.statements:
            if statement.person_no in done.known_people:
                acked.append(statement.device_seq or 0)
            else:
                rejected.append({"seq": statement.device_seq, "code": PersonUnknown.code})
        box_seq, hub_seq = (done.device.box_seq, done.device.hub_seq) if done.device else (0, 0)
        return Answer(acked, rejected, box_seq, hub_seq, self._clock.now_ms())

    async def caller_of_token(self, token: str) -> Caller:
        """Return what the holder of a submit token may do: record, and nothing else.

        Raises:
            TokenInvalid, PersonUnknown
        """
        right: SubmitRight = self.tokens.check(token)
        if not await self._database.read(
            lambda connection: statements.is_learner(connection, right.person_no, right.pseudonym)
        ):
            raise PersonUnknown
        return Caller(right.person_no, right.pseudonym, None, may_record=True, may_read=False)

    def note_stored(self, numbers: Numbers) -> None:
        """Take over what a job that stored statements found, now that it is committed, and tell the listener."""
        self.registry.learn(numbers)
        self._tell_stored()

    def _tell_stored(self) -> None:
        """Tell the listener; what is durable is acknowledged whatever happens there."""
        try:
            self.on_stored()
        except Exception:
            log.exception("record.listener_failed")


def _nobody_listens() -> None:
    return None
