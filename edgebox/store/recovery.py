"""At start: is the learner database whole? If not, it is set aside as it is, and one is made of what can be read.

Nothing damaged is ever changed, and the first and the latest are never deleted. Whatever moment the power goes, the
next start finds the damaged file in its place, or a new one that is complete beside it.
"""

import logging
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from content_packs.base import atomic
from edgebox.store import copying, remnants, salvage
from edgebox.store.connections import is_unreadable
from edgebox.store.copying import UNREADABLE, nightly_path, open_source
from edgebox.store.rebuilding import Rebuilt, rebuild
from edgebox.store.upgrade import SCHEMA_VERSION

log = logging.getLogger(__name__)

_FOLDER = "damaged"
_HEAD_BYTES = 100
_END_MAX_BYTES = 64 << 30
_ROOM_MIN_BYTES = 1 << 20


def recover(path: Path, now_ms: int, make_room: Callable[[], object]) -> Rebuilt | None:
    """Rebuild the database at `path` if it is damaged; None when it is whole, or there is none. Blocks.

    A damaged one stays in a folder of its own below `damaged/`, with its log.

    Raises:
        StoreDamaged: nothing of it can be read; it is left as it is.
        sqlite3.OperationalError, OSError: there is no room, or the disk fails; it is left as it is.
    """
    new = path.with_name(f"{path.name}.rebuilt")
    if new.exists() and _is_set_aside(path):
        _take_over(new, path)
    copying.remove(new)  # somebody has put another database in place since
    if shutil.disk_usage(path.parent).free < _ROOM_MIN_BYTES:
        make_room()  # SQLite puts a file of its own beside one that it reads
    fault = find_damage(path)
    if not fault:
        _suspicion(path).unlink(missing_ok=True)
        _drop_alias(path)
        return None
    log.error("store.damaged %s: %s", path.name, fault)
    make_room()
    aside = _set_aside(path)
    rebuilt = _rebuild(aside, new, path, now_ms)
    _take_over(new, path)
    _keep_few(aside.parent.parent)
    log.warning("store.rebuilt kept=%d lost=%d unread=%s", rebuilt.kept, rebuilt.lost, ",".join(rebuilt.unread))
    return rebuilt


def _rebuild(aside: Path, new: Path, path: Path, now_ms: int) -> Rebuilt:
    """Make the new file; what was made on the way takes no room afterwards, whatever happens."""
    building, readable = path.with_name(f"{path.name}.rebuilding"), aside.with_name(f"{aside.name}.readable")
    try:
        rebuilt = rebuild(_made_readable(aside, readable), building, nightly_path(path), now_ms)
        copying.put_in_place(building, new)
    finally:
        copying.remove(building)
        copying.remove(readable)
    return rebuilt


def suspect(path: Path, fault: str = "") -> None:
    """Have the whole database read at the next start, or made anew if the fault is known. Blocks; safe to repeat."""
    if fault or not _suspicion(path).exists():
        _suspicion(path).write_text(fault)


def find_damage(path: Path) -> str:
    """Return the first fault of a database, empty when it is whole, empty, or of a newer program. Blocks.

    Every page is looked at, and every text but those of statements. After a suspicion the rows are compared with their
    indexes as well, which takes longer.
    """
    if not path.exists() or not path.stat().st_size:
        return ""
    suspicion = _suspicion(path)
    if suspicion.exists() and (fault := suspicion.read_text(errors="replace")):
        return fault
    check = "integrity_check" if suspicion.exists() else "quick_check"
    try:
        with closing(open_source(path)) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] > SCHEMA_VERSION:
                return ""
            found = str(connection.execute(f"PRAGMA {check}(1)").fetchone()[0])
            # The version is in the head, and a new file has none: but then it has no tables either.
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if found == "ok":
                found = remnants.find_undecodable(connection) or found
    except UNREADABLE as error:
        if not is_unreadable(error):
            raise
        return str(error)
    return "" if found == "ok" else found


def _suspicion(path: Path) -> Path:
    return path.with_name(f"{path.name}.suspect")


def _set_aside(path: Path) -> Path:
    """Give the damaged file a second name, which stays when the first is given to another; return it."""
    folders = path.parent / _FOLDER
    folders.mkdir(mode=0o700, exist_ok=True)
    number = _last_number(folders)
    last = folders / str(number) / path.name
    if _is_same(path, last) and _is_same(_log_of(path), _log_of(last)):
        return last
    aside = folders / str(number + 1) / path.name
    aside.parent.mkdir(mode=0o700)
    for part, second in ((_log_of(path), _log_of(aside)), (path, aside)):
        if part.exists():
            _link(part, second)
    atomic.sync_directory(aside.parent)
    atomic.sync_directory(folders)
    return aside


def _is_set_aside(path: Path) -> bool:
    folders = path.parent / _FOLDER
    last = folders / str(_last_number(folders)) / path.name
    return not path.exists() or (last.exists() and last.samefile(path))


def _drop_alias(path: Path) -> None:
    """Remove the second name of a database that turned out to be whole: it goes on, and that name would show it so."""
    folders = path.parent / _FOLDER
    if path.exists() and _is_set_aside(path):
        shutil.rmtree(folders / str(_last_number(folders)))


def _keep_few(folders: Path) -> None:
    """Remove the damaged databases but the first, in which most is, and the latest: a dying card would fill up."""
    found = sorted(int(each.name) for each in folders.iterdir() if each.name.isdigit())
    for number in found[1:-1]:
        shutil.rmtree(folders / str(number))


def _last_number(folders: Path) -> int:
    found = folders.iterdir() if folders.exists() else ()
    return max([int(each.name) for each in found if each.name.isdigit()], default=0)


def _is_same(path: Path, other: Path) -> bool:
    """Return whether two names are those of one file, or of none."""
    return path.samefile(other) if path.exists() and other.exists() else path.exists() == other.exists()


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _link(path: Path, aside: Path) -> None:
    try:
        os.link(path, aside)
    except OSError:
        shutil.copyfile(path, aside)  # a file system without second names
        with aside.open("rb+") as file:
            os.fsync(file.fileno())


def _made_readable(aside: Path, copy: Path) -> Path:
    """Return the damaged file, or a copy that SQLite opens where its head is spoiled or its end is cut off."""
    with aside.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    size_bytes = salvage.size_by_head(head)
    if salvage.good_head(head) == head and aside.stat().st_size >= size_bytes:
        return aside
    shutil.copyfile(aside, copy)
    if _log_of(aside).exists():
        shutil.copyfile(_log_of(aside), _log_of(copy))
    with copy.open("rb+") as file:
        file.write(salvage.good_head(head))
        if copy.stat().st_size < size_bytes < _END_MAX_BYTES:
            file.truncate(size_bytes)
    return copy


def _take_over(new: Path, path: Path) -> None:
    """Let the new file have the name. The old one's log must be gone before: it would be taken for that of the new."""
    for name in (f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)
    atomic.sync_directory(path.parent)
    new.replace(path)
    _suspicion(path).unlink(missing_ok=True)
    atomic.sync_directory(path.parent)
