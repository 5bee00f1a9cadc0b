"""What is known of the statements walked over so far, for the next value to be foretold from.

See docs/bundle-format.md, "Statements in codec 1". Every method codes a value and returns what the coder gave back.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sync.bundle.columns import scaled, to_text, wrap
from sync.bundle.entropy import Coder, Contexts, Counts, Number, Odds
from sync.bundle.errors import BundleMalformed
from sync.bundle.results import expected_raw, expected_scaled
from sync.bundle.sessions import OPTIONAL, Shape, layout_of, number
from sync.records.coarse import DURATION_STEP_MS, TIME_STEP_MS
from sync.records.rows import Statement

END, NEW, FAR = 0, 1, 31
FIRST_SHAPE = 2
FAR_ANSWER, NEW_ANSWER = 62, 63
_MODES = (1,) * 3
_SHAPES = (12, 12, *(4,) * 8, *(1,) * 22)
_ANSWERS = (*(4,) * 6, *(1,) * 57, 8)
_WIDTH_BITS = 7

_SEQ, ID, REGISTRATION, _SUCCESS, _COMPLETION, _RAW, _MAX, _SCALED, _DURATION, _PROGRESS, _RESPONSE, BODY = (
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
    ID | BODY,
    ID | REGISTRATION | BODY,
)
_SCORES = _RAW | _MAX | _SCALED
_OTHERS = ID | REGISTRATION | BODY
_MASKS = (1,) * (len(USUAL_MASKS) + 1)
_USUAL = {mask: place for place, mask in enumerate(USUAL_MASKS)}

Scores = tuple[float | None, float | None, float | None]  # raw, maximum, scaled


@dataclass(frozen=True, slots=True)
class KnownShape:
    """A shape that the bundle has had: its number, how lag and duration are written, and which fields there are."""

    no: int
    verb_no: int
    mode: int
    mask: int
    has_seq: bool
    has_success: bool
    has_completion: bool
    has_scores: bool
    has_duration: bool
    has_progress: bool
    has_response: bool
    has_others: bool  # id, registration or JSON

    @classmethod
    def numbered(cls, no: int, shape: Shape) -> "KnownShape":
        """Return what a shape is, under its number."""
        verb_no, mask, mode = shape
        parts = (_SEQ, _SUCCESS, _COMPLETION, _SCORES, _DURATION, _PROGRESS, _RESPONSE, _OTHERS)
        return cls(no, verb_no, mode, mask, *(bool(mask & part) for part in parts))


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

    def code(self, coder: Coder, length_context: Number, text: bytes) -> bytes:
        """Return the next text, after appending it when writing."""
        length = coder.number(length_context, len(text))
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


class _Real:
    """The contexts of a number that is mostly whole."""

    __slots__ = ("number", "whole")

    def __init__(self) -> None:
        self.whole = Odds()
        self.number = Number()


class _Foretold:
    """The contexts of everything that `Known` codes, named as in the format."""

    def __init__(self) -> None:
        self.shape = Contexts[int, Counts](lambda: Counts(_SHAPES))
        self.far_shape, self.verb = Number(), Number()
        self.usual_mask, self.mode = Counts(_MASKS), Counts(_MODES)
        self.first_sequence, self.in_step, self.stored, self.sequence = Number(), Odds(), Number(), Number()
        self.opener, self.start = Number(), Number()
        self.usual = Contexts[tuple[int, bool | None], Odds](Odds)
        self.maximum, self.other_scaled = Contexts[int, _Real](_Real), Contexts[int, _Real](_Real)
        self.raw = Contexts[tuple[int, bool | None], _Real](_Real)
        self.scaled = Contexts[int, Odds](Odds)
        self.double, self.far_double = Counts(_ANSWERS), Number()
        self.same_answer = Contexts[bool | None, Odds](Odds)
        self.answer, self.far_answer, self.answer_length = Counts(_ANSWERS), Number(), Number()


class Known:
    """Everything that is known so far, for the next value to be foretold from."""

    def __init__(
        self, coder: Coder, units: Units, around_ms: int, texts: Texts, sessions: list[list[Statement]]
    ) -> None:
        self.coder = coder
        self.units = units
        self.texts = texts
        self._contexts = _Foretold()
        openers = [session[0] for session in sessions]
        self.device_bits = _width(coder, [number(row.device_no) for row in openers])
        self.learner_bits = _width(coder, [number(row.learner_no) for row in openers])
        self._coming = _shapes_of(sessions)
        self._activity = self._lag_seconds = 0
        self._start = around_ms // units.time_ms
        self._shapes: list[KnownShape] = []
        self._shape_numbers: dict[Shape, int] = {}
        self._answers: list[str] = []
        self._answer_numbers: dict[str, int] = {}
        self._doubles: list[float] = []
        self._double_numbers: dict[float, int] = {}
        self._last_answers: dict[tuple[int, bool | None], str] = {}
        self._expected: dict[int, int] = {}
        self._maxima: dict[int, float] = {}
        self._usual_scores: dict[tuple[int, bool | None], Scores | None] = {}

    def next_shape(self, before: int) -> KnownShape | None:
        """Code the shape of the next statement, or that there is none in this session."""
        coder, contexts = self.coder, self._contexts
        shape = next(self._coming, None)
        shape_no = END if shape is None else self._shape_numbers.get(shape, NEW)
        context = contexts.shape[min(before, FAR)]
        symbol = coder.symbol(context, min(shape_no, FAR))
        if symbol == END:
            return None
        if symbol == NEW:
            return self._new_shape(shape or (0, 0, 0))
        if symbol == FAR:
            symbol = coder.number(contexts.far_shape, shape_no - FAR) + FAR
        if symbol >= len(self._shapes) + FIRST_SHAPE:
            raise BundleMalformed(reason="shapes")
        return self._shapes[symbol - FIRST_SHAPE]

    def _new_shape(self, shape: Shape) -> KnownShape:
        coder, contexts = self.coder, self._contexts
        verb_no = coder.number(contexts.verb, shape[0])
        place = coder.symbol(contexts.usual_mask, _USUAL.get(shape[1], len(USUAL_MASKS)))
        mask = USUAL_MASKS[place] if place < len(USUAL_MASKS) else coder.raw(shape[1], len(OPTIONAL))
        found = (verb_no, mask, coder.symbol(contexts.mode, shape[2]))
        shape_no = self._shape_numbers[found] = len(self._shapes) + FIRST_SHAPE
        self._shapes.append(KnownShape.numbered(shape_no, found))
        return self._shapes[-1]

    def place(self, device: int, seq: int | None, lag_seconds: int) -> tuple[int | None, int]:
        """Code a sequence number and how long after its time a statement was stored.

        Both mostly follow from the statement before: the number is the device's next, and the time was the same.
        """
        coder, contexts, expected = self.coder, self._contexts, self._expected.get(device)
        if seq is not None and expected is None:
            seq = expected = coder.number(contexts.first_sequence, seq)
        is_in_step = lag_seconds == self._lag_seconds and (seq is None or seq == expected)
        if coder.bit(contexts.in_step, is_in_step):
            seq = None if seq is None else expected
        else:
            self._lag_seconds = coder.near(contexts.stored, lag_seconds, self._lag_seconds)
            if seq is not None and expected is not None:
                seq = coder.near(contexts.sequence, seq, expected)
        if seq is not None:
            self._expected[device] = wrap(seq + 1)
        return seq, self._lag_seconds

    def opener(self, activity_no: int, time: int) -> tuple[int, int]:
        """Code activity and time of a session's first statement by those of the session before."""
        self._activity = self.coder.near(self._contexts.opener, activity_no, self._activity)
        self._start = self.coder.near(self._contexts.start, time, self._start)
        return self._activity, self._start

    def scores(self, row: Statement, shape: KnownShape, success: bool | None) -> Scores:
        """Code the scores: all as foretold from the last ones of the shape and the outcome, or one by one."""
        key = (shape.no, success)
        if key not in self._usual_scores:
            self._usual_scores[key] = _foretell_scores(shape.mask, self._maxima.get(shape.no), success)
        usual = self._usual_scores[key]
        if usual is not None:
            is_usual = (row.score_raw, row.score_max, row.score_scaled) == usual
            if self.coder.bit(self._contexts.usual[key], is_usual):
                return usual
        return self._other_scores(row, shape, success)

    def _other_scores(self, row: Statement, shape: KnownShape, success: bool | None) -> Scores:
        coder, contexts, no = self.coder, self._contexts, shape.no
        raw = maximum = found = None
        if shape.mask & _MAX:
            maximum = self._maxima[no] = self._real(contexts.maximum[no], row.score_max or 0.0, 0)
            for outcome in (None, False, True):
                self._usual_scores.pop((no, outcome), None)
        if shape.mask & _RAW:
            expected = expected_raw(maximum, success)
            raw = self._real(contexts.raw[no, success], row.score_raw or 0.0, expected)
        if shape.mask & _SCALED:
            found = expected_scaled(raw, maximum)
            if found is None or not coder.bit(contexts.scaled[no], row.score_scaled == found):
                found = self._real(contexts.other_scaled[no], row.score_scaled or 0.0, 0)
        return raw, maximum, found

    def _real(self, context: _Real, value: float, expected: int) -> float:
        """Code a number: how far a whole one is from what is expected, any other as it is."""
        whole = scaled(value)
        if self.coder.bit(context.whole, whole is not None):
            return float(self.coder.near(context.number, whole or 0, expected))
        return self.double(value)

    def double(self, value: float) -> float:
        """Code a number that is not whole: one of the first of the bundle again, or a new one as it is."""
        coder, contexts = self.coder, self._contexts
        double_no = self._double_numbers.get(value, len(self._doubles))
        symbol = NEW_ANSWER if double_no == len(self._doubles) else min(double_no, FAR_ANSWER)
        symbol = coder.symbol(contexts.double, symbol)
        if symbol == NEW_ANSWER:
            found = to_double(coder.raw(double_bits(value), 64))
            self._double_numbers.setdefault(found, len(self._doubles))
            self._doubles.append(found)
            return found
        if symbol == FAR_ANSWER:
            symbol += coder.number(contexts.far_double, double_no - FAR_ANSWER)
        if symbol >= len(self._doubles):
            raise BundleMalformed(reason="reals")
        return self._doubles[symbol]

    def answer(self, activity_no: int, success: bool | None, text: str) -> str:
        """Code an answer: the last one here with this outcome, one of those seen in the bundle, or a new one."""
        key, coder, contexts = (activity_no, success), self.coder, self._contexts
        last = self._last_answers.get(key)
        if last is not None and coder.bit(contexts.same_answer[success], text == last):
            return last
        answer_no = self._answer_numbers.get(text)
        symbol = NEW_ANSWER if answer_no is None else min(answer_no, FAR_ANSWER)
        symbol = coder.symbol(contexts.answer, symbol)
        if symbol == NEW_ANSWER:
            found = self._new_answer(text)
        else:
            if symbol == FAR_ANSWER:
                symbol += coder.number(contexts.far_answer, (answer_no or 0) - FAR_ANSWER)
            if symbol >= len(self._answers):
                raise BundleMalformed(reason="answers")
            found = self._answers[symbol]
        self._last_answers[key] = found
        return found

    def _new_answer(self, text: str) -> str:
        found = to_text(self.texts.code(self.coder, self._contexts.answer_length, text.encode()))
        self._answer_numbers.setdefault(found, len(self._answers))
        self._answers.append(found)
        return found


def _shapes_of(sessions: list[list[Statement]]) -> Iterator[Shape | None]:
    """Yield the shape of every statement, and None after each session."""
    layout = layout_of(sessions)
    shapes = (layout.shapes[shape] for shape in layout.shape_of)
    for length in layout.lengths:
        yield from islice(shapes, length)
        yield None


def _foretell_scores(mask: int, maximum: float | None, success: bool | None) -> Scores | None:
    """Return the scores that a statement is likely to have, or None where one of them cannot be told."""
    raw = float(expected_raw(maximum, success)) if mask & _RAW else None
    maximum = maximum if mask & _MAX else None
    found = expected_scaled(raw, maximum) if mask & _SCALED else None
    is_told = (maximum is not None or not mask & _MAX) and (found is not None or not mask & _SCALED)
    return (raw, maximum, found) if is_told else None


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
