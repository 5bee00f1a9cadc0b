"""The process that decodes one large bundle: `python -I -m sync.hub.decoding_child CODEC PLAIN_BYTES AROUND_MS COUNTS`.

The body, unsealed, is standard input. The answer on standard output is what `sync.hub.decoding` reads; nothing is
answered before the whole of it was read and checked.
"""

import os
import sys

from content_packs.base.limited import give_up_rights
from content_packs.base.memory import give_back_large_blocks
from sync.hub.decoding import body_of, tell

MEMORY_MAX_BYTES = 512 << 20  # of addresses, of which a hostile body comes to fill less than half
CPU_MAX_SECONDS = 60
BROKEN = 3


def main() -> int:
    """Tell the records of the body, or what is wrong with it."""
    body = body_of(sys.argv[1:])
    give_back_large_blocks()
    give_up_rights(memory_max_bytes=MEMORY_MAX_BYTES, cpu_max_seconds=CPU_MAX_SECONDS)
    try:
        with os.fdopen(0, "rb", closefd=False) as file:
            packed = file.read()
        for message in tell(packed, body):
            sys.stdout.buffer.write(message)
        sys.stdout.buffer.flush()
    except (MemoryError, RecursionError, OSError):
        return BROKEN
    return 0


if __name__ == "__main__":
    os._exit(main())
