from hypothesis import given
from hypothesis import strategies as st

from edgebox.domain.sequence import RANGES_MAX, advance


def test_numbers_in_order_leave_nothing_ahead() -> None:
    assert advance(0, "", [1, 2, 3]) == (3, "")


def test_number_after_a_gap_waits_until_the_gap_is_filled() -> None:
    assert advance(2, "", [5, 6, 9]) == (2, "5-6,9-9")
    assert advance(2, "5-6,9-9", [3, 4]) == (6, "9-9")


def test_what_the_tablet_does_not_hold_any_more_is_no_gap() -> None:
    assert advance(0, "", [1001], held_from=1000) == (999, "1001-1001")
    assert advance(999, "1001-1001", [1000], held_from=1000) == (1001, "")


def test_held_number_never_takes_back_what_was_reached() -> None:
    assert advance(50, "", [51], held_from=3) == (51, "")


@given(st.permutations(range(1, 30)), st.integers(1, 7))
def test_any_order_and_split_ends_at_the_last_number(seqs: list[int], size: int) -> None:
    box_seq, ahead = 0, ""
    for start in range(0, len(seqs), size):
        box_seq, ahead = advance(box_seq, ahead, seqs[start : start + size])
    assert (box_seq, ahead) == (29, "")


@given(st.lists(st.integers(1, 10**6), max_size=300))
def test_box_never_claims_a_number_it_did_not_get(seqs: list[int]) -> None:
    box_seq, ahead = advance(0, "", seqs)
    assert set(range(1, box_seq + 1)) <= set(seqs)
    assert box_seq + 1 not in seqs
    assert ahead.count("-") <= RANGES_MAX


def test_a_tablet_that_sends_again_still_holds_what_it_sends() -> None:
    # Its box was restored: 4 to 110 wait in its outbox once more, and 111 was stored a moment ago.
    assert advance(3, "111-111", range(4, 54), held_from=111) == (53, "111-111")
