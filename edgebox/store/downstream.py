"""What comes down from the hub: merged with what is here, and put into the tables that the pages read."""

import sqlite3
from collections.abc import Sequence

from sync.records.rows import Record


def apply_records(
    connection: sqlite3.Connection, records: Sequence[Record], *, origin: bytes, epoch: int, now_ms: int
) -> None:
    """Apply the records of one bundle of the hub in the caller's transaction. Safe to repeat.

    Raises:
        NumberUnresolved: a record names a number that nobody explained; the caller rolls back.
    """
    raise NotImplementedError
