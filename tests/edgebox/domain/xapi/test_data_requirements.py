"""What a statement must be, by the places of the texts that say so: part 2 of xAPI 1.0.3, and IEEE 9274.1.1 (2.0)."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebox.domain.statement_in import Sender, from_statement
from edgebox.domain.xapi.formats import in_canonical_form, languages_of, with_ids_only
from edgebox.domain.xapi.rules import check_statement
from edgebox.domain.xapi.values import StatementMalformed, canonical_json, parse_json
from edgebox.domain.xapi.version import Version, parse_version

AGENT = {"mbox": "mailto:amina@example.org"}
GROUP = {"objectType": "Group", "member": [AGENT]}
REFERENCE = {"objectType": "StatementRef", "id": "5b1d1e46-2f5c-4b6a-9a5e-0123456789ab"}
CHOICE = {"interactionType": "choice", "choices": [{"id": "a"}, {"id": "b"}]}
NESTED = {"objectType": "SubStatement", "actor": AGENT, "verb": {"id": "http://v"}, "object": {"id": "http://a"}}
FILE = {
    "usageType": "http://example.org/use",
    "display": {"en": "File"},
    "contentType": "text/plain",
    "length": 5,
    "sha2": "0" * 64,
}
STATEMENT: dict[str, Any] = {
    "id": "5b1d1e46-2f5c-4b6a-9a5e-0123456789aa",
    "actor": AGENT,
    "verb": {"id": "http://example.org/did"},
    "object": {"id": "http://example.org/thing"},
    "result": {"score": {"scaled": 0.5}},
    "context": {"language": "en"},
    "timestamp": "2026-11-22T08:00:00Z",
}
VOIDED = {"id": "http://adlnet.gov/expapi/verbs/voided"}

# requirement, where in the statement, value, whether it may be so
Row = tuple[str, str, Any, bool]
BOTH: list[Row] = [
    ("2.2: no null", "result.success", None, False),
    ("2.2: null within extensions", "result.extensions", {"http://example.org/x": None}, True),
    ("2.2: names as they are written", "Actor", AGENT, False),
    ("2.2: values as they are written", "object.objectType", "activity", False),
    ("4: no number that no JSON can hold", "result.extensions", {"http://example.org/x": float("inf")}, False),
    ("2.2: no text for a number", "result.score.scaled", "0.5", False),
    ("2.2: no text for a boolean", "result.success", "true", False),
    ("2.4.1: id is a UUID", "id", "1", False),
    ("2.4.1: id may be in capitals", "id", STATEMENT["id"].upper(), True),
    ("2.4.2: one identifier", "actor", {**AGENT, "openid": "http://example.org/a"}, False),
    ("2.4.2: at least one", "actor", {"name": "Amina"}, False),
    ("2.4.2.1: an agent has no members", "actor", {**AGENT, "member": [AGENT]}, False),
    ("2.4.2.2: a group without identifier has members", "actor", {"objectType": "Group"}, False),
    ("2.4.2.2: members are no groups", "actor", {"objectType": "Group", "member": [GROUP]}, False),
    ("2.4.2.2: a group may have an identifier", "actor", {"objectType": "Group", **AGENT}, True),
    ("2.4.2.2: but one", "actor", {"objectType": "Group", **AGENT, "openid": "http://example.org/a"}, False),
    ("2.4.2.3: mbox is a mailto IRI", "actor", {"mbox": "amina@example.org"}, False),
    ("2.4.2.3: mbox_sha1sum is hexadecimal", "actor", {"mbox_sha1sum": "g" * 40}, False),
    ("2.4.2.3: openid is an IRI", "actor", {"openid": "amina"}, False),
    ("2.4.2.4: an account has a home page", "actor", {"account": {"name": "amina"}}, False),
    ("2.4.2.4: which is an IRL", "actor", {"account": {"homePage": "here", "name": "amina"}}, False),
    ("2.4.2.4: and a name", "actor", {"account": {"homePage": "http://example.org/"}}, False),
    ("2.4.3: verb has an id", "verb", {"display": {"en": "did"}}, False),
    ("2.4.3: which is an IRI", "verb.id", "did", False),
    ("2.4.3: display is by language", "verb.display", "did", False),
    ("2.4.3.1: voided is about a statement", "verb", VOIDED, False),
    ("2.4.4: an object of a known type", "object.objectType", "Thing", False),
    ("2.4.4.1: an activity has an id", "object", {"objectType": "Activity"}, False),
    ("2.4.4.1: a known interaction", "object.definition", {"interactionType": "guess"}, False),
    ("2.4.4.1: choices need the interaction", "object.definition", {"choices": [{"id": "a"}]}, False),
    ("2.4.4.1: choices", "object.definition", CHOICE, True),
    ("2.4.4.1: each once", "object.definition", {**CHOICE, "choices": [{"id": "a"}, {"id": "a"}]}, False),
    ("2.4.4.1: each with an id", "object.definition", {**CHOICE, "choices": [{"description": {"en": "A"}}]}, False),
    ("2.4.4.1: moreInfo is an IRL", "object.definition", {"moreInfo": "more"}, False),
    ("2.4.4.2: an agent as object says so", "object", {"objectType": "Agent", **AGENT}, True),
    ("2.4.4.3: a nested statement", "object", NESTED, True),
    ("2.4.4.3: has no id", "object", {**NESTED, "id": STATEMENT["id"]}, False),
    ("2.4.4.3: nor stored", "object", {**NESTED, "stored": "2026-11-22T08:00:00Z"}, False),
    ("2.4.4.3: nor version", "object", {**NESTED, "version": "1.0.0"}, False),
    ("2.4.4.3: nor authority", "object", {**NESTED, "authority": AGENT}, False),
    ("2.4.4.3: and nests no other", "object", {**NESTED, "object": NESTED}, False),
    ("2.4.4.3: a reference has an id", "object", {"objectType": "StatementRef"}, False),
    ("2.4.4.3: a reference", "object", REFERENCE, True),
    ("2.4.5: success", "result.success", True, True),
    ("2.4.5: duration", "result.duration", "PT1H2M3.5S", True),
    ("2.4.5: ISO 8601", "result.duration", "5 s", False),
    ("2.4.5.1: scaled from -1", "result.score.scaled", -1.1, False),
    ("2.4.5.1: scaled to 1", "result.score.scaled", 1.1, False),
    ("2.4.5.1: raw not under min", "result.score", {"raw": 1, "min": 2}, False),
    ("2.4.5.1: raw not over max", "result.score", {"raw": 3, "max": 2}, False),
    ("2.4.5.1: min under max", "result.score", {"min": 2, "max": 1}, False),
    ("2.4.6: registration is a UUID", "context.registration", "first", False),
    ("2.4.6: instructor is an agent or group", "context.instructor", GROUP, True),
    ("2.4.6: team is a group", "context.team", AGENT, False),
    ("2.4.6: revision is of activities", "object", {"objectType": "Agent", **AGENT}, True),
    ("2.4.6: language is a tag of RFC 5646", "context.language", "en_US", False),
    ("2.4.6: statement is a reference", "context.statement", {"id": REFERENCE["id"]}, False),
    ("2.4.6.2: known kinds", "context.contextActivities", {"children": []}, False),
    ("2.4.6.2: one or a list", "context.contextActivities", {"parent": {"id": "http://p"}, "other": []}, True),
    ("2.4.6.2: of activities", "context.contextActivities", {"parent": AGENT}, False),
    ("2.4.7: timestamp is ISO 8601", "timestamp", "yesterday", False),
    ("2.4.7: not of an unknown place", "timestamp", "2026-11-22T08:00:00-00:00", False),
    ("2.4.8: stored is a timestamp", "stored", "soon", False),
    ("2.4.9: authority may be two", "authority", {"objectType": "Group", "member": [AGENT, AGENT]}, True),
    ("2.4.9: and no more", "authority", {"objectType": "Group", "member": [AGENT] * 3}, False),
    ("2.4.9: nor a group with a name", "authority", {"objectType": "Group", **AGENT}, False),
    ("2.4.11: attachments", "attachments", [FILE], True),
    *[
        (f"2.4.11: {name} is needed", "attachments", [{key: FILE[key] for key in FILE if key != name}], False)
        for name in FILE
    ],
    ("2.4.11: length is whole", "attachments", [{**FILE, "length": 1.5}], False),
    ("2.4.11: contentType is a media type", "attachments", [{**FILE, "contentType": "text"}], False),
    ("4.1: extensions are named by IRIs", "context.extensions", {"colour": "red"}, False),
    ("4.2: language maps by tags", "verb.display", {"a_b": "did"}, False),
]
AROUND = {"objectType": "contextAgent", "agent": AGENT, "relevantTypes": ["http://example.org/tutor"]}
GROUP_AROUND = {"objectType": "contextGroup", "group": GROUP}
# ... likewise under 1.0.3 and under 2.0
DIFFERENT: list[tuple[str, str, Any, bool, bool]] = [
    ("2.0, 4.2.2.5: context agents", "context.contextAgents", [AROUND], False, True),
    ("2.0, 4.2.2.5: context groups", "context.contextGroups", [GROUP_AROUND], False, True),
    ("2.0, 4.2.2.5: types are not empty", "context.contextAgents", [{**AROUND, "relevantTypes": []}], False, False),
    ("2.0, 4.2.2.5: a group is no agent", "context.contextAgents", [{**AROUND, "agent": GROUP}], False, False),
    ("2.0, 4.2.2.5: an agent no group", "context.contextGroups", [{**GROUP_AROUND, "group": AGENT}], False, False),
    ("2.0, 4.2.2.5: objectType is needed", "context.contextAgents", [{"agent": AGENT}], False, False),
    ("2.4.10: version 1.0.3", "version", "1.0.3", True, True),
    ("2.4.10: version 1.0", "version", "1.0", True, True),
    ("2.0, 4.2.4.3: version 2.0.0", "version", "2.0.0", False, True),
    ("2.4.10: version 1.1", "version", "1.1", False, False),
]


def changed(path: str, value: Any) -> dict[str, Any]:
    statement = copy.deepcopy(STATEMENT)
    *parents, name = path.split(".")
    target = statement
    for parent in parents:
        target = target.setdefault(parent, {})
    target[name] = value
    return statement


def is_taken(statement: Any, version: Version) -> bool:
    try:
        check_statement(parse_json(json.dumps(statement).replace("Infinity", "1e999").encode()), version)
    except StatementMalformed:
        return False
    return True


@pytest.mark.parametrize("version", list(Version), ids=lambda version: version.title)
def test_statement_is_taken_or_refused_as_the_text_says(version: Version) -> None:
    wrong = [row[0] for row in BOTH if is_taken(changed(row[1], row[2]), version) is not row[3]]
    column = 3 if version is Version.ONE else 4
    wrong += [row[0] for row in DIFFERENT if is_taken(changed(row[1], row[2]), version) is not row[column]]
    assert wrong == []


@pytest.mark.parametrize("version", list(Version), ids=lambda version: version.title)
def test_nested_statement_is_judged_by_the_same_rules(version: Version) -> None:
    of_all = {"id", "stored", "version", "authority"}
    wrong = []
    for requirement, path, value, may_be in BOTH:
        nested = {name: part for name, part in changed(path, value).items() if name != "id"}
        if path in of_all or nested["object"].get("objectType") == "SubStatement" or "attachments" in nested:
            continue
        if is_taken(changed("object", {"objectType": "SubStatement", **nested}), version) is not may_be:
            wrong.append(requirement)
    assert wrong == []


@pytest.mark.parametrize("name", ["actor", "verb", "object"])
def test_statement_has_actor_verb_and_object(name: str) -> None:
    """2.4, table 1."""
    assert not is_taken({key: value for key, value in STATEMENT.items() if key != name}, Version.ONE)


def test_version_is_that_of_the_header() -> None:
    """1.0.3 part 3, 3.3."""
    known = {"1.0": Version.ONE, "1.0.9": Version.ONE, "2.0": Version.TWO, "2.0.7": Version.TWO}
    assert {text: parse_version(text) for text in known} == known
    assert [parse_version(text) for text in ("", "1", "1.1", "1.0.", "2.1.0", "0.95", "1.0.3 ")] == [None] * 7


def test_languages_are_ordered_by_what_is_wanted() -> None:
    """RFC 9110, 12.5.4."""
    assert languages_of("fr;q=0.5, en-US, de;q=0, ar;q=0.9, x;q=?") == ["en-us", "ar", "fr"]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PARTS = [*(row[2] for row in BOTH), *(row[2] for row in DIFFERENT), AGENT, GROUP, NESTED, REFERENCE, FILE]
PATHS = sorted({row[1] for row in (*BOTH, *DIFFERENT)} | {"actor", "object", "context", "result", "object.object"})


RIGHT = st.sampled_from([row[1:3] for row in BOTH if row[3]])
ANY = st.tuples(st.sampled_from(PATHS), JSON_VALUES | st.sampled_from(PARTS))


@given(
    changes=st.lists(RIGHT, max_size=4) | st.lists(RIGHT | ANY, max_size=4),
    version=st.sampled_from(list(Version)),
)
def test_any_json_is_refused_by_our_own_error_or_can_be_stored_and_given_in_every_form(
    changes: list[tuple[str, Any]], version: Version
) -> None:
    statement: Any = copy.deepcopy(STATEMENT)
    for path, value in changes:
        *parents, name = path.split(".")
        target = statement
        for parent in parents:
            inner = target.get(parent)
            target[parent] = target = dict(inner) if isinstance(inner, dict) else {}
        target[name] = copy.deepcopy(value)
    try:
        received = parse_json(json.dumps(statement).encode())
        check_statement(received, version)
    except StatementMalformed:
        return
    new = from_statement(received, None, 1_763_780_000_000, Sender("http://box/", "account:http://box/ x", 1, version))
    kept = json.loads(new.body or b"")
    assert canonical_json(kept) == new.body
    again = from_statement({**received}, None, 1_763_780_000_000, Sender("http://box/", "account:x y", 2, version))
    assert again.digest == new.digest
    for form in (kept, with_ids_only(kept), in_canonical_form(kept, ["fr"], lambda _iri: None)):
        check_statement(form, version)
