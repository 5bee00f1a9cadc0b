"""What a box of a school has not been told yet: a log of every row that the hub wrote or another box brought."""

from sqlalchemy import Connection

from sync.records.rows import Record


def read_due(
    connection: Connection, school_no: int, box_no: int, after: int, max_records: int
) -> tuple[list[Record], int]:
    """Return the records that are due to a box behind place `after` of the log, and the place they reach through."""
    raise NotImplementedError
