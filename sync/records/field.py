"""One field of a record: its type, and the bounds of what may travel in it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType, NoneType
from typing import Any

_UTF8_MAX_BYTES = 4


class FieldType(Enum):
    """How a column of the field is written."""

    INTEGER = "integer"
    REAL = "real"
    BOOLEAN = "boolean"
    TEXT = "text"
    BYTES = "bytes"


_TYPES: Mapping[FieldType, frozenset[type]] = MappingProxyType(
    {
        FieldType.INTEGER: frozenset({int}),
        FieldType.REAL: frozenset({int, float}),
        FieldType.BOOLEAN: frozenset({bool}),
        FieldType.TEXT: frozenset({str}),
        FieldType.BYTES: frozenset({bytes}),
    }
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field that may travel; `low` and `high` bound the value, or its length in bytes for text and bytes."""

    name: str
    type: FieldType
    low: float
    high: float
    is_optional: bool = False

    def admits(self, value: Any) -> bool:
        """Return whether `value` has the type and lies within the bounds."""
        if value is None:
            return self.is_optional
        if isinstance(value, bool) or self.type is FieldType.BOOLEAN:
            return isinstance(value, bool) and self.type is FieldType.BOOLEAN
        size = self._size(value)
        return size is not None and self.low <= size <= self.high

    def admits_all(self, values: Sequence[Any]) -> bool:
        """Return whether all of them are surely admitted; False may be wrong, for texts near their longest."""
        types = set(map(type, values))
        if self.is_optional and NoneType in types:
            types.remove(NoneType)
            values = [value for value in values if value is not None] if types else ()
        if not types <= _TYPES[self.type]:
            return False
        if self.type is FieldType.BOOLEAN or not values:
            return True
        if self.type in (FieldType.TEXT, FieldType.BYTES):
            widest = _UTF8_MAX_BYTES if self.type is FieldType.TEXT else 1
            return self.low <= min(map(len, values)) and max(map(len, values)) * widest <= self.high
        is_finite = self.type is FieldType.INTEGER or all(map(math.isfinite, values))
        return is_finite and self.low <= min(values) and max(values) <= self.high

    def _size(self, value: Any) -> float | None:
        """Return what the bounds hold for, or None when the type is wrong or the number is not finite."""
        if self.type is FieldType.TEXT:
            return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else None
        if self.type is FieldType.BYTES:
            return len(value) if isinstance(value, bytes) else None
        if isinstance(value, int) or (
            self.type is FieldType.REAL and isinstance(value, float) and math.isfinite(value)
        ):
            return value
        return None
