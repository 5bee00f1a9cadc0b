"""The small numbers of verbs and activities: kept in memory, made in the transaction that needs them first."""

import sqlite3

from edgebox.store.log import append_change, number_key
from sync.records.activity import Activity
from sync.records.kinds import Kind

_CACHED_MAX = 50_000
_VERBS = "SELECT iri, no FROM verb LIMIT ?"
_ACTIVITIES = "SELECT iri, no FROM activity LIMIT ?"
_FIND_VERB = "SELECT no FROM verb WHERE iri = ?"
_INSERT_VERB = "INSERT INTO verb (iri) VALUES (?)"
_FIND_ACTIVITY = "SELECT no FROM activity WHERE iri = ?"
_INSERT_ACTIVITY = "INSERT INTO activity (iri, pack, resource, item) VALUES (?, ?, ?, ?)"


class Registry:
    """Committed numbers. Only `learn` adds to them, and it is called after the commit."""

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

    def of_verb(self, iri: str) -> int:
        """Return the number of a verb."""
        no = self._registry.verbs.get(iri) or self.found_verbs.get(iri)
        if no is None:
            no = self._find(_FIND_VERB, iri) or self._make(Kind.VERB, _INSERT_VERB, (iri,))
            self.found_verbs[iri] = no
        return no

    def of_activity(self, activity: Activity) -> int:
        """Return the number of an activity."""
        iri = activity.iri
        no = self._registry.activities.get(iri) or self.found_activities.get(iri)
        if no is None:
            values = (iri, activity.pack, activity.resource, activity.item)
            no = self._find(_FIND_ACTIVITY, iri) or self._make(Kind.ACTIVITY, _INSERT_ACTIVITY, values)
            self.found_activities[iri] = no
        return no

    def _find(self, statement: str, iri: str) -> int | None:
        row = self._connection.execute(statement, (iri,)).fetchone()
        return None if row is None else int(row[0])

    def _make(self, kind: Kind, statement: str, values: tuple[str | None, ...]) -> int:
        no = int(self._connection.execute(statement, values).lastrowid or 0)
        append_change(self._connection, kind, number_key(no))
        return no
