"""The result of statements as columns: outcomes, scores, progress, answers, and what outside clients gave.

A score is foretold from its maximum and the outcome, a scaled score from raw and maximum, progress from the last
progress in the same session and activity; what is written is how far that was off, and exact doubles where it is not a
whole number of steps.
"""

from collections.abc import Iterator
from typing import Any

from sync.bundle.columns import (
    pack_bits,
    pack_fixed,
    pack_mixed,
    pack_texts,
    scaled,
    to_text,
    unpack_bits,
    unpack_fixed,
    unpack_mixed,
    unpack_texts,
    wrap,
)
from sync.bundle.errors import BundleMalformed
from sync.bundle.sessions import Layout
from sync.records.rows import Statement

RESULT_COLUMNS = 11
_HUNDREDTHS = 100
_ID_BYTES = 16


def pack_results(rows: list[Statement], layout: Layout) -> list[Any]:
    """Return the columns that `unpack_results` reads."""
    values = {name: _present(rows, layout, name) for name in ("score_max", "response", "body", "id", "registration")}
    return [
        pack_bits(list(_present(rows, layout, "success").values())),
        pack_bits(list(_present(rows, layout, "completion").values())),
        _pack_reals(values["score_max"]),
        _pack_raw_scores(rows, layout),
        *_pack_scaled_scores(rows, layout),
        _pack_progress(rows, layout),
        pack_texts([text.encode() for text in values["response"].values()]),
        pack_fixed(list(values["id"].values())),
        pack_fixed(list(values["registration"].values())),
        pack_texts(list(values["body"].values())),
    ]


def unpack_results(source: Iterator[Any], layout: Layout, activities: list[int]) -> dict[str, list[Any]]:
    """Return the fields of every statement, None where it has none."""
    fields: dict[str, dict[int, Any]] = {}
    for name in ("success", "completion"):
        places = layout.having(name)
        fields[name] = dict(zip(places, unpack_bits(next(source), len(places)), strict=True))
    places = layout.having("score_max")
    maxima = map(float, unpack_mixed(next(source), len(places)))
    fields["score_max"] = dict(zip(places, maxima, strict=True))
    fields["score_raw"] = _unpack_raw_scores(next(source), layout, fields)
    fields["score_scaled"] = _unpack_scaled_scores(next(source), next(source), layout, fields)
    fields["progress"] = _unpack_progress(next(source), layout, activities)
    places = layout.having("response")
    fields["response"] = dict(zip(places, map(to_text, unpack_texts(next(source), len(places))), strict=True))
    for name in ("id", "registration"):
        places = layout.having(name)
        fields[name] = dict(zip(places, unpack_fixed(next(source), len(places), _ID_BYTES), strict=True))
    places = layout.having("body")
    fields["body"] = dict(zip(places, unpack_texts(next(source), len(places)), strict=True))
    everywhere = range(len(layout.shape_of))
    return {name: [present.get(place) for place in everywhere] for name, present in fields.items()}


def _present(rows: list[Statement], layout: Layout, name: str) -> dict[int, Any]:
    """Return the values of a field by position, in column order."""
    return {place: getattr(rows[place], name) for place in layout.having(name)}


def _pack_reals(values: dict[int, float]) -> list[bytes]:
    return pack_mixed([scaled(value) for value in values.values()], list(values.values()))


def expected_raw(maximum: float | None, success: bool | None) -> int:
    """Return the whole score that the outcome lets one expect."""
    whole = scaled(maximum) if maximum is not None and success else None
    return whole or 0


def _pack_raw_scores(rows: list[Statement], layout: Layout) -> list[bytes]:
    wholes, values = [], []
    for place in layout.having("score_raw"):
        row = rows[place]
        value = row.score_raw or 0.0
        whole = scaled(value)
        wholes.append(None if whole is None else whole - expected_raw(row.score_max, row.success))
        values.append(value)
    return pack_mixed(wholes, values)


def _unpack_raw_scores(column: Any, layout: Layout, fields: dict[str, dict[int, Any]]) -> dict[int, float]:
    places = layout.having("score_raw")
    found = {}
    for place, value in zip(places, unpack_mixed(column, len(places)), strict=True):
        expected = expected_raw(fields["score_max"].get(place), fields["success"].get(place))
        found[place] = value if isinstance(value, float) else float(value + expected)
    return found


def expected_scaled(raw: float | None, maximum: float | None) -> float | None:
    """Return the scaled score that raw and maximum let one expect."""
    # Plus zero, because 0 ÷ -1 is a zero with a sign, and zeros are not kept apart.
    return None if raw is None or not maximum else raw / maximum + 0.0


def _pack_scaled_scores(rows: list[Statement], layout: Layout) -> list[Any]:
    """Return one bit per scaled score that tells whether it is raw / max, and the others."""
    values = _present(rows, layout, "score_scaled")
    others = {
        place: value
        for place, value in values.items()
        if value != expected_scaled(rows[place].score_raw, rows[place].score_max)
    }
    return [pack_bits([place not in others for place in values]), _pack_reals(others)]


def _unpack_scaled_scores(
    bits: Any, column: Any, layout: Layout, fields: dict[str, dict[int, Any]]
) -> dict[int, float]:
    places = layout.having("score_scaled")
    is_expected = dict(zip(places, unpack_bits(bits, len(places)), strict=True))
    others = iter(unpack_mixed(column, len(places) - sum(is_expected.values())))
    found = {}
    for place in places:
        value: float | None = float(next(others)) if not is_expected[place] else None
        if is_expected[place]:
            value = expected_scaled(fields["score_raw"].get(place), fields["score_max"].get(place))
        if value is None:
            raise BundleMalformed(reason="scaled score")
        found[place] = value
    return found


def _pack_progress(rows: list[Statement], layout: Layout) -> list[bytes]:
    places = layout.having("progress")
    last: dict[tuple[int, int], int] = {}
    codes: dict[int, int | None] = {}
    for place in sorted(places):
        key = (layout.start_of_each[place], rows[place].activity_no)
        whole = scaled(rows[place].progress or 0.0, _HUNDREDTHS)
        codes[place] = None if whole is None else whole - last.get(key, 0)
        if whole is not None:
            last[key] = whole
    return pack_mixed([codes[place] for place in places], [rows[place].progress or 0.0 for place in places])


def _unpack_progress(column: Any, layout: Layout, activities: list[int]) -> dict[int, float]:
    places = layout.having("progress")
    codes = dict(zip(places, unpack_mixed(column, len(places)), strict=True))
    last: dict[tuple[int, int], int] = {}
    found = {}
    for place in sorted(places):
        code, key = codes[place], (layout.start_of_each[place], activities[place])
        if isinstance(code, float):
            found[place] = code
        else:
            last[key] = wrap(code + last.get(key, 0))
            found[place] = last[key] / _HUNDREDTHS
    return found
