"""Which files came with statements."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

_INSERT = "INSERT OR IGNORE INTO attachment (sha2, content_type, size_bytes, stored_ms) VALUES (?, ?, ?, ?)"
_LIST = """
SELECT sha2, content_type, size_bytes FROM attachment WHERE sha2 IN (SELECT value FROM json_each(?)) ORDER BY sha2
"""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file under its hash."""

    sha2: str
    content_type: str
    size_bytes: int


def insert_attachments(connection: sqlite3.Connection, found: Iterable[Attachment], now_ms: int) -> None:
    """Note files that are on the disk. Safe to repeat."""
    rows = [(one.sha2, one.content_type, one.size_bytes, now_ms) for one in found]
    connection.executemany(_INSERT, rows)


def list_attachments(connection: sqlite3.Connection, hashes: Iterable[str]) -> list[Attachment]:
    """Return those of some files that are here."""
    return [Attachment(*row) for row in connection.execute(_LIST, (json.dumps(list(hashes)),))]


def list_hashes(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the hashes of all files."""
    return frozenset(row[0] for row in connection.execute("SELECT sha2 FROM attachment"))
