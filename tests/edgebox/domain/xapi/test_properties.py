"""Whatever JSON comes as a statement: it is stored, or refused by name; what is stored is the same when read again."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgebox.domain.events import EventMalformed, parse_event, parse_outbox
from edgebox.domain.statement_in import Sender, from_statement
from edgebox.domain.xapi.rules import check_statement
from edgebox.domain.xapi.values import StatementMalformed, canonical_json, parse_json
from edgebox.domain.xapi.version import Version

NOW_MS = 1_763_780_000_000
SENDER = Sender("http://box/", "account:http://box/ x", 1, Version.ONE)
TEXTS = st.text(max_size=30) | st.sampled_from(
    ["id", "actor", "verb", "object", "http://example.org/a", "mailto:a@example.org", "PT1S", "2026-01-01T00:00:00Z"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=5), max_leaves=20
)
AGENT = {"objectType": "Agent", "account": {"homePage": "http://example.org/", "name": "a"}}
WHOLE: dict[str, Any] = {
    "id": "12345678-1234-4234-8234-123456789012",
    "actor": AGENT,
    "verb": {"id": "http://adlnet.gov/expapi/verbs/answered", "display": {"en": "answered"}},
    "object": {"id": "http://example.org/a", "definition": {"name": {"en": "A"}, "extensions": {"http://x.org/": [1]}}},
    "result": {"score": {"scaled": 0.5, "raw": 1, "max": 2}, "success": True, "duration": "PT4.2S", "response": "b"},
    "context": {"registration": "12345678-1234-4234-8234-123456789013", "contextActivities": {"parent": []}},
    "timestamp": "2026-01-01T00:00:00Z",
}


def paths(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where every part of a value is."""
    found = [before] if before else []
    if isinstance(value, dict):
        for name, part in value.items():
            found += paths(part, (*before, name))
    return found


def with_part(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    if not path:
        return part
    return value | {path[0]: with_part(value[path[0]], path[1:], part)}


ALMOST = st.builds(lambda path, part: with_part(WHOLE, path, part), st.sampled_from(paths(WHOLE)), JSON)


@given(JSON | ALMOST | st.builds(lambda name, part: WHOLE | {name: part}, TEXTS, JSON))
def test_any_json_is_a_statement_or_refused_by_name(value: Any) -> None:
    try:
        check_statement(value)
    except StatementMalformed as error:
        assert error.fields["where"]
        return
    stored = from_statement(value, 1, NOW_MS, SENDER)
    assert stored.body is not None
    again = from_statement(json.loads(stored.body) | {"id": value.get("id", WHOLE["id"])}, 1, NOW_MS, SENDER)
    assert again.body == stored.body
    if "timestamp" in value:
        assert again.digest == stored.digest


@given(JSON)
def test_canonical_form_says_the_same_when_read_again(value: Any) -> None:
    content = canonical_json(value)
    assert canonical_json(json.loads(content)) == content
    assert json.loads(content) == value


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_json_or_refused_by_name(body: bytes) -> None:
    try:
        parse_json(body)
    except StatementMalformed as error:
        assert error.fields["where"]


@given(JSON | st.dictionaries(st.sampled_from(["device", "events", "held_from", "refused", "now"]), JSON))
def test_any_json_is_an_outbox_or_refused_by_name(value: Any) -> None:
    try:
        outbox = parse_outbox(value)
        for event in outbox.events:
            parse_event(event)
    except EventMalformed as error:
        assert error.fields["field"]
