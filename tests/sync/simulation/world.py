"""One seeded history: steps chosen by dice, then peace, and what has to be true then."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from sync.records.merging import tag_of, write_tags
from sync.records.rows import Fact, HandIn, Mark, Member, Merged
from tests.sync.simulation.messages import Ack, Bundle
from tests.sync.simulation.places import Box, Disk, Hub, Tablet, merge

START_MS = 1_780_300_800_000
YEAR_MS = 365 * 86_400_000
BOXES_MAX = 4
ROUNDS_MAX = 400
DROPPED, DOUBLED = 0.25, 0.15
EXPRESS_CARRIED = 0.3
WEIGHTS = {
    "answer": 14, "outbox": 14, "edit": 8, "operate": 3, "call": 14, "hurry": 5, "deliver": 30, "load": 4, "carry": 4,
    "crash": 3, "backup": 2, "restore": 1, "copy": 1, "hub_backup": 1, "hub_restore": 1, "clock": 2, "wait": 6,
}  # fmt: skip
Message = tuple[str, int, Bundle | Ack]


@dataclass
class Courier:
    """Who carries a stick: bundles up, acks and bundles down; may walk with an old one."""

    home: int
    up: list[Bundle] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    down: list[Bundle] = field(default_factory=list)


class World:
    """A school with boxes, tablets and couriers, and its hub."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)
        self.now_ms = START_MS
        self.hub = Hub(self.dice, self._new_bytes)
        self.boxes = [Box(Disk(self._new_bytes()), self.dice, self._new_bytes) for _ in range(self.dice.randint(1, 2))]
        self.tablets = [Tablet(device) for device in range(1, 4)]
        self.couriers: list[Courier] = []
        self.air: list[Message] = []
        self.backups: list[tuple[int, Disk]] = []
        self.hub_backups: list[Hub] = []
        self.answered: dict[tuple[int, int], int] = {}
        self.held: set[tuple[int, int]] = set()
        self.is_hub_restored = False
        self._names, self._weights = list(WEIGHTS), list(WEIGHTS.values())

    def run(self, steps: int) -> None:
        """Let that many things happen."""
        for _ in range(steps):
            self.step(self.dice.choices(self._names, self._weights)[0])

    def step(self, name: str) -> None:
        """Let one thing happen."""
        self.now_ms += self.dice.randrange(5_000)
        do: Callable[[], None] = getattr(self, f"_{name}")
        do()

    def come_to_rest(self) -> None:
        """Nothing fails any more: everybody talks until nobody has anything to say."""
        self.air.clear()
        self.held = set(self.hub.events).union(
            *(tablet.outbox for tablet in self.tablets), *(box.disk.events for box in self.boxes)
        )
        for _ in range(ROUNDS_MAX):
            before = self._picture()
            for tablet in self.tablets:
                for box in self.boxes:
                    tablet.drop(box.store(list(tablet.outbox.values())))
            for place, box in enumerate(self.boxes):
                self._talk(place, box)
            if self._picture() == before and not any(tablet.outbox for tablet in self.tablets):
                return
            self.now_ms += 400_000
        raise AssertionError("never at rest")

    def check(self) -> None:
        """Everything that was acknowledged is at the hub, once, and whatever merges is the same everywhere."""
        found = {id_: event.answer for id_, event in self.hub.events.items()}
        # When a box and the hub both lost what they had confirmed, nobody may hold it any more.
        assert self.answered.items() >= found.items()
        assert found.keys() >= (self.held if self.is_hub_restored else self.answered.keys())
        assert self.hub.conflicts == 0
        if self.is_hub_restored:
            return  # what only its operator had said and it then lost, the operator has to say again
        expected: dict[tuple[object, ...], Merged] = {}
        for box in self.boxes:
            for record in box.disk.merged.values():
                merge(expected, record)
        for record, _source in self.hub.log:
            merge(expected, record)
        assert self.hub.merged == expected
        for box in self.boxes:
            assert box.disk.merged == expected

    def _picture(self) -> tuple[object, ...]:
        boxes = [
            (box.disk.key, box.disk.epoch, len(box.disk.out), len(box.disk.acked), box.disk.down_epoch, box.word())
            for box in self.boxes
        ]
        return len(self.hub.events), len(self.hub.log), boxes

    def _talk(self, place: int, box: Box) -> None:
        bundle = box.call(self.now_ms, is_asked=True)
        while bundle is not None:
            box.take_ack(self.hub.receive(bundle, self.now_ms))
            bundle = box.call(self.now_ms, is_asked=True) if box.waiting() else None
        for down in self.hub.due(box.disk.key):
            box.take_down(down, self.now_ms)
        self.hub.take_word(box.disk.key, box.word())

    def _new_bytes(self) -> bytes:
        return self.dice.randbytes(16)

    def _box(self) -> int:
        return self.dice.randrange(len(self.boxes))

    def _answer(self) -> None:
        event = self.dice.choice(self.tablets).record(self.dice.randrange(9))
        self.answered[event.id] = event.answer

    def _outbox(self) -> None:
        """A tablet sends some of what it has to a box; the answer may be lost."""
        tablet, box = self.dice.choice(self.tablets), self.boxes[self._box()]
        events = list(tablet.outbox.values())
        confirmed = box.store(events[: self.dice.randint(0, len(events))])
        if self.dice.random() > DROPPED:
            tablet.drop(confirmed)

    def _edit(self) -> None:
        box = self.boxes[self._box()]
        box.write(self._change(box.disk.merged.values()), self.now_ms)

    def _operate(self) -> None:
        self.hub.write(self._change(self.hub.merged.values()), self.now_ms)

    def _change(self, known: object) -> Callable[[int, bytes], Merged]:
        """Return a write of any kind about one of a few things, so that writes meet."""
        thing, kind, value = bytes([self.dice.randrange(2)]) * 16, self.dice.randrange(5), str(self.dice.randrange(5))
        members = [record for record in known if isinstance(record, Member)]  # type: ignore[attr-defined]
        marks = [record for record in known if isinstance(record, Mark)]  # type: ignore[attr-defined]
        if kind == 0 and members:
            gone = self.dice.choice(sorted(members, key=repr))
            return lambda stamp, _key: Member(gone.set_no, gone.owner, gone.member, gone.stamp, gone.origin, True)
        if kind <= 1:
            return lambda stamp, key: Member(1, thing, bytes(16), stamp, key)
        if kind == 2:
            seen = write_tags({tag_of(mark) for mark in marks if mark.assignment == thing})
            return lambda stamp, key: Mark(thing, bytes(16), value, "", stamp, key, seen)
        if kind == 4:
            id_ = self.dice.randbytes(16)
            return lambda stamp, key: HandIn(id_, thing, bytes(16), "image/png", 9, bytes(32), stamp, key)
        return lambda stamp, key: Fact(1, thing, self.dice.randint(1, 2), value, stamp, key)

    def _call(self) -> None:
        place = self._box()
        bundle = self.boxes[place].call(self.now_ms, is_asked=self.dice.random() < 0.5)
        if bundle is not None:
            self.air.append(("up", place, bundle))

    def _hurry(self) -> None:
        """A box sends ahead what closes something."""
        place = self._box()
        bundle = self.boxes[place].hurry()
        if bundle is not None:
            self.air.append(("up", place, bundle))

    def _deliver(self) -> None:
        """One of the messages on their way arrives, is lost, or arrives and is still on its way."""
        if not self.air:
            return
        message = self.air.pop(self.dice.randrange(len(self.air)))
        chance = self.dice.random()
        if chance < DROPPED:
            return
        if chance > 1 - DOUBLED:
            self.air.append(message)
        direction, place, content = message
        if direction == "up":
            assert isinstance(content, Bundle)
            self.air.append(("ack", place, self.hub.receive(content, self.now_ms)))
            self.air.extend(("down", place, down) for down in self.hub.due(content.origin))
        elif isinstance(content, Ack):
            self.boxes[place].take_ack(content)
        else:
            self.boxes[place].take_down(content, self.now_ms)

    def _load(self) -> None:
        """A courier takes everything that waits, or goes with what a stick had already."""
        place = self._box()
        self.boxes[place].make_bundles(everything=True)
        ahead = self.boxes[place].hurry() if self.dice.random() < EXPRESS_CARRIED else None
        self.couriers.append(Courier(place, [*([ahead] if ahead else []), *self.boxes[place].waiting()]))

    def _carry(self) -> None:
        """A courier comes to the hub, or back to a box, which need not be the one of before."""
        if not self.couriers:
            return
        courier = self.dice.choice(self.couriers)
        if self.dice.random() < 0.5:
            courier.acks = [self.hub.receive(bundle, self.now_ms) for bundle in courier.up]
            courier.down = [down for key in {bundle.origin for bundle in courier.up} for down in self.hub.due(key)]
            return
        box = self.boxes[courier.home if self.dice.random() < 0.9 else self._box()]
        for ack in courier.acks:
            box.take_ack(ack)
        for down in courier.down:
            box.take_down(down, self.now_ms)
        if self.dice.random() < 0.3:
            self.couriers.remove(courier)

    def _crash(self) -> None:
        place = self._box()
        self.boxes[place] = self._box_on(self.boxes[place].disk)

    def _backup(self) -> None:
        place = self._box()
        self.backups.append((place, self.boxes[place].disk.copy()))

    def _restore(self) -> None:
        if self.backups:
            place, disk = self.dice.choice(self.backups)
            self.boxes[place] = self._box_on(disk.copy())

    def _copy(self) -> None:
        if len(self.boxes) < BOXES_MAX:
            self.boxes.append(self._box_on(self.boxes[self._box()].disk.copy()))

    def _hub_backup(self) -> None:
        self.hub_backups.append(self.hub.copy())

    def _hub_restore(self) -> None:
        if self.hub_backups:
            self.hub = self.dice.choice(self.hub_backups).copy()
            self.is_hub_restored = True

    def _clock(self) -> None:
        jumps = [0, -60 * YEAR_MS, 10 * YEAR_MS, 300_000, -300_000, self.dice.randrange(-YEAR_MS, YEAR_MS)]
        self.boxes[self._box()].offset_ms = self.dice.choice(jumps)

    def _wait(self) -> None:
        self.now_ms += self.dice.choice([60_000, 3_600_000, 40 * 86_400_000])

    def _box_on(self, disk: Disk) -> Box:
        return Box(disk, self.dice, self._new_bytes)


def live(seed: int, steps: int) -> World:
    """Return the world after a history and its rest, checked."""
    world = World(seed)
    world.run(steps)
    world.come_to_rest()
    world.check()
    return world
