"""Where the file systems of disks and sticks are mounted, as the kernel tells it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")


def mounted_devices() -> list[Path]:
    """Return the places of whole file systems of devices, in order; none where the kernel does not tell. Blocks."""
    try:
        return sorted(set(parse_table(TABLE.read_bytes())))
    except OSError:
        return []


def parse_table(content: bytes) -> Iterator[Path]:
    """Yield the places in a table of mounts (proc(5), "mountinfo") where a device is mounted from its root on.

    A part of a file system that is shown in a second place is no device of its own: a service with a private view of
    the system has such places all over.
    """
    for line in content.splitlines():
        mounted, _, kind = line.partition(b" - ")
        fields, kind_fields = mounted.split(b" "), kind.split(b" ")
        if len(fields) > 4 and fields[3] == b"/" and len(kind_fields) > 1 and kind_fields[1].startswith(b"/dev/"):
            yield Path(os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), fields[4])))
