"""The search index in `cache.db`. Titles weigh most. A common word in a large library has thousands of hits: only the
first `CANDIDATES_MAX` are ranked.
"""

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple, dataclass

CANDIDATES_MAX = 2000


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
    """The index on an open `cache.db`. Not for two threads at once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

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
