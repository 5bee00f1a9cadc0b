"""The definitions of activities that statements in the canonical form are filled with."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edgebox.domain.statement_out import own_definition
from edgebox.store import outside
from edgebox.store.statement_queries import PAGE_MAX_BYTES
from sync.records.activity import parse_activity


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
        definition, size_bytes = outside.find_definition(connection, iri)
    if definition is not None:
        found.by_iri[iri] = definition
    return size_bytes
