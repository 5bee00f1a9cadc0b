"""The one door to msgpack: canonical on the way out, strict on the way in.

Canonical means: map keys are strings in code point order, integers and floats in their shortest form, no extension
types. The reader refuses what the writer never makes, because a signature must cover one reading only.
"""

import math
from array import array
from types import NoneType
from typing import Any

import msgpack

from content_packs.base.errors import N_, EdgeboxError

MAX_DEPTH = 16
# An empty list is one byte of input and sixty of memory, so bytes alone bound nothing.
MAX_CONTAINERS = 1_000_000
_SCALARS = frozenset({NoneType, bool, int, float, str, bytes})


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


def decode(data: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH, max_containers: int = MAX_CONTAINERS) -> Any:
    """Return the value in `data`.

    Raises:
        CodecMalformed: larger than `max_bytes`, not msgpack, trailing bytes, duplicate or non-text keys, NaN,
            extension types, deeper than `max_depth`, or more than `max_containers` lists and maps, or elements in one.
    """
    if len(data) > max_bytes:
        raise CodecMalformed(reason="too large")
    budget = _Budget(max_containers)
    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=False,
            max_array_len=max_containers,
            max_map_len=max_containers,
            list_hook=budget.count_list,
            object_pairs_hook=budget.unique_pairs,
            ext_hook=_refuse_extension,
        )
    except CodecMalformed:
        raise
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise CodecMalformed(reason=type(error).__name__) from error
    _check(value, max_depth)
    return value


def split_list(data: bytes, key: str, *, max_bytes: int) -> tuple[dict[str, Any], "array[int]"]:
    """Return the map in `data` without what is under `key`, and where the elements of the list there begin and end.

    For lists that are too long to be held as objects: element n is what `decode` makes of the bytes from place n to
    place n + 1. None are there when the map lacks the key.

    Raises:
        CodecMalformed: like `decode`, as far as it concerns the rest of the map; or no map with a list under `key`.
    """
    if len(data) > max_bytes:
        raise CodecMalformed(reason="too large")
    reader = msgpack.Unpacker(None, max_buffer_size=max(len(data), 1), raw=False, strict_map_key=False)
    reader.feed(data)
    places = array("q")
    rest = b""
    kept = 0
    try:
        for _ in range(reader.read_map_header()):
            start = reader.tell()
            if reader.unpack() == key and not places:
                count = reader.read_array_header()
                places.append(reader.tell())
                for _ in range(count):
                    reader.skip()
                    places.append(reader.tell())
            else:
                reader.skip()
                rest += data[start : reader.tell()]
                kept += 1
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise CodecMalformed(reason=type(error).__name__) from error
    if reader.tell() != len(data):
        raise CodecMalformed(reason="ExtraData")
    return decode(msgpack.Packer().pack_map_header(kept) + rest, max_bytes=max_bytes), places


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        if set(map(type, value)) <= _SCALARS:
            return value
        return [_ordered(element) if isinstance(element, dict | list | tuple) else element for element in value]
    return value


class _Budget:
    """Counts lists and maps down while they are made, so that a bomb stops early."""

    def __init__(self, containers: int) -> None:
        self._left = containers

    def count_list(self, elements: list[Any]) -> list[Any]:
        """Let a list pass."""
        self._left -= 1
        if self._left < 0:
            raise CodecMalformed(reason="too many parts")
        return elements

    def unique_pairs(self, pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
        """Return the map of `pairs`, whose keys are texts and differ."""
        self.count_list(pairs)
        result = dict(pairs) if all(isinstance(key, str) for key, _ in pairs) else {}
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
    # Rows of scalars are most of what is read, and the types of a whole row are known faster than those of each.
    if set(map(type, value)) <= _SCALARS:
        if not all(map(math.isfinite, (element for element in value if type(element) is float))):
            raise CodecMalformed(reason="not a number")
        return
    for element in value:
        if isinstance(element, dict | list | float | msgpack.Timestamp):
            _check(element, depth_left - 1)
