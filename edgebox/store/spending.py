"""How many bytes were fetched over a line that costs, on the latest day on which any were."""

import sqlite3

_NAME = "fetch_spent"


def find_spent(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the number of the day and its bytes, zeros when nothing was ever fetched."""
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (_NAME,)).fetchone()
    day, _, spent_bytes = (row[0] if row else "0 0").partition(" ")
    return int(day), int(spent_bytes)


def put_spent(connection: sqlite3.Connection, day: int, spent_bytes: int) -> None:
    """Replace it."""
    connection.execute(
        "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (_NAME, f"{day} {spent_bytes}"),
    )
