"""A class as a table for a spreadsheet: CSV of RFC 4180, in UTF-8 with a mark by which Excel knows it.

A spreadsheet runs a cell that begins like a formula, whoever wrote it. Names of learners and resources come from
anywhere, so such a text gets an apostrophe before it (OWASP, "CSV Injection").
"""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
_GUARD = "'"

Value = str | int | None


def guard_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula, not even when it drops the spaces before it."""
    is_formula = text[:1] in _FORMULA_STARTS or text.lstrip()[:1] in _FORMULA_STARTS
    return _GUARD + text if text and is_formula else text


def write_rows(rows: Iterable[Sequence[Value]]) -> bytes:
    """Return rows as lines of CSV. Texts are guarded, numbers are not, None is an empty cell."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([[guard_cell(value) if isinstance(value, str) else value for value in row] for row in rows])
    return out.getvalue().encode()


def moment_cell(time_ms: int | None) -> str | None:
    """Return a time as a spreadsheet reads it, by the time of the world."""
    return None if time_ms is None else f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%d %H:%M}"
