"""The clock of a school at the hub: its stamps are above all that the hub made or saw for the school."""

from sqlalchemy import Connection, insert, select, update

from sync.hub.store.schema import school_clock
from sync.records.stamps import STAMP_MAX, following, observed


def make_stamp(connection: Connection, school_no: int, now_ms: int, above: int = 0) -> int:
    """Return the stamp of a write made now, and keep it as the highest.

    Args:
        above: the stamp of what the write replaces, see `sync.records.stamps.observed`.
    """
    stamp = following(_find(connection, school_no), now_ms)
    _put(connection, school_no, stamp)
    return min(max(stamp, above + 1), STAMP_MAX)


def observe(connection: Connection, school_no: int, stamps: list[int], now_ms: int) -> None:
    """Let later writes of the hub be above stamps that boxes made."""
    before = highest = _find(connection, school_no)
    for stamp in stamps:
        highest = observed(highest, stamp, now_ms)
    if highest != before:
        _put(connection, school_no, highest)


def _find(connection: Connection, school_no: int) -> int:
    found = connection.execute(select(school_clock.c.stamp).where(school_clock.c.school_no == school_no)).scalar()
    return int(found or 0)


def _put(connection: Connection, school_no: int, stamp: int) -> None:
    this = school_clock.c.school_no == school_no
    if connection.execute(update(school_clock).where(this).values(stamp=stamp)).rowcount == 0:
        connection.execute(insert(school_clock).values(school_no=school_no, stamp=stamp))
