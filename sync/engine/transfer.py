"""What a box does next about one upload: one table from (phase, event) to (phase, what to do).

Only what the hub said counts as stored. A peer that is silent for longer than the line explains is dead, and a new
connection is made at once; one that brought nothing is followed by a wait that doubles from 1 s to 300 s with full
jitter. Where something on the way holds back requests or answers, each slice becomes a request of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from content_packs.fetch.pulse import Pulse
from sync.engine.express import AHEAD_MAX_BYTES, REST_BYTES
from sync.engine.sender import wait_ms

SLICE_BYTES = 48 * 1024  # where each is a request, nothing is looked for in between: 6.1 s at 64 kbit/s
WHOLE_MAX_BYTES = AHEAD_MAX_BYTES + REST_BYTES  # nobody may hear of the hub before its end: 7.2 s
DEAF_MIN_MS = 30_000
FAILURES_MAX = 4


class Phase(Enum):
    """What the transfer is doing."""

    START = "nothing was done yet"
    CONNECTING = "a connection is being made"
    WAITING = "the last connection brought nothing; the next one is due later"
    ASKING = "the hub is asked how much it has"
    OPENING = "the first slice is on its way, and no answer has begun"
    STREAMING = "bytes go up, and stored offsets come down meanwhile"
    SLICING = "one slice a request, because something holds back requests or answers"
    COLLECTING = "everything is stored; the ack is asked for"
    DONE = "the ack is here"
    GIVEN_UP = "several connections brought nothing"


@dataclass(frozen=True, slots=True)
class Begun:
    """Somebody wants the bundle sent."""


@dataclass(frozen=True, slots=True)
class Due:
    """The waiting time is over."""


@dataclass(frozen=True, slots=True)
class Connected:
    """A connection was made."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Sent:
    """The socket took so many bytes more."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Rested:
    """For a while nothing was sent, because others used the line: that silence was not the hub's."""

    now_ms: int


@dataclass(frozen=True, slots=True)
class Told:
    """The hub says how much is stored, while it is still taking more."""

    now_ms: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A request is over, and this much is stored."""

    now_ms: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Unknown:
    """The hub knows nothing of this upload."""

    now_ms: int
    random_unit: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """The hub's word on the whole bundle came."""


@dataclass(frozen=True, slots=True)
class Listened:
    """What the socket tells of the line; comes several times a second while a request is under way.

    Attributes:
        packets: heard so far on this connection.
        round_trip_ms: without any queue, 0 while unknown.
        queue_ms: how long packets wait on the way, beyond that.
        is_outstanding: some bytes that were sent have not been confirmed by the next machine on the way.
        random_unit: in [0, 1).
    """

    now_ms: int
    packets: int
    round_trip_ms: int
    queue_ms: int
    is_outstanding: bool
    random_unit: float


@dataclass(frozen=True, slots=True)
class Reachable:
    """Another connection, tried since `began_ms`, came to life."""

    now_ms: int
    began_ms: int


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection broke, could not be made, or the hub was not where it was thought to be."""

    now_ms: int
    random_unit: float


Event = Begun | Due | Connected | Sent | Rested | Told | Stored | Unknown | Accepted | Listened | Reachable | Lost


@dataclass(frozen=True, slots=True)
class Connect:
    """Leave whatever connection there is, and make a new one."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back after this time."""

    duration_ms: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the hub how much it has, on the connection that just came to life if `is_on_spare`."""

    is_on_spare: bool = False


@dataclass(frozen=True, slots=True)
class Create:
    """Begin the upload with one request for the bytes from 0 to before `end`."""

    end: int


@dataclass(frozen=True, slots=True)
class Append:
    """Go on with one request for the bytes from `start` to before `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Probe:
    """Try another connection beside the one that is silent."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The other connection is not needed: the first one is alive."""


@dataclass(frozen=True, slots=True)
class Collect:
    """Ask for the ack."""


@dataclass(frozen=True, slots=True)
class Finish:
    """There is an ack."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Let the sender wait for better times."""


Action = Connect | Wait | Ask | Create | Append | Probe | Drop | Collect | Finish | GiveUp


@dataclass(frozen=True, slots=True)
class Transfer:
    """State of one upload.

    Attributes:
        stored_bytes: what the hub said last.
        sent_bytes: where the next slice of the running request begins.
        allowed_end: how far may be sent before the answer begins.
        request_end: where the running request ends.
        is_begun: the hub may have some of it.
        is_held_back: something on the way holds back requests or answers until they are whole.
        failures: connections in a row that brought nothing.
        counted_bytes: what was stored at the last failure.
    """

    length_bytes: int
    phase: Phase = Phase.START
    stored_bytes: int = 0
    sent_bytes: int = 0
    allowed_end: int = 0
    request_end: int = 0
    is_begun: bool = False
    is_held_back: bool = False
    failures: int = 0
    counted_bytes: int = 0
    told_ms: int = 0
    pulse: Pulse = field(default_factory=lambda: Pulse(0))

    def on(self, event: Event) -> "tuple[Transfer, Action | None]":
        """Return the next state and what to do; an event that means nothing in this phase changes nothing."""
        rule = TRANSITIONS.get((self.phase, type(event)))
        return rule.step(self, event) if rule else (self, None)

    def next_slice(self) -> tuple[int, int] | None:
        """Return the next bytes to give to the socket, None when the hub has to be heard first or there are no more."""
        if self.phase not in _SENDING:
            return None
        end = self.allowed_end if self.phase is Phase.OPENING else self.request_end
        return (self.sent_bytes, min(self.sent_bytes + SLICE_BYTES, end)) if self.sent_bytes < end else None


Step = Callable[[Transfer, "Event"], tuple[Transfer, Action | None]]


class Rule(NamedTuple):
    """What an event does, and the phases it can lead to."""

    step: Step
    leads_to: tuple[Phase, ...]


def _connect(state: Transfer, _event: Event) -> tuple[Transfer, Action | None]:
    return replace(state, phase=Phase.CONNECTING), Connect()


def _go_on(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    assert isinstance(event, Connected)
    state = _heard(replace(state, pulse=replace(state.pulse, packets=0)), event.now_ms)
    if state.is_begun:
        return replace(state, phase=Phase.ASKING), Ask()
    return _create(state, event)


def _create(state: Transfer, _event: Event) -> tuple[Transfer, Action | None]:
    state = _request_from(replace(state, is_begun=True), 0)
    return state, Create(state.request_end)


def _append(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    assert isinstance(event, Stored)
    state = _request_from(_learn(state, event), event.stored_bytes)
    return state, Append(event.stored_bytes, state.request_end)


def _go_on_behind(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    """A request is over without an ack: the next slice, or the ack by itself."""
    assert isinstance(event, Stored)
    if event.stored_bytes == state.length_bytes:
        return replace(_learn(state, event), phase=Phase.COLLECTING), Collect()
    return _append(state, event)


def _stream(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    assert isinstance(event, Told)
    return replace(_learn(state, event), phase=Phase.STREAMING, told_ms=event.now_ms), None


def _note_sent(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    assert isinstance(event, Sent)
    return replace(state, sent_bytes=state.sent_bytes + event.size_bytes), None


def _rest(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    assert isinstance(event, Rested)
    return _heard(state, event.now_ms), None


def _listen(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    assert isinstance(event, Listened)
    pulse = replace(state.pulse, round_trip_ms=event.round_trip_ms, queue_ms=event.queue_ms)
    pulse.hear(event.now_ms, event.packets)
    state = replace(state, pulse=pulse)
    if pulse.is_dead(event.now_ms) or _is_deaf(state, event.now_ms):
        return _lose(replace(state, is_held_back=state.is_held_back or _seems_held_back(state, event)), event)
    return state, Probe() if event.is_outstanding and pulse.is_doubtful(event.now_ms) else None


def _switch(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    assert isinstance(event, Reachable)
    if event.began_ms <= state.pulse.heard_ms:
        return state, Drop()
    state = _heard(_count_failure(replace(state, pulse=replace(state.pulse, packets=0))), event.now_ms)
    return replace(state, phase=Phase.ASKING), Ask(is_on_spare=True)


def _lose(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    assert isinstance(event, Lost | Listened | Unknown)
    state = _count_failure(state)
    if state.failures > FAILURES_MAX:
        return replace(state, phase=Phase.GIVEN_UP), GiveUp()
    if state.failures > 1:
        return replace(state, phase=Phase.WAITING), Wait(wait_ms(state.failures - 2, event.random_unit))
    return replace(state, phase=Phase.CONNECTING), Connect()


def _forget(state: Transfer, event: Event) -> tuple[Transfer, Action | None]:
    return _lose(replace(state, is_begun=False, stored_bytes=0, counted_bytes=0), event)


def _finish(state: Transfer, _event: Event) -> tuple[Transfer, Action | None]:
    return replace(state, phase=Phase.DONE, stored_bytes=state.length_bytes), Finish()


def _learn(state: Transfer, event: Told | Stored) -> Transfer:
    state = _heard(state, event.now_ms)
    return replace(state, stored_bytes=event.stored_bytes, counted_bytes=min(state.counted_bytes, event.stored_bytes))


def _heard(state: Transfer, now_ms: int) -> Transfer:
    return replace(state, pulse=replace(state.pulse, heard_ms=now_ms), told_ms=now_ms)


def _request_from(state: Transfer, start: int) -> Transfer:
    """Return the state with a request from `start` on; a short one may be sent whole before its answer begins."""
    rest_bytes = state.length_bytes - start
    first_end = start + (rest_bytes if rest_bytes <= WHOLE_MAX_BYTES else SLICE_BYTES)
    end = start + min(rest_bytes, SLICE_BYTES) if state.is_held_back else state.length_bytes
    phase = Phase.SLICING if state.is_held_back else Phase.OPENING
    return replace(state, phase=phase, sent_bytes=start, allowed_end=first_end, request_end=end)


def _count_failure(state: Transfer) -> Transfer:
    """One more connection ended; if bytes came to the hub since the last one that did, it is the first again."""
    failures = 1 if state.stored_bytes > state.counted_bytes else state.failures + 1
    pulse = replace(state.pulse, patience=failures - 1)
    return replace(state, failures=failures, counted_bytes=state.stored_bytes, pulse=pulse)


def _is_deaf(state: Transfer, now_ms: int) -> bool:
    """Return whether the hub itself is silent, while a machine on the way to it goes on confirming packets.

    A lossy line can hold up one small packet, and all behind it, for many seconds.
    """
    deaf_ms = max(DEAF_MIN_MS, 3 * state.pulse.silence_max_ms)
    return state.phase is Phase.STREAMING and now_ms - state.told_ms >= deaf_ms


def _seems_held_back(state: Transfer, event: Listened) -> bool:
    """Return whether all that may be sent arrived somewhere, and yet no answer began."""
    is_all_sent = state.sent_bytes == state.allowed_end < state.request_end
    return state.phase is Phase.OPENING and is_all_sent and not event.is_outstanding


_AGAIN = (Phase.CONNECTING, Phase.WAITING, Phase.GIVEN_UP)
_REQUEST = (Phase.OPENING, Phase.SLICING)
_SENDING = (Phase.OPENING, Phase.STREAMING, Phase.SLICING)
_BUSY = (Phase.ASKING, *_SENDING, Phase.COLLECTING)

TRANSITIONS: Mapping[tuple[Phase, type], Rule] = MappingProxyType(
    {
        (Phase.START, Begun): Rule(_connect, (Phase.CONNECTING,)),
        (Phase.CONNECTING, Connected): Rule(_go_on, (Phase.ASKING, *_REQUEST)),
        (Phase.CONNECTING, Lost): Rule(_lose, _AGAIN),
        (Phase.WAITING, Due): Rule(_connect, (Phase.CONNECTING,)),
        (Phase.ASKING, Stored): Rule(_append, _REQUEST),
        (Phase.ASKING, Unknown): Rule(_create, _REQUEST),
        (Phase.OPENING, Told): Rule(_stream, (Phase.STREAMING,)),
        (Phase.STREAMING, Told): Rule(_stream, (Phase.STREAMING,)),
        (Phase.COLLECTING, Unknown): Rule(_lose, _AGAIN),
        **{(phase, Sent): Rule(_note_sent, (phase,)) for phase in _SENDING},
        **{(phase, Rested): Rule(_rest, (phase,)) for phase in _SENDING},
        **{(phase, Stored): Rule(_go_on_behind, (*_REQUEST, Phase.COLLECTING)) for phase in _SENDING},
        **{(phase, Unknown): Rule(_forget, _AGAIN) for phase in _SENDING},
        **{(phase, Accepted): Rule(_finish, (Phase.DONE,)) for phase in (*_SENDING, Phase.COLLECTING)},
        **{(phase, Listened): Rule(_listen, (phase, *_AGAIN)) for phase in _BUSY},
        **{(phase, Reachable): Rule(_switch, (phase, Phase.ASKING)) for phase in _BUSY},
        **{(phase, Lost): Rule(_lose, _AGAIN) for phase in _BUSY},
    }
)
