"""Children write numbers in many ways; all of them count."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgebox.domain.marking import is_right, mark, outcome, parse_number

SOURCE = Path(__file__).resolve().parents[3] / "edgebox" / "web" / "src" / "marking.js"
NUMBERS = [
    ("3", 3.0), (" 3 ", 3.0), ("٣", 3.0), ("۳", 3.0), ("３", 3.0), ("0,5", 0.5), ("0.5", 0.5), ("٠٫٥", 0.5),
    (".5", 0.5), ("1/2", 0.5), ("1⁄2", 0.5), ("１／２", 0.5), ("-4", -4.0), ("−4", -4.0), ("+4", 4.0),
    ("1 000", 1000.0),
    ("", None), ("three", None), ("1/0", None), ("1/2/3", None), ("3x", None), ("--3", None), ("Infinity", None),
]  # fmt: skip
CHOICE: dict[str, Any] = {
    "id": "q1",
    "type": "multiple",
    "option": [{"id": "a", "correct": True}, {"id": "b", "correct": False}, {"id": "c", "correct": True}],
}


@pytest.mark.parametrize(("written", "number"), NUMBERS)
def test_numbers_are_read_as_children_write_them(written: str, number: float | None) -> None:
    assert parse_number(written) == number


def test_the_tablet_reads_numbers_in_the_same_way() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("install Debian package nodejs")
    script = re.sub(r"^export ", "", SOURCE.read_text(), flags=re.MULTILINE)
    script += f"console.log(JSON.stringify({json.dumps([written for written, _ in NUMBERS])}.map(parseNumber)))"
    said = subprocess.run([node, "-e", script], capture_output=True, check=True, text=True).stdout
    assert json.loads(said) == [number for _, number in NUMBERS]


def test_a_multiple_answer_needs_all_and_only_the_right_ones() -> None:
    assert is_right(CHOICE, "a,c")
    assert not is_right(CHOICE, "a")
    assert not is_right(CHOICE, "a,b,c")


def test_a_number_may_be_off_by_its_tolerance() -> None:
    item = {"id": "q", "type": "number", "answer": 3.14, "tolerance": 0.01}
    assert is_right(item, "3,15")
    assert not is_right(item, "3,16")


def test_a_question_that_was_left_out_is_wrong_and_counts() -> None:
    marked = mark([CHOICE, {**CHOICE, "id": "q2"}], {"q1": ["c", "a"]})
    assert [(each.response, each.success) for each in marked] == [("a,c", True), ("", False)]
    assert outcome(marked).score == 1
    assert outcome(marked).total == 2


@pytest.mark.parametrize(("right", "stars", "success"), [(10, 3, True), (9, 3, True), (6, 2, True), (5, 1, False)])
def test_stars_follow_the_score(right: int, stars: int, success: bool) -> None:
    items = [{**CHOICE, "id": str(number)} for number in range(10)]
    result = outcome(mark(items, {str(number): ["a", "c"] for number in range(right)}))
    assert (result.stars, result.success) == (stars, success)
