"""What a hub learns from a box's word on its stream."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.bundle.layout import Vector
from sync.engine.stream import AHEAD_MAX_MS, EPOCH_MAX, Lesson, Said, Stream, held, lacking, learn

HUB = bytes(16)
NOW_MS = 1_780_300_800_000
STREAM = Stream(epoch=3, made_seq=5, said_ms=NOW_MS)


def said(epoch: int, through: int, *ranges: tuple[int, int], at_ms: int = NOW_MS + 1, is_forked: bool = False) -> Said:
    return Said(Vector(HUB, epoch, through, 0, ranges), at_ms, is_forked)


@pytest.mark.parametrize("word", [said(3, 2), said(3, 5), said(3, 0, (4, 5)), said(0, 0), said(2, 99)])
def test_a_new_word_of_a_known_history_lets_what_is_lacking_wait_again(word: Said) -> None:
    assert learn(STREAM, word, NOW_MS) is Lesson.WAIT_AGAIN


@pytest.mark.parametrize("at_ms", [0, NOW_MS - 1, NOW_MS, NOW_MS + AHEAD_MAX_MS + 1])
def test_an_old_word_and_one_from_the_far_future_take_nothing_back(at_ms: int) -> None:
    assert learn(STREAM, said(3, 2, at_ms=at_ms), NOW_MS) is Lesson.SETTLE


@pytest.mark.parametrize(
    "word",
    [
        said(3, 6),
        said(3, 2, (7, 7)),
        said(4, 1),
        said(3, 2, is_forked=True),
        said(3, 6, at_ms=0),
        said(4, 0, at_ms=NOW_MS + 2 * AHEAD_MAX_MS),
    ],
)
def test_a_history_that_was_not_made_here_starts_over_whatever_the_clock_says(word: Said) -> None:
    assert learn(STREAM, word, NOW_MS) is Lesson.START_OVER


def test_the_fork_of_an_epoch_that_is_over_is_no_news() -> None:
    assert learn(STREAM, said(2, 5, is_forked=True), NOW_MS) is Lesson.WAIT_AGAIN


def test_an_epoch_that_no_number_could_follow_is_not_believed() -> None:
    assert learn(STREAM, said(EPOCH_MAX + 1, 1), NOW_MS) is Lesson.SETTLE


def test_a_word_on_another_epoch_holds_nothing_of_this_one() -> None:
    assert said(2, 99, (120, 130)).held_of(3) == Vector(HUB, 3, 0, 0)
    assert said(3, 4).held_of(3).through_seq == 4


@given(st.integers(0, 12), st.lists(st.tuples(st.integers(0, 14), st.integers(0, 14)), max_size=4), st.integers(0, 12))
def test_what_is_held_and_what_is_lacking_are_each_other_complement(
    through: int, ranges: list[tuple[int, int]], made: int
) -> None:
    vector = Vector(HUB, 1, through, 0, tuple(ranges))
    covered = {seq for seq in range(1, 15) if seq <= through or any(low <= seq <= high for low, high in ranges)}
    assert _numbers(held(vector)) == sorted(covered)
    assert _numbers(lacking(vector, made)) == sorted(set(range(1, made + 1)) - covered)


def _numbers(ranges: list[tuple[int, int]]) -> list[int]:
    return [seq for first, last in ranges for seq in range(first, last + 1)]
