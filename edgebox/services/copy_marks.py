"""What shows a box, without a hub, that its data folder is a copy or that its database is older than its keys.

Beside the key stand two small files. `place` says where the key file is: on which machine, in which file of the disk,
and when that file was put there. Nobody can set that last time (`st_ctime`), so a copy always differs; a card copied
bit by bit differs by the machine. `made` says which bundle was made last, before any is handed out: a database that
knows less was restored beneath its keys.
"""

import json
import logging
from pathlib import Path
from typing import Any

from content_packs.base import atomic
from content_packs.base.hashing import blake2b_256
from edgebox.services.identity import KEY_NAME

log = logging.getLogger(__name__)

# A board's own number is its own; the second is made when a system is installed, and is copied with it.
MACHINE_FILES = (Path("/sys/firmware/devicetree/base/serial-number"), Path("/etc/machine-id"))
_PLACE = "place"
_MADE = "made"
_MACHINE_DIGITS = 16


def is_moved(keys: Path) -> bool:
    """Return whether the key file is not where it was written, as far as that was noted. Blocks."""
    noted = _read(keys / _PLACE)
    return noted is not None and noted != _place_of(keys / KEY_NAME)


def note_place(keys: Path) -> None:
    """Note that the key file is where it should be. Blocks."""
    place = _place_of(keys / KEY_NAME)
    if _read(keys / _PLACE) != place:
        _write(keys / _PLACE, place)


def last_made(keys: Path) -> tuple[int, int]:
    """Return epoch and number of the last bundle that was noted as made, (0, 0) when there was none. Blocks."""
    noted = _read(keys / _MADE)
    if isinstance(noted, list) and len(noted) == 2 and all(isinstance(number, int) for number in noted):
        return noted[0], noted[1]
    return 0, 0


def note_made(keys: Path, epoch: int, seq: int) -> None:
    """Note a bundle that the database has, before it leaves the box. Blocks."""
    _write(keys / _MADE, [epoch, seq])


def _place_of(key_file: Path) -> list[Any]:
    status = key_file.stat()
    return [_machine(), status.st_ino, status.st_ctime_ns]


def _machine() -> str:
    for path in MACHINE_FILES:
        try:
            number = path.read_bytes().strip(b"\0\n ")
        except OSError:
            continue
        if number:
            return blake2b_256(b"edgebox machine\0" + number).hex()[:_MACHINE_DIGITS]
    return ""


def _read(path: Path) -> Any:
    """Return what was noted; None when nothing was, or what the disk made of it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        log.warning("identity.mark_unreadable %s", path.name)
        return None


def _write(path: Path, value: Any) -> None:
    atomic.write_file(path, json.dumps(value).encode(), mode=atomic.PRIVATE_MODE)
