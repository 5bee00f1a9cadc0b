"""Bundles and acks as files in a folder, usually a stick. See docs/bundle-format.md, "Folders on a stick".

    edgebox/outbox/<origin>/<epoch>-<seq>.eb     from box to hub
    edgebox/outbox/<origin>/<epoch>-<seq>.ebx    from box to hub, ahead of the others
    edgebox/outbox/<origin>/<epoch>-<no>.ebf     a file that was handed in, from box to hub
    edgebox/outbox/<origin>/<epoch>.eba          ack from box to hub, for what came down
    edgebox/inbox/<origin>/<epoch>.eba           ack from hub to box, replaced by a newer one
    edgebox/inbox/<origin>/<epoch>-<seq>.eb      from hub to box

Names are short, lower-case ASCII, fit for FAT32; what was spelled another way on the road is found all the same. Only
regular files with such names are read, links never, nothing larger than a bundle may be, and of each folder only the
first 20,000 entries are looked at. A stick that is pulled out leaves whole files or none: see `StickWriter`.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from content_packs.base.errors import EdgeboxError
from content_packs.format.errors import StickGone
from content_packs.usb.stick import CHUNK_BYTES, GONE_ERRORS
from content_packs.usb.writing import BESIDE
from sync.bundle.errors import BundleTooLarge
from sync.bundle.limits import ACK_MAX_BYTES, FILE_MAX_BYTES, PAIRED_MAX_BYTES
from sync.transport.errors import StickMissing, StickUnwritable
from sync.transport.stick_writing import StickWriter

OUTBOX = Path("edgebox", "outbox")
INBOX = Path("edgebox", "inbox")
FILES_MAX = 20_000
START_BYTES = PAIRED_MAX_BYTES
_ORIGIN = re.compile(r"[0-9a-f]{32}")
_BUNDLE = re.compile(r"(0|[1-9][0-9]{0,15})-([1-9][0-9]{0,15})\.eb")
_EXPRESS = re.compile(_BUNDLE.pattern + "x")
_FILE = re.compile(_BUNDLE.pattern + "f")
_ACK = re.compile(r"(0|[1-9][0-9]{0,15})\.eba")
_LEFT = re.compile(rf"({_BUNDLE.pattern}|{_EXPRESS.pattern}|{_FILE.pattern}|{_ACK.pattern}){re.escape(BESIDE)}")


def bundle_name(epoch: int, seq: int, *, is_express: bool = False) -> str:
    """Return the name of a bundle's file."""
    return f"{epoch}-{seq}.{'ebx' if is_express else 'eb'}"


def bundle_place(origin: bytes, epoch: int, seq: int, *, is_express: bool = False) -> Path:
    """Return where a bundle lies, relative to the stick."""
    return OUTBOX / origin.hex() / bundle_name(epoch, seq, is_express=is_express)


def file_place(origin: bytes, epoch: int, no: int) -> Path:
    """Return where the bundle of a file that was handed in lies, relative to the stick."""
    return OUTBOX / origin.hex() / f"{epoch}-{no}.ebf"


def ack_place(origin: bytes, epoch: int) -> Path:
    """Return where the ack for a box lies, relative to the stick."""
    return INBOX / origin.hex() / f"{epoch}.eba"


def bundle_numbers(name: str) -> tuple[int, int] | None:
    """Return epoch and number that a bundle's file is named after; None for any other name, also an express one's."""
    return _numbers(_BUNDLE, name)


def express_numbers(name: str) -> tuple[int, int] | None:
    """Return epoch and number that an express bundle's file is named after; None for any other name."""
    return _numbers(_EXPRESS, name)


def file_numbers(name: str) -> tuple[int, int] | None:
    """Return epoch and number that the bundle of a file is named after; None for any other name."""
    return _numbers(_FILE, name)


def ack_epoch(name: str) -> int | None:
    """Return the epoch that an ack's file is named after; None for any other name."""
    found = _ACK.fullmatch(name.lower())
    return int(found[1]) if found else None


def list_origins(root: Path) -> list[bytes]:
    """Return the boxes that have a folder for bundles on the stick.

    Raises:
        StickMissing: there is no such folder.
    """
    return list(dict.fromkeys(bytes.fromhex(folder.name.lower()) for folder in _folders(root, OUTBOX)))


def list_bundles(root: Path, origin: bytes | None = None) -> list[Path]:
    """Return the bundle files on the stick, of one box or of all, by origin, epoch and number.

    Raises:
        StickMissing: there is no such folder.
    """
    return _list_up(root, origin, _BUNDLE)


def list_express(root: Path, origin: bytes) -> list[Path]:
    """Return the files of a box's express bundles on the stick, in order. Raises like `list_bundles`."""
    return _list_up(root, origin, _EXPRESS)


def list_files(root: Path, origin: bytes) -> list[Path]:
    """Return the bundles of files that were handed in at a box, in order. Raises like `list_bundles`."""
    return _list_up(root, origin, _FILE)


def list_acks(root: Path, origin: bytes) -> list[Path]:
    """Return the ack files on the stick for the box `origin`, the newest epoch first.

    Raises:
        StickMissing: there is no such folder.
    """
    folders = [folder for folder in _folders(root, INBOX) if folder.name.lower() == origin.hex()]
    found = [
        (epoch, path) for folder in folders for path in _files(folder) if (epoch := ack_epoch(path.name)) is not None
    ]
    return [path for _epoch, path in sorted(found, reverse=True)]


def read_start(path: Path) -> bytes:
    """Return the start of a listed file, enough for the head and signature of any bundle."""
    return _read(path, START_BYTES)


def write_down(root: Path, box: bytes, epoch: int, seq: int, content: bytes) -> Path:
    """Put a bundle for the box `box` on the stick and return its path. Raises like `write_bundle`."""
    return _write(root, down_place(box, epoch, seq), content)


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
    return _write(root, word_place(box, epoch), ack)


def word_place(box: bytes, epoch: int) -> Path:
    """Return where a box says what it holds of the hub's bundles, relative to the stick."""
    return OUTBOX / box.hex() / f"{epoch}.eba"


def down_place(box: bytes, epoch: int, seq: int) -> Path:
    """Return where a bundle for a box lies, relative to the stick."""
    return INBOX / box.hex() / bundle_name(epoch, seq)


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
    return _whole(path, FILE_MAX_BYTES)


def read_ack(path: Path) -> bytes:
    """Return the content of a listed ack file."""
    return _whole(path, ACK_MAX_BYTES)


def write_bundle(root: Path, origin: bytes, epoch: int, seq: int, content: bytes) -> Path:
    """Put a bundle on the stick and return its path. Raises like `StickWriter`."""
    return _write(root, bundle_place(origin, epoch, seq), content)


def write_ack(root: Path, origin: bytes, epoch: int, content: bytes) -> Path:
    """Put an ack on the stick for the box `origin` and return its path. Raises like `StickWriter`."""
    return _write(root, ack_place(origin, epoch), content)


def remove_left(writer: StickWriter, folder: Path) -> None:
    """Remove what an interrupted writer left half written in a folder of ours. Raises like `StickWriter.remove`."""
    for path in _files(folder) if _is_folder(folder) else ():
        if _LEFT.fullmatch(path.name.lower()):
            writer.remove(path)


def _numbers(pattern: re.Pattern[str], name: str) -> tuple[int, int] | None:
    found = pattern.fullmatch(name.lower())
    return (int(found[1]), int(found[2])) if found else None


def _list_up(root: Path, origin: bytes | None, pattern: re.Pattern[str]) -> list[Path]:
    found: list[Path] = []
    for folder in _folders(root, OUTBOX):
        if origin is None or folder.name.lower() == origin.hex():
            numbered = [(numbers, path) for path in _files(folder) if (numbers := _numbers(pattern, path.name))]
            found += [path for _order, path in sorted(numbered)]
    return found[:FILES_MAX]


def _write(root: Path, place: Path, content: bytes) -> Path:
    writer = StickWriter(root)
    path = writer.put(place, content)
    writer.settle()
    return path


def _whole(path: Path, max_bytes: int) -> bytes:
    content = _read(path, max_bytes + 1)
    if len(content) > max_bytes:
        raise BundleTooLarge(limit="size")
    return content


def _read(path: Path, max_bytes: int) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StickUnwritable(reason="not a file")
            return b"".join(_pieces(descriptor, max_bytes))
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error


def _pieces(descriptor: int, left_bytes: int) -> Iterator[bytes]:
    while left_bytes > 0 and (piece := os.read(descriptor, min(left_bytes, CHUNK_BYTES))):
        left_bytes -= len(piece)
        yield piece


def _folders(root: Path, box: Path) -> Iterator[Path]:
    """Yield the folders of origins, never through a link."""
    if not root.is_dir():
        raise StickMissing(folder=str(root))
    base = root
    for part in box.parts:
        found = _named(base, part)
        if found is None:
            return
        base = found
    for folder in sorted(_entries(base)):
        if _ORIGIN.fullmatch(folder.name.lower()) and _is_folder(folder):
            yield folder


def _named(base: Path, name: str) -> Path | None:
    """Return the folder `name` in `base`, whatever capitals it is spelled with."""
    if _is_folder(base / name):
        return base / name
    return next((entry for entry in _entries(base) if entry.name.lower() == name and _is_folder(entry)), None)


def _files(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.is_file() and not path.is_symlink()]


def _entries(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [folder / entry.name for entry in islice(entries, FILES_MAX)]
    except OSError as error:
        raise _unreadable(folder, error) from error


def _unreadable(path: Path, error: OSError) -> EdgeboxError:
    """Return what to raise when something that was there a moment ago cannot be read."""
    if error.errno in GONE_ERRORS | {errno.ENOENT}:
        return StickGone(place=str(path), reason=errno.errorcode[error.errno or 0])
    return StickUnwritable(reason=error.strerror or "read")


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
