"""Rows of `install_job`: one per install that was asked for."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class JobState(Enum):
    """Where an install stands."""

    WAITING = "waiting"
    COPYING = "copying"
    STICK_GONE = "stick_gone"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_open(self) -> bool:
        """Return whether the install still wants to go on."""
        return self in (JobState.WAITING, JobState.COPYING, JobState.STICK_GONE)


@dataclass(frozen=True)
class InstallJob:
    """One install.

    Attributes:
        folder: where the pack was offered.
        error: code and fields of what went wrong, as `EdgeboxError.as_record` gives them.
    """

    no: int
    folder: str
    pack: str
    version: int
    state: JobState
    done_bytes: int
    total_bytes: int
    error: dict[str, Any] | None
    started_ms: int
    updated_ms: int


@dataclass(frozen=True)
class Wanted:
    """An install that is asked for; with `error` it has failed before it began, and is shown with the others."""

    folder: str
    pack: str
    version: int
    total_bytes: int
    error: dict[str, Any] | None = None


def insert_jobs(connection: sqlite3.Connection, wanted: Sequence[Wanted], now_ms: int) -> list[int]:
    """Add installs that are asked for together, and return their numbers in order."""
    numbers = []
    for one in wanted:
        no = insert_job(
            connection,
            folder=one.folder,
            pack=one.pack,
            version=one.version,
            total_bytes=one.total_bytes,
            now_ms=now_ms,
        )
        if one.error is not None:
            update_job(connection, no, JobState.FAILED, error=one.error, now_ms=now_ms)
        numbers.append(no)
    return numbers


def insert_job(
    connection: sqlite3.Connection, *, folder: str, pack: str, version: int, total_bytes: int, now_ms: int
) -> int:
    """Add a waiting install and return its number; an open one of the same pack and version is returned instead."""
    row = connection.execute(
        "SELECT no FROM install_job WHERE pack = ? AND version = ? AND state IN ('waiting', 'copying', 'stick_gone')",
        (pack, version),
    ).fetchone()
    if row is not None:
        connection.execute("UPDATE install_job SET folder = ?, updated_ms = ? WHERE no = ?", (folder, now_ms, row[0]))
        return int(row[0])
    cursor = connection.execute(
        "INSERT INTO install_job (folder, pack, version, state, total_bytes, started_ms, updated_ms)"
        " VALUES (?, ?, ?, 'waiting', ?, ?, ?)",
        (folder, pack, version, total_bytes, now_ms, now_ms),
    )
    return int(cursor.lastrowid or 0)


def update_job(
    connection: sqlite3.Connection, no: int, state: JobState, *, error: dict[str, Any] | None = None, now_ms: int
) -> None:
    """Set the state of an install, unless it has ended already."""
    text = None if error is None else json.dumps(error, default=str)
    connection.execute(
        "UPDATE install_job SET state = ?, error = ?, updated_ms = ?"
        " WHERE no = ? AND state IN ('waiting', 'copying', 'stick_gone')",
        (state.value, text, now_ms, no),
    )


def update_job_progress(
    connection: sqlite3.Connection, no: int, *, done_bytes: int, total_bytes: int, now_ms: int
) -> None:
    """Write how far an install is."""
    connection.execute(
        "UPDATE install_job SET done_bytes = ?, total_bytes = ?, updated_ms = ? WHERE no = ?",
        (done_bytes, total_bytes, now_ms, no),
    )


def find_job(connection: sqlite3.Connection, no: int) -> InstallJob | None:
    """Return one install."""
    row = connection.execute("SELECT * FROM install_job WHERE no = ?", (no,)).fetchone()
    return None if row is None else _job(row)


def list_open_jobs(connection: sqlite3.Connection) -> list[InstallJob]:
    """Return the installs that want to go on, oldest first."""
    rows = connection.execute(
        "SELECT * FROM install_job WHERE state IN ('waiting', 'copying', 'stick_gone') ORDER BY no"
    )
    return [_job(row) for row in rows]


def list_recent_jobs(connection: sqlite3.Connection, limit: int) -> list[InstallJob]:
    """Return the latest installs, newest first."""
    rows = connection.execute("SELECT * FROM install_job ORDER BY no DESC LIMIT ?", (limit,))
    return [_job(row) for row in rows]


def list_run(connection: sqlite3.Connection) -> list[InstallJob]:
    """Return the installs of this run, oldest first: from the first that is open on, or those last asked for.

    Installs that are asked for together have one `started_ms`.
    """
    rows = connection.execute(
        "SELECT * FROM install_job WHERE started_ms >= coalesce("
        "(SELECT min(started_ms) FROM install_job WHERE state IN ('waiting', 'copying', 'stick_gone')),"
        " (SELECT max(started_ms) FROM install_job)) ORDER BY no"
    )
    return [_job(row) for row in rows]


def _job(row: Any) -> InstallJob:
    no, folder, pack, version, state, done_bytes, total_bytes, error, started_ms, updated_ms = row
    return InstallJob(
        no=no,
        folder=folder,
        pack=pack,
        version=version,
        state=JobState(state),
        done_bytes=done_bytes,
        total_bytes=total_bytes,
        error=None if error is None else json.loads(error),
        started_ms=started_ms,
        updated_ms=updated_ms,
    )
