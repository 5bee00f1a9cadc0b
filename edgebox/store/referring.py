"""What a reader of some statements may find by one about another: nothing of those that are out of reach."""

import sqlite3
from collections.abc import Callable

from edgebox.domain.statement_out import write_out
from edgebox.domain.statements import StoredStatement
from edgebox.domain.xapi.mentions import Mentions, mentions_of
from edgebox.store.statement_filters import Filter, Reach
from edgebox.store.statement_queries import Page, find_statement, list_statements

_FOLLOWED_MAX = 8
_EVERYTHING = Reach()
_TARGET = "SELECT target FROM outside WHERE id = ? AND target IS NOT NULL"


def list_readable(
    connection: sqlite3.Connection, wanted: Filter, reach: Reach, start_seq: int | None, limit: int, home_page: str
) -> Page:
    """Return a page of those statements whose finding tells nothing of one that may not be read.

    A statement about another one is found by that one's terms too, whoever wrote either of them. So it counts only if
    what is wanted is in itself, or in the statements it leads to by way of such as may be read.
    """
    conditions = _conditions(wanted)
    if reach == _EVERYTHING or not conditions:
        return list_statements(connection, wanted, reach, start_seq, limit)

    def is_found(statement: StoredStatement) -> bool:
        return _meets(connection, statement, conditions, reach, home_page)

    return list_statements(connection, wanted, reach, start_seq, limit, is_found=is_found)


_Condition = Callable[[Mentions], bool]


def _conditions(wanted: Filter) -> list[_Condition]:
    conditions: list[_Condition] = []
    if wanted.verb is not None:
        conditions.append(lambda mentions: mentions.verb == wanted.verb)
    if wanted.agent is not None:
        conditions.append(
            lambda mentions: wanted.agent in (mentions.agents if wanted.related_agents else mentions.object_agents)
        )
    if wanted.activity is not None:
        conditions.append(
            lambda mentions: (
                wanted.activity in (mentions.activities if wanted.related_activities else (mentions.object_activity,))
            )
        )
    if wanted.registration is not None:
        conditions.append(lambda mentions: mentions.registration == wanted.registration)
    return conditions


def _meets(
    connection: sqlite3.Connection,
    statement: StoredStatement,
    conditions: list[_Condition],
    reach: Reach,
    home_page: str,
) -> bool:
    row = connection.execute(_TARGET, (statement.id,)).fetchone()
    if row is None:
        return True  # it was found by what it says itself
    chain = [mentions_of(write_out(statement, home_page))]
    while row is not None and len(chain) <= _FOLLOWED_MAX:
        target = find_statement(connection, row[0], reach)
        if target is None:
            break
        chain.append(mentions_of(write_out(target, home_page)))
        row = connection.execute(_TARGET, (target.id,)).fetchone()
    return all(any(meets(mentions) for mentions in chain) for meets in conditions)
