"""Sticks that staff said are always to be exchanged with."""

import sqlite3


def is_known(connection: sqlite3.Connection, stick_id: bytes) -> bool:
    """Return whether staff said so of this stick."""
    return connection.execute("SELECT 1 FROM known_stick WHERE id = ?", (stick_id,)).fetchone() is not None


def add_stick(connection: sqlite3.Connection, stick_id: bytes, now_ms: int) -> None:
    """Remember a stick; safe to repeat."""
    connection.execute("INSERT OR IGNORE INTO known_stick (id, added_ms) VALUES (?, ?)", (stick_id, now_ms))


def remove_stick(connection: sqlite3.Connection, stick_id: bytes) -> None:
    """Forget a stick; safe to repeat."""
    connection.execute("DELETE FROM known_stick WHERE id = ?", (stick_id,))
