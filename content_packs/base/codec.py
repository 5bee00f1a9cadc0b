"""The one door to msgpack: canonical on the way out, strict on the way in.

Canonical means: map keys are strings in code point order, integers and floats in their shortest form, no extension
types. The reader refuses what the writer never makes, because a signature must cover one reading only.
"""

import math
from typing import Any

import msgpack

from content_packs.base.errors import N_, EdgeboxError

MAX_DEPTH = 16


class CodecMalformed(EdgeboxError):
    """Bytes that are not one canonical msgpack value within the limits."""

    code = "codec.malformed"
    status = 400
    exit_code = 10
    sentence = N_("The file is damaged or was not made by Edgebox ({reason}).")
    remedy = N_("Copy it again from where it came from.")


def encode(value: Any) -> bytes:
    """Return the canonical msgpack form of plain Python values (None, bool, int, float, str, bytes, list, dict)."""
    packed: bytes = msgpack.packb(_ordered(value), use_bin_type=True)
    return packed


def decode(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value in `data`.

    Raises:
        CodecMalformed: larger than `max_bytes`, not msgpack, trailing bytes, duplicate or non-text keys, NaN,
            extension types, or deeper than `max_depth`.
    """
    if len(data) > max_bytes:
        raise CodecMalformed(reason="too large")
    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=False,
            object_pairs_hook=_unique_pairs,
            ext_hook=_refuse_extension,
        )
    except CodecMalformed:
        raise
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise CodecMalformed(reason=type(error).__name__) from error
    _check(value, max_depth)
    return value


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_ordered(element) for element in value]
    return value


def _unique_pairs(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    if not all(isinstance(key, str) for key, _ in pairs):
        raise CodecMalformed(reason="keys")
    result = dict(pairs)
    if len(result) != len(pairs):
        raise CodecMalformed(reason="keys")
    return result


def _refuse_extension(code: int, _data: bytes) -> Any:
    raise CodecMalformed(reason=f"extension type {code}")


def _check(value: Any, depth_left: int) -> None:
    if depth_left < 0:
        raise CodecMalformed(reason="too deep")
    if isinstance(value, float) and not math.isfinite(value):
        raise CodecMalformed(reason="not a number")
    if isinstance(value, msgpack.Timestamp):
        raise CodecMalformed(reason="timestamp type")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return
    for element in value:
        if isinstance(element, dict | list | float | msgpack.Timestamp):
            _check(element, depth_left - 1)
