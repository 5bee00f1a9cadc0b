"""With which numbers a stream was compressed: found by trial, because nothing in it tells.

Most programs use zlib with one of a few settings; what another compressor made is left as it is.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from content_packs.patch.containers.pieces import Buffer, Piece, Stream

_SAMPLE_BYTES: Final = 64 * 1024
_LEVELS: Final = (6, 9, 1, 5, 7, 8, 4, 3, 2)
_MEMORIES: Final = (8, 9)
_MEMORY_USUAL: Final = 8


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a container is closed again.

    Attributes:
        left: the streams that cannot be made again, by number.
        parameters: one for every other stream, in order.
        largest_bytes: what the largest stream takes, compressed and not.
    """

    left: tuple[int, ...]
    parameters: tuple[int, ...]
    largest_bytes: int


def compressed(content: bytes, parameter: int, *, is_bare: bool) -> bytes:
    """Return the stream that zlib makes of `content` with these numbers.

    Raises:
        ValueError: numbers zlib does not have.
    """
    maker = _maker(parameter, is_bare=is_bare)
    return maker.compress(content) + maker.flush()


def find_recipe(pieces: Iterator[Piece | Stream], data: Buffer) -> Recipe:
    """Return what every stream among `pieces` takes; tries for long when nothing fits."""
    left: list[int] = []
    parameters: list[int] = []
    largest_bytes = 0
    for one in pieces:
        if isinstance(one, Piece):
            continue
        wanted = data[one.start : one.end]
        is_bare = one.window_bits < 0
        largest_bytes = max(largest_bytes, len(one.content) + len(wanted))
        tries = _candidates(wanted, is_bare, parameters[-1:])
        found = next((one_try for one_try in tries if _fits(one.content, wanted, one_try, is_bare)), None)
        if found is None:
            left.append(one.number)
        else:
            parameters.append(found)
    return Recipe(tuple(left), tuple(parameters), largest_bytes)


def _candidates(wanted: bytes, is_bare: bool, last: list[int]) -> Iterator[int]:
    """Yield what to try, what fitted the stream before first."""
    window = zlib.MAX_WBITS if is_bare else (wanted[0] >> 4) + 8
    yield from last
    for memory in _MEMORIES:
        for level in _LEVELS:
            yield level | (memory - _MEMORY_USUAL) % 16 << 4 | (zlib.MAX_WBITS - window) << 8


def _fits(content: bytes, wanted: bytes, parameter: int, is_bare: bool) -> bool:
    """Try on the beginning first: most settings differ there already."""
    begun = _maker(parameter, is_bare=is_bare).compress(content[:_SAMPLE_BYTES])
    if not wanted.startswith(begun[: len(wanted)]):
        return False
    return compressed(content, parameter, is_bare=is_bare) == wanted


def _maker(parameter: int, *, is_bare: bool) -> "zlib._Compress":
    level = parameter & 0xF
    memory = ((parameter >> 4) + _MEMORY_USUAL) % 16
    window = zlib.MAX_WBITS - (parameter >> 8)
    if not (1 <= level <= 9 and 1 <= memory <= 9 and 9 <= window <= zlib.MAX_WBITS):
        raise ValueError("zlib parameter")
    return zlib.compressobj(level, zlib.DEFLATED, -window if is_bare else window, memory)
