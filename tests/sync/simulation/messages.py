"""What travels, and what a receiver keeps of one sender."""

from dataclasses import dataclass, field

from sync.bundle.layout import NO_PREVIOUS, Vector
from sync.engine.receiver import Holding, Verdict, judge, ranges
from sync.records.rows import Merged

RANGES_MAX = 64


@dataclass(frozen=True, slots=True)
class Event:
    """What a learner did on a tablet."""

    device: int
    seq: int
    answer: int

    @property
    def id(self) -> tuple[int, int]:
        """Return what both ends derive the statement's id from."""
        return self.device, self.seq


Record = Event | Merged


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle file; `digest` is another one for each that was made, as fresh randomness makes it."""

    origin: bytes
    epoch: int
    seq: int
    through: int
    previous: bytes
    digest: bytes
    records: tuple[Record, ...]
    held: "Held | None" = None
    is_express: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """A box's word on what it holds of the hub's bundles."""

    vector: Vector
    is_forked: bool = False


@dataclass(frozen=True, slots=True)
class Ack:
    """The hub's word on what it holds of a box's bundles."""

    vector: Vector
    tail: bytes
    is_forked: bool
    express: tuple[int, bytes] = (0, b"")


@dataclass
class Inbox:
    """What a receiver keeps of one (origin, epoch)."""

    through: int = 0
    through_change: int = 0
    tail: bytes = NO_PREVIOUS
    early: dict[int, Bundle] = field(default_factory=dict)
    known: set[bytes] = field(default_factory=set)
    is_forked: bool = False
    express: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> "Inbox":
        """Return a copy for a backup."""
        return Inbox(
            self.through, self.through_change, self.tail, dict(self.early), set(self.known), self.is_forked,
            dict(self.express),
        )  # fmt: skip

    def take(self, bundle: Bundle) -> list[Bundle]:
        """Do what the table says; return the bundles to apply, in order."""
        holding = Holding(self.tail, self.through, frozenset(self.early), frozenset(self.known), self.is_forked)
        verdict = judge(holding, bundle.seq, bundle.digest, bundle.previous)
        if verdict is Verdict.DUPLICATE:
            return []
        self.known.add(bundle.digest)
        if verdict is Verdict.FORK:
            self.is_forked = True
            return []
        self.early[bundle.seq] = bundle
        return self._ready()

    def take_ahead(self, bundle: Bundle) -> list[Bundle]:
        """Return an express bundle if it is to be applied: once, and not when there are two histories."""
        known = self.express.get(bundle.seq)
        self.express.setdefault(bundle.seq, bundle.digest)
        self.is_forked |= known not in (None, bundle.digest)
        return [] if known or self.is_forked else [bundle]

    def _ready(self) -> list[Bundle]:
        ready = []
        while (bundle := self.early.get(self.through + 1)) is not None:
            del self.early[bundle.seq]
            if bundle.previous != self.tail:
                self.is_forked = True
                break
            self.through, self.through_change, self.tail = bundle.seq, bundle.through, bundle.digest[:8]
            ready.append(bundle)
        return ready

    def vector(self, origin: bytes, epoch: int) -> Vector:
        """Return what is held."""
        return Vector(origin, epoch, self.through, self.through_change, ranges(frozenset(self.early), RANGES_MAX))
