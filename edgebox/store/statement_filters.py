"""From what is asked for to what is looked up: numbers of people, verbs and activities, and ranges of the log."""

import json
import sqlite3
from dataclasses import dataclass

from edgebox.domain.cmi5.session import Launch
from edgebox.domain.statements import StoredStatement
from edgebox.domain.xapi.agents import identifier_of
from edgebox.domain.xapi.mentions import Role, registration_number, term_of
from edgebox.store import agents, seals, stretches
from edgebox.store.boots import find_timeline
from edgebox.store.listing import Group
from edgebox.store.stretches import Range
from sync.records.activity import parse_activity, parse_pack
from sync.records.kinds import Kind

_VERB = "SELECT no FROM verb WHERE iri = ?"
_ACTIVITY = "SELECT no FROM activity WHERE iri = ?"
_PART_OF_PACK = "SELECT no FROM activity WHERE pack = ?"
_PART_OF_RESOURCE = "SELECT no FROM activity WHERE pack = ? AND resource = ?"
_ATTEMPT_MASK = (1 << 48) - 1
_BACK = "SELECT key FROM change WHERE kind = ? ORDER BY seq DESC"
_WHOLE = "SELECT * FROM statement WHERE id = ?"
_WAS_MENDED = "SELECT 1 FROM damaged_statement WHERE id = ? AND found_ms > ?"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which statements are wanted; None does not restrict.

    Attributes:
        agent: identifier of an agent or group (`edgebox.domain.xapi.agents`).
        person_no: the person of this box whom `agent` names, if it does.
    """

    agent: str | None = None
    person_no: int | None = None
    verb: str | None = None
    activity: str | None = None
    registration: bytes | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    is_ascending: bool = False
    related_agents: bool = False
    related_activities: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """Which statements somebody may read.

    Attributes:
        people: those of these people only; None for everybody's.
        client_no: those that came with this credential only.
        is_school: those whose actor is a person of this box only.
        launch: those of its learner in its registration only.
    """

    people: frozenset[int] | None = None
    client_no: int | None = None
    is_school: bool = False
    launch: Launch | None = None

    def covers(self, statement: StoredStatement) -> bool:
        """Tell whether a statement may be read."""
        if self.people is not None and statement.person_no not in self.people:
            return False
        if self.client_no is not None and statement.client_no != self.client_no:
            return False
        if self.launch is not None and not _is_of(self.launch, statement):
            return False
        return not self.is_school or statement.person_no is not None


def _is_of(launch: Launch, statement: StoredStatement) -> bool:
    if statement.registration != launch.registration or statement.person_no != launch.person_no:
        return False
    if statement.person_no is not None:
        return True
    return identifier_of(json.loads(statement.body or b"{}").get("actor", {})) == launch.agent


@dataclass(frozen=True, slots=True)
class Conditions:
    """What must hold; None where nothing can.

    Attributes:
        own: for statements of our own pages.
        outside: for those of outside clients, each condition the terms of which one must be there, as JSON.
    """

    own: list[Group] | None
    outside: list[str] | None


def conditions_of(connection: sqlite3.Connection, wanted: Filter, reach: Reach) -> Conditions:
    """Return what must hold for a statement to be wanted, times apart; what is rarest, as a rule, comes first."""
    return Conditions(_own(connection, wanted, reach), _outside(connection, wanted, reach))


def _own(connection: sqlite3.Connection, wanted: Filter, reach: Reach) -> list[Group] | None:
    if reach.client_no is not None:
        return None
    groups = []
    if wanted.agent is not None:
        groups.append(Group(Role.PERSON, () if wanted.person_no is None else (wanted.person_no,)))
    if wanted.registration is not None:
        groups.append(Group(Role.REGISTRATION, (int.from_bytes(wanted.registration, "big") & _ATTEMPT_MASK,)))
    if wanted.activity is not None:
        groups.append(Group(Role.ACTIVITY, _activities(connection, wanted.activity, related=wanted.related_activities)))
    if wanted.verb is not None:
        groups.append(Group(Role.VERB, _numbers(connection, _VERB, wanted.verb)))
    if reach.people is not None:
        groups.append(Group(Role.PERSON, tuple(sorted(reach.people))))
    return groups if all(group.numbers for group in groups) else None


def _outside(connection: sqlite3.Connection, wanted: Filter, reach: Reach) -> list[str] | None:
    groups: list[list[int]] = []
    if wanted.registration is not None:
        groups.append([term_of(Role.REGISTRATION, registration_number(wanted.registration))])
    if wanted.agent is not None:
        found = agents.find_agent(connection, wanted.agent)
        role = Role.AGENT_AROUND if wanted.related_agents else Role.AGENT
        groups.append([] if found is None else [term_of(role, found[0])])
    if wanted.activity is not None:
        role = Role.ACTIVITY_AROUND if wanted.related_activities else Role.ACTIVITY
        groups.append([term_of(role, no) for no in _numbers(connection, _ACTIVITY, wanted.activity)])
    if wanted.verb is not None:
        groups.append([term_of(Role.VERB, no) for no in _numbers(connection, _VERB, wanted.verb)])
    if reach.people is not None:
        groups.append([term_of(Role.PERSON, no) for no in reach.people])
    if reach.client_no is not None:
        groups.append([term_of(Role.CLIENT, reach.client_no)])
    return [str(group) for group in groups or [[term_of(Role.ANY, 0)]]] if all(groups) else None


def _activities(connection: sqlite3.Connection, iri: str, *, related: bool) -> tuple[int, ...]:
    """Return the activity; with `related`, also the parts of the resource or pack that it is."""
    numbers = _numbers(connection, _ACTIVITY, iri)
    activity = parse_activity(iri)
    if related and (pack := parse_pack(iri)) is not None:
        numbers += _numbers(connection, _PART_OF_PACK, pack)
    elif related and activity.pack is not None and activity.item is None:
        numbers += _numbers(connection, _PART_OF_RESOURCE, activity.pack, activity.resource)
    return tuple(dict.fromkeys(numbers))


def _numbers(connection: sqlite3.Connection, query: str, *values: str | None) -> tuple[int, ...]:
    return tuple(row[0] for row in connection.execute(query, values))


def find_ranges(connection: sqlite3.Connection, wanted: Filter, last_seq: int) -> list[Range]:
    """Return the ranges of the log, in order, where the statements are that were stored between the two times."""
    if wanted.since_ms is None and wanted.until_ms is None:
        return [(1, last_seq)]
    told = find_timeline(connection).find_told(wanted.since_ms, wanted.until_ms)
    return stretches.find_ranges(connection, told, last_seq)


def find_last_stored(connection: sqlite3.Connection) -> int:
    """Return when the last statement of the log was stored that is whole, 0 when there is none.

    One that was mended was stored earlier than its place says.
    """
    for (key,) in connection.execute(_BACK, (int(Kind.STATEMENT),)):
        names, rows = seals.select(connection, _WHOLE, (key,))
        if rows and seals.is_whole(names, rows[0]):
            stored_ms = int(rows[0][names.index("stored_ms")])
            if connection.execute(_WAS_MENDED, (key, stored_ms)).fetchone() is None:
                return stored_ms
    return 0
