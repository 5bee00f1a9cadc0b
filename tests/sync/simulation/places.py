"""Tablets, boxes and the hub: what each keeps on its disk, what it forgets when the power goes, and what it does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

from sync.bundle.layout import NO_PREVIOUS
from sync.engine.sender import Acknowledged, Due, Failed, Phase, Queued, Send, Sender
from sync.records import stamps
from sync.records.merging import join, key_of
from sync.records.rows import HandIn, Mark, Merged
from tests.sync.simulation.messages import Ack, Bundle, Event, Held, Inbox, Record

HUB = b"hub-------------"
RECORDS_PER_BUNDLE = 6
CLOSING_FROM = 6  # answers from here on close something
Merging = dict[tuple[object, ...], Merged]


def merge(held: Merging, record: Merged) -> bool:
    """Put a record beside what is held; return whether anything changed."""
    key = (type(record), *key_of(record))
    before = held.get(key)
    held[key] = record if before is None else join(before, record, HUB)
    return held[key] != before


def _is_closing(record: Record) -> bool:
    return record.answer >= CLOSING_FROM if isinstance(record, Event) else isinstance(record, Mark | HandIn)


@dataclass
class Tablet:
    """Drops an event when it knows that the hub has it, and not before."""

    device: int
    made: int = 0
    outbox: dict[tuple[int, int], Event] = field(default_factory=dict)

    def record(self, answer: int) -> Event:
        """A learner answers."""
        self.made += 1
        event = Event(self.device, self.made, answer)
        self.outbox[event.id] = event
        return event

    def drop(self, confirmed: Iterable[tuple[int, int]]) -> None:
        """Take the box's word that these are at the hub."""
        for id_ in confirmed:
            self.outbox.pop(id_, None)


@dataclass
class Disk:
    """Everything of a box that survives the power, a backup and a copy."""

    key: bytes
    epoch: int = 1
    log: list[Record] = field(default_factory=list)
    events: dict[tuple[int, int], Event] = field(default_factory=dict)
    merged: Merging = field(default_factory=dict)
    stamp: int = 0
    out: list[Bundle] = field(default_factory=list)
    acked: set[int] = field(default_factory=set)
    inboxes: dict[int, Inbox] = field(default_factory=dict)
    down_epoch: int = 0
    express_made: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> "Disk":
        """Return a backup, or the disk of a copied box."""
        inboxes = {epoch: inbox.copy() for epoch, inbox in self.inboxes.items()}
        return Disk(
            self.key, self.epoch, list(self.log), dict(self.events), dict(self.merged), self.stamp, list(self.out),
            set(self.acked), inboxes, self.down_epoch, dict(self.express_made),
        )  # fmt: skip

    @property
    def settled(self) -> int:
        """Return the change up to which the hub has everything."""
        waiting = [place for place, bundle in enumerate(self.out) if bundle.seq not in self.acked]
        if waiting:
            return self.out[waiting[0] - 1].through if waiting[0] else 0
        return self.out[-1].through if self.out else 0


class Box:
    """A box: its disk, and the sender that a restart forgets."""

    def __init__(self, disk: Disk, dice: Random, new_bytes: Callable[[], bytes]) -> None:
        self.disk = disk
        self.sender = Sender()
        self.offset_ms = 0
        self._dice = dice
        self._new_bytes = new_bytes

    def store(self, events: Iterable[Event]) -> list[tuple[int, int]]:
        """Store what is new, and return the ids of those of this tablet that the hub surely has."""
        disk = self.disk
        settled = {record.id for record in disk.log[: disk.settled] if isinstance(record, Event)}
        confirmed = []
        for event in events:
            if event.id in settled:
                confirmed.append(event.id)
            elif event.id not in disk.events:
                disk.events[event.id] = event
                disk.log.append(event)
        return confirmed

    def write(self, make: Callable[[int, bytes], Merged], now_ms: int) -> None:
        """Staff change something."""
        disk = self.disk
        disk.stamp = stamps.following(disk.stamp, now_ms + self.offset_ms)
        record = make(disk.stamp, disk.key)
        merge(disk.merged, record)
        disk.log.append(record)

    def make_bundles(self, *, everything: bool) -> None:
        """Make one bundle when none waits, or as many as the log has."""
        disk = self.disk
        while True:
            sent = disk.out[-1].through if disk.out else 0
            if sent == len(disk.log) or (not everything and len(disk.acked) < len(disk.out)):
                return
            records = tuple(disk.log[sent : sent + RECORDS_PER_BUNDLE])
            previous = disk.out[-1].digest[:8] if disk.out else NO_PREVIOUS
            disk.out.append(
                Bundle(
                    disk.key, disk.epoch, len(disk.out) + 1, sent + len(records), previous, self._new_bytes(), records
                )
            )

    def hurry(self) -> Bundle | None:
        """Return an express bundle of what closes something and is not surely at the hub, if there is such."""
        disk = self.disk
        records = tuple(record for record in disk.log[disk.settled :] if _is_closing(record))
        if not records:
            return None
        seq, through, digest = len(disk.express_made) + 1, len(disk.log), self._new_bytes()
        disk.express_made[seq] = digest
        return Bundle(disk.key, disk.epoch, seq, through, NO_PREVIOUS, digest, records, self.word(), is_express=True)

    def waiting(self) -> list[Bundle]:
        """Return the bundles that no ack covers."""
        return [bundle for bundle in self.disk.out if bundle.seq not in self.disk.acked]

    def call(self, now_ms: int, *, is_asked: bool) -> Bundle | None:
        """Try the line: return the bundle that goes out now, if any."""
        if self.sender.phase is Phase.SENDING:
            self._advance(Failed(now_ms, self._dice.random()))
        self.make_bundles(everything=False)
        self._advance(Queued(tuple(bundle.seq for bundle in self.waiting())))
        seq = self._advance(Due(now_ms, is_asked))
        found = next((bundle for bundle in self.disk.out if bundle.seq == seq), None)
        return None if found is None else replace(found, held=self.word())

    def _advance(self, event: Queued | Due | Failed | Acknowledged) -> int | None:
        self.sender, actions = self.sender.on(event)
        return next((action.seq for action in actions if isinstance(action, Send)), None)

    def take_ack(self, ack: Ack) -> None:
        """Believe the hub about this life of the box."""
        disk, vector = self.disk, ack.vector
        if (vector.origin, vector.epoch) != (disk.key, disk.epoch):
            return
        if ack.is_forked or not self._is_ours(ack):
            self._become_another()
            return
        covered = sorted([(0, vector.through_seq), *vector.ranges])
        for first, last in covered:
            disk.acked |= {bundle.seq for bundle in disk.out if first <= bundle.seq <= last}
        gaps = [(low[1] + 1, high[0] - 1) for low, high in pairwise(covered)]
        disk.acked -= {seq for first, last in gaps for seq in range(first, last + 1)}
        self._advance(Acknowledged(vector.through_seq, vector.ranges))

    def _is_ours(self, ack: Ack) -> bool:
        """Return whether what the hub holds is what this box made, and not what a later life of its backup did."""
        through = ack.vector.through_seq
        seq, digest = ack.express
        if seq and self.disk.express_made.get(seq) != digest:
            return False
        if not through:
            return True
        return through <= len(self.disk.out) and self.disk.out[through - 1].digest.startswith(ack.tail)

    def _become_another(self) -> None:
        """Two boxes were one: go on under a key of its own, and send everything again."""
        self.disk.key, self.disk.epoch, self.disk.express_made = self._new_bytes(), 1, {}
        self.disk.out, self.disk.acked = [], set()
        self.sender = Sender()

    def word(self) -> Held:
        """Return what is held of the hub's bundles."""
        inbox = self.disk.inboxes.get(self.disk.down_epoch, Inbox())
        return Held(inbox.vector(HUB, self.disk.down_epoch), inbox.is_forked)

    def take_down(self, bundle: Bundle, now_ms: int) -> None:
        """Take in a bundle of the hub."""
        disk = self.disk
        disk.down_epoch = max(disk.down_epoch, bundle.epoch)
        for ready in disk.inboxes.setdefault(bundle.epoch, Inbox()).take(bundle):
            for record in ready.records:
                assert not isinstance(record, Event)
                merge(disk.merged, record)
                disk.stamp = stamps.observed(disk.stamp, record.stamp, now_ms + self.offset_ms)


@dataclass
class Outgoing:
    """What the hub sends one box."""

    epoch: int
    through: int = 0
    confirmed: int = 0
    made: list[Bundle] = field(default_factory=list)
    is_whole: bool = False


@dataclass
class Hub:
    """The hub's disk; it forgets nothing else when the power goes, as every bundle is one transaction."""

    dice: Random
    new_bytes: Callable[[], bytes]
    inboxes: dict[tuple[bytes, int], Inbox] = field(default_factory=dict)
    events: dict[tuple[int, int], Event] = field(default_factory=dict)
    conflicts: int = 0
    merged: Merging = field(default_factory=dict)
    log: list[tuple[Merged, bytes]] = field(default_factory=list)
    outgoing: dict[bytes, Outgoing] = field(default_factory=dict)
    stamp: int = 0

    def copy(self) -> "Hub":
        """Return a backup."""
        return Hub(
            self.dice, self.new_bytes, {key: inbox.copy() for key, inbox in self.inboxes.items()}, dict(self.events),
            self.conflicts, dict(self.merged), list(self.log),
            {key: replace(out, made=list(out.made)) for key, out in self.outgoing.items()}, self.stamp,
        )  # fmt: skip

    def receive(self, bundle: Bundle, now_ms: int) -> Ack:
        """Take in a bundle and acknowledge it."""
        inbox = self.inboxes.setdefault((bundle.origin, bundle.epoch), Inbox())
        for ready in inbox.take_ahead(bundle) if bundle.is_express else inbox.take(bundle):
            self._apply(ready, now_ms)
        if bundle.held is not None:
            self.take_word(bundle.origin, bundle.held)
        vector = inbox.vector(bundle.origin, bundle.epoch)
        return Ack(vector, inbox.tail, inbox.is_forked, max(inbox.express.items(), default=(0, b"")))

    def write(self, make: Callable[[int, bytes], Merged], now_ms: int) -> None:
        """The operator changes something."""
        self.stamp = stamps.following(self.stamp, now_ms)
        self._merge(make(self.stamp, HUB), HUB)

    def due(self, key: bytes) -> list[Bundle]:
        """Return what waits for a box, made when there is something new."""
        out = self.outgoing.setdefault(key, Outgoing(self._epoch()))
        fresh = [record for record, source in self.log[out.through :] if source != key or out.is_whole]
        out.through = len(self.log)
        if fresh:
            previous = out.made[-1].digest[:8] if out.made else NO_PREVIOUS
            number = len(out.made) + 1
            out.made.append(Bundle(HUB, out.epoch, number, number, previous, self.new_bytes(), tuple(fresh)))
        return [bundle for bundle in out.made if bundle.seq > out.confirmed]

    def take_word(self, key: bytes, held: Held) -> None:
        out = self.outgoing.get(key)
        if out is None or held.vector.epoch > out.epoch:
            lost = held.vector.epoch > 0
        else:
            lost = held.vector.epoch == out.epoch and (held.vector.through_seq < out.confirmed or held.is_forked)
            lost = lost or (held.vector.epoch < out.epoch and out.confirmed > 0)
            lost = lost or (held.vector.epoch == out.epoch and held.vector.through_seq > len(out.made))
        if lost:
            self.outgoing[key] = Outgoing(
                max(held.vector.epoch, out.epoch if out else 0) + self._epoch(), is_whole=True
            )
        elif out is not None and held.vector.epoch == out.epoch:
            out.confirmed = max(out.confirmed, held.vector.through_seq)

    def _epoch(self) -> int:
        return 1 + self.dice.randrange(1 << 24)

    def _apply(self, bundle: Bundle, now_ms: int) -> None:
        for record in bundle.records:
            if isinstance(record, Event):
                self.conflicts += self.events.setdefault(record.id, record) != record
            else:
                self._merge(record, bundle.origin)
                self.stamp = stamps.observed(self.stamp, record.stamp, now_ms)

    def _merge(self, record: Merged, source: bytes) -> None:
        if merge(self.merged, record):
            self.log.append((record, source))
