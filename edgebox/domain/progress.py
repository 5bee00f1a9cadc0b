"""How far a learner is with a resource.

Events of one learner may arrive in any order and from several tablets, so every part of the rule is commutative and
associative: the best score, the furthest progress, sums, the earliest and the latest time. The store gives each event
once, because it counts only statements it had not stored before.
"""

from dataclasses import dataclass

_CLOSING = frozenset({"completed", "exited"})
_FINISHING = frozenset({"completed", "passed"})


@dataclass(frozen=True, slots=True)
class Progress:
    """Latest state of one learner and one resource.

    Attributes:
        progress: 0 to 1.
        score_scaled: the best score so far, -1 to 1.
        attempts: how often it was opened.
        duration_ms: time spent, as told by the events that close an attempt.
    """

    progress: float
    is_complete: bool
    score_scaled: float | None
    attempts: int
    duration_ms: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Step:
    """What one statement means for the progress on its resource."""

    timestamp_ms: int
    progress: float = 0.0
    is_complete: bool = False
    score_scaled: float | None = None
    duration_ms: int = 0
    opens_attempt: bool = False


def step_of(
    verb: str | None,
    timestamp_ms: int,
    *,
    is_part: bool,
    opens_attempt: bool,
    progress: float | None = None,
    completion: bool | None = None,
    score_scaled: float | None = None,
    duration_ms: int | None = None,
) -> Step:
    """Return what a statement adds.

    Args:
        verb: our name of the verb, None for any other verb.
        is_part: it is about one item, so its result says nothing about the whole resource.
        duration_ms: counts only where an attempt is closed, because answers tell parts of the same time.
    """
    if is_part or verb == "answered":
        return Step(timestamp_ms, opens_attempt=opens_attempt)
    return Step(
        timestamp_ms=timestamp_ms,
        progress=progress or 0.0,
        is_complete=bool(completion) or verb in _FINISHING,
        score_scaled=score_scaled,
        duration_ms=duration_ms or 0 if verb in _CLOSING else 0,
        opens_attempt=opens_attempt,
    )


def advance(before: Progress | None, step: Step) -> Progress:
    """Return the progress after one more statement; the order of statements makes no difference."""
    if before is None:
        before = Progress(0.0, False, None, 0, 0, step.timestamp_ms, step.timestamp_ms)
    is_complete = before.is_complete or step.is_complete
    return Progress(
        progress=1.0 if is_complete else max(before.progress, step.progress),
        is_complete=is_complete,
        score_scaled=_best(before.score_scaled, step.score_scaled),
        attempts=before.attempts + step.opens_attempt,
        duration_ms=before.duration_ms + step.duration_ms,
        first_ms=min(before.first_ms, step.timestamp_ms),
        last_ms=max(before.last_ms, step.timestamp_ms),
    )


def _best(left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return right if left is None else left
    return max(left, right)
