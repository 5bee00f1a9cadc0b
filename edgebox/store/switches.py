"""Switches of the box, that staff turn or the hub's answers do."""

import sqlite3

from edgebox.store.writing import write_fact
from sync.records.facts import OFF, ON, SCHOOL_ID, Entity, SettingField

LOCAL_SCRIPTS = "local_scripts"
COARSE_TIMES = "coarse_times"
HUB_READS_SHORT = "hub_reads_short"
_ON = "1"
_FIELDS = {LOCAL_SCRIPTS: SettingField.LOCAL_SCRIPTS}


def is_on(connection: sqlite3.Connection, name: str) -> bool:
    """Return whether a switch is on; all are off at first."""
    row = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return row is not None and row[0] == _ON


def turn(connection: sqlite3.Connection, name: str, *, on: bool, now_ms: int) -> None:
    """Turn a switch, here and at the other boxes of the school; safe to repeat."""
    set_switch(connection, name, on=on)
    write_fact(connection, Entity.SETTING, SCHOOL_ID, _FIELDS[name], ON if on else OFF, now_ms=now_ms)


def set_switch(connection: sqlite3.Connection, name: str, *, on: bool) -> None:
    """Turn a switch of this box alone, as the school has it; safe to repeat."""
    connection.execute("DELETE FROM setting WHERE name = ?", (name,))
    if on:
        connection.execute("INSERT INTO setting (name, value) VALUES (?, ?)", (name, _ON))
