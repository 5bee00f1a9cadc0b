"""Memory of this process that goes back to the system, for work that must fit beside all else on a small machine."""

import ctypes
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE_BYTES = 256 * 1024


@cache
def give_back_large_blocks(from_bytes: int = _LARGE_BYTES) -> None:
    """Let blocks of 256 KiB or more leave the process as soon as they are freed, from now on (mallopt(3)).

    A process that reads from sockets wants a higher limit: asyncio takes a block of 256 KiB for every read.

    By itself the C library keeps up to 32 MB for the next large block once one was freed, and what is small settles in
    between. A C library that has no such setting is left as it is.
    """
    setting = getattr(ctypes.CDLL(None), "mallopt", None)
    if setting is not None:
        setting(_M_MMAP_THRESHOLD, from_bytes)
        setting(_M_TRIM_THRESHOLD, from_bytes)
