"""The machine of an upload: what it wants next, and that it always ends."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_packs.fetch.pulse import SILENCE_MIN_MS
from sync.engine import transfer
from sync.engine.express import AHEAD_MAX_BYTES, TOLD_BYTES, is_time_to_look, is_worthwhile
from sync.engine.transfer import (
    FAILURES_MAX,
    SLICE_BYTES,
    TRANSITIONS,
    WHOLE_MAX_BYTES,
    Accepted,
    Action,
    Append,
    Ask,
    Begun,
    Collect,
    Connect,
    Connected,
    Create,
    Due,
    Event,
    Finish,
    GiveUp,
    Listened,
    Lost,
    Phase,
    Probe,
    Reachable,
    Sent,
    Stored,
    Told,
    Transfer,
    Unknown,
    Wait,
)

LONG = 10 * SLICE_BYTES


def after(state: Transfer, *events: Event) -> tuple[Transfer, Action | None]:
    """Return the state after events, and what the last one asked for."""
    action = None
    for event in events:
        state, action = state.on(event)
    return state, action


def listened(now_ms: int, packets: int = 0, *, is_outstanding: bool = True, round_trip_ms: int = 600) -> Listened:
    return Listened(now_ms, packets, round_trip_ms, 0, is_outstanding, 0.5)


def test_a_short_bundle_is_one_request_and_one_answer() -> None:
    state, action = after(Transfer(WHOLE_MAX_BYTES), Begun(), Connected(0))
    assert (action, state.phase) == (Create(WHOLE_MAX_BYTES), Phase.OPENING)
    sent = []
    while (part := state.next_slice()) is not None:
        sent.append(part)
        state, _ = state.on(Sent(part[1] - part[0]))
    assert sent == [(0, SLICE_BYTES), (SLICE_BYTES, WHOLE_MAX_BYTES)]
    assert after(state, Accepted())[1] == Finish()


def test_of_a_long_bundle_one_slice_is_sent_before_the_hub_is_heard() -> None:
    state, _ = after(Transfer(LONG), Begun(), Connected(0), Sent(SLICE_BYTES))
    assert state.next_slice() is None
    state, _ = state.on(Told(600, 4_000))
    assert (state.phase, state.next_slice()) == (Phase.STREAMING, (SLICE_BYTES, 2 * SLICE_BYTES))


def test_after_a_cut_the_hub_is_asked_once_and_the_rest_is_one_request() -> None:
    state, action = after(Transfer(LONG), Begun(), Connected(0), Told(600, 70_000), Lost(700, 0.5))
    assert action == Connect()
    state, action = state.on(Connected(800))
    assert action == Ask()
    state, action = state.on(Stored(1_400, 75_000))
    assert action == Append(75_000, LONG)
    assert state.next_slice() == (75_000, 75_000 + SLICE_BYTES)


def test_a_bundle_that_was_begun_before_a_restart_is_asked_for_first() -> None:
    state, action = after(Transfer(LONG, is_begun=True), Begun(), Connected(0))
    assert action == Ask()
    assert state.on(Unknown(600, 0.5))[1] == Create(LONG)
    assert state.on(Stored(600, LONG))[1] == Append(LONG, LONG)


def test_a_hub_that_forgot_the_upload_gets_it_from_the_start() -> None:
    state, _ = after(Transfer(LONG, is_begun=True), Begun(), Connected(0), Stored(1, 70_000), Unknown(2, 0.5))
    assert state.on(Connected(3))[1] == Create(LONG)


def test_a_peer_that_is_silent_for_longer_than_the_rule_is_left_at_once() -> None:
    state, _ = after(Transfer(LONG), Begun(), Connected(0), listened(100, packets=1), Told(600, 4_000))
    assert after(state, listened(600 + SILENCE_MIN_MS - 1, packets=1))[1] == Probe()
    assert after(state, listened(600 + SILENCE_MIN_MS, packets=1))[1] == Connect()
    assert after(state, listened(600 + SILENCE_MIN_MS, packets=2))[1] is None


def test_the_rule_grows_with_the_round_trip_and_the_queue() -> None:
    state, _ = after(Transfer(LONG), Begun(), Connected(0), Listened(0, 1, 2_000, 3_000, True, 0.5))
    for now_ms, expected in ((8_999, Probe()), (9_000, Connect())):
        assert after(state, Listened(now_ms, 1, 2_000, 3_000, True, 0.5))[1] == expected


def test_a_connection_that_comes_to_life_proves_the_silent_one_dead() -> None:
    state, _ = after(Transfer(LONG), Begun(), Connected(0), Told(1_000, 4_000), listened(2_300))
    assert after(state, Reachable(2_900, 2_300))[1] == Ask(is_on_spare=True)
    heard, _ = after(state, listened(2_800, packets=1))
    assert after(heard, Reachable(2_900, 2_300))[1] == transfer.Drop()


def test_a_quiet_line_with_nothing_on_its_way_is_not_doubted() -> None:
    state, _ = after(Transfer(LONG), Begun(), Connected(0), Told(1_000, 4_000))
    assert after(state, listened(1_000 + SILENCE_MIN_MS - 1, is_outstanding=False))[1] is None


def test_a_hub_behind_a_machine_that_goes_on_confirming_is_found_dead_as_well() -> None:
    state, _ = after(Transfer(LONG), Begun(), Connected(0), Told(1_000, 4_000))
    actions = []
    for number in range(1, 70):
        state, action = state.on(listened(1_000 + number * 500, packets=number))
        actions.append(action)
    assert Connect() in actions


def test_where_requests_are_held_back_each_slice_becomes_one() -> None:
    state, _ = after(Transfer(LONG), Begun(), Connected(0), Sent(SLICE_BYTES), listened(100, packets=9))
    state, action = state.on(listened(100 + SILENCE_MIN_MS, packets=9, is_outstanding=False))
    assert action == Connect()
    state, _ = after(state, Connected(5_000))
    state, action = state.on(Unknown(5_600, 0.5))
    assert (action, state.phase) == (Create(SLICE_BYTES), Phase.SLICING)
    state, action = state.on(Stored(6_000, SLICE_BYTES))
    assert action == Append(SLICE_BYTES, 2 * SLICE_BYTES)
    state, action = state.on(Stored(6_500, LONG - 10_000))
    assert action == Append(LONG - 10_000, LONG)
    assert after(state, Stored(7_000, LONG))[1] == Collect()


@pytest.mark.parametrize("has_progress", [True, False])
def test_only_connections_that_bring_nothing_lead_to_waiting_and_giving_up(has_progress: bool) -> None:
    state, _ = after(Transfer(LONG), Begun(), Connected(0))
    actions: list[Action | None] = []
    for number in range(1, 8):
        if has_progress:
            state, _ = state.on(Told(number, number * 1_000))
        state, action = state.on(Lost(number, 0.999))
        actions.append(action)
        if isinstance(action, Wait):
            state, action = state.on(Due())
        state, _ = after(state, Connected(number), Stored(number, number * 1_000 if has_progress else 0))
    if has_progress:
        assert actions == [Connect()] * 7
    else:
        waits = [action.duration_ms for action in actions if isinstance(action, Wait)]
        assert actions[FAILURES_MAX] == GiveUp()
        assert len(waits) == FAILURES_MAX - 1
        assert waits == sorted(waits)


numbers = st.integers(0, LONG)
times = st.integers(0, 100_000)
units = st.floats(0, 1, exclude_max=True)
events = st.one_of(
    st.builds(Begun),
    st.builds(Due),
    st.builds(Connected, times),
    st.builds(Sent, st.integers(1, SLICE_BYTES)),
    st.builds(Told, times, numbers),
    st.builds(Stored, times, numbers),
    st.builds(Unknown, times, units),
    st.builds(Accepted),
    st.builds(Listened, times, st.integers(0, 50), times, times, st.booleans(), units),
    st.builds(Reachable, times, times),
    st.builds(Lost, times, units),
)


@given(st.lists(events, max_size=60), st.booleans(), st.booleans())
def test_whatever_happens_the_table_tells_where_it_leads(history: list[Event], is_begun: bool, is_held: bool) -> None:
    state = Transfer(LONG, is_begun=is_begun, is_held_back=is_held)
    for event in history:
        before, rule = state, TRANSITIONS.get((state.phase, type(event)))
        state, action = state.on(event)
        assert (state.phase in rule.leads_to) if rule else ((state, action) == (before, None))
        part = state.next_slice()
        assert part is None or 0 <= part[0] < part[1] <= min(part[0] + SLICE_BYTES, LONG)


def test_every_phase_and_event_is_in_the_table_and_every_end_is_an_end() -> None:
    reached = {phase for rule in TRANSITIONS.values() for phase in rule.leads_to} | {Phase.START}
    assert reached == set(Phase)
    assert {event for _, event in TRANSITIONS} == set(transfer.Event.__args__)
    assert {phase for phase, _ in TRANSITIONS} == set(Phase) - {Phase.DONE, Phase.GIVEN_UP}


def test_nothing_is_given_to_a_connection_that_is_being_left() -> None:
    state, action = after(Transfer(LONG), Begun(), Connected(0), Told(600, 4_000), Lost(700, 0.5))
    assert (action, state.next_slice()) == (Connect(), None)


def test_over_a_line_that_is_cut_again_and_again_every_byte_is_sent_once() -> None:
    dice = random.Random(3)
    state, action = after(Transfer(LONG), Begun())
    now_ms, at_hub, requests = 0, 0, 0
    while not isinstance(action, Finish):
        now_ms += 100
        if isinstance(action, Connect):
            state, action = state.on(Connected(now_ms))
        elif isinstance(action, Ask):
            state, action = state.on(Stored(now_ms, at_hub) if at_hub else Unknown(now_ms, 0.5))
        else:
            requests += 1
            assert action == (Append(at_hub, LONG) if at_hub else Create(LONG))
            arriving = dice.randrange(1, 100_000)
            at_hub = min(at_hub + arriving, LONG)
            state, _ = state.on(Told(now_ms, at_hub))
            state, action = state.on(Accepted() if at_hub == LONG else Lost(now_ms, 0.5))
    assert 5 < requests < 40


def looks(state: Transfer, told_bytes: int) -> list[int]:
    """Return where a box looks for results while it sends a bundle.

    The hub says what it has once so many bytes more are stored; where something holds back answers, after each request.
    """
    looked, size_bytes = [0], state.length_bytes
    state = state.on(Begun())[0].on(Connected(0))[0]
    while state.sent_bytes < size_bytes:
        part = state.next_slice()
        if part is None:
            assert state.is_held_back
            state, told = state.on(Stored(0, state.sent_bytes))[0], [state.sent_bytes]
        else:
            told = [] if state.is_held_back else [*range(state.stored_bytes + told_bytes, part[1] + 1, told_bytes)]
            state = state.on(Sent(part[1] - part[0]))[0]
        for stored_bytes in told:
            state = state if state.is_held_back else state.on(Told(0, stored_bytes))[0]
            if is_time_to_look(looked[-1], stored_bytes, size_bytes):
                looked.append(stored_bytes)
    return [*looked, size_bytes]


def unheard_bytes(state: Transfer) -> int:
    """Return how much goes out before the hub is heard."""
    state = state.on(Begun())[0].on(Connected(0))[0]
    while (part := state.next_slice()) is not None:
        state = state.on(Sent(part[1] - part[0]))[0]
    return state.sent_bytes


def test_a_result_waits_for_8_seconds_at_64_kbit_at_the_most() -> None:
    for size_bytes in range(1_000, 7 * SLICE_BYTES, 1_997):
        for told_bytes in (TOLD_BYTES, TOLD_BYTES - 1, 5_000, SLICE_BYTES):  # what is said to be stored at once
            waits = [later - earlier for earlier, later in pairwise(looks(Transfer(size_bytes), told_bytes))]
            assert max(waits) * 8 / 64 <= 8_000
        held_back = Transfer(size_bytes, is_held_back=True)
        waits = [later - earlier for earlier, later in pairwise(looks(held_back, 0))]
        assert max(waits) * 8 / 64 <= 8_000
        assert unheard_bytes(Transfer(size_bytes)) * 8 / 64 <= 8_000
    assert not is_worthwhile(AHEAD_MAX_BYTES, None)
    assert AHEAD_MAX_BYTES * 8 / 64 <= 8_000
