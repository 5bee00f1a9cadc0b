"""Each rule on statements of units has a statement that breaks it and nothing else (cmi5 7.1, 9, 10.2)."""

from collections.abc import Callable
from typing import Any

import pytest

from edgebox.domain.cmi5.rules import SessionOver, StatementRefused, next_stage
from edgebox.domain.cmi5.session import Launch, Mode, Stage
from edgebox.domain.cmi5.vocabulary import (
    CATEGORY,
    MASTERY_SCORE,
    MOVE_ON_CATEGORY,
    SESSION_ID,
    Verb,
    from_bits,
    to_bits,
)

ID = bytes(range(16))
UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
ACCOUNT = {"homePage": "https://example.org", "name": "ada"}
ACTIVITY, PUBLISHED = "urn:x-edgebox:a.b.c:cmi5-1", "https://example.org/unit"
LAUNCH = Launch(
    1, ID, 1, ID, "account:https://example.org ada", None, ACTIVITY, PUBLISHED, Mode.NORMAL, 0.8, 0
)  # fmt: skip
READY = Stage(has_read_launch=True, has_read_preferences=True)
STARTED = READY.after(Verb.INITIALIZED)
RESULTS: dict[Verb, dict[str, Any]] = {
    Verb.COMPLETED: {"completion": True, "duration": "PT1S"},
    Verb.PASSED: {"success": True, "duration": "PT1S"},
    Verb.FAILED: {"success": False, "duration": "PT1S"},
    Verb.TERMINATED: {"duration": "PT1S"},
}
Change = Callable[[dict[str, Any]], object]


def statement(verb: Verb, score: dict[str, Any] | None = None) -> dict[str, Any]:
    judges = verb in (Verb.COMPLETED, Verb.PASSED, Verb.FAILED)
    made: dict[str, Any] = {
        "id": UUID,
        "actor": {"objectType": "Agent", "account": ACCOUNT},
        "verb": {"id": verb.value},
        "object": {"id": ACTIVITY},
        "timestamp": "2026-11-25T10:00:00.000Z",
        "context": {
            "registration": UUID,
            "contextActivities": {
                "grouping": {"id": PUBLISHED},
                "category": [{"id": CATEGORY}, *([{"id": MOVE_ON_CATEGORY}] if judges else [])],
            },
            "extensions": {SESSION_ID: UUID},
        },
    }
    if verb in RESULTS:
        made["result"] = dict(RESULTS[verb])
    if score is not None:
        made["result"]["score"] = score
        made["context"]["extensions"][MASTERY_SCORE] = 0.8
    return made


def allowed() -> dict[str, Any]:
    """Return a statement of a kind that cmi5 does not define."""
    made = statement(Verb.INITIALIZED)
    made["verb"] = {"id": "http://adlnet.gov/expapi/verbs/experienced"}
    made["object"] = {"id": "https://example.org/slide"}
    made["context"]["contextActivities"]["category"] = []
    return made


def refused(made: dict[str, Any], stage: Stage = STARTED, launch: Launch = LAUNCH) -> str:
    with pytest.raises(StatementRefused) as caught:
        next_stage(launch, stage, made)
    return str(caught.value.fields["section"])


def test_a_whole_session_is_taken() -> None:
    stage = next_stage(LAUNCH, READY, statement(Verb.INITIALIZED))
    for made in (allowed(), statement(Verb.PASSED, {"scaled": 0.8}), statement(Verb.COMPLETED), allowed()):
        stage = next_stage(LAUNCH, stage, made)
    stage = next_stage(LAUNCH, stage, statement(Verb.TERMINATED))
    assert stage.is_over
    for made in (allowed(), statement(Verb.TERMINATED)):
        with pytest.raises(SessionOver):
            next_stage(LAUNCH, stage, made)


def test_nothing_comes_before_initialized_nor_that_before_the_documents_were_read() -> None:
    assert refused(allowed(), READY) == "9.3"
    assert refused(statement(Verb.COMPLETED), READY) == "9.3"
    assert refused(statement(Verb.INITIALIZED), Stage(has_read_preferences=True)) == "10.2.1"
    assert refused(statement(Verb.INITIALIZED), Stage(has_read_launch=True)) == "11"


@pytest.mark.parametrize(
    ("raw", "least", "most", "section"),
    [
        (1, 0, 100, "9.3.4, 9.3.5"),
        (79, 0, 100, "9.3.4, 9.3.5"),
        (80, 0, 100, ""),
        (10**400, 0, 10**400, ""),
        (0, 0, 0, ""),
    ],
)
def test_a_raw_score_is_held_against_the_mastery_score(raw: int, least: int, most: int, section: str) -> None:
    made = statement(Verb.PASSED, {"raw": raw, "min": least, "max": most})
    if section:
        assert refused(made) == section
    else:
        assert Verb.PASSED in next_stage(LAUNCH, STARTED, made).session_verbs


def test_a_mastery_score_larger_than_any_float_is_another_one() -> None:
    made = statement(Verb.PASSED, {"scaled": 0.9})
    made["context"]["extensions"][MASTERY_SCORE] = 10**400
    assert refused(made) == "9.6.3.2"


FORM: list[tuple[str, Change]] = [
    ("9.1", lambda made: made.pop("id")),
    ("9.7", lambda made: made.pop("timestamp")),
    ("9.7", lambda made: made.update(timestamp="2026-11-25T10:00:00-06:00")),
    ("9.2", lambda made: made.update(actor={"account": {**ACCOUNT, "name": "bob"}})),
    ("9.2", lambda made: made.update(actor={"mbox": "mailto:ada@example.org"})),
    ("9.2", lambda made: made.update(actor={"objectType": "Group", "account": ACCOUNT})),
    ("6.3", lambda made: made.update(verb={"id": "http://adlnet.gov/expapi/verbs/voided"})),
    ("9.6.1", lambda made: made.pop("context")),
    ("9.6.1", lambda made: made["context"].pop("registration")),
    ("9.6.1", lambda made: made["context"].update(registration="ccaf384c-f8d4-4e7a-8304-49af58f0b176")),
    ("9.6.3.1", lambda made: made["context"].pop("extensions")),
    ("9.6.3.1", lambda made: made["context"]["extensions"].update({SESSION_ID: "x"})),
    ("9.6.2.3", lambda made: made["context"]["contextActivities"].pop("grouping")),
]


@pytest.mark.parametrize("make", [allowed, lambda: statement(Verb.COMPLETED)], ids=["allowed", "defined"])
@pytest.mark.parametrize(("section", "change"), FORM)
def test_every_statement_has_the_form_of_its_launch(make: Callable[[], Any], section: str, change: Change) -> None:
    made = make()
    change(made)
    assert refused(made) == section


def _category(made: dict[str, Any], *iris: str) -> None:
    made["context"]["contextActivities"]["category"] = [{"id": iri} for iri in iris]


DEFINED: list[tuple[str, Verb, Change]] = [
    ("9.4", Verb.COMPLETED, lambda made: made.update(object={"id": PUBLISHED})),
    ("9.4", Verb.COMPLETED, lambda made: made.update(object={"objectType": "Agent", "account": ACCOUNT})),
    ("9.5.2", Verb.PASSED, lambda made: made["result"].update(success=False)),
    ("9.5.2", Verb.FAILED, lambda made: made["result"].update(success=True)),
    ("9.5.2", Verb.COMPLETED, lambda made: made["result"].update(success=True)),
    ("9.5.3", Verb.COMPLETED, lambda made: made["result"].update(completion=False)),
    ("9.5.3", Verb.PASSED, lambda made: made["result"].update(completion=True)),
    ("9.5.1", Verb.COMPLETED, lambda made: made["result"].update(score={"scaled": 1})),
    ("9.5.1", Verb.TERMINATED, lambda made: made["result"].update(score={"scaled": 1})),
    ("9.5.4.1", Verb.TERMINATED, lambda made: made.pop("result")),
    ("9.5.4.1", Verb.COMPLETED, lambda made: made["result"].pop("duration")),
    ("9.5.4.1", Verb.PASSED, lambda made: made["result"].pop("duration")),
    ("9.5.4.1", Verb.FAILED, lambda made: made["result"].pop("duration")),
    ("9.6.2.2", Verb.COMPLETED, lambda made: _category(made, CATEGORY)),
    ("9.6.2.2", Verb.COMPLETED, lambda made: _category(made, MOVE_ON_CATEGORY)),
    ("9.6.2.2", Verb.TERMINATED, lambda made: _category(made, CATEGORY, MOVE_ON_CATEGORY)),
    ("9.3", Verb.LAUNCHED, lambda _made: None),
    ("9.3", Verb.ABANDONED, lambda _made: None),
    ("9.3", Verb.WAIVED, lambda _made: None),
    ("9.3", Verb.SATISFIED, lambda _made: None),
    ("9.3", Verb.TERMINATED, lambda made: made.update(verb={"id": "http://adlnet.gov/expapi/verbs/experienced"})),
]


@pytest.mark.parametrize(("section", "verb", "change"), DEFINED)
def test_what_cmi5_defines_is_as_cmi5_defines_it(section: str, verb: Verb, change: Change) -> None:
    made = statement(verb)
    change(made)
    assert refused(made) == section


@pytest.mark.parametrize(
    ("section", "verb", "score"),
    [
        ("9.3.4, 9.3.5", Verb.PASSED, {"scaled": 0.7999}),
        ("9.3.4, 9.3.5", Verb.FAILED, {"scaled": 0.8}),
        ("9.5.1", Verb.PASSED, {"scaled": 0.9, "raw": 9}),
        ("9.5.1", Verb.PASSED, {"scaled": 0.9, "raw": 9, "min": 0}),
        ("9.5.1", Verb.FAILED, {"scaled": -0.1}),
    ],
)
def test_scores_are_judged(section: str, verb: Verb, score: dict[str, Any]) -> None:
    assert refused(statement(verb, score)) == section


@pytest.mark.parametrize("given", [None, 0.7, "0.8", True])
def test_a_score_comes_with_the_mastery_score_it_was_judged_by(given: Any) -> None:
    made = statement(Verb.PASSED, {"scaled": 0.9})
    made["context"]["extensions"] |= {MASTERY_SCORE: given}
    if given is None:
        del made["context"]["extensions"][MASTERY_SCORE]
    assert refused(made) == "9.6.3.2"


@pytest.mark.parametrize(
    ("before", "verb"),
    [
        ([Verb.COMPLETED], Verb.COMPLETED),
        ([Verb.PASSED], Verb.PASSED),
        ([Verb.PASSED], Verb.FAILED),
        ([Verb.FAILED], Verb.PASSED),
        ([Verb.FAILED], Verb.FAILED),
        ([], Verb.INITIALIZED),
    ],
)
def test_verbs_come_once_in_a_session(before: list[Verb], verb: Verb) -> None:
    stage = STARTED
    for one in before:
        stage = next_stage(LAUNCH, stage, statement(one))
    assert refused(statement(verb), stage) == "9.3"


@pytest.mark.parametrize(
    ("earlier", "verb", "is_taken"),
    [
        (Verb.COMPLETED, Verb.COMPLETED, False),
        (Verb.PASSED, Verb.PASSED, False),
        (Verb.PASSED, Verb.FAILED, False),
        (Verb.FAILED, Verb.FAILED, True),
        (Verb.FAILED, Verb.PASSED, True),
        (Verb.PASSED, Verb.COMPLETED, True),
    ],
)
def test_some_verbs_come_once_in_a_registration(earlier: Verb, verb: Verb, is_taken: bool) -> None:
    stage = Stage(frozenset({Verb.INITIALIZED}), frozenset({Verb.INITIALIZED, earlier}), True, True)
    if is_taken:
        assert verb in next_stage(LAUNCH, stage, statement(verb)).session_verbs
    else:
        assert refused(statement(verb), stage) == "9.3"


def test_verbs_are_the_same_after_they_were_stored() -> None:
    assert from_bits(to_bits(frozenset(Verb))) == frozenset(Verb)
    assert from_bits(0) == frozenset()
