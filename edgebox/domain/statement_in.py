"""From what was sent to what is stored: an event of our own page, a statement of an outside client or of the hub."""

import json
from dataclasses import dataclass, fields, replace
from typing import Any

from content_packs.base import ids
from edgebox.domain.cmi5.rules import is_defined
from edgebox.domain.events import Event
from edgebox.domain.progress import step_of
from edgebox.domain.statement_out import authority_of
from edgebox.domain.statements import NewStatement, Outcome, Outside, digest_of
from edgebox.domain.verbs import IRIS, VOIDED_IRI, name_of
from edgebox.domain.xapi.agents import identifier_of
from edgebox.domain.xapi.mentions import mentions_of, target_of
from edgebox.domain.xapi.places import rewrite
from edgebox.domain.xapi.rules import PROGRESS_EXTENSION
from edgebox.domain.xapi.values import canonical_json
from edgebox.domain.xapi.version import Version
from sync.records.activity import Activity, own_activity, parse_activity
from sync.records.moments import format_timestamp, parse_duration, parse_timestamp
from sync.records.rows import Statement

_SET_BY_THE_BOX = frozenset({"id", "stored", "authority", "version"})
_NOT_KEPT = _SET_BY_THE_BOX - {"version"}
_PERCENT = 100
_UNJUDGED = "unjudged"
_NOT_ACTIVITIES = {
    kind: Activity(f"urn:x-edgebox-object:{kind}") for kind in ("Agent", "Group", "StatementRef", "SubStatement")
}


def from_event(event: Event, device_id: bytes, person_no: int, received: dict[str, Any]) -> NewStatement:
    """Return the statement of an event that `person_no` may submit."""
    activity = own_activity(event.pack, event.resource, event.item)
    result = event.result
    outcome = Outcome(
        success=result.success,
        completion=result.completion,
        score_raw=result.score,
        score_max=result.max,
        score_scaled=result.scaled,
        duration_ms=result.duration_ms,
        progress=result.progress,
        response=result.response,
    )
    content = repr((person_no, event.verb, activity.iri, event.attempt, event.timestamp_ms, result))
    step = step_of(
        event.verb,
        event.timestamp_ms,
        is_part=event.item is not None,
        opens_attempt=event.seq == event.attempt,
        progress=result.progress,
        completion=result.completion,
        score_scaled=outcome.score_scaled,
        duration_ms=result.duration_ms,
    )
    return NewStatement(
        id=ids.derive_statement_id(device_id, event.seq, event.timestamp_ms),
        person_no=person_no,
        verb_iri=IRIS[event.verb],
        activity=activity,
        timestamp_ms=event.timestamp_ms,
        outcome=outcome,
        digest=digest_of(content.encode()),
        received=received,
        step=step,
        device_seq=event.seq,
        attempt_seq=event.attempt,
        pack_version=event.version,
    )


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends statements.

    Attributes:
        home_page: of the accounts of this box's people.
        authority: identifier of the agent that vouches for what it sends.
        client_no: its credential; None for a page in which a learner is signed in.
        version: of xAPI, that it speaks.
        is_unit: a launched unit of a cmi5 course.
    """

    home_page: str
    authority: str
    client_no: int | None
    version: Version
    is_unit: bool = False


def from_statement(statement: dict[str, Any], person_no: int | None, now_ms: int, sender: Sender) -> NewStatement:
    """Return what is stored of a valid statement; one without an id or a time gets them from the moment `now_ms`.

    `person_no` is the person of this box who is the actor, None for anybody else.
    """
    received, statement = statement, _in_stored_form(statement, sender.version)
    timestamp_ms = parse_timestamp(statement["timestamp"]) if "timestamp" in statement else now_ms
    statement_id = ids.parse_uuid(statement["id"]) if "id" in statement else ids.new_uuid7(now_ms)
    activity = _activity_of(statement["object"])
    if sender.is_unit and not is_defined(statement):
        activity = _as_part(activity)
    outcome = _outcome_of(statement.get("result", {}))
    verb = name_of(statement["verb"]["id"])
    registration = statement.get("context", {}).get("registration")
    content = {name: value for name, value in statement.items() if name not in _SET_BY_THE_BOX}
    kept = {"timestamp": format_timestamp(now_ms), "version": sender.version.unnamed, **statement}
    step = step_of(
        verb,
        timestamp_ms,
        is_part=activity.item is not None,
        opens_attempt=verb == "initialized",
        progress=outcome.progress,
        completion=outcome.completion,
        score_scaled=outcome.score_scaled,
        duration_ms=outcome.duration_ms,
    )
    return NewStatement(
        id=statement_id,
        person_no=person_no,
        verb_iri=statement["verb"]["id"],
        activity=activity,
        timestamp_ms=timestamp_ms,
        outcome=outcome,
        digest=digest_of(canonical_json(content)),
        received=received,
        step=step,
        registration=ids.parse_uuid(registration) if registration else None,
        body=canonical_json({name: value for name, value in kept.items() if name not in _NOT_KEPT}),
        outside=_outside(statement, sender.home_page, sender.authority, sender.client_no),
    )


def outside_of(body: dict[str, Any], home_page: str, client_no: int | None) -> Outside:
    """Return what a statement has besides its columns, from its stored body.

    Args:
        home_page: empty when nobody knows it; then it has no authority.
    """
    authority = identifier_of(authority_of(home_page, client_no)) or "" if home_page else ""
    return _outside(body, home_page, authority, client_no)


def _outside(statement: dict[str, Any], home_page: str, authority: str, client_no: int | None) -> Outside:
    # The box is the authority, whatever was sent as such.
    mentions = mentions_of({name: value for name, value in statement.items() if name != "authority"})
    return Outside(home_page, mentions, authority, client_no, target_of(statement), is_voiding(statement))


def stored_at(statement: NewStatement, stored_ms: int) -> NewStatement:
    """Return a statement of an outside client as it is stored at a time: one without a time gets that one."""
    if "timestamp" in statement.received or statement.timestamp_ms == stored_ms or statement.body is None:
        return statement
    body = canonical_json(json.loads(statement.body) | {"timestamp": format_timestamp(stored_ms)})
    step = replace(statement.step, timestamp_ms=stored_ms)
    return replace(statement, timestamp_ms=stored_ms, body=body, step=step)


def _in_stored_form(statement: dict[str, Any], version: Version) -> dict[str, Any]:
    """Return a statement with its context activities in lists, and under 2.0 with times in UTC (2.0, 4.2.7)."""
    stored = rewrite(statement, agent=dict, activity=dict, verb=dict)
    if version is Version.TWO:
        for part in (stored, stored["object"]):
            if "timestamp" in part:
                part["timestamp"] = format_timestamp(parse_timestamp(part["timestamp"]))
    return stored


def from_record(
    record: Statement, person_no: int, verb_iri: str, activity_iri: str, device_id: bytes | None
) -> NewStatement | None:
    """Return the statement of a record that came from the hub, or None when nothing says which statement it is."""
    if record.id is None and (device_id is None or record.device_seq is None):
        return None
    activity, verb = parse_activity(activity_iri), name_of(verb_iri)
    is_own = device_id is not None and record.device_seq is not None
    step = step_of(
        verb,
        record.timestamp_ms,
        is_part=activity.item is not None,
        opens_attempt=record.device_seq == record.attempt_seq if is_own else verb == "initialized",
        progress=record.progress,
        completion=record.completion,
        score_scaled=record.score_scaled,
        duration_ms=record.duration_ms,
    )
    return NewStatement(
        id=record.id or ids.derive_statement_id(device_id or b"", record.device_seq or 0, record.timestamp_ms),
        person_no=person_no,
        verb_iri=verb_iri,
        activity=activity,
        timestamp_ms=record.timestamp_ms,
        outcome=Outcome(*(getattr(record, field.name) for field in fields(Outcome))),
        digest=b"",
        received={},
        step=step,
        device_seq=record.device_seq,
        attempt_seq=record.attempt_seq,
        registration=record.registration,
        body=record.body,
    )


def is_voiding(statement: dict[str, Any]) -> bool:
    """Tell whether a statement would take another one back."""
    return bool(statement["verb"]["id"] == VOIDED_IRI)


def _activity_of(value: dict[str, Any]) -> Activity:
    kind = value.get("objectType", "Activity")
    # People in the object stay in the body: an activity's IRI travels, so it must not name anybody.
    return parse_activity(value["id"]) if kind == "Activity" else _NOT_ACTIVITIES[kind]


def _as_part(activity: Activity) -> Activity:
    """Return what a statement of a unit is stored with that is not to count for the whole unit, here or at the hub."""
    if activity.pack is None or activity.resource is None or activity.item is not None:
        return activity
    return own_activity(activity.pack, activity.resource, _UNJUDGED)


def _outcome_of(result: dict[str, Any]) -> Outcome:
    score = result.get("score", {})
    percent = result.get("extensions", {}).get(PROGRESS_EXTENSION)
    is_percent = type(percent) in (int, float) and 0 <= percent <= _PERCENT
    return Outcome(
        success=result.get("success"),
        completion=result.get("completion"),
        score_raw=_real(score.get("raw")),
        score_max=_real(score.get("max")),
        score_scaled=_real(score.get("scaled")),
        duration_ms=parse_duration(result["duration"]) if "duration" in result else None,
        progress=percent / _PERCENT if is_percent else None,
        response=result.get("response"),
    )


def _real(value: float | None) -> float | None:
    return None if value is None else float(value)
