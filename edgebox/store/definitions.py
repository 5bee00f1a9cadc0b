"""The definitions of activities: merged from what clients give, for statements in the canonical form."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgebox.domain.statement_out import own_definition
from edgebox.domain.statements import Outside
from edgebox.domain.xapi.formats import merge_definitions
from edgebox.store.registry import Numbers
from edgebox.store.statement_queries import PAGE_MAX_BYTES
from sync.records.activity import parse_activity

DEFINITION_MAX_CHARACTERS = 64 * 1024  # it grows with every language that somebody adds
CHANGED_MAX_CHARACTERS = 2 * 1024 * 1024  # of what is kept already, read and written again for one request
_FIND = "SELECT content FROM definition WHERE activity_no = ?"
_IS_THERE = "SELECT 1 FROM definition WHERE activity_no = ?"
_FIND_BY_IRI = "SELECT content FROM definition JOIN activity ON activity.no = activity_no WHERE iri = ?"
_STORE = """
INSERT INTO definition (activity_no, content) VALUES (?, ?)
ON CONFLICT (activity_no) DO UPDATE SET content = excluded.content
"""


@dataclass(slots=True)
class Definitions:
    """What the box has of the activities of some statements.

    Attributes:
        fitting: how many of the statements fit into a page with their definitions, from the first one on.
        size_bytes: how large the definitions of those are together, each counted as often as it is given.
    """

    by_iri: dict[str, dict[str, Any]] = field(default_factory=dict)
    fitting: int = 0
    size_bytes: int = 0


def find_definitions(
    connection: sqlite3.Connection, mentioned: Sequence[Sequence[str]], *, limit_bytes: int = PAGE_MAX_BYTES
) -> Definitions:
    """Return the definitions of the activities of each statement, until they are too large together.

    The first statement gets all of its own in any case.

    Args:
        mentioned: for each statement the activities where they stand in it, so perhaps one of them several times.
    """
    found = Definitions()
    sizes_bytes: dict[str, int] = {}
    for iris in mentioned:
        for iri in iris:
            if iri not in sizes_bytes:
                sizes_bytes[iri] = _find(connection, iri, found)
        size_bytes = sum(sizes_bytes[iri] for iri in iris)
        if found.fitting and found.size_bytes + size_bytes > limit_bytes:
            break
        found.fitting += 1
        found.size_bytes += size_bytes
    return found


def _find(connection: sqlite3.Connection, iri: str, found: Definitions) -> int:
    definition, size_bytes = own_definition(parse_activity(iri)), 0
    if definition is None:
        row = connection.execute(_FIND_BY_IRI, (iri,)).fetchone()
        definition, size_bytes = (None, 0) if row is None else (json.loads(row[0]), len(row[0]))
    if definition is not None:
        found.by_iri[iri] = definition
    return size_bytes


def define(connection: sqlite3.Connection, numbers: Numbers, brought: Sequence[Outside]) -> None:
    """Merge the definitions that statements of one sender brought into those that are kept, each activity once.

    A learner's page gives one only where there is none. Of what is too large, or too much to be read and written again
    at once, the definition stays as it is (1.0.3 part 2, 2.4.4.1: whether to change it is up to the record store); the
    statements have what they were sent with.
    """
    given: dict[str, list[Mapping[str, Any]]] = {}
    for outside in brought:
        for iri, definition in outside.mentions.activities.items():
            if definition is not None:
                given.setdefault(iri, []).append(definition)
    left = CHANGED_MAX_CHARACTERS if all(outside.client_no is not None for outside in brought) else 0
    for iri, several in given.items():
        left -= _define(connection, numbers, iri, several, may_change=left > 0)


def _define(
    connection: sqlite3.Connection, numbers: Numbers, iri: str, given: Sequence[Mapping[str, Any]], *, may_change: bool
) -> int:
    """Return how large the one was that was kept, if it was read for this."""
    activity = parse_activity(iri)
    if activity.pack is not None:
        return 0  # what is in a pack is defined by the pack
    no = numbers.of_activity(activity, stays=True)
    row = connection.execute(_FIND if may_change else _IS_THERE, (no,)).fetchone()
    if row is not None and not may_change:
        return 0
    known = None if row is None else json.loads(row[0])
    merged = merge_definitions(known, given)
    if merged != known:
        content = json.dumps(merged, ensure_ascii=False, separators=(",", ":"))
        if len(content) <= DEFINITION_MAX_CHARACTERS:
            connection.execute(_STORE, (no, content))
    return 0 if row is None else len(row[0])
