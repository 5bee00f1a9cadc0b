"""What crossed the line, by day and lane, and the tariff that staff set."""

import json
import sqlite3
from collections.abc import Iterable, Mapping

_TARIFF = "tariff"


def list_days(connection: sqlite3.Connection) -> list[tuple[int, int, int]]:
    """Return day, lane and bytes of everything that crossed the line on the days that are kept, in order."""
    return [tuple(row) for row in connection.execute("SELECT day, lane, size_bytes FROM line_day ORDER BY day, lane")]


def add_bytes(connection: sqlite3.Connection, more: Mapping[tuple[int, int], int]) -> None:
    """Add bytes to days and lanes."""
    connection.executemany(
        "INSERT INTO line_day (day, lane, size_bytes) VALUES (?, ?, ?)"
        " ON CONFLICT (day, lane) DO UPDATE SET size_bytes = size_bytes + excluded.size_bytes",
        [(day, int(lane), size_bytes) for (day, lane), size_bytes in more.items()],
    )


def keep_days(connection: sqlite3.Connection, days: Iterable[int]) -> None:
    """Forget all days but these."""
    kept = json.dumps(list(days))
    connection.execute("DELETE FROM line_day WHERE day NOT IN (SELECT value FROM json_each(?))", (kept,))


def find_tariff(connection: sqlite3.Connection) -> str:
    """Return the tariff as it was written, "" before anybody set one."""
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (_TARIFF,)).fetchone()
    return str(row[0]) if row else ""


def put_tariff(connection: sqlite3.Connection, text: str) -> None:
    """Replace the tariff."""
    connection.execute(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (_TARIFF, text),
    )
