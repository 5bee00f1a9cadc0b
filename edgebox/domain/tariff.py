"""The tariff as it is kept: JSON, of which what a person cannot have meant is left out."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from content_packs.base.budget import parse_window
from sync.engine.lanes import Tariff

CURRENCY_MAX = 12
_MOST = 10**15


def write_tariff(tariff: Tariff) -> str:
    """Return the text that is kept."""
    return json.dumps(asdict(tariff) | {"windows": [str(window) for window in tariff.windows]}, ensure_ascii=False)


def read_tariff(text: str) -> Tariff:
    """Return the tariff of a text that was kept; what it does not say is as if nobody had set it."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        found = {}
    read = {name: _READERS[name](found[name]) for name in _READERS if isinstance(found, dict) and name in found}
    return replace(Tariff(), **{name: value for name, (is_good, value) in read.items() if is_good})


def _amount(value: Any) -> tuple[bool, int | None]:
    is_amount = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST
    return value is None or is_amount, value


def _known(value: Any) -> tuple[bool, int | None]:
    is_good, amount = _amount(value)
    return is_good and amount is not None, amount


def _windows(value: Any) -> tuple[bool, Any]:
    try:
        return True, tuple(parse_window(text) for text in value)
    except (AttributeError, TypeError, ValueError):
        return False, ()


_READERS: dict[str, Callable[[Any], tuple[bool, Any]]] = {
    "is_metered": lambda value: (isinstance(value, bool), value),
    "day_bytes": _amount,
    "month_bytes": _amount,
    "windows": _windows,
    "rate_kbit": _amount,
    "price_micros": _known,
    "file_soon_bytes": _known,
    "file_hours_bytes": _known,
    "currency": lambda value: (isinstance(value, str), str(value)[:CURRENCY_MAX]),
}
