"""What a box does next about its bundles: one table from (phase, event) to (phase, what to do).

The machine never drops anything: a bundle leaves `pending` only when a signed ack covers it. Waiting times double from
1 s to 300 s with full jitter, so that the boxes of a country do not all call at the same second after an outage.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

FIRST_WAIT_MS = 1_000
LONGEST_WAIT_MS = 300_000
REFUSED_WAIT_MS = 3_600_000
_DOUBLINGS_MAX = 9


class Phase(Enum):
    """What the sender is doing."""

    IDLE = "nothing to send"
    SENDING = "one bundle is on its way"
    WAITING = "the last try failed; the next one is due later"
    REFUSED = "the hub said no; it is asked again once an hour, and when somebody wants it"


@dataclass(frozen=True, slots=True)
class Queued:
    """New bundles were made; `seqs` in order."""

    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """Time passed, or somebody asked to send now (`is_asked`)."""

    now_ms: int
    is_asked: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A signed ack says that everything through `through_seq`, and `ranges` beyond it, is durable at the hub."""

    through_seq: int
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The bundle did not arrive, or no proof came back that it did.

    Attributes:
        random_unit: in [0, 1).
        has_progressed: more of it is at the hub than before, so the line is not as bad as its failures say.
    """

    now_ms: int
    random_unit: float
    is_retryable: bool = True
    has_progressed: bool = False


Event = Queued | Due | Acknowledged | Failed


@dataclass(frozen=True, slots=True)
class Send:
    """Send this bundle now."""

    seq: int


@dataclass(frozen=True, slots=True)
class Settle:
    """These bundles are durable at the hub: move the cursor."""

    seqs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back at this time."""

    until_ms: int


Action = Send | Settle | Wait


@dataclass(frozen=True, slots=True)
class Sender:
    """State: the numbers not yet acknowledged, in order, and when to try again."""

    phase: Phase = Phase.IDLE
    pending: tuple[int, ...] = ()
    failures: int = 0
    next_try_ms: int = 0

    def on(self, event: Event) -> "tuple[Sender, tuple[Action, ...]]":
        """Return the next state and what to do; an event that means nothing in this phase changes nothing."""
        rule = TRANSITIONS.get((self.phase, type(event)))
        return rule.step(self, event) if rule else (self, ())


Step = Callable[[Sender, "Event"], tuple[Sender, tuple[Action, ...]]]


class Rule(NamedTuple):
    """What an event does, and the phases it can lead to."""

    step: Step
    leads_to: tuple[Phase, ...]


def wait_ms(failures: int, random_unit: float) -> int:
    """Return how long to wait after so many failures in a row: full jitter below a doubling ceiling, at least 1 s."""
    ceiling_ms = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(failures, _DOUBLINGS_MAX))
    return max(FIRST_WAIT_MS, int(ceiling_ms * random_unit))


def _queue(state: Sender, event: Event) -> tuple[Sender, tuple[Action, ...]]:
    assert isinstance(event, Queued)
    known = set(state.pending)
    return replace(state, pending=state.pending + tuple(seq for seq in event.seqs if seq not in known)), ()


def _start(state: Sender, event: Event) -> tuple[Sender, tuple[Action, ...]]:
    assert isinstance(event, Due)
    if not state.pending:
        return replace(state, phase=Phase.IDLE), ()
    # A longer wait than any there is means that the clock was set back.
    if not event.is_asked and 0 < state.next_try_ms - event.now_ms <= REFUSED_WAIT_MS:
        return state, (Wait(state.next_try_ms),)
    return replace(state, phase=Phase.SENDING), (Send(state.pending[0]),)


def _settle(state: Sender, event: Event) -> tuple[Sender, tuple[Action, ...]]:
    assert isinstance(event, Acknowledged)
    settled = tuple(seq for seq in state.pending if _covers(event, seq))
    pending = tuple(seq for seq in state.pending if not _covers(event, seq))
    actions: tuple[Action, ...] = (Settle(settled),) if settled else ()
    if state.phase is not Phase.SENDING or not settled:
        return replace(state, pending=pending), actions
    if not pending:
        return replace(state, phase=Phase.IDLE, pending=(), failures=0, next_try_ms=0), actions
    return replace(state, pending=pending, failures=0, next_try_ms=0), (*actions, Send(pending[0]))


def _fail(state: Sender, event: Event) -> tuple[Sender, tuple[Action, ...]]:
    assert isinstance(event, Failed)
    failures = 0 if event.has_progressed else state.failures
    if event.is_retryable:
        phase, until_ms = Phase.WAITING, event.now_ms + wait_ms(failures, event.random_unit)
    else:
        phase, until_ms = Phase.REFUSED, event.now_ms + REFUSED_WAIT_MS
    return replace(state, phase=phase, failures=failures + 1, next_try_ms=until_ms), (Wait(until_ms),)


def _covers(event: Acknowledged, seq: int) -> bool:
    return seq <= event.through_seq or any(first <= seq <= last for first, last in event.ranges)


_AT_REST = (Phase.IDLE, Phase.WAITING, Phase.REFUSED)

TRANSITIONS: Mapping[tuple[Phase, type], Rule] = MappingProxyType(
    {
        **{(phase, Queued): Rule(_queue, (phase,)) for phase in Phase},
        **{(phase, Due): Rule(_start, (phase, Phase.SENDING, Phase.IDLE)) for phase in _AT_REST},
        **{(phase, Acknowledged): Rule(_settle, (phase,)) for phase in _AT_REST},
        (Phase.SENDING, Acknowledged): Rule(_settle, (Phase.SENDING, Phase.IDLE)),
        (Phase.SENDING, Failed): Rule(_fail, (Phase.WAITING, Phase.REFUSED)),
    }
)
