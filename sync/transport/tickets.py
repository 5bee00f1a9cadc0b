"""Tickets, introductions and their answers as files on a stick. See docs/bundle-format.md, "Folders on a stick".

    edgebox/enrol/<name>.ebi                     ticket from a hub; one at the top of the stick is found as well
    edgebox/outbox/<box>/request.ebi             request, or succeed.ebi, from box to hub, taken before the bundles
    edgebox/inbox/<box>/request.ebi              the hub's answer to it

Only regular files with such names are read, links never, and nothing larger than such a file may be.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from content_packs.base import atomic
from sync.introduction import FILE_MAX_BYTES, IntroductionKind
from sync.transport.errors import StickMissing, StickUnwritable
from sync.transport.folder import INBOX, OUTBOX

ENROL = Path("edgebox", "enrol")
TICKETS_MAX = 20
ENTRIES_MAX = 2_000
NAMES: Mapping[int, str] = {IntroductionKind.REQUEST: "request.ebi", IntroductionKind.SUCCESSION: "succeed.ebi"}
_SUFFIX = ".ebi"
_BOX = re.compile(r"[0-9a-f]{32}")


def write_ticket(root: Path, name: str, content: bytes) -> Path:
    """Put a ticket on the stick and return its path.

    Raises:
        StickMissing: there is no such folder; it is not made.
        StickUnwritable: the stick is full, gone or write-protected.
    """
    return _write(root, ENROL / f"{name}{_SUFFIX}", content)


def list_tickets(root: Path) -> list[bytes]:
    """Return the contents of the files on a stick that may be tickets, at most 20; what cannot be read is left out."""
    found = (path for folder in (root / ENROL, root) for path in _files(folder))
    contents = (_read(path) for path in found if path.name.lower().endswith(_SUFFIX))
    return list(islice((content for content in contents if content is not None), TICKETS_MAX))


def write_introduction(root: Path, box: bytes, kind: int, content: bytes) -> Path:
    """Put what a hub is to be told on the stick and return its path. Raises like `write_ticket`."""
    return _write(root, OUTBOX / box.hex() / NAMES[kind], content)


def list_introductions(root: Path) -> list[tuple[str, bytes]]:
    """Return folder/name and content of what boxes have to tell, requests first."""
    boxes = [folder for folder in sorted(_entries(root / OUTBOX)) if _BOX.fullmatch(folder.name)]
    places = [(f"{folder.name}/{name}", folder / name) for folder in boxes for name in NAMES.values()]
    read = [(shown, _read(path)) for shown, path in places if _is_inside(root, path)]
    return [(shown, content) for shown, content in read if content is not None]


def write_answer(root: Path, box: bytes, kind: int, content: bytes) -> Path:
    """Put the hub's answer for a box on the stick and return its path. Raises like `write_ticket`."""
    return _write(root, INBOX / box.hex() / NAMES[kind], content)


def read_answer(root: Path, box: bytes, kind: int) -> bytes | None:
    """Return the hub's answer for a box; None when there is none that can be read."""
    path = root / INBOX / box.hex() / NAMES[kind]
    return _read(path) if _is_inside(root, path) else None


def _write(root: Path, name: Path, content: bytes) -> Path:
    if not root.is_dir():
        raise StickMissing(folder=str(root))
    path = root / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _read(path) != content:
            atomic.write_file(path, content)
    except OSError as error:
        raise StickUnwritable(reason=error.strerror or "write") from error
    return path


def _read(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(FILE_MAX_BYTES + 1) if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    except OSError:
        return None
    return content if content is not None and len(content) <= FILE_MAX_BYTES else None


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in _entries(folder) if path.is_file() and not path.is_symlink())


def _entries(folder: Path) -> Iterator[Path]:
    try:
        yield from islice(folder.iterdir(), ENTRIES_MAX)
    except OSError:
        return


def _is_inside(root: Path, path: Path) -> bool:
    """Return whether no folder on the way from `root` to a file is a link."""
    return not any((root / part).is_symlink() for part in path.relative_to(root).parents)
