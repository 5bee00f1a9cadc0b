"""Which statements of a unit are taken (cmi5 7.1, 9). Whatever breaks a rule is refused as a whole, so nothing is void.

The rules say which of their sections they come from. Statements are valid xAPI when they come here.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.ids import format_uuid
from edgebox.domain.cmi5.session import Launch, Mode, Stage
from edgebox.domain.cmi5.vocabulary import (
    CATEGORY,
    MASTERY_SCORE,
    MOVE_ON_CATEGORY,
    SESSION_ID,
    Verb,
    verb_of,
)
from edgebox.domain.verbs import VOIDED_IRI
from edgebox.domain.xapi.agents import identifier_of

_OF_UNITS = frozenset({Verb.INITIALIZED, Verb.COMPLETED, Verb.PASSED, Verb.FAILED, Verb.TERMINATED})
_JUDGED = frozenset({Verb.PASSED, Verb.FAILED})
_TIMED = _OF_UNITS - {Verb.INITIALIZED}
_SUCCESS = {Verb.PASSED: True, Verb.FAILED: False}
_OF_THE_BOX = "urn:x-edgebox"
_NAME_GOES_ON = re.compile("[a-z0-9-]")
_UTC_ENDINGS = ("Z", "z", "+00:00", "-00:00", "+0000", "+00")
_EPSILON = 1e-9


class StatementRefused(EdgeboxError):
    """A statement of a unit that breaks a rule of cmi5, whose section is named."""

    code = "course.statement_refused"
    status = 403
    exit_code = 160
    sentence = N_("This statement breaks a rule of cmi5: {reason} ({section}).")
    remedy = N_("Tell the maker of the course.")


class SessionOver(EdgeboxError):
    """A unit speaks after its session ended, or after the learner opened it again."""

    code = "course.session_over"
    status = 403
    exit_code = 161
    sentence = N_("This unit was ended, or opened again elsewhere.")
    remedy = N_("Go back to the lesson and open it again.")


def next_stage(launch: Launch, stage: Stage, statement: dict[str, Any]) -> Stage:
    """Return the stage after a statement.

    Raises:
        SessionOver, StatementRefused
    """
    if stage.is_over:
        raise SessionOver
    _check_form(launch, statement)
    _check_place(launch, statement)
    counts = is_defined(statement)
    result = statement.get("result", {})
    judges = counts and ("success" in result or "completion" in result)
    is_marked = MOVE_ON_CATEGORY in _ids(statement, "category")
    _need(is_marked is judges, "the category moveon is there or missing wrongly", "9.6.2.2")
    verb = verb_of(statement["verb"]["id"]) if counts else None
    _check_order(stage, verb)
    if not counts:
        _check_own(launch, statement["object"])
        return stage
    if verb is None or verb not in _OF_UNITS:
        raise StatementRefused(reason="not a verb of a unit", section="9.3")
    _check_object(launch, statement)
    _check_result(verb, result)
    _check_mode(launch, verb)
    _check_repeated(stage, verb)
    if verb in _JUDGED:
        _check_score(launch, verb, statement)
    return stage.after(verb)


def is_defined(statement: dict[str, Any]) -> bool:
    """Tell whether a statement of a unit is one that cmi5 defines: no other counts for anything (7.1.2, 7.1.3)."""
    return CATEGORY in _ids(statement, "category")


def _need(holds: bool, reason: str, section: str) -> None:
    if not holds:
        raise StatementRefused(reason=reason, section=section)


def _check_form(launch: Launch, statement: dict[str, Any]) -> None:
    actor = statement["actor"]
    _need("id" in statement, "no id", "9.1")
    timestamp = statement.get("timestamp", "")
    _need(timestamp.endswith(_UTC_ENDINGS), "no timestamp in UTC", "9.7")
    is_agent = actor.get("objectType", "Agent") == "Agent" and "account" in actor
    _need(is_agent and identifier_of(actor) == launch.agent, "another actor", "9.2")
    _need(statement["verb"]["id"] != VOIDED_IRI, "units take nothing back", "6.3")


def _check_place(launch: Launch, statement: dict[str, Any]) -> None:
    """The context is that of the launch, as the context template gives it."""
    context = statement.get("context", {})
    registration = str(context.get("registration", "")).lower()
    _need(registration == format_uuid(launch.registration), "another registration", "9.6.1")
    session = context.get("extensions", {}).get(SESSION_ID)
    _need(session == format_uuid(launch.session), "another session id", "9.6.3.1")
    _need(launch.publisher_id in _ids(statement, "grouping"), "the id of the unit is missing", "9.6.2.3")


def _ids(statement: dict[str, Any], name: str) -> frozenset[str]:
    found = statement.get("context", {}).get("contextActivities", {}).get(name, [])
    return frozenset(one["id"] for one in (found if isinstance(found, list) else [found]))


def _check_order(stage: Stage, verb: Verb | None) -> None:
    if Verb.INITIALIZED not in stage.session_verbs:
        _need(verb is Verb.INITIALIZED, "before initialized", "9.3")
        _need(stage.has_read_launch, "before the launch data were read", "10.2.1")
        _need(stage.has_read_preferences, "before the learner's preferences were read", "11")


def _check_object(launch: Launch, statement: dict[str, Any]) -> None:
    target = statement["object"]
    is_unit = target.get("objectType", "Activity") == "Activity" and target.get("id") == launch.activity_iri
    _need(is_unit, "the object is not the unit", "9.4")


def _check_own(launch: Launch, target: dict[str, Any]) -> None:
    """What cmi5 leaves open may be said of anything but what else the box names: of the unit, or of parts of it."""
    iri = target.get("id", "") if target.get("objectType", "Activity") == "Activity" else ""
    own, rest = iri[: len(launch.activity_iri)], iri[len(launch.activity_iri) :]
    is_own = own == launch.activity_iri and not _NAME_GOES_ON.match(rest)
    _need(is_own or not iri.startswith(_OF_THE_BOX), "the object is neither the unit nor a part of it", "7.1.3")


def _check_result(verb: Verb, result: dict[str, Any]) -> None:
    _need(result.get("success") is _SUCCESS.get(verb), "success does not fit the verb", "9.5.2")
    wanted = True if verb is Verb.COMPLETED else None
    _need(result.get("completion") is wanted, "completion does not fit the verb", "9.5.3")
    _need("score" not in result or verb in _JUDGED, "a score does not fit the verb", "9.5.1")
    _need("duration" in result or verb not in _TIMED, "no duration", "9.5.4.1")


def _check_mode(launch: Launch, verb: Verb) -> None:
    may = launch.mode is Mode.NORMAL or verb in (Verb.INITIALIZED, Verb.TERMINATED)
    _need(may, "nothing is judged in this launch mode", "10.2.2")


def _check_repeated(stage: Stage, verb: Verb) -> None:
    _need(verb not in stage.session_verbs, "the verb was used in this session", "9.3")
    _need(verb not in _JUDGED or not stage.session_verbs & _JUDGED, "passed or failed already", "9.3")
    once = verb in (Verb.COMPLETED, Verb.PASSED)
    _need(not once or verb not in stage.unit_verbs, "the verb was used in this registration", "9.3")
    _need(verb is not Verb.FAILED or Verb.PASSED not in stage.unit_verbs, "failed after passed", "9.3")


def _check_score(launch: Launch, verb: Verb, statement: dict[str, Any]) -> None:
    score = statement.get("result", {}).get("score", {})
    _need("raw" not in score or {"min", "max"} <= score.keys(), "a raw score without min and max", "9.5.1")
    scaled = score.get("scaled")
    _need(scaled is None or 0 <= scaled <= 1, "a scaled score that is not from 0 to 1", "9.5.1")
    given = statement["context"]["extensions"].get(MASTERY_SCORE)
    if launch.mastery_score is None:
        return
    is_equal = type(given) in (int, float) and 0 <= given <= 1 and abs(given - launch.mastery_score) < _EPSILON
    _need(is_equal or (given is None and scaled is None), "another mastery score", "9.6.3.2")
    reached = _share(score) if scaled is None else scaled
    if reached is not None:
        _need(_FITS[verb](reached, launch.mastery_score), "the score does not fit the verb", "9.3.4, 9.3.5")


def _share(score: dict[str, Any]) -> float | None:
    """Return what a raw score comes to from 0 to 1; its numbers may be larger than any float."""
    if not {"raw", "min", "max"} <= score.keys():
        return None
    raw, least, most = (Fraction(score[name]) for name in ("raw", "min", "max"))
    return float(min(max((raw - least) / (most - least), Fraction(0)), Fraction(1))) if most > least else None


_FITS: dict[Verb, Callable[[float, float], bool]] = {
    Verb.PASSED: lambda scaled, mastery: scaled >= mastery,
    Verb.FAILED: lambda scaled, mastery: scaled < mastery,
}
