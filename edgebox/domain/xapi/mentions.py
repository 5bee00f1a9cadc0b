"""Whom and what a statement mentions, for the filters of a list (1.0.3 part 3, 2.1.3; 2.0, 4.1.6.1)."""

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from typing import Any

from content_packs.base import ids
from edgebox.domain.xapi.agents import identifier_of
from edgebox.domain.xapi.places import rewrite

_ROLE_BITS = 4
_HASH_BITS = 59


class Role(IntEnum):
    """How something is mentioned. The numbers are in the database."""

    VERB = 0
    ACTIVITY = 1  # the object
    ACTIVITY_AROUND = 2  # the object, in the context or in a nested statement
    AGENT = 3  # the actor or the object
    AGENT_AROUND = 4  # also in the context, a group, a nested statement or as the authority
    REGISTRATION = 5
    CLIENT = 6  # the credential it came with
    PERSON = 7  # the actor, as a person of the box
    ANY = 8  # every statement, under the number 0


@dataclass(frozen=True, slots=True)
class Mentions:
    """What one statement mentions.

    Attributes:
        activities: IRIs, with the definition that the statement gives, if it does.
        agents: identifiers, with the name that the statement gives, if it does.
    """

    verb: str
    object_activity: str | None
    object_agents: frozenset[str]
    activities: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    agents: dict[str, str | None] = field(default_factory=dict)
    registration: bytes | None = None


def term_of(role: Role, number: int) -> int:
    """Return the number under which the statements are listed that mention something in a role."""
    return number << _ROLE_BITS | role


def registration_number(registration: bytes) -> int:
    """Return the number of a registration; two of the same number are not to be expected."""
    return int.from_bytes(blake2b(registration, digest_size=8).digest(), "big") >> (64 - _HASH_BITS)


def mentions_of(statement: dict[str, Any]) -> Mentions:
    """Return what a valid statement mentions."""
    activities: dict[str, dict[str, Any] | None] = {}
    agents: dict[str, str | None] = {}

    def note_agent(agent: dict[str, Any]) -> dict[str, Any]:
        for each in (agent, *agent.get("member", ())):
            if (identifier := identifier_of(each)) is not None:
                agents[identifier] = each.get("name") or agents.get(identifier)
        return agent

    def note_activity(activity: dict[str, Any]) -> dict[str, Any]:
        activities[activity["id"]] = activity.get("definition") or activities.get(activity["id"])
        return activity

    rewrite(statement, agent=note_agent, activity=note_activity, verb=dict)
    value = statement["object"]
    kind = value.get("objectType", "Activity")
    named = [identifier_of(statement["actor"]), identifier_of(value) if kind in ("Agent", "Group") else None]
    registration = statement.get("context", {}).get("registration")
    return Mentions(
        verb=statement["verb"]["id"],
        object_activity=value["id"] if kind == "Activity" else None,
        object_agents=frozenset(identifier for identifier in named if identifier is not None),
        activities=activities,
        agents=agents,
        registration=ids.parse_uuid(registration) if registration else None,
    )


def target_of(statement: dict[str, Any]) -> bytes | None:
    """Return the id of the statement that this one is about."""
    value = statement["object"]
    return ids.parse_uuid(value["id"]) if value.get("objectType") == "StatementRef" else None
