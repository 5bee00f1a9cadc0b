"""The search index: a database file of its own that may be deleted at any time and is filled again from the manifests.

One connection, used by one thread at a time. The full-text table is made by sqlite-utils; titles weigh most. A common
word in a large library has thousands of hits: only the first `CANDIDATES_MAX` are ranked.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from content_packs.base import atomic

CANDIDATES_MAX = 2000
INDEX_VERSION = 1
# Marks belong to words: without them most Indic words fall apart into single letters.
_TOKENIZE = "unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"


@dataclass(frozen=True)
class Entry:
    """One resource in one language, its texts already folded by `domain.search_text`."""

    pack: str
    version: int
    lesson: str
    resource: str
    language: str
    title: str
    lesson_title: str
    description: str
    body: str


@dataclass(frozen=True)
class Hit:
    """Where something was found; a smaller score is better."""

    pack: str
    lesson: str
    resource: str
    score: float


class SearchIndex:
    """The open index. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        self._connection = _open(path)

    def close(self) -> None:
        """Close the file; safe to repeat."""
        self._connection.close()

    def indexed(self) -> set[tuple[str, int]]:
        """Return the packs in the index, as (id, version)."""
        rows = self._connection.execute("SELECT pack, version FROM indexed")
        return {(row[0], row[1]) for row in rows}

    def add(self, pack: str, version: int, entries: Iterable[Entry]) -> None:
        """Put a pack into the index, all of it or nothing."""
        with self._connection:
            self._connection.execute("INSERT INTO indexed (pack, version) VALUES (?, ?)", (pack, version))
            self._connection.executemany(
                "INSERT INTO entry (pack, version, lesson, resource, language, title, lesson_title, description, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                map(astuple, entries),
            )

    def remove(self, pack: str, version: int) -> None:
        """Take a pack out of the index."""
        with self._connection:
            self._connection.execute("DELETE FROM entry WHERE pack = ? AND version = ?", (pack, version))
            self._connection.execute("DELETE FROM indexed WHERE pack = ? AND version = ?", (pack, version))

    def find(self, expression: str, language: str, limit: int) -> list[Hit]:
        """Return the best hits for an FTS5 expression, one per resource; the language wanted comes first."""
        rows = self._connection.execute(_FIND, (expression, CANDIDATES_MAX, language, limit))
        return [Hit(*row) for row in rows]


_FIND = """
SELECT entry.pack, entry.lesson, entry.resource,
       min(found.score * CASE entry.language WHEN ?3 THEN 1.5 ELSE 1.0 END) AS best
FROM (SELECT rowid AS no, bm25(entry_fts, 10.0, 5.0, 3.0, 1.0) AS score
      FROM entry_fts WHERE entry_fts MATCH ?1 LIMIT ?2) AS found
JOIN entry ON entry.no = found.no
GROUP BY entry.pack, entry.resource
ORDER BY best, entry.pack, entry.resource
LIMIT ?4
"""


def _open(path: Path) -> sqlite3.Connection:
    """Open the index; a damaged one, or one of another version, is made anew."""
    try:
        return _prepared(path)
    except sqlite3.DatabaseError:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        return _prepared(path)


def _prepared(path: Path) -> sqlite3.Connection:
    atomic.make_private(path)
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        for pragma in ("synchronous = NORMAL", "journal_mode = WAL", "mmap_size = 0"):
            connection.execute(f"PRAGMA {pragma}")
        if connection.execute("PRAGMA user_version").fetchone()[0] != INDEX_VERSION:
            _create(connection)
        elif connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("damaged")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    # Imported here: the library costs a third of a second, and most starts have nothing to make.
    from sqlite_utils import Database

    database = Database(connection)
    for name in ("entry_fts", "entry", "indexed"):
        database.table(name).drop(ignore=True)
    database.table("indexed").create({"pack": str, "version": int}, pk=("pack", "version"), strict=True)
    columns = dict.fromkeys(("pack", "lesson", "resource", "language"), str) | {"version": int}
    texts = ("title", "lesson_title", "description", "body")
    database.table("entry").create({"no": int} | columns | dict.fromkeys(texts, str), pk="no", strict=True)
    database.table("entry").create_index(["pack", "version"])
    database.table("entry").enable_fts(texts, tokenize=_TOKENIZE, create_triggers=True)
    connection.execute(f"PRAGMA user_version = {INDEX_VERSION}")
    connection.commit()
