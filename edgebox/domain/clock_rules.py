"""Who may set the clock of a box, and how far.

A box has no clock of its own that lasts a power cut. It starts at the latest moment it can prove and learns from
whoever comes by. Times told before it knew better are repaired later, by the offset of their boot
(`sync.records.retiming`), so a wrong step is never final; but none may be made by who has less to say than whoever set
the clock before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median_low
from types import MappingProxyType

from sync.bundle.layout import ClockQuality

NEAR_MS = 120_000  # what a crystal drifts in a month; no date is told more exactly
DAY_MS = 86_400_000
YEAR_AHEAD_MS = 400 * DAY_MS
LATEST_MS = 4_070_908_800_000  # 2099: ids and events have no place for times from 2100 on
SAVE_EVERY_MS = 60_000
VOTES_MIN = 5
VOTE_LASTS_MS = 3_600_000
OUTLIER_MS = 300_000
_NEVER = -1


class Source(Enum):
    """Who says what time it is."""

    SIGNED = "a hub's signed word of some time ago: a list, or an ack on a stick; it is later than that now"
    TABLETS = "the median of at least five tablets"
    STAFF = "the tablet of a teacher who is signed in"
    PRESSED = "the same, and the teacher asked for it"
    HUB = "the hub, on the line"
    MACHINE = "the machine's own clock, set by a time server or a receiver"


@dataclass(frozen=True, slots=True)
class Rule:
    """What one source may do.

    Attributes:
        gives: the quality a clock has that agrees with this source or was set by it.
        moves: the highest quality of a clock that it may move.
        far: likewise, by more than a day ahead; the guard against a single wrong clock.
        far_max_ms: how far ahead at most.
        lowers: whether it may set the clock back.
    """

    gives: ClockQuality
    moves: int
    far: int
    far_max_ms: int = LATEST_MS
    lowers: bool = False


RULES: Mapping[Source, Rule] = MappingProxyType(
    {
        Source.SIGNED: Rule(ClockQuality.RESTORED, moves=ClockQuality.TABLETS, far=ClockQuality.RESTORED),
        # Never a second time, never back, never more than a day: five tablets in the hands of five pupils are no proof.
        Source.TABLETS: Rule(ClockQuality.TABLETS, moves=ClockQuality.RESTORED, far=_NEVER),
        # By itself only forward, and not by years: the teacher's tablet may be the one that is wrong.
        Source.STAFF: Rule(
            ClockQuality.TABLETS, moves=ClockQuality.RESTORED, far=ClockQuality.RESTORED, far_max_ms=YEAR_AHEAD_MS
        ),
        Source.PRESSED: Rule(
            ClockQuality.TABLETS, moves=ClockQuality.TABLETS, far=ClockQuality.TABLETS, lowers=True
        ),
        Source.HUB: Rule(ClockQuality.HUB, moves=ClockQuality.HUB, far=ClockQuality.TABLETS, lowers=True),
        Source.MACHINE: Rule(
            ClockQuality.HARDWARE, moves=ClockQuality.HARDWARE, far=ClockQuality.TABLETS, lowers=True
        ),
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Saved:
    """What the box knew of the time when it was last written down, in which run of the machine."""

    now_ms: int
    monotonic_ms: int
    run_id: str
    quality: ClockQuality


@dataclass(frozen=True, slots=True)
class Moment:
    """A time, and how far it is to be trusted."""

    now_ms: int
    quality: ClockQuality


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine's clocks say."""

    now_ms: int
    monotonic_ms: int
    run_id: str
    is_set: bool


def goes_on(saved: Saved | None, machine: Machine) -> bool:
    """Return whether the machine has run since: then nobody needs to be asked how long that was."""
    return (
        saved is not None
        and machine.run_id != ""
        and saved.run_id == machine.run_id
        and saved.monotonic_ms <= machine.monotonic_ms
    )


def first_moment(saved: Saved | None, machine: Machine, released_ms: int) -> Moment:
    """Return what a box takes for the time when it starts: the latest moment that is past for sure, at least.

    A machine's clock is believed unless it is behind that, or years ahead of what was saved.
    """
    if saved is not None and goes_on(saved, machine):
        return Moment(saved.now_ms + machine.monotonic_ms - saved.monotonic_ms, saved.quality)
    # What happened since the last saving was told with times of up to a minute later; none is told twice.
    floor_ms = released_ms if saved is None else max(saved.now_ms + SAVE_EVERY_MS, released_ms)
    reached_ms = released_ms if saved is None else max(saved.now_ms, released_ms)
    ceiling_ms = LATEST_MS if saved is None or machine.is_set else min(reached_ms + YEAR_AHEAD_MS, LATEST_MS)
    if reached_ms < machine.now_ms < ceiling_ms:
        return Moment(machine.now_ms, ClockQuality.HARDWARE if machine.is_set else ClockQuality.RESTORED)
    return Moment(floor_ms, ClockQuality.UNKNOWN if saved is None else ClockQuality.RESTORED)


def judge(clock: Moment, source: Source, told_ms: int, released_ms: int) -> Moment | None:
    """Return what the clock is to be set to, now that `source` says it is `told_ms`; None when it stays as it is."""
    rule, ahead_ms = RULES[source], told_ms - clock.now_ms
    if not released_ms <= told_ms < LATEST_MS:
        return None
    if source is Source.SIGNED:
        is_news = ahead_ms > 0 and _may_move(rule, clock.quality, ahead_ms)
        return Moment(told_ms, max(clock.quality, rule.gives)) if is_news else None
    if rule.gives < clock.quality:
        # A clock that the hub finds a day ahead was set by a time server that is wrong, or none of ours.
        is_absurd = source is Source.HUB and ahead_ms < -DAY_MS
        return Moment(told_ms, rule.gives) if is_absurd else None
    if abs(ahead_ms) <= NEAR_MS:
        now_ms = told_ms if rule.lowers and source is not Source.PRESSED else clock.now_ms
        is_news = rule.gives > clock.quality or now_ms != clock.now_ms
        return Moment(now_ms, rule.gives) if is_news else None
    return Moment(told_ms, rule.gives) if _may_move(rule, clock.quality, ahead_ms) else None


def _may_move(rule: Rule, quality: ClockQuality, ahead_ms: int) -> bool:
    if ahead_ms < 0:
        return rule.lowers and quality <= rule.moves
    if ahead_ms > DAY_MS:
        return quality <= rule.far and ahead_ms <= rule.far_max_ms
    return quality <= rule.moves


def agreed(times_ms: Sequence[int]) -> int | None:
    """Return the median of those within five minutes of the median of all; None when these are fewer than five."""
    if len(times_ms) < VOTES_MIN:
        return None
    middle_ms = median_low(times_ms)
    near = [time_ms for time_ms in times_ms if abs(time_ms - middle_ms) <= OUTLIER_MS]
    return median_low(near) if len(near) >= VOTES_MIN else None
