"""From what is stored to the JSON that an xAPI client reads. Every statement is written out whole and valid."""

import json
from typing import Any

from content_packs.base import ids
from edgebox.domain.statements import Outcome, StoredStatement
from edgebox.domain.verbs import display_of
from edgebox.domain.xapi.rules import PROGRESS_EXTENSION
from edgebox.domain.xapi.version import Version
from sync.records.activity import Activity, pack_iri
from sync.records.moments import format_duration, format_timestamp

REPAIRED_EXTENSION = "urn:x-edgebox-extension:told"
_RESOURCE_TYPE = "http://id.tincanapi.com/activitytype/resource"
_ITEM_TYPE = "http://adlnet.gov/expapi/activities/cmi.interaction"
_PERCENT = 100
_REQUIRED = ("actor", "object")


def home_page_of(key_id: bytes) -> str:
    """Return the `account.homePage` of the actors of the box whose first key this is."""
    return f"http://box-{key_id.hex()[:12]}.internal/"


def account(home_page: str, pseudonym: bytes) -> dict[str, Any]:
    """Return the agent that stands for a person of this box."""
    return {
        "objectType": "Agent",
        "account": {"homePage": home_page, "name": ids.format_uuid(pseudonym)},
    }


def is_account(agent: Any, home_page: str, pseudonym: bytes) -> bool:
    """Tell whether a valid agent is the person; a name beside the account does not matter."""
    return bool(agent.get("account") == account(home_page, pseudonym)["account"])


def authority_of(home_page: str, client_no: int | None) -> dict[str, Any]:
    """Return the agent that vouches for a statement: the box, or a credential that staff made."""
    name = "box" if client_no is None else f"client-{client_no}"
    return {"objectType": "Agent", "account": {"homePage": home_page, "name": name}}


def write_out(statement: StoredStatement, home_page: str) -> dict[str, Any]:
    """Return the whole statement as JSON."""
    body = _own_body(statement, home_page) if statement.body is None else _given_body(statement, home_page)
    if statement.told is not None:
        _mark_repaired(body, statement.timestamp_ms, *statement.told)
    return {
        "id": ids.format_uuid(statement.id),
        "version": Version.ONE.title,
        **body,
        "stored": format_timestamp(statement.stored_ms),
        "authority": authority_of(home_page, statement.client_no),
    }


def _given_body(statement: StoredStatement, home_page: str) -> dict[str, Any]:
    """Return what an outside client sent; who it is about is put back where the statement came by way of the hub."""
    body: dict[str, Any] = json.loads(statement.body or b"{}")
    return {name: value for name, value in _own_body(statement, home_page).items() if name in _REQUIRED} | body


def _mark_repaired(body: dict[str, Any], timestamp_ms: int, told_timestamp_ms: int, told_stored_ms: int) -> None:
    """Say in the statement what its times were before they were repaired."""
    if timestamp_ms != told_timestamp_ms:
        body["timestamp"] = format_timestamp(timestamp_ms)
    told = {"timestamp": format_timestamp(told_timestamp_ms), "stored": format_timestamp(told_stored_ms)}
    context = body.setdefault("context", {})
    context["extensions"] = context.get("extensions", {}) | {REPAIRED_EXTENSION: told}


def _own_body(statement: StoredStatement, home_page: str) -> dict[str, Any]:
    body = {
        "actor": account(home_page, statement.pseudonym or bytes(ids.ID_BYTES)),
        "verb": {"id": statement.verb_iri, "display": {"en": display_of(statement.verb_iri)}},
        "object": _object(statement.activity),
        "context": _context(statement),
        "timestamp": format_timestamp(statement.timestamp_ms),
    }
    if result := _result(statement.outcome):
        body["result"] = result
    return body


def own_definition(activity: Activity) -> dict[str, Any] | None:
    """Return the definition of something in a pack, None for any other activity."""
    if activity.pack is None:
        return None
    return {"type": _RESOURCE_TYPE} if activity.item is None else {"type": _ITEM_TYPE, "interactionType": "other"}


def _object(activity: Activity) -> dict[str, Any]:
    found: dict[str, Any] = {"objectType": "Activity", "id": activity.iri}
    definition = own_definition(activity)
    return found if definition is None else found | {"definition": definition}


def _context(statement: StoredStatement) -> dict[str, Any]:
    context: dict[str, Any] = {}
    if (registration := registration_of(statement)) is not None:
        context["registration"] = ids.format_uuid(registration)
    activity = statement.activity
    if statement.pack_version is not None:
        context["revision"] = str(statement.pack_version)  # xAPI 1.0.3, 2.4.6: the revision of the activity
    if activity.pack is not None:
        around = {"grouping": [{"objectType": "Activity", "id": pack_iri(activity.pack)}]}
        if activity.item is not None:
            around["parent"] = [{"objectType": "Activity", "id": activity.whole.iri}]
        context["contextActivities"] = around
    return context


def registration_of(statement: StoredStatement) -> bytes | None:
    """Return the registration: as an outside client gave it, or derived from device and attempt."""
    if statement.registration is not None or statement.device_id is None or statement.attempt_seq is None:
        return statement.registration
    return ids.derive_registration(statement.device_id, statement.attempt_seq)


def _result(outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = {
        "score": _score(outcome),
        "success": outcome.success,
        "completion": outcome.completion,
        "response": outcome.response,
        "duration": None if outcome.duration_ms is None else format_duration(outcome.duration_ms),
    }
    if outcome.progress is not None:
        result["extensions"] = {PROGRESS_EXTENSION: round(outcome.progress * _PERCENT)}
    return {name: value for name, value in result.items() if value is not None}


def _score(outcome: Outcome) -> dict[str, float] | None:
    score = {"scaled": outcome.score_scaled, "raw": outcome.score_raw, "max": outcome.score_max}
    if outcome.score_raw is not None and outcome.score_max is not None and outcome.score_raw > outcome.score_max:
        del score["max"]  # a learning app may give more than there is; xAPI has no words for that
    return {name: value for name, value in score.items() if value is not None} or None
