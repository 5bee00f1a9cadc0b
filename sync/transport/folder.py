"""Bundles and acks as files in a folder, usually a stick. See docs/bundle-format.md, "Folders on a stick".

    edgebox/outbox/<origin>/<epoch>-<seq>.eb     from box to hub
    edgebox/outbox/<origin>/<epoch>.eba          ack from box to hub, for what came down
    edgebox/inbox/<origin>/<epoch>.eba           ack from hub to box, replaced by a newer one
    edgebox/inbox/<origin>/<epoch>-<seq>.eb      from hub to box

Names are short, lower-case ASCII, fit for FAT32. Only regular files with such names are read, links never, and nothing
larger than a bundle may be. A stick that is pulled out leaves whole files or none.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from content_packs.base import atomic
from sync.bundle.errors import BundleTooLarge
from sync.bundle.limits import ACK_MAX_BYTES, FILE_MAX_BYTES
from sync.transport.errors import StickMissing, StickUnwritable

OUTBOX = Path("edgebox", "outbox")
INBOX = Path("edgebox", "inbox")
_ORIGIN = re.compile(r"[0-9a-f]{32}")
_BUNDLE = re.compile(r"(0|[1-9][0-9]{0,15})-([1-9][0-9]{0,15})\.eb")
_ACK = re.compile(r"(0|[1-9][0-9]{0,15})\.eba")
FILES_MAX = 20_000


def write_bundle(root: Path, origin: bytes, epoch: int, seq: int, content: bytes) -> Path:
    """Put a bundle on the stick and return its path; one that is there with the same bytes is left alone.

    Raises:
        StickMissing: there is no such folder; it is not made, for it would be one of the memory card.
        StickUnwritable: the stick is full, gone or write-protected.
    """
    return _write(root, OUTBOX / origin.hex() / bundle_name(epoch, seq), content)


def write_ack(root: Path, origin: bytes, epoch: int, content: bytes) -> Path:
    """Put an ack on the stick for the box `origin` and return its path. Raises like `write_bundle`."""
    return _write(root, INBOX / origin.hex() / f"{epoch}.eba", content)


def bundle_name(epoch: int, seq: int) -> str:
    """Return the name of a bundle's file."""
    return f"{epoch}-{seq}.eb"


def list_bundles(root: Path) -> list[Path]:
    """Return the bundle files on the stick, by origin, epoch and number.

    Raises:
        StickMissing: there is no such folder.
    """
    found = []
    for folder in _folders(root, OUTBOX):
        numbered = [(match, path) for path in _files(folder) if (match := _BUNDLE.fullmatch(path.name))]
        found += [path for _match, path in sorted(numbered, key=lambda pair: tuple(map(int, pair[0].groups())))]
    return found[:FILES_MAX]


def list_acks(root: Path, origin: bytes) -> list[Path]:
    """Return the ack files on the stick for the box `origin`.

    Raises:
        StickMissing: there is no such folder.
    """
    folders = [folder for folder in _folders(root, INBOX) if folder.name == origin.hex()]
    return sorted(path for folder in folders for path in _files(folder) if _ACK.fullmatch(path.name))


def write_down(root: Path, box: bytes, epoch: int, seq: int, content: bytes) -> Path:
    """Put a bundle for the box `box` on the stick and return its path. Raises like `write_bundle`."""
    return _write(root, INBOX / box.hex() / bundle_name(epoch, seq), content)


def list_down(root: Path, box: bytes) -> list[tuple[int, int, Path]]:
    """Return epoch, number and file of the bundles on the stick for the box `box`, in order.

    Raises:
        StickMissing: there is no such folder.
    """
    folders = [folder for folder in _folders(root, INBOX) if folder.name.lower() == box.hex()]
    found = [
        (int(match[1]), int(match[2]), path)
        for folder in folders
        for path in _files(folder)
        if (match := _BUNDLE.fullmatch(path.name.lower()))
    ]
    return sorted(found)[:FILES_MAX]


def write_word(root: Path, box: bytes, epoch: int, ack: bytes) -> Path:
    """Put what the box `box` holds of the hub's bundles on the stick; return its path. Raises like `write_bundle`."""
    return _write(root, OUTBOX / box.hex() / f"{epoch}.eba", ack)


def list_words(root: Path, box: bytes) -> list[Path]:
    """Return the files in which the box `box` says what it holds of the hub's bundles. Raises like `list_down`."""
    folders = [folder for folder in _folders(root, OUTBOX) if folder.name.lower() == box.hex()]
    return sorted(path for folder in folders for path in _files(folder) if _ACK.fullmatch(path.name.lower()))


def list_boxes(root: Path) -> list[bytes]:
    """Return the boxes that have been at this stick, or that it was at. Raises like `list_down`."""
    found = [bytes.fromhex(folder.name.lower()) for place in (OUTBOX, INBOX) for folder in _folders(root, place)]
    return list(dict.fromkeys(found))


def remove_down(path: Path) -> None:
    """Take a listed file off the stick; one that is gone already is fine."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StickUnwritable(reason=error.strerror or "write") from error


def read_bundle(path: Path) -> bytes:
    """Return the content of a listed bundle file."""
    return _read(path, FILE_MAX_BYTES)


def read_ack(path: Path) -> bytes:
    """Return the content of a listed ack file."""
    return _read(path, ACK_MAX_BYTES)


def remove_bundle(root: Path, origin: bytes, epoch: int, seq: int) -> None:
    """Take a bundle off the stick; one that is gone already is fine."""
    try:
        (root / OUTBOX / origin.hex() / bundle_name(epoch, seq)).unlink(missing_ok=True)
    except OSError as error:
        raise StickUnwritable(reason=error.strerror or "write") from error


def _write(root: Path, name: Path, content: bytes) -> Path:
    if not root.is_dir():
        raise StickMissing(folder=str(root))
    path = root / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _is_regular(path) or path.read_bytes() != content:
            atomic.write_file(path, content)
    except OSError as error:
        raise StickUnwritable(reason=error.strerror or "write") from error
    return path


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StickUnwritable(reason="not a file")
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise StickUnwritable(reason=error.strerror or "read") from error
    if len(content) > max_bytes:
        raise BundleTooLarge(limit="size")
    return content


def _folders(root: Path, box: Path) -> Iterator[Path]:
    """Yield the folders of origins, never through a link."""
    if not root.is_dir():
        raise StickMissing(folder=str(root))
    base = root
    for part in box.parts:
        base = base / part
        if base.is_symlink() or not base.is_dir():
            return
    for folder in sorted(_entries(base)):
        if _ORIGIN.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            yield folder


def _files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if _is_regular(path)]


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise StickUnwritable(reason=error.strerror or "read") from error


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
