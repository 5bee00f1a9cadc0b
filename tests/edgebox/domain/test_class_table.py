"""The teacher's table: states, averages, totals."""

import pytest

from edgebox.domain.class_table import NOT_STARTED, Cell, State, make_cell, make_table


@pytest.mark.parametrize(
    ("progress", "is_complete", "state", "percent"),
    [
        (0.0, False, State.IN_PROGRESS, 0),
        (0.4, False, State.IN_PROGRESS, 40),
        (1.0, False, State.IN_PROGRESS, 99),
        (0.999, False, State.IN_PROGRESS, 99),
        (0.2, True, State.DONE, 100),
        (7.0, False, State.IN_PROGRESS, 99),
        (-1.0, False, State.IN_PROGRESS, 0),
    ],
)
def test_only_what_is_done_shows_a_hundred_percent(
    progress: float, is_complete: bool, state: State, percent: int
) -> None:
    assert make_cell(progress, None, is_complete=is_complete) == Cell(state, percent)


def test_a_score_is_kept_within_its_bounds() -> None:
    assert [make_cell(1.0, score, is_complete=True).score_percent for score in (0.755, -0.5, 1.0)] == [76, 0, 100]


def test_what_nobody_recorded_was_not_started() -> None:
    table = make_table([1, 2], [("p", "a"), ("p", "b")], {(1, "p", "a"): Cell(State.DONE, 100)})
    assert table.rows[0].cells == (Cell(State.DONE, 100), NOT_STARTED)
    assert table.rows[1].cells == (NOT_STARTED, NOT_STARTED)


def test_the_same_resource_name_in_two_packs_is_two_columns() -> None:
    table = make_table([1], [("p", "a"), ("q", "a")], {(1, "q", "a"): Cell(State.DONE, 100)})
    assert [cell.state for cell in table.rows[0].cells] == [State.NOT_STARTED, State.DONE]


def test_totals_count_learners_and_average_the_scores_there_are() -> None:
    cells = {
        (1, "p", "a"): Cell(State.DONE, 100, 80),
        (2, "p", "a"): Cell(State.IN_PROGRESS, 50, 41),
        (3, "p", "a"): Cell(State.IN_PROGRESS, 10),
    }
    (total,) = make_table([1, 2, 3, 4], [("p", "a")], cells).totals
    assert (total.done, total.started, total.score_percent) == (1, 3, 60)


def test_a_row_sums_up_its_learner() -> None:
    cells = {(1, "p", "a"): Cell(State.DONE, 100, 80), (1, "p", "b"): Cell(State.IN_PROGRESS, 30)}
    (row,) = make_table([1], [("p", "a"), ("p", "b"), ("p", "c")], cells).rows
    assert (row.done, row.percent, row.score_percent) == (1, 43, 80)


def test_a_class_without_lessons_has_rows_without_cells() -> None:
    table = make_table([1], [], {})
    assert (table.rows[0].percent, table.rows[0].score_percent, table.totals) == (0, None, ())
