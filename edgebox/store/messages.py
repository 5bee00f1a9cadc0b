"""What the hub says to the staff of the school."""

import sqlite3

_CURRENT = "SELECT text FROM message WHERE until_ms > ? ORDER BY stamp DESC LIMIT ?"
_SHOWN_MAX = 5


def list_current(connection: sqlite3.Connection, now_ms: int) -> list[str]:
    """Return the newest messages that are not over."""
    return [row[0] for row in connection.execute(_CURRENT, (now_ms, _SHOWN_MAX))]
