"""`cache.db`: the catalogue and the search index, in a file that may be deleted at any time and is filled again from
the manifests.

One connection, used by one thread at a time.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from content_packs.base import atomic
from edgebox.store.catalogue import Catalogue
from edgebox.store.search import SearchIndex

T = TypeVar("T")

CACHE_VERSION = 2
# Marks belong to words: without them most Indic words fall apart into single letters.
_TOKENIZE = "unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
_TABLES = ("entry_fts", "entry", "indexed", "shelved", "lesson", "resource")


log = logging.getLogger(__name__)


class CacheRemade(Exception):
    """The file was found damaged and made anew; it is empty until it is filled again."""


class Cache:
    """The open file.

    Attributes:
        catalogue: what lists show.
        search: what can be searched.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def run(self, work: "Callable[[Cache], T]") -> T:
        """Return what `work` returns.

        Raises:
            CacheRemade: fill the file again, then try once more.
        """
        try:
            return work(self)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            log.exception("cache.damaged")
            self.close()
            _delete(self._path)
            self._open()
            raise CacheRemade from error

    def close(self) -> None:
        """Close the file; safe to repeat."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _open(self) -> None:
        self._connection = open_cache(self._path)
        self.catalogue = Catalogue(self._connection)
        self.search = SearchIndex(self._connection)


def open_cache(path: Path) -> sqlite3.Connection:
    """Open the file; a damaged one, or one of another version, is made anew."""
    try:
        return _prepared(path)
    except sqlite3.DatabaseError:
        _delete(path)
        return _prepared(path)


def _delete(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _prepared(path: Path) -> sqlite3.Connection:
    atomic.make_private(path)
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        for pragma in ("synchronous = NORMAL", "journal_mode = WAL", "mmap_size = 0"):
            connection.execute(f"PRAGMA {pragma}")
        if connection.execute("PRAGMA user_version").fetchone()[0] != CACHE_VERSION:
            _create(connection)
        elif not _is_whole(connection):
            raise sqlite3.DatabaseError("damaged")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _is_whole(connection: sqlite3.Connection) -> bool:
    """Check what every start reads; the texts of a large library would take seconds."""
    return all(
        connection.execute(f"PRAGMA quick_check({table})").fetchone()[0] == "ok" for table in ("shelved", "indexed")
    )


def _create(connection: sqlite3.Connection) -> None:
    # Imported here: the library costs a third of a second, and most starts have nothing to make.
    from sqlite_utils import Database

    database = Database(connection)
    for name in _TABLES:
        database.table(name).drop(ignore=True)
    named = {"pack": str, "version": int}
    database.table("shelved").create(
        {"file": str, "stamp": str, **named, "signer": bytes, "record": str}, pk="file", strict=True
    )
    lesson = {"lesson": str, "place": int, "resources": int, "record": str}
    database.table("lesson").create(named | lesson, pk=("pack", "version", "lesson"), strict=True)
    database.table("lesson").create_index(["pack", "version", "place"])
    resource = {"resource": str, "lesson": str, "place": int, "kind": str, "title": str}
    database.table("resource").create(named | resource, pk=("pack", "version", "resource"), strict=True)
    database.table("resource").create_index(["pack", "version", "lesson", "place"])
    database.table("indexed").create(named, pk=("pack", "version"), strict=True)
    columns = {"no": int} | dict.fromkeys(("pack", "lesson", "resource", "language"), str) | {"version": int}
    texts = ("title", "lesson_title", "description", "body")
    database.table("entry").create(columns | dict.fromkeys(texts, str), pk="no", strict=True)
    database.table("entry").create_index(["pack", "version"])
    database.table("entry").enable_fts(texts, tokenize=_TOKENIZE, create_triggers=True)
    connection.execute(f"PRAGMA user_version = {CACHE_VERSION}")
    connection.commit()
