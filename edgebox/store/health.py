"""The row that tells the hub how this box is."""

import sqlite3
from dataclasses import dataclass

from edgebox.store import merged, stamping
from edgebox.store.writing import put
from sync.records.kinds import Kind
from sync.records.rows import Health
from sync.records.stamps import stamp_ms

_COUNT = """
SELECT (SELECT count(*) FROM class WHERE removed_ms IS NULL),
       (SELECT count(*) FROM person WHERE role = 'learner' AND removed_ms IS NULL),
       (SELECT count(*) FROM pack WHERE is_active = 1), (SELECT coalesce(sum(statements), 0) FROM chain)
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What is on the box."""

    classes: int
    learners: int
    packs: int
    statements: int


def count(connection: sqlite3.Connection) -> Counts:
    """Return what is on the box."""
    return Counts(*connection.execute(_COUNT).fetchone())


def find_last_ms(connection: sqlite3.Connection) -> int | None:
    """Return when the health was written last."""
    held = merged.find(connection, Kind.HEALTH, stamping.find_origin(connection))
    return None if held is None else stamp_ms(held.stamp)


def write(
    connection: sqlite3.Connection,
    counts: Counts,
    *,
    version: str,
    uptime_seconds: int,
    free_bytes: int,
    total_bytes: int,
    now_ms: int,
) -> None:
    """Write how the box is now, in place of what was written before."""
    put(
        connection,
        Health(
            version=version,
            uptime_seconds=uptime_seconds,
            free_bytes=free_bytes,
            total_bytes=total_bytes,
            classes=counts.classes,
            learners=counts.learners,
            packs=counts.packs,
            statements=counts.statements,
            stamp=stamping.make_stamp(connection, now_ms),
            origin=stamping.find_origin(connection),
        ),
    )
