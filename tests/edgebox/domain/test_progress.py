from hypothesis import given
from hypothesis import strategies as st

from edgebox.domain.progress import Progress, Step, advance, step_of

STEPS = st.builds(
    Step,
    timestamp_ms=st.integers(0, 10**12),
    progress=st.floats(0, 1),
    is_complete=st.booleans(),
    score_scaled=st.none() | st.floats(-1, 1),
    duration_ms=st.integers(0, 10**7),
    opens_attempt=st.booleans(),
)


def after(steps: list[Step]) -> Progress | None:
    progress = None
    for step in steps:
        progress = advance(progress, step)
    return progress


@given(
    st.lists(STEPS, min_size=1, max_size=12).flatmap(lambda steps: st.tuples(st.just(steps), st.permutations(steps)))
)
def test_order_of_statements_makes_no_difference(orders: tuple[list[Step], list[Step]]) -> None:
    in_order, shuffled = orders
    assert after(in_order) == after(shuffled)


@given(st.lists(STEPS, min_size=1, max_size=12), STEPS)
def test_progress_never_goes_back(steps: list[Step], more: Step) -> None:
    before = after(steps)
    assert before is not None
    later = advance(before, more)
    assert later.progress >= before.progress
    assert later.is_complete >= before.is_complete
    if before.score_scaled is not None:
        assert later.score_scaled is not None
        assert later.score_scaled >= before.score_scaled
    assert later.attempts >= before.attempts


def test_completion_means_all_of_it() -> None:
    progress = advance(None, step_of("completed", 5, is_part=False, opens_attempt=False))
    assert (progress.is_complete, progress.progress) == (True, 1.0)


def test_answer_to_one_item_says_nothing_about_the_whole_resource() -> None:
    step = step_of(
        "answered", 5, is_part=True, opens_attempt=False, progress=1.0, completion=True, score_scaled=1.0, duration_ms=9
    )
    assert step == Step(timestamp_ms=5)


def test_only_an_event_that_closes_an_attempt_adds_time() -> None:
    def duration_of(verb: str) -> int:
        return step_of(verb, 5, is_part=False, opens_attempt=False, duration_ms=700).duration_ms

    assert [duration_of(verb) for verb in ("completed", "exited", "passed", "progressed")] == [700, 700, 0, 0]


def test_best_score_stays() -> None:
    steps = [
        step_of("passed", 1, is_part=False, opens_attempt=False, score_scaled=0.9),
        step_of("failed", 2, is_part=False, opens_attempt=False, score_scaled=0.2),
    ]
    progress = after(steps)
    assert progress is not None
    assert progress.score_scaled == 0.9
    assert progress.is_complete
