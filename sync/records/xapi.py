"""What a statement must look like: the rules of xAPI 1.0.3 part 2, section 2, for JSON values.

Only shapes are judged here: who may write for whom, and what a known id means, is for the record store. A key that the
standard does not name is refused, as the standard demands, and so is null anywhere outside extensions. Statements that
bring attachments must name them by `fileUrl`.
"""

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from content_packs.base.errors import N_, EdgeboxError
from sync.records.kinds import MS_MAX, REAL_MAX
from sync.records.moments import parse_duration, parse_timestamp

VERSION = "1.0.3"
DEPTH_MAX = 24
TEXT_MAX_CHARACTERS = 16 * 1024
IRI_MAX_CHARACTERS = 2000
MEMBERS_MAX = 500
PROGRESS_EXTENSION = "https://w3id.org/xapi/cmi5/result/extensions/progress"

Check = Callable[[Any, str], None]


class StatementMalformed(EdgeboxError):
    """JSON that is not a valid xAPI value."""

    code = "record.statement_malformed"
    status = 400
    exit_code = 83
    sentence = N_("The statement is not valid xAPI: {reason} ({where}).")
    remedy = N_("Tell the maker of the learning app.")


def parse_json(body: bytes) -> Any:
    """Return the JSON value of `body`, with text that can be stored, no name twice and no NaN.

    Raises:
        StatementMalformed
    """
    try:
        value = json.loads(body.decode(), parse_constant=_refuse_constant, object_pairs_hook=_unique_pairs)
    except (ValueError, RecursionError) as error:
        raise StatementMalformed(where="body", reason="not JSON") from error
    _check_plain(value, DEPTH_MAX)
    return value


def check_statement(statement: Any) -> None:
    """Return if a JSON value is a statement.

    Raises:
        StatementMalformed: says what is wrong and where.
    """
    _check_fields(statement, "statement", _STATEMENT, required=("actor", "verb", "object"))
    kind = statement["object"].get("objectType", "Activity")
    context = statement.get("context", {})
    if kind != "Activity" and ("revision" in context or "platform" in context):
        raise StatementMalformed(where="context", reason="revision and platform are for activities")


def check_actor(actor: Any, where: str = "actor") -> None:
    """Return if a JSON value is an agent or a group.

    Raises:
        StatementMalformed
    """
    if isinstance(actor, dict) and actor.get("objectType") == "Group":
        _check_group(actor, where)
    else:
        _check_agent(actor, where)


def check_iri(value: Any, where: str) -> None:
    """Return if a JSON value is an absolute IRI.

    Raises:
        StatementMalformed
    """
    if not isinstance(value, str) or len(value) > IRI_MAX_CHARACTERS or not _IRI.fullmatch(value):
        raise StatementMalformed(where=where, reason="not an IRI")


def check_uuid(value: Any, where: str) -> None:
    """Return if a JSON value is a UUID.

    Raises:
        StatementMalformed
    """
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise StatementMalformed(where=where, reason="not a UUID")


def canonical_json(value: Any) -> bytes:
    """Return JSON bytes that are equal for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


_IRI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`\x00-\x20]+")
_UUID = re.compile("[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}")
_LANGUAGE = re.compile("[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_MAILBOX = re.compile(r"mailto:[^@\s]+@[^@\s]+")
_SHA1 = re.compile("[0-9A-Fa-f]{40}")
_SHA2 = re.compile("[0-9A-Fa-f]{56,128}")
_VERSION = re.compile(r"1\.0(\.\d+)?")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(;.*)?")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_IDENTIFIERS = ("mbox", "mbox_sha1sum", "openid", "account")


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _check_plain(value: Any, depth_left: int) -> None:
    """Refuse what cannot be stored or would be absurd, wherever it stands."""
    if depth_left < 0:
        raise StatementMalformed(where="body", reason="too deep")
    if isinstance(value, str):
        if len(value) > TEXT_MAX_CHARACTERS or _UNSTORABLE.search(value):
            raise StatementMalformed(where="body", reason="text too long or not storable")
    elif isinstance(value, dict):
        for name, element in value.items():
            _check_plain(name, depth_left)
            _check_plain(element, depth_left - 1)
    elif isinstance(value, list):
        for element in value:
            _check_plain(element, depth_left - 1)


def _check_fields(value: Any, where: str, fields: Mapping[str, Check], required: tuple[str, ...] = ()) -> None:
    if not isinstance(value, dict):
        raise StatementMalformed(where=where, reason="not an object")
    for name in required:
        if name not in value:
            raise StatementMalformed(where=f"{where}.{name}", reason="missing")
    for name, element in value.items():
        if name not in fields:
            raise StatementMalformed(where=f"{where}.{name}"[:200], reason="not known to xAPI")
        fields[name](element, f"{where}.{name}")


def _object(fields: Mapping[str, Check], *required: str) -> Check:
    return lambda value, where: _check_fields(value, where, fields, required)


def _text(value: Any, where: str) -> None:
    if not isinstance(value, str):
        raise StatementMalformed(where=where, reason="not text")


def _matches(pattern: re.Pattern[str]) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise StatementMalformed(where=where, reason="not of the right form")

    return check


def _one_of(*values: str) -> Check:
    def check(value: Any, where: str) -> None:
        if value not in values:
            raise StatementMalformed(where=where, reason="not one of " + ", ".join(values))

    return check


def _boolean(value: Any, where: str) -> None:
    if not isinstance(value, bool):
        raise StatementMalformed(where=where, reason="not true or false")


def _number(value: Any, where: str) -> None:
    # A larger one could be stored, and would never leave the box.
    if type(value) not in (int, float) or not abs(value) <= REAL_MAX:
        raise StatementMalformed(where=where, reason="not a number")


def _whole_number(value: Any, where: str) -> None:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise StatementMalformed(where=where, reason="not a whole number")


def _list_of(check_element: Check) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or len(value) > MEMBERS_MAX:
            raise StatementMalformed(where=where, reason="not a list")
        for index, element in enumerate(value):
            check_element(element, f"{where}[{index}]")

    return check


def _parsed(parse: Callable[[str], int], what: str) -> Check:
    def check(value: Any, where: str) -> None:
        try:
            parse(value)
        except (ValueError, TypeError) as error:
            raise StatementMalformed(where=where, reason=f"not {what}") from error

    return check


def _timestamp(value: Any, where: str) -> None:
    _parsed(parse_timestamp, "a timestamp")(value, where)
    if parse_timestamp(value) > MS_MAX:
        raise StatementMalformed(where=where, reason="too far in the future")


def _texts_by_language(value: Any, where: str) -> None:
    if not isinstance(value, dict) or not all(_LANGUAGE.fullmatch(tag) for tag in value):
        raise StatementMalformed(where=where, reason="not texts by language")
    for text in value.values():
        _text(text, where)


def _extensions(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise StatementMalformed(where=where, reason="not an object")
    for name in value:
        check_iri(name, where)


def _check_agent(agent: Any, where: str) -> None:
    _check_fields(agent, where, _AGENT)
    if sum(name in agent for name in _IDENTIFIERS) != 1:
        raise StatementMalformed(where=where, reason="needs exactly one identifier")


def _check_group(group: Any, where: str) -> None:
    _check_fields(group, where, _GROUP, ("objectType",))
    identifiers = sum(name in group for name in _IDENTIFIERS)
    if identifiers > 1 or (identifiers == 0 and "member" not in group):
        raise StatementMalformed(where=where, reason="needs one identifier or members")


def _check_object(value: Any, where: str) -> None:
    kind = value.get("objectType", "Activity") if isinstance(value, dict) else None
    check = _OBJECTS.get(kind) if isinstance(kind, str) else None
    if check is None:
        raise StatementMalformed(where=where, reason="not an object of a known type")
    check(value, where)


def _check_nested(value: Any, where: str) -> None:
    _check_fields(value, where, _NESTED, ("objectType", "actor", "verb", "object"))
    if isinstance(value["object"], dict) and value["object"].get("objectType") == "SubStatement":
        raise StatementMalformed(where=where, reason="a nested statement holds another")


def _check_score(value: Any, where: str) -> None:
    _check_fields(value, where, dict.fromkeys(("scaled", "raw", "min", "max"), _number))
    low, raw, high = value.get("min"), value.get("raw"), value.get("max")
    ordered = [number for number in (low, raw, high) if number is not None]
    if not -1 <= value.get("scaled", 0) <= 1 or ordered != sorted(ordered) or (low is not None and low == high):
        raise StatementMalformed(where=where, reason="numbers out of order")


def _check_context_activities(value: Any, where: str) -> None:
    if isinstance(value, list):
        _list_of(_ACTIVITY)(value, where)
    else:
        _ACTIVITY(value, where)


def _check_attachment(value: Any, where: str) -> None:
    _check_fields(value, where, _ATTACHMENT, ("usageType", "display", "contentType", "length", "sha2"))
    if "fileUrl" not in value:
        raise StatementMalformed(where=where, reason="attachments must have a fileUrl here")


_ACCOUNT = _object({"homePage": check_iri, "name": _text}, "homePage", "name")
_AGENT: Mapping[str, Check] = MappingProxyType(
    {
        "objectType": _one_of("Agent"),
        "name": _text,
        "mbox": _matches(_MAILBOX),
        "mbox_sha1sum": _matches(_SHA1),
        "openid": check_iri,
        "account": _ACCOUNT,
    }
)
_GROUP: Mapping[str, Check] = MappingProxyType(
    {**_AGENT, "objectType": _one_of("Group"), "member": _list_of(_check_agent)}
)
_COMPONENTS = _list_of(_object({"id": _text, "description": _texts_by_language}, "id"))
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
_DEFINITION = _object(
    {
        "name": _texts_by_language,
        "description": _texts_by_language,
        "type": check_iri,
        "moreInfo": check_iri,
        "extensions": _extensions,
        "interactionType": _one_of(*_INTERACTIONS),
        "correctResponsesPattern": _list_of(_text),
        **dict.fromkeys(("choices", "scale", "source", "target", "steps"), _COMPONENTS),
    }
)
_ACTIVITY = _object({"objectType": _one_of("Activity"), "id": check_iri, "definition": _DEFINITION}, "id")
_REFERENCE = _object({"objectType": _one_of("StatementRef"), "id": check_uuid}, "objectType", "id")
_VERB = _object({"id": check_iri, "display": _texts_by_language}, "id")
_RESULT = _object(
    {
        "score": _check_score,
        "success": _boolean,
        "completion": _boolean,
        "response": _text,
        "duration": _parsed(parse_duration, "a duration"),
        "extensions": _extensions,
    }
)
_CONTEXT = _object(
    {
        "registration": check_uuid,
        "instructor": check_actor,
        "team": _check_group,
        "contextActivities": _object(
            dict.fromkeys(("parent", "grouping", "category", "other"), _check_context_activities)
        ),
        "revision": _text,
        "platform": _text,
        "language": _matches(_LANGUAGE),
        "statement": _REFERENCE,
        "extensions": _extensions,
    }
)
_ATTACHMENT: Mapping[str, Check] = MappingProxyType(
    {
        "usageType": check_iri,
        "display": _texts_by_language,
        "description": _texts_by_language,
        "contentType": _matches(_MEDIA_TYPE),
        "length": _whole_number,
        "sha2": _matches(_SHA2),
        "fileUrl": check_iri,
    }
)
_NESTED: Mapping[str, Check] = MappingProxyType(
    {
        "objectType": _one_of("SubStatement"),
        "actor": check_actor,
        "verb": _VERB,
        "object": _check_object,
        "result": _RESULT,
        "context": _CONTEXT,
        "timestamp": _timestamp,
        "attachments": _list_of(_check_attachment),
    }
)
_STATEMENT: Mapping[str, Check] = MappingProxyType(
    {
        **{name: check for name, check in _NESTED.items() if name != "objectType"},
        "id": check_uuid,
        "stored": _parsed(parse_timestamp, "a timestamp"),
        "authority": check_actor,
        "version": _matches(_VERSION),
    }
)
_OBJECTS: Mapping[str, Check] = MappingProxyType(
    {
        "Activity": _ACTIVITY,
        "Agent": _check_agent,
        "Group": _check_group,
        "StatementRef": _REFERENCE,
        "SubStatement": _check_nested,
    }
)
