"""What a statement must look like: xAPI 1.0.3 part 2, section 2, and xAPI 2.0, section 4.2, for JSON values.

Only shapes are judged here: who may write for whom, and what a known id means, is for the record store. A key that the
standard does not name is refused, as the standard demands, and so is null anywhere outside extensions.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from edgebox.domain.verbs import VOIDED_IRI
from edgebox.domain.xapi import values
from edgebox.domain.xapi.values import (
    Check,
    StatementMalformed,
    check_fields,
    check_iri,
    check_text,
    check_texts_by_language,
    check_uuid,
    list_of,
    matches,
    object_of,
    one_of,
)
from edgebox.domain.xapi.version import Version

PROGRESS_EXTENSION = "https://w3id.org/xapi/cmi5/result/extensions/progress"
IDENTIFIERS = ("mbox", "mbox_sha1sum", "openid", "account")
CONTEXT_ACTIVITIES = ("parent", "grouping", "category", "other")
COMPONENT_LISTS = ("choices", "scale", "source", "target", "steps")
_AUTHORITY_MEMBERS = 2  # an OAuth consumer and a user (1.0.3 part 2, 2.4.9)


def check_statement(statement: Any, version: Version = Version.ONE) -> None:
    """Return if a JSON value is a statement of a version.

    Raises:
        StatementMalformed: says what is wrong and where.
    """
    check_fields(statement, "statement", _STATEMENTS[version], required=("actor", "verb", "object"))
    _check_whole(statement, "statement")


def check_actor(actor: Any, where: str = "actor") -> None:
    """Return if a JSON value is an agent or a group.

    Raises:
        StatementMalformed
    """
    if isinstance(actor, dict) and actor.get("objectType") == "Group":
        check_group(actor, where)
    else:
        check_agent(actor, where)


def check_agent(agent: Any, where: str) -> None:
    """Return if a JSON value is an agent. Raises StatementMalformed."""
    check_fields(agent, where, _AGENT)
    if sum(name in agent for name in IDENTIFIERS) != 1:
        raise StatementMalformed(where=where, reason="needs exactly one identifier")


def check_group(group: Any, where: str) -> None:
    """Return if a JSON value is a group, identified or anonymous. Raises StatementMalformed."""
    check_fields(group, where, _GROUP, ("objectType",))
    identifiers = sum(name in group for name in IDENTIFIERS)
    if identifiers > 1 or (identifiers == 0 and "member" not in group):
        raise StatementMalformed(where=where, reason="needs one identifier or members")


def _check_whole(statement: dict[str, Any], where: str) -> None:
    """Check what several fields of a statement, or of one in it, say together."""
    kind = statement["object"].get("objectType", "Activity")
    context = statement.get("context", {})
    if kind != "Activity" and ("revision" in context or "platform" in context):
        raise StatementMalformed(where=f"{where}.context", reason="revision and platform are for activities")
    if statement["verb"]["id"] == VOIDED_IRI and kind != "StatementRef":
        raise StatementMalformed(where=f"{where}.object", reason="only a statement can be voided")


def _check_nested(version: Version) -> Check:
    def check(value: Any, where: str) -> None:
        check_fields(value, where, _NESTED[version], ("objectType", "actor", "verb", "object"))
        if value["object"].get("objectType") == "SubStatement":
            raise StatementMalformed(where=where, reason="a nested statement holds another")
        _check_whole(value, where)

    return check


def _check_object(version: Version) -> Check:
    checks = {
        "Activity": _ACTIVITY,
        "Agent": check_agent,
        "Group": check_group,
        "StatementRef": _REFERENCE,
        "SubStatement": _check_nested(version),
    }

    def check(value: Any, where: str) -> None:
        kind = value.get("objectType", "Activity") if isinstance(value, dict) else None
        found = checks.get(kind) if isinstance(kind, str) else None
        if found is None:
            raise StatementMalformed(where=where, reason="not an object of a known type")
        found(value, where)

    return check


def _check_authority(value: Any, where: str) -> None:
    check_actor(value, where)
    if value.get("objectType") == "Group":
        is_named = any(name in value for name in IDENTIFIERS)
        if is_named or len(value["member"]) != _AUTHORITY_MEMBERS:
            raise StatementMalformed(where=where, reason="a group here has two members and no name")


def _check_score(value: Any, where: str) -> None:
    check_fields(value, where, dict.fromkeys(("scaled", "raw", "min", "max"), values.check_number))
    low, raw, high = value.get("min"), value.get("raw"), value.get("max")
    ordered = [number for number in (low, raw, high) if number is not None]
    if not -1 <= value.get("scaled", 0) <= 1 or ordered != sorted(ordered) or (low is not None and low == high):
        raise StatementMalformed(where=where, reason="numbers out of order")


def _check_context_activities(value: Any, where: str) -> None:
    if isinstance(value, list):
        list_of(_ACTIVITY)(value, where)
    else:
        _ACTIVITY(value, where)


def _check_components(value: Any, where: str) -> None:
    _COMPONENTS(value, where)
    if len({component["id"] for component in value}) != len(value):
        raise StatementMalformed(where=where, reason="an id twice")


def _check_definition(value: Any, where: str) -> None:
    check_fields(value, where, _DEFINITION)
    if "interactionType" not in value and any(name in value for name in ("correctResponsesPattern", *COMPONENT_LISTS)):
        raise StatementMalformed(where=where, reason="an interaction needs its interactionType")


_ACCOUNT = object_of({"homePage": check_iri, "name": check_text}, "homePage", "name")
_AGENT: Mapping[str, Check] = MappingProxyType(
    {
        "objectType": one_of("Agent"),
        "name": check_text,
        "mbox": matches(re.compile(r"mailto:[^@\s]+@[^@\s]+")),
        "mbox_sha1sum": matches(re.compile("[0-9A-Fa-f]{40}")),
        "openid": check_iri,
        "account": _ACCOUNT,
    }
)
_GROUP: Mapping[str, Check] = MappingProxyType(
    {**_AGENT, "objectType": one_of("Group"), "member": list_of(check_agent)}
)
_COMPONENTS = list_of(object_of({"id": check_text, "description": check_texts_by_language}, "id"))
_INTERACTIONS = (
    "true-false",
    "choice",
    "fill-in",
    "long-fill-in",
    "matching",
    "performance",
    "sequencing",
    "likert",
    "numeric",
    "other",
)
_DEFINITION: Mapping[str, Check] = MappingProxyType(
    {
        "name": check_texts_by_language,
        "description": check_texts_by_language,
        "type": check_iri,
        "moreInfo": check_iri,
        "extensions": values.check_extensions,
        "interactionType": one_of(*_INTERACTIONS),
        "correctResponsesPattern": list_of(check_text),
        **dict.fromkeys(COMPONENT_LISTS, _check_components),
    }
)
_ACTIVITY = object_of({"objectType": one_of("Activity"), "id": check_iri, "definition": _check_definition}, "id")
_REFERENCE = object_of({"objectType": one_of("StatementRef"), "id": check_uuid}, "objectType", "id")
_VERB = object_of({"id": check_iri, "display": check_texts_by_language}, "id")
_RESULT = object_of(
    {
        "score": _check_score,
        "success": values.check_boolean,
        "completion": values.check_boolean,
        "response": check_text,
        "duration": values.check_duration,
        "extensions": values.check_extensions,
    }
)
_TYPES = list_of(check_iri, least=1)
_CONTEXT: Mapping[str, Check] = MappingProxyType(
    {
        "registration": check_uuid,
        "instructor": check_actor,
        "team": check_group,
        "contextActivities": object_of(dict.fromkeys(CONTEXT_ACTIVITIES, _check_context_activities)),
        "revision": check_text,
        "platform": check_text,
        "language": values.check_language,
        "statement": _REFERENCE,
        "extensions": values.check_extensions,
    }
)
# 2.0, 4.2.2.5: people and groups around a statement, each with what they are to it.
_PEOPLE_AROUND: Mapping[str, Check] = MappingProxyType(
    {
        "contextAgents": list_of(
            object_of(
                {"objectType": one_of("contextAgent"), "agent": check_agent, "relevantTypes": _TYPES},
                "objectType",
                "agent",
            )
        ),
        "contextGroups": list_of(
            object_of(
                {"objectType": one_of("contextGroup"), "group": check_group, "relevantTypes": _TYPES},
                "objectType",
                "group",
            )
        ),
    }
)
_CONTEXTS = {Version.ONE: object_of(_CONTEXT), Version.TWO: object_of({**_CONTEXT, **_PEOPLE_AROUND})}
_ATTACHMENT = object_of(
    {
        "usageType": check_iri,
        "display": check_texts_by_language,
        "description": check_texts_by_language,
        "contentType": matches(re.compile(r"[\w.+-]+/[\w.+-]+(;[ -~]*)?", re.ASCII)),
        "length": values.check_whole_number,
        "sha2": matches(re.compile("[0-9A-Fa-f]{56}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{96}|[0-9A-Fa-f]{128}")),
        "fileUrl": check_iri,
    },
    "usageType",
    "display",
    "contentType",
    "length",
    "sha2",
)
_PARTS: Mapping[str, Check] = MappingProxyType(
    {
        "actor": check_actor,
        "verb": _VERB,
        "result": _RESULT,
        "timestamp": values.check_timestamp,
        "attachments": list_of(_ATTACHMENT),
    }
)
_NESTED: dict[Version, Mapping[str, Check]] = {}
_NESTED.update(
    {
        version: {
            **_PARTS,
            "objectType": one_of("SubStatement"),
            "object": _check_object(version),
            "context": _CONTEXTS[version],
        }
        for version in Version
    }
)
# A client of 2.0 may hand on what was said in 1.0.
_VERSIONS = {Version.ONE: r"1\.0(\.\d+)?", Version.TWO: r"[12]\.0(\.\d+)?"}
_STATEMENTS: dict[Version, Mapping[str, Check]] = {
    version: {
        **_PARTS,
        "object": _check_object(version),
        "context": _CONTEXTS[version],
        "id": check_uuid,
        "stored": values.check_timestamp,
        "authority": _check_authority,
        "version": matches(re.compile(_VERSIONS[version])),
    }
    for version in Version
}
