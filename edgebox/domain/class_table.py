"""The teacher's table: who of a class is how far with what was assigned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How far a learner is with a resource."""

    NOT_STARTED = "not_started"
    IN_PROGRESS = "in_progress"
    DONE = "done"


@dataclass(frozen=True)
class Cell:
    """One learner and one resource.

    Attributes:
        percent: 0 to 100; 100 exactly when it is done.
        score_percent: best score, if there is one.
    """

    state: State
    percent: int
    score_percent: int | None = None


@dataclass(frozen=True)
class Row:
    """One learner: a cell per column, and how many of them are done."""

    person_no: int
    cells: tuple[Cell, ...]

    @property
    def done(self) -> int:
        """Return how many resources are done."""
        return sum(cell.state is State.DONE for cell in self.cells)

    @property
    def percent(self) -> int:
        """Return the average over all columns, 0 when there are none."""
        return sum(cell.percent for cell in self.cells) // len(self.cells) if self.cells else 0

    @property
    def score_percent(self) -> int | None:
        """Return the average of the scores there are."""
        return _average([cell.score_percent for cell in self.cells])


@dataclass(frozen=True)
class Total:
    """One column: how many learners have done it, and their average score."""

    done: int
    started: int
    score_percent: int | None


@dataclass(frozen=True)
class ClassTable:
    """Rows in the order of learners, cells in the order of resources."""

    rows: tuple[Row, ...]
    totals: tuple[Total, ...]


NOT_STARTED = Cell(State.NOT_STARTED, 0)
_LAST_UNFINISHED_PERCENT = 99


def make_cell(progress: float, score_scaled: float | None, *, is_complete: bool) -> Cell:
    """Return the cell for a row of progress; what was opened counts as begun, even at 0 %."""
    score_percent = None if score_scaled is None else _percent(score_scaled)
    if is_complete:
        return Cell(State.DONE, 100, score_percent)
    return Cell(State.IN_PROGRESS, min(_percent(progress), _LAST_UNFINISHED_PERCENT), score_percent)


def make_table(
    learners: Sequence[int], columns: Sequence[tuple[str, str]], cells: Mapping[tuple[int, str, str], Cell]
) -> ClassTable:
    """Return the table for learners by number and columns by (pack, resource); what is missing was not started."""
    rows = tuple(
        Row(person_no, tuple(cells.get((person_no, *column), NOT_STARTED) for column in columns))
        for person_no in learners
    )
    return ClassTable(rows, tuple(_total([row.cells[place] for row in rows]) for place in range(len(columns))))


def _total(cells: Sequence[Cell]) -> Total:
    return Total(
        done=sum(cell.state is State.DONE for cell in cells),
        started=sum(cell.state is not State.NOT_STARTED for cell in cells),
        score_percent=_average([cell.score_percent for cell in cells]),
    )


def _average(scores: Sequence[int | None]) -> int | None:
    known = [score for score in scores if score is not None]
    return round(sum(known) / len(known)) if known else None


def _percent(share: float) -> int:
    return round(min(max(share, 0.0), 1.0) * 100)
