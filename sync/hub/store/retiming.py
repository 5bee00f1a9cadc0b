"""Times of statements as they were, where a box's clock was wrong: the rules of `sync.records.retiming` as SQL.

Only the boots that told wrong times are joined, and each with the time at which the next one began, so a hub whose
boxes had the right time pays nothing.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, func, or_, select

from sync.hub.store.schema import boot, statement


def wrong_boots() -> FromClause:
    """Return the boots whose times are to be repaired, each with its end; to be joined by `is_told_in`."""
    next_start = func.lead(boot.c.start_ms).over(partition_by=boot.c.box_no, order_by=boot.c.start_ms)
    boots = select(boot.c.box_no, boot.c.start_ms, boot.c.offset_ms, next_start.label("end_ms")).subquery()
    return select(boots).where(boots.c.offset_ms != 0).subquery("wrong_boot")


def is_told_in(boots: FromClause) -> ColumnElement[bool]:
    """Return the condition under which the time of a statement was told by its box in a boot that was wrong.

    Not what an outside client gave, and not what the box told in a boot when its clock was further on.
    """
    told_ms = statement.c.timestamp_ms
    return and_(
        boots.c.box_no == statement.c.box_no,
        told_ms >= boots.c.start_ms,
        or_(boots.c.end_ms.is_(None), told_ms < boots.c.end_ms),
        told_ms <= statement.c.stored_ms,
        or_(statement.c.device_no.is_not(None), told_ms == statement.c.stored_ms),
    )


def repaired_ms(boots: FromClause) -> ColumnElement[int]:
    """Return the time of a statement, after an outer join."""
    return statement.c.timestamp_ms + func.coalesce(boots.c.offset_ms, 0)


def is_repaired(boots: FromClause) -> ColumnElement[Any]:
    """Return 1 when the time of a statement is another than the one it came with."""
    return case((boots.c.offset_ms.is_not(None), 1), else_=0)
