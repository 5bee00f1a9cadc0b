"""The process that reads one file somebody brought: `python -I -m content_packs.importers.child`.

The file is standard input, the messages of `content_packs.importers.reading` are standard output.
"""

import io
import os
import sys

from content_packs.base.limited import give_up_rights
from content_packs.importers.cmi5 import Cmi5
from content_packs.importers.contract import Importer, Source
from content_packs.importers.html_app import HtmlApp
from content_packs.importers.reading import tell

MEMORY_MAX_BYTES = 256 * 1024**2
CPU_MAX_SECONDS = 60
BROKEN = 3
IMPORTERS: tuple[Importer, ...] = (HtmlApp(), Cmi5())


def main() -> int:
    """Tell what the file has, or what is wrong with it."""
    file = io.BufferedReader(io.FileIO(0, closefd=False))
    give_up_rights(memory_max_bytes=MEMORY_MAX_BYTES, cpu_max_seconds=CPU_MAX_SECONDS)
    try:
        for message in tell(Source(file), IMPORTERS):
            sys.stdout.buffer.write(message)
        sys.stdout.buffer.flush()
    except (MemoryError, RecursionError, OSError):
        return BROKEN
    return 0


if __name__ == "__main__":
    os._exit(main())
