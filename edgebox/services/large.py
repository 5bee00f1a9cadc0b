"""Work whose time grows with its input: small input is done at once, large input where it holds up nobody else."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LARGE_BYTES = 64 * 1024  # done in less time than another thread takes to begin, several times over


async def work(size_bytes: int, function: Callable[P, T], /, *args: P.args, **options: P.kwargs) -> T:
    """Return what a function makes of input of this size; off the event loop if that is large."""
    if size_bytes <= LARGE_BYTES:
        return function(*args, **options)
    return await asyncio.to_thread(function, *args, **options)
