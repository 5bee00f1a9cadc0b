"""Statements by a model of a session, for the range coder. See docs/bundle-format.md, "Statements in codec 1".

One walk over the sessions serves both directions: every field is coded where it stands, and what it foretells the next
one from is what the coder gave back. A reader walks with blank statements, whose fields are never looked at.
"""

from collections.abc import Sequence
from typing import Any

from sync.bundle.columns import scaled, wrap
from sync.bundle.entropy import Coder
from sync.bundle.errors import BundleMalformed
from sync.bundle.known import BIT, END, Known, Texts, Units
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
SCORES = frozenset({"score_raw", "score_max", "score_scaled"})
_HUNDREDTHS = 100
_OUTCOMES_MAX = 3
_BLANK = Statement(0, 0, 0, id=bytes(16), registration=bytes(16), response="", body=b"")


def write_statements(
    coder: Coder, statements: Sequence[Statement], *, units: Units, around_ms: int, texts: Texts
) -> list[Statement]:
    """Code the statements and return them as a reader gets them: in session order, times and durations in steps.

    `around_ms` is a moment that both sides know and that the statements are near to.
    """
    sessions = group(statements)
    known = Known(coder, units, around_ms, texts, sessions)
    return [row for session in sessions for row in _walk(known, session, len(session))]


def read_statements(coder: Coder, count: int, *, units: Units, around_ms: int, texts: Texts) -> list[Statement]:
    """Return `count` statements.

    Raises:
        BundleMalformed: the bytes are not what `write_statements` makes.
    """
    known = Known(coder, units, around_ms, texts, [])
    rows: list[Statement] = []
    while len(rows) < count:
        rows += _walk(known, [], count - len(rows))
    return rows


def _walk(known: Known, rows: list[Statement], count_max: int) -> list[Statement]:
    """Code one session and return it."""
    coder, opener = known.coder, rows[0] if rows else _BLANK
    device = coder.raw(number(opener.device_no), known.device_bits)
    learner = coder.raw(number(opener.learner_no), known.learner_bits)
    session = _Session(known, device, learner, coder.signed("attempt", code_attempt(opener)))
    made: list[Statement] = []
    before = END
    while True:
        row = rows[len(made)] if len(made) < len(rows) else None
        before = known.next_shape(before, row)
        if before == END:
            break
        if len(made) == count_max:
            raise BundleMalformed(reason="session length")
        made.append(session.statement(row or _BLANK, before))
    if not made:
        raise BundleMalformed(reason="session length")
    return made


class _Session:
    """One learner on one device in one attempt."""

    def __init__(self, known: Known, device: int, learner: int, attempt: int) -> None:
        self._known = known
        self._device = device
        self._learner_no = learner - 1 if learner else None
        self._attempt = attempt
        self._attempt_seq: int | None = None
        self._is_open = False
        self._before = 0
        self._activity = self._opener = self._time = self._start = 0
        self._progress: dict[int, int] = {}
        self._outcomes = [0, 0]

    def statement(self, row: Statement, shape_no: int) -> Statement:
        """Code one statement and return it."""
        known, coder, units = self._known, self._known.coder, self._known.units
        verb_no, mode, has = known.shape(shape_no)
        seq, stored_lag = known.place(
            self._device, (row.device_seq or 0) if "device_seq" in has else None, row.stored_lag_seconds
        )
        if not self._is_open:
            self._attempt_seq = undo_attempt(self._attempt, seq)
            self._opener, self._start = known.opener(row.activity_no, row.timestamp_ms // units.time_ms)
            self._activity, self._time = self._opener, self._start
        else:
            self._activity = self._step(row.activity_no, shape_no)
        fields: dict[str, Any] = {}
        if "success" in has:
            fields["success"] = self._outcome(bool(row.success))
        duration = self._times(row, shape_no, mode, fields.get("success"), has_duration="duration_ms" in has)
        if duration is not None:
            fields["duration_ms"] = duration * units.duration_ms
        self._before, self._is_open = shape_no, True
        if "completion" in has:
            fields["completion"] = bool(coder.symbol(("completion", shape_no), BIT, int(bool(row.completion))))
        if not SCORES.isdisjoint(has):
            fields.update(known.scores(row, shape_no, has, fields.get("success")))
        if "progress" in has:
            fields["progress"] = self._progress_of(row.progress or 0.0, shape_no, duration)
        self._others(row, has, fields)
        return Statement(
            verb_no,
            self._activity,
            self._time * units.time_ms,
            learner_no=self._learner_no,
            device_no=self._device - 1 if self._device else None,
            device_seq=seq,
            attempt_seq=self._attempt_seq,
            stored_lag_seconds=stored_lag,
            **fields,
        )

    def _step(self, activity_no: int, shape_no: int) -> int:
        """Code an activity by where it is from the one before."""
        candidates = {self._opener: OPENER, self._activity + 1: NEXT, self._activity: SAME}
        key, coder = (self._before, shape_no), self._known.coder
        step = coder.symbol(("step", key), _STEPS, candidates.get(activity_no, ELSEWHERE))
        if step == ELSEWHERE:
            return wrap(self._activity + coder.signed(("activity", key), wrap(activity_no - self._activity)))
        return {SAME: self._activity, NEXT: wrap(self._activity + 1), OPENER: self._opener}[step]

    def _outcome(self, success: bool) -> bool:
        """Code a success by how it went in this session so far."""
        seen = (min(self._outcomes[0], _OUTCOMES_MAX), min(self._outcomes[1], _OUTCOMES_MAX))
        found = self._known.coder.symbol(("success", seen), BIT, int(success), OUTCOME_STEP)
        self._outcomes[found] += 1
        return bool(found)

    def _times(
        self, row: Statement, shape_no: int, mode: int, success: bool | None, *, has_duration: bool
    ) -> int | None:
        """Code time and duration as the shape writes them; return the duration in steps, keep the time."""
        coder, units = self._known.coder, self._known.units
        time, given = row.timestamp_ms // units.time_ms, steps(row.duration_ms or 0, units.duration_ms)
        key = (shape_no, success)
        duration = None
        if has_duration and mode != DURATION_SINCE_START:
            duration = coder.number(("duration", key), given)
        after = 0
        if mode == LAG_AFTER_DURATION and duration is not None:
            after = duration * units.duration_ms // units.time_ms
        if self._is_open:
            expected = self._time + after
            self._time = wrap(expected + coder.signed(("lag", shape_no), wrap(time - expected)))
        if has_duration and mode == DURATION_SINCE_START:
            since = wrap((self._time - self._start) * units.time_ms // units.duration_ms)
            duration = wrap(since - coder.signed(("since", shape_no), wrap(since - given)))
        return duration

    def _progress_of(self, value: float, shape_no: int, duration: int | None) -> float:
        """Code a progress, in hundredths where that is exact, by what was reached and how long it took."""
        known, activity_no = self._known, self._activity
        whole = scaled(value, _HUNDREDTHS)
        if not known.coder.symbol(("hundredths", shape_no), BIT, int(whole is not None)):
            return known.double(value)
        reached = self._progress.get(activity_no, 0)
        pace = known.pace(activity_no, duration) if duration is not None else 0
        expected = min(reached + pace, _HUNDREDTHS)
        key = ("progress", shape_no, pace > 0)
        found = wrap(expected + known.coder.signed(key, wrap((whole or 0) - expected)))
        if duration is not None and found < _HUNDREDTHS:
            known.note_pace(activity_no, found - reached, duration)
        self._progress[activity_no] = found
        return found / _HUNDREDTHS

    def _others(self, row: Statement, has: frozenset[str], fields: dict[str, Any]) -> None:
        known = self._known
        if "response" in has:
            fields["response"] = known.answer(self._activity, fields.get("success"), row.response or "")
        for name in ("id", "registration"):
            if name in has:
                bits = int.from_bytes(getattr(row, name), "big")
                fields[name] = known.coder.raw(bits, _ID_BITS).to_bytes(_ID_BITS // 8, "big")
        if "body" in has:
            fields["body"] = known.texts.code(known.coder, "body length", row.body or b"")
