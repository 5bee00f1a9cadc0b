"""Cells of a spreadsheet that come from anywhere."""

import csv
import io

import pytest

from edgebox.domain.class_csv import guard_cell, write_rows


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "＝", "\t@"])
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(start: str) -> None:
    assert guard_cell(start + "1+1") == f"'{start}1+1"


@pytest.mark.parametrize("text", ["", "Amina", "a=b", "3-4", "أمينة"])
def test_any_other_text_stays(text: str) -> None:
    assert guard_cell(text) == text


def test_rows_read_back_as_they_were_written() -> None:
    rows = [["a,b", 'say "x"', "two\r\nlines"], ["", "é", "آ"]]
    assert list(csv.reader(io.StringIO(write_rows(rows).decode(), newline=""))) == rows
    assert write_rows([(None, 0, 7)]) == b",0,7\r\n"
