"""Agents and groups: what tells one from another, and the Person object (1.0.3 part 3, 2.4; 2.0, 4.1.6.3)."""

from collections.abc import Iterable
from typing import Any

from edgebox.domain.xapi.rules import IDENTIFIERS


def identifier_of(agent: dict[str, Any]) -> str | None:
    """Return the text that is equal for equal agents, None for a group without an identifier."""
    for name in IDENTIFIERS:
        if name == "account" and name in agent:
            return f"account:{agent[name]['homePage']} {agent[name]['name']}"
        if name in agent:
            value = str(agent[name])
            return f"{name}:{value.lower() if name == 'mbox_sha1sum' else value}"
    return None


def minimal_agent(agent: dict[str, Any]) -> dict[str, Any]:
    """Return what identifies an agent or group; of a group without an identifier that is its members."""
    kept = {name: agent[name] for name in ("objectType", *IDENTIFIERS) if name in agent}
    if identifier_of(agent) is None and "member" in agent:
        kept["member"] = [minimal_agent(member) for member in agent["member"]]
    return kept


def person_object(agent: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return all that is known of an agent, every property a list."""
    person: dict[str, Any] = {"objectType": "Person"}
    known = list(dict.fromkeys([*([agent["name"]] if "name" in agent else []), *names]))
    if known:
        person["name"] = known
    return person | {name: [agent[name]] for name in IDENTIFIERS if name in agent}
