"""The places of a statement where agents, activities and verbs stand."""

from collections.abc import Callable
from typing import Any

from edgebox.domain.xapi.rules import CONTEXT_ACTIVITIES

Rewrite = Callable[[dict[str, Any]], dict[str, Any]]
_PEOPLE = ("Agent", "Group")


def rewrite(statement: dict[str, Any], *, agent: Rewrite, activity: Rewrite, verb: Rewrite) -> dict[str, Any]:
    """Return a copy of a valid statement with every agent or group, activity and verb replaced; members are not."""
    copy = dict(statement)
    for name in ("actor", "authority"):
        if name in copy:
            copy[name] = agent(copy[name])
    copy["verb"] = verb(copy["verb"])
    copy["object"] = _object(copy["object"], agent, activity, verb)
    if "context" in copy:
        copy["context"] = _context(copy["context"], agent, activity)
    return copy


def activities_of(statement: dict[str, Any]) -> list[str]:
    """Return the activities of a valid statement where they stand in it, one of them perhaps several times."""
    found: list[str] = []

    def note(activity: dict[str, Any]) -> dict[str, Any]:
        found.append(activity["id"])
        return activity

    rewrite(statement, agent=dict, activity=note, verb=dict)
    return found


def attachments_of(statement: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the attachments of a valid statement and of one nested in it."""
    return [one for holder in (statement, statement["object"]) for one in holder.get("attachments", ())]


def hashes_of(statement: dict[str, Any]) -> frozenset[str]:
    """Return the hashes of the files that a valid statement names, in lower case."""
    return frozenset(one["sha2"].lower() for one in attachments_of(statement))


def _object(value: dict[str, Any], agent: Rewrite, activity: Rewrite, verb: Rewrite) -> dict[str, Any]:
    kind = value.get("objectType", "Activity")
    if kind == "Activity":
        return activity(value)
    if kind in _PEOPLE:
        return agent(value)
    return rewrite(value, agent=agent, activity=activity, verb=verb) if kind == "SubStatement" else value


def _context(context: dict[str, Any], agent: Rewrite, activity: Rewrite) -> dict[str, Any]:
    copy = dict(context)
    for name in ("instructor", "team"):
        if name in copy:
            copy[name] = agent(copy[name])
    for name, person in (("contextAgents", "agent"), ("contextGroups", "group")):
        if name in copy:
            copy[name] = [{**around, person: agent(around[person])} for around in copy[name]]
    if "contextActivities" in copy:
        around = copy["contextActivities"]
        copy["contextActivities"] = {
            name: [activity(value) for value in as_list(around[name])] for name in CONTEXT_ACTIVITIES if name in around
        }
    return copy


def as_list(value: Any) -> list[Any]:
    """Return a context activity as the list it is returned as (1.0.3 part 2, 2.4.6.2)."""
    return value if isinstance(value, list) else [value]
