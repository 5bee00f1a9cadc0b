"""What may leave the school of an outside client's statement: an allow-list, as anything else may name a person."""

import json
from typing import Any

_TOP = ("id", "verb", "object", "result", "context", "timestamp", "version", "attachments")
_CONTEXT = ("registration", "contextActivities", "revision", "platform", "language", "statement", "extensions")
_PEOPLE = frozenset({"Agent", "Group", "SubStatement"})


def without_people(body: bytes) -> bytes:
    """Return the statement without actor, authority, instructor, team and any object that is a person.

    What remains keeps its order and its values. Text that is not a JSON object gives an empty one: nothing of it can be
    said to be free of names. The learner is told by `learner_no`.
    """
    try:
        given = json.loads(body)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        return b"{}"
    kept = {name: given[name] for name in given if name in _TOP}
    if isinstance(kept.get("context"), dict):
        kept["context"] = {name: value for name, value in kept["context"].items() if name in _CONTEXT}
    if _is_person(kept.get("object")):
        del kept["object"]
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _is_person(value: Any) -> bool:
    return isinstance(value, dict) and value.get("objectType") in _PEOPLE
