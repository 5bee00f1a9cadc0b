"""The small numbers of verbs and activities: kept in memory, made in the transaction that needs them first.

What only statements have that stay on the box has a number too, but is not in the log, so that it stays as well.
"""

import sqlite3
from dataclasses import dataclass

from edgebox.store import row_seals
from edgebox.store.log import append_change, number_key
from sync.records.activity import Activity
from sync.records.kinds import Kind

_CACHED_MAX = 50_000
_VERBS = "SELECT iri, no FROM verb WHERE stays = 0 LIMIT ?"
_ACTIVITIES = "SELECT iri, no FROM activity WHERE stays = 0 LIMIT ?"


@dataclass(frozen=True, slots=True)
class _Table:
    kind: Kind
    find: str
    insert: str
    let_go: str


_VERB = _Table(
    Kind.VERB,
    "SELECT no, stays FROM verb WHERE iri = ?",
    "INSERT INTO verb (iri, stays) VALUES (?, ?)",
    "UPDATE verb SET stays = 0 WHERE no = ?",
)
_ACTIVITY = _Table(
    Kind.ACTIVITY,
    "SELECT no, stays FROM activity WHERE iri = ?",
    "INSERT INTO activity (iri, pack, resource, item, stays) VALUES (?, ?, ?, ?, ?)",
    "UPDATE activity SET stays = 0 WHERE no = ?",
)


class Registry:
    """Committed numbers of what may leave the box. Only `learn` adds to them, and it is called after the commit."""

    def __init__(self, verbs: dict[str, int], activities: dict[str, int]) -> None:
        self.verbs = verbs
        self.activities = activities

    def learn(self, numbers: "Numbers") -> None:
        """Take over what a job found, now that it is committed."""
        # Outside clients bring verbs of their own, so neither table may grow without end; the rest is looked up.
        if len(self.verbs) < _CACHED_MAX:
            self.verbs.update(numbers.found_verbs)
        if len(self.activities) < _CACHED_MAX:
            self.activities.update(numbers.found_activities)


def load(connection: sqlite3.Connection) -> Registry:
    """Return the numbers in the database."""
    verbs = connection.execute(_VERBS, (_CACHED_MAX,)).fetchall()
    activities = connection.execute(_ACTIVITIES, (_CACHED_MAX,)).fetchall()
    return Registry(dict(map(tuple, verbs)), dict(map(tuple, activities)))


class Numbers:
    """The numbers as one run of a job sees them; what is not in memory is looked up or made."""

    def __init__(self, connection: sqlite3.Connection, registry: Registry) -> None:
        self._connection = connection
        self._registry = registry
        self.found_verbs: dict[str, int] = {}
        self.found_activities: dict[str, int] = {}
        self._staying: dict[str, int] = {}  # activities: a request may name one in each of its statements

    def of_verb(self, iri: str, *, stays: bool = False) -> int:
        """Return the number of a verb; `stays` says that a statement has it which does not leave the box."""
        no = self._registry.verbs.get(iri) or self.found_verbs.get(iri)
        if no is None:
            no = self._find_or_make(_VERB, (iri,), stays=stays)
            if not stays:
                self.found_verbs[iri] = no
        return no

    def of_activity(self, activity: Activity, *, stays: bool = False) -> int:
        """Return the number of an activity; `stays` as for a verb, or a statement has it around its object."""
        iri = activity.iri
        no = self._registry.activities.get(iri) or self.found_activities.get(iri)
        if no is None and stays:
            no = self._staying.get(iri)
        if no is None:
            no = self._find_or_make(_ACTIVITY, (iri, activity.pack, activity.resource, activity.item), stays=stays)
            (self._staying if stays else self.found_activities)[iri] = no
        return no

    def _find_or_make(self, table: _Table, values: tuple[str | None, ...], *, stays: bool) -> int:
        row = self._connection.execute(table.find, values[:1]).fetchone()
        if row is None:
            no, is_in_log = int(self._connection.execute(table.insert, (*values, stays)).lastrowid or 0), False
            row_seals.seal(self._connection, table.kind.name.lower(), no)
        else:
            no, is_in_log = int(row[0]), not row[1]
        if not stays and not is_in_log:
            if row is not None:
                self._connection.execute(table.let_go, (no,))
            append_change(self._connection, table.kind, number_key(no))
        return no
