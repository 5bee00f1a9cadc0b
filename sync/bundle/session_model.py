"""Statements by a model of a session, for the range coder. See docs/bundle-format.md, "Statements in codec 1".

One walk over the sessions serves both directions: every field is coded where it stands, and what it foretells the next
one from is what the coder gave back. A reader walks with blank statements, whose fields are never looked at.
"""

from collections.abc import Sequence
from typing import Any

from sync.bundle.columns import wrap
from sync.bundle.entropy import Coder, Contexts, Counts, Number, Odds
from sync.bundle.errors import BundleMalformed
from sync.bundle.known import BODY, ID, REGISTRATION, Known, KnownShape, Texts, Units
from sync.bundle.sessions import (
    DURATION_SINCE_START,
    LAG_AFTER_DURATION,
    code_attempt,
    group,
    number,
    undo_attempt,
)
from sync.records.coarse import steps
from sync.records.rows import Statement

SAME, NEXT, OPENER, ELSEWHERE = range(4)
_STEPS = (1,) * 4
# An outcome is a coin that is learnt slowly; a large step would follow every toss.
OUTCOME_STEP = 3
_ID_BITS = 128
_HUNDREDTHS = 100
_WHOLE = {hundredths / _HUNDREDTHS: hundredths for hundredths in range(_HUNDREDTHS + 1)}
_OUTCOMES_MAX = 3
_BLANK = Statement(0, 0, 0, id=bytes(16), registration=bytes(16), response="", body=b"")

Fields = tuple[Any, ...]  # in the order of `Statement`


def write_statements(
    coder: Coder, statements: Sequence[Statement], *, units: Units, around_ms: int, texts: Texts
) -> None:
    """Code the statements; a reader gets them in session order, times and durations in steps.

    `around_ms` is a moment that both sides know and that the statements are near to.
    """
    sessions = group(statements)
    model = _Model(Known(coder, units, around_ms, texts, sessions))
    for session in sessions:
        _walk(model, session, len(session))


def read_statements(coder: Coder, count: int, *, units: Units, around_ms: int, texts: Texts) -> list[Statement]:
    """Return `count` statements.

    Raises:
        BundleMalformed: the bytes are not what `write_statements` makes.
    """
    model = _Model(Known(coder, units, around_ms, texts, []))
    rows: list[Statement] = []
    while len(rows) < count:
        rows += [Statement(*fields) for fields in _walk(model, [], count - len(rows))]
    return rows


class _Model:
    """What is known of all sessions, and the contexts of what is coded in each, named as in the format."""

    def __init__(self, known: Known) -> None:
        self.known = known
        self.attempt = Number()
        self.step = Contexts[tuple[int, int], Counts](lambda: Counts(_STEPS))
        self.activity = Contexts[tuple[int, int], Number](Number)
        self.success = Contexts[tuple[int, int], Odds](lambda: Odds(OUTCOME_STEP))
        self.duration = Contexts[tuple[int, bool | None], Number](Number)
        self.lag, self.since = Contexts[int, Number](Number), Contexts[int, Number](Number)
        self.completion, self.hundredths = Contexts[int, Odds](Odds), Contexts[int, Odds](Odds)
        self.progress = Contexts[tuple[int, bool], Number](Number)
        self.body_length = Number()
        self.paces: dict[int, tuple[int, int]] = {}  # by activity: hundredths, and the duration that they took


def _walk(model: _Model, rows: list[Statement], count_max: int) -> list[Fields]:
    """Code one session and return its statements."""
    known, opener = model.known, rows[0] if rows else _BLANK
    device = known.coder.raw(number(opener.device_no), known.device_bits)
    learner = known.coder.raw(number(opener.learner_no), known.learner_bits)
    attempt = known.coder.near(model.attempt, code_attempt(opener))
    session = _Session(model, device, learner, attempt)
    made: list[Fields] = []
    while (shape := known.next_shape(session.before)) is not None:
        if len(made) == count_max:
            raise BundleMalformed(reason="session length")
        made.append(session.statement(rows[len(made)] if rows else _BLANK, shape))
    if not made:
        raise BundleMalformed(reason="session length")
    return made


class _Session:
    """One learner on one device in one attempt; `before` is the number of the shape of the last statement."""

    def __init__(self, model: _Model, device: int, learner: int, attempt: int) -> None:
        self._model = model
        self._known = model.known
        self._coder = model.known.coder
        self._units = model.known.units
        self._device = device
        self._device_no = device - 1 if device else None
        self._learner_no = learner - 1 if learner else None
        self._attempt = attempt
        self._attempt_seq: int | None = None
        self._activity = self._opener = self._time = self._start = 0
        self._progress: dict[int, int] = {}
        self._failures = self._successes = 0
        self.before = 0

    def statement(self, row: Statement, shape: KnownShape) -> Fields:
        """Code one statement and return its fields."""
        known, coder, shape_no = self._known, self._coder, shape.no
        seq = (row.device_seq or 0) if shape.has_seq else None
        seq, stored_lag = known.place(self._device, seq, row.stored_lag_seconds)
        is_first = not self.before
        if is_first:
            self._attempt_seq = undo_attempt(self._attempt, seq)
            self._opener, self._start = known.opener(row.activity_no, row.timestamp_ms // self._units.time_ms)
            self._activity, self._time = self._opener, self._start
        else:
            self._step(row.activity_no, (self.before, shape_no))
        success = completion = raw = maximum = scaled = progress = id_ = registration = response = body = None
        if shape.has_success:
            success = self._outcome(bool(row.success))
        duration = self._times(row, shape, success, is_first=is_first)
        if shape.has_completion:
            completion = coder.bit(self._model.completion[shape_no], bool(row.completion))
        if shape.has_scores:
            raw, maximum, scaled = known.scores(row, shape, success)
        if shape.has_progress:
            progress = self._progress_of(row.progress or 0.0, shape_no, duration)
        if shape.has_response:
            response = known.answer(self._activity, success, row.response or "")
        if shape.has_others:
            id_, registration, body = self._others(row, shape.mask)
        self.before = shape_no
        return (
            shape.verb_no,
            self._activity,
            self._time * self._units.time_ms,
            self._learner_no,
            self._device_no,
            seq,
            self._attempt_seq,
            id_,
            registration,
            stored_lag,
            success,
            completion,
            raw,
            maximum,
            scaled,
            None if duration is None else duration * self._units.duration_ms,
            progress,
            response,
            body,
        )

    def _step(self, activity_no: int, shapes: tuple[int, int]) -> None:
        """Code an activity by where it is from the one before; `shapes` are that of the one before, and this one."""
        before, step = self._activity, ELSEWHERE
        if activity_no == before:
            step = SAME
        elif activity_no == before + 1:
            step = NEXT
        elif activity_no == self._opener:
            step = OPENER
        step = self._coder.symbol(self._model.step[shapes], step)
        if step == NEXT:
            self._activity = wrap(before + 1)
        elif step == OPENER:
            self._activity = self._opener
        elif step == ELSEWHERE:
            self._activity = self._coder.near(self._model.activity[shapes], activity_no, before)

    def _outcome(self, success: bool) -> bool:
        """Code a success by how it went in this session so far."""
        seen = (min(self._failures, _OUTCOMES_MAX), min(self._successes, _OUTCOMES_MAX))
        found = self._coder.bit(self._model.success[seen], success)
        if found:
            self._successes += 1
        else:
            self._failures += 1
        return found

    def _times(self, row: Statement, shape: KnownShape, success: bool | None, *, is_first: bool) -> int | None:
        """Code time and duration as the shape writes them; return the duration in steps, keep the time."""
        coder, units, no, duration, after, given = self._coder, self._units, shape.no, None, 0, 0
        if shape.has_duration:
            given = steps(row.duration_ms or 0, units.duration_ms)
            if shape.mode != DURATION_SINCE_START:
                duration = coder.number(self._model.duration[no, success], given)
            if shape.mode == LAG_AFTER_DURATION:
                after = (duration or 0) * units.duration_ms // units.time_ms
        if not is_first:
            self._time = coder.near(self._model.lag[no], row.timestamp_ms // units.time_ms, self._time + after)
        if shape.has_duration and duration is None:
            since = wrap((self._time - self._start) * units.time_ms // units.duration_ms)
            duration = wrap(since - coder.near(self._model.since[no], since - given))
        return duration

    def _progress_of(self, value: float, shape_no: int, duration: int | None) -> float:
        """Code a progress, in hundredths where that is exact, by what was reached and how long it took."""
        model, coder, activity_no, whole = self._model, self._coder, self._activity, _WHOLE.get(value)
        if not coder.bit(model.hundredths[shape_no], whole is not None):
            return self._known.double(value)
        reached, pace = self._progress.get(activity_no, 0), 0
        if duration is not None and activity_no in model.paces:
            gain, took = model.paces[activity_no]
            pace = (gain * duration + took // 2) // took
        expected = min(reached + pace, _HUNDREDTHS)
        found = coder.near(model.progress[shape_no, pace > 0], whole or 0, expected)
        if duration is not None and found < _HUNDREDTHS and duration > 0 < found - reached:
            model.paces[activity_no] = (found - reached, duration)
        self._progress[activity_no] = found
        return found / _HUNDREDTHS

    def _others(self, row: Statement, mask: int) -> tuple[bytes | None, bytes | None, bytes | None]:
        """Code what an outside client gave, and return it: id, registration and JSON."""
        id_ = self._id(row.id) if mask & ID else None
        registration = self._id(row.registration) if mask & REGISTRATION else None
        body = None
        if mask & BODY:
            body = self._known.texts.code(self._coder, self._model.body_length, row.body or b"")
        return id_, registration, body

    def _id(self, value: bytes | None) -> bytes:
        bits = int.from_bytes(value or b"", "big")
        return self._coder.raw(bits, _ID_BITS).to_bytes(_ID_BITS // 8, "big")
