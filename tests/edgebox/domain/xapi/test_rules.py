import copy
import json
from typing import Any

import pytest

from edgebox.domain.xapi.rules import check_statement
from edgebox.domain.xapi.values import StatementMalformed, canonical_json, parse_json

AGENT = {"account": {"homePage": "http://box-00.internal/", "name": "5b1d1e46-0000-4000-8000-000000000000"}}
STATEMENT: dict[str, Any] = {
    "id": "5b1d1e46-2f5c-4b6a-9a5e-0123456789ab",
    "actor": {"objectType": "Agent", "name": "x", **AGENT},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en-GB": "answered"}},
    "object": {
        "objectType": "Activity",
        "id": "http://example.org/q1",
        "definition": {
            "name": {"en": "Question"},
            "type": "http://adlnet.gov/expapi/activities/cmi.interaction",
            "interactionType": "choice",
            "correctResponsesPattern": ["a"],
            "choices": [{"id": "a", "description": {"en": "A"}}],
            "extensions": {"http://example.org/x": None},
        },
    },
    "result": {
        "score": {"scaled": 0.5, "raw": 1, "min": 0, "max": 2},
        "success": True,
        "completion": False,
        "response": "a",
        "duration": "PT5S",
        "extensions": {"http://example.org/y": [1, {"z": None}]},
    },
    "context": {
        "registration": "5b1d1e46-2f5c-4b6a-9a5e-0123456789ac",
        "instructor": {"mbox": "mailto:teacher@example.org"},
        "team": {"objectType": "Group", "member": [AGENT]},
        "contextActivities": {"parent": {"id": "http://example.org/"}, "other": [{"id": "http://example.org/o"}]},
        "revision": "1",
        "platform": "app",
        "language": "zh-Hans",
        "statement": {"objectType": "StatementRef", "id": "5b1d1e46-2f5c-4b6a-9a5e-0123456789ad"},
    },
    "timestamp": "2026-11-22T08:00:00.000Z",
    "version": "1.0.3",
    "attachments": [
        {
            "usageType": "http://example.org/use",
            "display": {"en": "File"},
            "contentType": "text/plain",
            "length": 5,
            "sha2": "0" * 64,
            "fileUrl": "http://example.org/file",
        }
    ],
}
REMOVED = object()


def changed(path: str, value: Any) -> dict[str, Any]:
    statement = copy.deepcopy(STATEMENT)
    *parents, name = path.split(".")
    target = statement
    for parent in parents:
        target = target[parent]
    if value is REMOVED:
        del target[name]
    else:
        target[name] = value
    return statement


def test_statement_with_everything_is_accepted() -> None:
    before = copy.deepcopy(STATEMENT)
    check_statement(STATEMENT)
    assert before == STATEMENT


@pytest.mark.parametrize(
    "value",
    [
        {"objectType": "StatementRef", "id": STATEMENT["id"]},
        {"objectType": "Agent", "openid": "http://example.org/me"},
        {"objectType": "Group", "mbox_sha1sum": "0" * 40},
        {"objectType": "SubStatement", "actor": AGENT, "verb": {"id": "a:b"}, "object": {"id": "a:c"}},
    ],
)
def test_object_may_be_something_else_than_an_activity(value: dict[str, Any]) -> None:
    statement = {"actor": AGENT, "verb": {"id": "http://example.org/did"}, "object": value}
    check_statement(statement)
    with pytest.raises(StatementMalformed):
        check_statement(statement | {"object": value | {"unknown": 1}})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("actor", REMOVED),
        ("verb", REMOVED),
        ("object", REMOVED),
        ("unknown", 1),
        ("id", "not-a-uuid"),
        ("id", None),
        ("version", "2.0.0"),
        ("timestamp", "2026-11-22"),
        ("timestamp", "9999-12-31T23:59:59Z"),
        ("actor.account", REMOVED),
        ("actor.mbox", "mailto:a@example.org"),
        ("actor.objectType", "Person"),
        ("actor.account.name", 7),
        ("verb.id", "answered"),
        ("verb.display", {"not a tag": "x"}),
        ("object.objectType", "Thing"),
        ("object.objectType", ["Activity"]),
        ("object.id", "has space:x y"),
        ("object.definition.type", None),
        ("object.definition.interactionType", "guess"),
        ("object.definition.choices", [{"description": {}}]),
        ("object.definition.extensions", {"not an iri": 1}),
        ("result.score", {"scaled": 1.5}),
        ("result.score", {"raw": 3, "max": 2}),
        ("result.score", {"raw": True}),
        ("result.score", {"raw": 1e16}),
        ("result.score", {"max": 10**400}),
        ("result.score", {"grade": 1}),
        ("result.success", "yes"),
        ("result.duration", "5 s"),
        ("result.duration", 5),
        ("context.registration", "x"),
        ("context.team", AGENT),
        ("context.contextActivities", {"near": []}),
        ("context.language", "a language"),
        ("context.statement", {"id": STATEMENT["id"]}),
        ("attachments", [{}]),
        ("result", None),
        ("object", {"objectType": "Agent", **AGENT}),
        (
            "object",
            {"objectType": "SubStatement", "actor": AGENT, "verb": {"id": "a:b"}, "object": {"id": "a:c"}, "id": "x"},
        ),
        (
            "object",
            {
                "objectType": "SubStatement",
                "actor": AGENT,
                "verb": {"id": "a:b"},
                "object": {"objectType": "SubStatement"},
            },
        ),
    ],
)
def test_malformed_statement_is_refused(path: str, value: Any) -> None:
    with pytest.raises(StatementMalformed):
        check_statement(changed(path, value))


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_statement_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(StatementMalformed):
        check_statement(value)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a":1,"a":2}',
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a\\u0000":1}',
        b"\xff",
        b"[" * 100_000,
        b"[" * 30 + b"]" * 30,
        json.dumps("x" * 20_000).encode(),
    ],
)
def test_json_that_cannot_be_kept_is_refused(body: bytes) -> None:
    with pytest.raises(StatementMalformed):
        parse_json(body)


def test_equal_values_have_equal_canonical_bytes() -> None:
    assert canonical_json({"b": 1, "a": ["é"]}) == canonical_json({"a": ["é"], "b": 1}) == '{"a":["é"],"b":1}'.encode()
