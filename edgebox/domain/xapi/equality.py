"""When two statements are the same one (1.0.3 part 2, 2.3.1; 2.0, 4.2.2)."""

from typing import Any

from edgebox.domain.xapi.places import rewrite
from edgebox.domain.xapi.values import canonical_json
from sync.records.moments import parse_timestamp

_SET_BY_THE_STORE = frozenset({"id", "stored", "authority", "version"})
_WHOLE_MAX = 2**53  # beyond it a real number may stand for several whole ones


def comparable(statement: dict[str, Any], *, is_timed: bool = True) -> bytes:
    """Return bytes that are equal for valid statements that differ in nothing that counts.

    Definitions of activities, displays of verbs, the order of members, the time zone of times and the letters of ids
    do not count, nor does what a record store sets.

    Args:
        is_timed: whether the time of the statement counts.
    """
    not_compared = _SET_BY_THE_STORE if is_timed else _SET_BY_THE_STORE | {"timestamp"}
    kept = {name: value for name, value in statement.items() if name not in not_compared}
    return canonical_json(_plain(_normal(kept)))


def _normal(statement: dict[str, Any]) -> dict[str, Any]:
    found = rewrite(statement, agent=_agent, activity=_identified, verb=_identified)
    for part in (found, found["object"]):
        if "timestamp" in part:
            part["timestamp"] = parse_timestamp(part["timestamp"])
        if "registration" in part.get("context", {}):
            part["context"] = {**part["context"], "registration": part["context"]["registration"].lower()}
    if found["object"].get("objectType") == "StatementRef":
        found["object"] = {**found["object"], "id": found["object"]["id"].lower()}
    return found


def _agent(value: dict[str, Any]) -> dict[str, Any]:
    found = {"objectType": "Agent", **value}
    if "member" in found:
        found["member"] = sorted((_agent(member) for member in found["member"]), key=canonical_json)
    return found


def _identified(value: dict[str, Any]) -> dict[str, Any]:
    return {"id": value["id"]}


def _plain(value: Any) -> Any:
    """Return a JSON value in which equal numbers are written alike."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE_MAX
    return int(value) if is_whole else value
