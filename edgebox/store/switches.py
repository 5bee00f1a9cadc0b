"""Switches of the box, that staff turn or the hub's answers do."""

import sqlite3

LOCAL_SCRIPTS = "local_scripts"
COARSE_TIMES = "coarse_times"
HUB_READS_SHORT = "hub_reads_short"
_ON = "1"


def is_on(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether a switch is on; all are off at first."""
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return row is not None and row[0] == _ON


def turn(connection: sqlite3.Connection, name: str, *, on: bool) -> None:
    """Turn a switch; safe to repeat."""
    connection.execute("DELETE FROM setting WHERE name = ?", (name,))
    if on:
        connection.execute("INSERT INTO setting (name, value) VALUES (?, ?)", (name, _ON))
