"""The two machines: what a receiver does with a bundle, and what a sender does next."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.engine.receiver import TRANSITIONS as VERDICTS
from sync.engine.receiver import Holding, Relation, Verdict, judge, ranges
from sync.engine.sender import (
    FIRST_WAIT_MS,
    LONGEST_WAIT_MS,
    REFUSED_WAIT_MS,
    Acknowledged,
    Due,
    Failed,
    Phase,
    Queued,
    Send,
    Sender,
    Settle,
    Wait,
    wait_ms,
)
from sync.engine.sender import TRANSITIONS as STEPS

TAIL = b"tail----"
OTHER = b"other---"


@pytest.mark.parametrize(
    ("holding", "seq", "digest", "previous", "verdict"),
    [
        (Holding(bytes(8)), 1, b"a", bytes(8), Verdict.APPLY),
        (Holding(TAIL, 4), 5, b"a", TAIL, Verdict.APPLY),
        (Holding(TAIL, 4), 5, b"a", OTHER, Verdict.FORK),
        (Holding(TAIL, 4), 7, b"a", OTHER, Verdict.HOLD),
        (Holding(TAIL, 4, known=frozenset({b"a"})), 3, b"a", OTHER, Verdict.DUPLICATE),
        (Holding(TAIL, 4, known=frozenset({b"b"})), 3, b"a", OTHER, Verdict.FORK),
        (Holding(TAIL, 4, frozenset({7}), frozenset({b"a"})), 7, b"a", OTHER, Verdict.DUPLICATE),
        (Holding(TAIL, 4, frozenset({7}), frozenset({b"b"})), 7, b"a", OTHER, Verdict.FORK),
        (Holding(TAIL, 4, is_forked=True), 5, b"a", TAIL, Verdict.FORK),
        (Holding(TAIL, 4, known=frozenset({b"a"}), is_forked=True), 4, b"a", TAIL, Verdict.DUPLICATE),
    ],
)
def test_a_receiver_knows_what_to_do_with_every_bundle(
    holding: Holding, seq: int, digest: bytes, previous: bytes, verdict: Verdict
) -> None:
    assert judge(holding, seq, digest, previous) is verdict


def test_the_receivers_table_covers_every_relation() -> None:
    assert set(VERDICTS) == set(Relation)
    assert set(VERDICTS.values()) == set(Verdict)


@given(st.frozensets(st.integers(1, 60)))
def test_ranges_name_exactly_what_is_held(held: frozenset[int]) -> None:
    found = ranges(held, 100)
    assert {seq for first, last in found for seq in range(first, last + 1)} == held
    assert all(before[1] + 1 < after[0] for before, after in pairwise(found))


def queued(*seqs: int) -> Sender:
    return Sender().on(Queued(seqs))[0]


def test_bundles_are_sent_one_at_a_time_in_order() -> None:
    state, actions = queued(1, 2).on(Due(0))
    assert actions == (Send(1),)
    state, actions = state.on(Acknowledged(1))
    assert actions == (Settle((1,)), Send(2))
    state, actions = state.on(Acknowledged(2))
    assert (state, actions) == (Sender(), (Settle((2,)),))


def test_one_ack_settles_all_that_it_covers_and_nothing_else() -> None:
    state, actions = queued(3, 4, 6, 7, 9).on(Acknowledged(4, ((7, 8),)))
    assert state.pending == (6, 9)
    assert actions == (Settle((3, 4, 7)),)


def test_nothing_is_sent_before_the_waiting_time_is_over_unless_somebody_asks() -> None:
    state = queued(1).on(Due(0))[0].on(Failed(0, 0.5))[0]
    assert state.phase is Phase.WAITING
    assert not [action for action in state.on(Due(state.next_try_ms - 1))[1] if isinstance(action, Send)]
    assert state.on(Due(state.next_try_ms))[1] == (Send(1),)
    assert state.on(Due(0, is_asked=True))[1] == (Send(1),)


def test_a_failure_keeps_everything() -> None:
    state = queued(1, 2).on(Due(0))[0].on(Failed(0, 0.9))[0]
    assert state.pending == (1, 2)


def test_a_refusal_is_tried_again_once_an_hour() -> None:
    state = queued(1).on(Due(0))[0].on(Failed(0, 0.9, is_retryable=False))[0]
    assert (state.phase, state.next_try_ms) == (Phase.REFUSED, REFUSED_WAIT_MS)
    assert state.on(Due(REFUSED_WAIT_MS))[1] == (Send(1),)


@given(st.integers(0, 100), st.floats(0, 1, exclude_max=True))
def test_waiting_grows_with_jitter_between_one_second_and_five_minutes(failures: int, unit: float) -> None:
    assert FIRST_WAIT_MS <= wait_ms(failures, unit) <= LONGEST_WAIT_MS


def test_success_forgets_the_failures_before() -> None:
    state = queued(1, 2).on(Due(0))[0].on(Failed(0, 0.9))[0].on(Due(10**9))[0].on(Acknowledged(1))[0]
    assert (state.failures, state.next_try_ms) == (0, 0)


events = st.one_of(
    st.builds(Queued, st.lists(st.integers(1, 9), max_size=3).map(tuple)),
    st.builds(Due, st.integers(0, 10**7), st.booleans()),
    st.builds(Acknowledged, st.integers(0, 9)),
    st.builds(Failed, st.integers(0, 10**7), st.floats(0, 1, exclude_max=True), st.booleans()),
)


@given(st.lists(events, max_size=40))
def test_whatever_happens_a_bundle_leaves_the_queue_only_by_an_ack(history: list[object]) -> None:
    state, waiting = Sender(), set()
    for event in history:
        rule = STEPS.get((state.phase, type(event)))
        state, actions = state.on(event)  # type: ignore[arg-type]
        if isinstance(event, Queued):
            waiting |= set(event.seqs)
        if isinstance(event, Acknowledged):
            waiting = {seq for seq in waiting if seq > event.through_seq}
        assert state.phase in rule.leads_to if rule else not actions
        assert set(state.pending) == waiting
        assert all(action.seq in waiting for action in actions if isinstance(action, Send))


def test_every_phase_and_event_of_a_sender_is_in_its_table() -> None:
    assert {phase for rule in STEPS.values() for phase in rule.leads_to} == set(Phase)
    assert set(STEPS) == {(phase, event) for phase in Phase for event in (Queued, Acknowledged)} | {
        (phase, Failed if phase is Phase.SENDING else Due) for phase in Phase
    }


def test_a_clock_that_was_set_back_does_not_make_a_sender_wait_for_years() -> None:
    now_ms = 1_800_000_000_000
    state, _ = queued(1).on(Due(now_ms))
    state, _ = state.on(Failed(now_ms, 0.5))
    assert state.on(Due(0))[1] == (Send(1),)


def test_a_try_that_brought_the_hub_more_starts_the_waiting_times_anew() -> None:
    sender = Sender(phase=Phase.SENDING, pending=(1,), failures=8)
    _, (wait,) = sender.on(Failed(0, 0.99, has_progressed=True))
    assert wait == Wait(FIRST_WAIT_MS)
    stuck, (wait,) = sender.on(Failed(0, 0.99))
    assert (stuck.failures, wait.until_ms > 100 * FIRST_WAIT_MS) == (9, True)
