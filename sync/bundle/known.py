"""What is known of the statements walked over so far, for the next value to be foretold from.

See docs/bundle-format.md, "Statements in codec 1". Every method codes a value and returns what the coder gave back.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sync.bundle.columns import scaled, to_text, wrap
from sync.bundle.entropy import Coder
from sync.bundle.errors import BundleMalformed
from sync.bundle.results import expected_raw, expected_scaled
from sync.bundle.sessions import OPTIONAL, layout_of, number
from sync.records.coarse import DURATION_STEP_MS, TIME_STEP_MS
from sync.records.rows import Statement

END, NEW, FAR = 0, 1, 31
FIRST_SHAPE = 2
FAR_ANSWER, NEW_ANSWER = 62, 63
_MODES = (1,) * 3
BIT = (1, 1)
_SHAPES = (12, 12, *(4,) * 8, *(1,) * 22)
_ANSWERS = (*(4,) * 6, *(1,) * 57, 8)
_WIDTH_BITS = 7

_SEQ, _ID, _REGISTRATION, _SUCCESS, _COMPLETION, _RAW, _MAX, _SCALED, _DURATION, _PROGRESS, _RESPONSE, _BODY = (
    1 << bit for bit in range(len(OPTIONAL))
)
# What the statements of our own pages and of most outside clients have.
USUAL_MASKS = (
    _SEQ,
    _SEQ | _DURATION,
    _SEQ | _PROGRESS,
    _SEQ | _DURATION | _PROGRESS,
    _SEQ | _COMPLETION,
    _SEQ | _COMPLETION | _DURATION,
    _SEQ | _COMPLETION | _DURATION | _PROGRESS,
    _SEQ | _SUCCESS | _RAW | _MAX | _SCALED | _DURATION | _RESPONSE,
    _SEQ | _SUCCESS | _RAW | _MAX | _SCALED | _DURATION,
    _SEQ | _SUCCESS | _RAW | _MAX | _SCALED | _PROGRESS,
    _SEQ | _SUCCESS | _COMPLETION | _RAW | _MAX | _SCALED | _DURATION,
    _SEQ | _SUCCESS | _DURATION | _RESPONSE,
    _ID | _BODY,
    _ID | _REGISTRATION | _BODY,
)
_MASKS = (1,) * (len(USUAL_MASKS) + 1)
_USUAL = {mask: place for place, mask in enumerate(USUAL_MASKS)}

Shape = tuple[int, int, int]  # verb number, mask of OPTIONAL, mode of lag and duration


@dataclass(frozen=True, slots=True)
class Units:
    """The steps in which times and durations are written, in milliseconds; 1 and 1 is exact."""

    time_ms: int = 1
    duration_ms: int = 1


EXACT = Units()
COARSE = Units(TIME_STEP_MS, DURATION_STEP_MS)


class Texts:
    """The texts and JSON of a bundle, one after the other; their lengths are coded among the statements."""

    def __init__(self, joined: bytes | None = None) -> None:
        self.joined = bytearray(joined or b"")
        self._is_writing = joined is None
        self._place = 0

    def code(self, coder: Coder, key: Any, text: bytes) -> bytes:
        """Return the next text, after appending it when writing."""
        length = coder.number(key, len(text))
        if self._is_writing:
            self.joined += text
        start, self._place = self._place, self._place + length
        if self._place > len(self.joined):
            raise BundleMalformed(reason="texts")
        return bytes(self.joined[start : self._place])

    @property
    def is_used_up(self) -> bool:
        """Return whether every text was taken."""
        return self._place == len(self.joined)


class Known:
    """Everything that is known so far, for the next value to be foretold from."""

    def __init__(
        self, coder: Coder, units: Units, around_ms: int, texts: Texts, sessions: list[list[Statement]]
    ) -> None:
        self.coder = coder
        self.units = units
        self.texts = texts
        openers = [session[0] for session in sessions]
        self.device_bits = _width(coder, [number(row.device_no) for row in openers])
        self.learner_bits = _width(coder, [number(row.learner_no) for row in openers])
        layout = layout_of(sessions)
        self._coming = iter([layout.shapes[shape] for shape in layout.shape_of])
        self._activity = self._lag_seconds = 0
        self._start = around_ms // units.time_ms
        self._shapes: list[tuple[int, int, frozenset[str]]] = []
        self._shape_numbers: dict[Shape, int] = {}
        self._answers: list[str] = []
        self._answer_numbers: dict[str, int] = {}
        self._doubles: list[float] = []
        self._double_numbers: dict[float, int] = {}
        self._last_answers: dict[tuple[int, bool | None], str] = {}
        self._expected: dict[int, int] = {}
        self._maxima: dict[int, float] = {}
        self._pace: dict[int, tuple[int, int]] = {}

    def shape(self, shape_no: int) -> tuple[int, int, frozenset[str]]:
        """Return verb, mode and the names of the fields that statements of a shape have."""
        return self._shapes[shape_no - FIRST_SHAPE]

    def next_shape(self, before: int, row: Statement | None) -> int:
        """Code the number of the statement's shape, or END when there is none."""
        coder = self.coder
        shape = next(self._coming, None) if row is not None else None
        shape_no = END if shape is None else self._shape_numbers.get(shape, NEW)
        symbol = coder.symbol(("shape", min(before, FAR)), _SHAPES, min(shape_no, FAR))
        if symbol == NEW:
            return self._new_shape(shape or (0, 0, 0))
        if symbol == FAR:
            symbol = coder.number("far shape", shape_no - FAR) + FAR
        if symbol >= len(self._shapes) + FIRST_SHAPE:
            raise BundleMalformed(reason="shapes")
        return symbol

    def _new_shape(self, shape: Shape) -> int:
        verb_no = self.coder.number("verb", shape[0])
        mask = self.coder.symbol("usual mask", _MASKS, _USUAL.get(shape[1], len(USUAL_MASKS)))
        mask = USUAL_MASKS[mask] if mask < len(USUAL_MASKS) else self.coder.raw(shape[1], len(OPTIONAL))
        found = (verb_no, mask, self.coder.symbol("mode", _MODES, shape[2]))
        has = frozenset(name for bit, name in enumerate(OPTIONAL) if mask >> bit & 1)
        self._shapes.append((verb_no, found[2], has))
        self._shape_numbers[found] = shape_no = len(self._shapes) - 1 + FIRST_SHAPE
        return shape_no

    def place(self, device: int, seq: int | None, lag_seconds: int) -> tuple[int | None, int]:
        """Code a sequence number and how long after its time a statement was stored.

        Both mostly follow from the statement before: the number is the device's next, and the time was the same.
        """
        coder = self.coder
        expected = self._expected.get(device)
        if seq is not None and expected is None:
            expected = coder.number("first sequence", seq)
            seq = expected
        if coder.symbol("in step", BIT, int((seq is None or seq == expected) and lag_seconds == self._lag_seconds)):
            seq = None if seq is None else expected
        else:
            self._lag_seconds = wrap(self._lag_seconds + coder.signed("stored", wrap(lag_seconds - self._lag_seconds)))
            if seq is not None and expected is not None:
                seq = wrap(expected + coder.signed("sequence", wrap(seq - expected)))
        if seq is not None:
            self._expected[device] = wrap(seq + 1)
        return seq, self._lag_seconds

    def opener(self, activity_no: int, time: int) -> tuple[int, int]:
        """Code activity and time of a session's first statement by those of the session before."""
        coder = self.coder
        self._activity = wrap(self._activity + coder.signed("opener", wrap(activity_no - self._activity)))
        self._start = wrap(self._start + coder.signed("start", wrap(time - self._start)))
        return self._activity, self._start

    def scores(
        self, row: Statement, shape_no: int, has: frozenset[str], success: bool | None
    ) -> Mapping[str, float | None]:
        """Code the scores: all as foretold from the last ones of the shape and the outcome, or one by one."""
        coder, last = self.coder, self._maxima.get(shape_no)
        maximum = last if "score_max" in has else None
        raw = float(expected_raw(maximum, success)) if "score_raw" in has else None
        guess = {"score_max": maximum, "score_raw": raw, "score_scaled": expected_scaled(raw, maximum)}
        guess = {name: value for name, value in guess.items() if name in has}
        is_usual = all(getattr(row, name) == value for name, value in guess.items())
        if None not in guess.values() and coder.symbol(("usual", shape_no, success), BIT, int(is_usual)):
            return guess
        found: dict[str, float] = {}
        if "score_max" in has:
            found["score_max"] = self.real(("maximum", shape_no), row.score_max or 0.0, 0)
            self._maxima[shape_no] = found["score_max"]
        maximum = found.get("score_max")
        if "score_raw" in has:
            key = ("raw", shape_no, success)
            found["score_raw"] = self.real(key, row.score_raw or 0.0, expected_raw(maximum, success))
        if "score_scaled" in has:
            expected = expected_scaled(found.get("score_raw"), maximum)
            is_expected = row.score_scaled == expected
            if expected is not None and coder.symbol(("scaled", shape_no), BIT, int(is_expected)):
                found["score_scaled"] = expected
            else:
                found["score_scaled"] = self.real(("other scaled", shape_no), row.score_scaled or 0.0, 0)
        return found

    def real(self, key: Any, value: float, expected: int) -> float:
        """Code a number: how far a whole one is from what is expected, any other as it is."""
        whole = scaled(value)
        if self.coder.symbol((key, "whole"), BIT, int(whole is not None)):
            return float(wrap(expected + self.coder.signed(key, wrap((whole or 0) - expected))))
        return self.double(value)

    def double(self, value: float) -> float:
        """Code a number that is not whole: one of the first of the bundle again, or a new one as it is."""
        double_no = self._double_numbers.get(value, len(self._doubles))
        symbol = NEW_ANSWER if double_no == len(self._doubles) else min(double_no, FAR_ANSWER)
        symbol = self.coder.symbol("double", _ANSWERS, symbol)
        if symbol == NEW_ANSWER:
            found = to_double(self.coder.raw(double_bits(value), 64))
            self._double_numbers.setdefault(found, len(self._doubles))
            self._doubles.append(found)
            return found
        if symbol == FAR_ANSWER:
            symbol += self.coder.number("far double", double_no - FAR_ANSWER)
        if symbol >= len(self._doubles):
            raise BundleMalformed(reason="reals")
        return self._doubles[symbol]

    def pace(self, activity_no: int, duration: int) -> int:
        """Return the progress, in hundredths, that took this long the last time."""
        hundredths, took = self._pace.get(activity_no, (0, 1))
        return (hundredths * duration + took // 2) // took

    def note_pace(self, activity_no: int, hundredths: int, duration: int) -> None:
        """Take note of how far one came with an activity in some time."""
        if duration > 0 < hundredths:
            self._pace[activity_no] = (hundredths, duration)

    def answer(self, activity_no: int, success: bool | None, text: str) -> str:
        """Code an answer: the last one here with this outcome, one of those seen in the bundle, or a new one."""
        key, coder = (activity_no, success), self.coder
        last = self._last_answers.get(key)
        if last is not None and coder.symbol(("same answer", success), BIT, int(text == last)):
            return last
        answer_no = self._answer_numbers.get(text)
        symbol = NEW_ANSWER if answer_no is None else min(answer_no, FAR_ANSWER)
        symbol = coder.symbol("answer", _ANSWERS, symbol)
        if symbol == NEW_ANSWER:
            found = self._new_answer(text)
        else:
            if symbol == FAR_ANSWER:
                symbol += coder.number("far answer", (answer_no or 0) - FAR_ANSWER)
            if symbol >= len(self._answers):
                raise BundleMalformed(reason="answers")
            found = self._answers[symbol]
        self._last_answers[key] = found
        return found

    def _new_answer(self, text: str) -> str:
        found = to_text(self.texts.code(self.coder, "answer length", text.encode()))
        self._answer_numbers.setdefault(found, len(self._answers))
        self._answers.append(found)
        return found


def _width(coder: Coder, numbers: list[int]) -> int:
    """Code how many bits the largest of some numbers has."""
    return min(coder.raw(max(numbers, default=0).bit_length(), _WIDTH_BITS), 64)


def double_bits(value: float) -> int:
    """Return the bits of an IEEE double."""
    return int.from_bytes(struct.pack(">d", value), "big")


def to_double(bits: int) -> float:
    """Return a finite double.

    Raises:
        BundleMalformed: the bits stand for none.
    """
    value: float = struct.unpack(">d", bits.to_bytes(8, "big"))[0]
    if not math.isfinite(value):
        raise BundleMalformed(reason="reals")
    return value
