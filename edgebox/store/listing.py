"""Statements of our own pages by whom and what they are about: lists made in blocks of the log, long after the writing.

An index on each column would have every statement touch three more pages of the disk. A block of the log is made into
lists once it is full, a few thousand rows at a time; the part of the log that is not listed yet is looked through. What
is listed follows from the columns, so it may be dropped and made again.
"""

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from edgebox.domain.xapi.mentions import Role, term_of
from edgebox.store import seals
from sync.records.kinds import Kind

BLOCK = 1 << 12  # a place in a block takes two bytes
_ALL = term_of(Role.ANY, 0)
_ROWS = """
SELECT change.seq, statement.person_no, statement.verb_no, statement.activity_no, statement.attempt_seq
FROM change CROSS JOIN statement ON statement.id = change.key
WHERE change.kind = ? AND change.seq BETWEEN ? AND ? AND statement.body IS NULL
"""
_SEALED = """
SELECT change.seq, statement.* FROM change CROSS JOIN statement ON statement.id = change.key
WHERE change.kind = ? AND change.seq BETWEEN ? AND ? AND statement.body IS NULL
"""
_SEALED_AT_ONCE = 256
_COLUMNS = {
    Role.PERSON: "statement.person_no",
    Role.VERB: "statement.verb_no",
    Role.ACTIVITY: "statement.activity_no",
    Role.REGISTRATION: "statement.attempt_seq",
}
_LISTED = "SELECT coalesce(max(block), -1) + 1 FROM listing WHERE term = ?"
_LAST = "SELECT coalesce(max(seq), 0) FROM change"
_STORE = "INSERT OR REPLACE INTO listing (term, block, places) VALUES (?, ?, ?)"
_FIND = "SELECT places FROM listing WHERE term = ? AND block = ?"
_DROP = "DELETE FROM listing WHERE term = ? AND block = ?"
_PLACES = "SELECT places FROM listing WHERE block = ? AND term IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Group:
    """A condition on statements of our own pages: a column has one of these numbers."""

    role: Role
    numbers: tuple[int, ...]

    @property
    def terms(self) -> str:
        """Return the terms as SQLite reads them from JSON."""
        return str([term_of(self.role, number) for number in self.numbers])


@dataclass(frozen=True, slots=True)
class Listed:
    """A statement of our own pages as lists have it.

    Attributes:
        seq: its place in the log.
        numbers: of its person, verb, activity and attempt, as far as it has them.
    """

    seq: int
    numbers: tuple[int | None, ...]


Lists = dict[int, bytes]


def count_listed(connection: sqlite3.Connection) -> int:
    """Return how many blocks of the log are listed, from its beginning."""
    return int(connection.execute(_LISTED, (_ALL,)).fetchone()[0])


def drop(connection: sqlite3.Connection) -> None:
    """Forget all lists, because places in the log changed; they are made again block by block."""
    connection.execute("DELETE FROM listing")


def find_due_block(connection: sqlite3.Connection) -> int | None:
    """Return the next block to be listed, None when none is full."""
    block = count_listed(connection)
    return block if connection.execute(_LAST).fetchone()[0] >= (block + 1) * BLOCK else None


def read_lists(connection: sqlite3.Connection, block: int) -> Lists:
    """Return the lists of a block; a statement that is damaged is in none."""
    lists: dict[int, array[int]] = {_ALL: array("H")}
    first = block * BLOCK
    for seq, *numbers in _read_whole(connection, first):
        place = seq - first
        lists[_ALL].append(place)
        for role, number in zip(_COLUMNS, numbers, strict=True):
            if number is not None:
                lists.setdefault(term_of(role, number), array("H")).append(place)
    return {term: places.tobytes() for term, places in lists.items()}


def _read_whole(connection: sqlite3.Connection, first: int) -> Iterator[tuple[int, ...]]:
    for start in range(first, first + BLOCK, _SEALED_AT_ONCE):
        last = min(start + _SEALED_AT_ONCE, first + BLOCK) - 1
        names, rows = seals.select(connection, _SEALED, (int(Kind.STATEMENT), start, last))
        places = [names.index(column.removeprefix("statement.")) for column in _COLUMNS.values()]
        for row in rows:
            if seals.is_whole(names[1:], row[1:]):
                yield row[0], *(row[place] for place in places)


def store_lists(connection: sqlite3.Connection, block: int, lists: Lists) -> None:
    """Keep the lists of a block. Safe to repeat."""
    connection.executemany(_STORE, [(term, block, places) for term, places in sorted(lists.items())])


def take_out(connection: sqlite3.Connection, gone: Iterable[Listed]) -> None:
    """Take statements that were removed out of the lists of their blocks, which are listed. Safe to repeat."""
    places: dict[tuple[int, int], set[int]] = {}
    for each in gone:
        block, place = divmod(each.seq, BLOCK)
        terms = [_ALL, *(term_of(role, no) for role, no in zip(_COLUMNS, each.numbers, strict=True) if no is not None)]
        for term in terms:
            places.setdefault((term, block), set()).add(place)
    for (term, block), taken in places.items():
        row = connection.execute(_FIND, (term, block)).fetchone()
        left = array("H", [place for place in array("H", row[0]) if place not in taken]) if row is not None else None
        if left or (left is not None and term == _ALL):  # this one says that the block is listed
            connection.execute(_STORE, (term, block, left.tobytes()))
        elif left is not None:
            connection.execute(_DROP, (term, block))


def find_in_block(
    connection: sqlite3.Connection, block: int, groups: Sequence[Group], *, is_listed: bool
) -> tuple[list[int], int]:
    """Return the places in the log, in order, of the block's statements that meet all conditions.

    The second number is how many places were read for it.
    """
    if is_listed:
        return _from_lists(connection, block, groups)
    return _from_rows(connection, block, groups), BLOCK


def _from_lists(connection: sqlite3.Connection, block: int, groups: Sequence[Group]) -> tuple[list[int], int]:
    found: set[int] | None = None
    read = 0
    for terms in [group.terms for group in groups] or [str([_ALL])]:
        rows = connection.execute(_PLACES, (block, terms)).fetchall()
        places = set(chain.from_iterable(array("H", row[0]) for row in rows))
        read += len(places)
        found = places if found is None else found & places
        if not found:
            break
    return [block * BLOCK + place for place in sorted(found or ())], read


def _from_rows(connection: sqlite3.Connection, block: int, groups: Sequence[Group]) -> list[int]:
    query, values = _ROWS, [int(Kind.STATEMENT), block * BLOCK, (block + 1) * BLOCK - 1]
    for group in groups:
        query += f" AND {_COLUMNS[group.role]} IN (SELECT value FROM json_each(?))"  # noqa: S608 - a column of ours
        values.append(str(list(group.numbers)))  # type: ignore[arg-type]
    return [row[0] for row in connection.execute(f"{query} ORDER BY change.seq", values)]
