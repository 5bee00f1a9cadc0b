"""What the box says itself: its statements about launches, and the documents a unit reads first (cmi5 9, 10, 11)."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from content_packs.base.ids import format_uuid
from content_packs.format.cmi5 import Block, Course, Titled, Unit, part_name
from edgebox.domain.cmi5 import vocabulary as words
from edgebox.domain.cmi5.session import Mode
from edgebox.domain.cmi5.vocabulary import Verb
from sync.records.activity import pack_iri
from sync.records.moments import format_duration, format_timestamp

_BLOCK_PREFIX = "urn:x-edgebox-block:"


class Teller:
    """Makes the statements of one registration."""

    def __init__(self, actor: Mapping[str, Any], registration: bytes, session: bytes, now_ms: int) -> None:
        self._actor = dict(actor)
        self._registration = registration
        self._session = session
        self._now_ms = now_ms

    def launched(self, unit: Unit, activity_iri: str, launch_url: str, mode: Mode) -> dict[str, Any]:
        """Say that a unit was launched (9.3.1, 9.6.3)."""
        maybe = {words.MASTERY_SCORE: unit.mastery_score, words.LAUNCH_PARAMETERS: unit.launch_parameters}
        extensions = {
            words.LAUNCH_MODE: mode.value,
            words.LAUNCH_URL: launch_url,
            words.MOVE_ON: unit.move_on.value,
        } | {name: value for name, value in maybe.items() if value is not None}
        return self._statement(Verb.LAUNCHED, _unit_object(unit, activity_iri), unit.about.id, extensions)

    def abandoned(self, activity_iri: str, publisher_id: str, duration_ms: int) -> dict[str, Any]:
        """Say that a session ended without saying so (9.3.6)."""
        target = {"objectType": "Activity", "id": activity_iri}
        return self._statement(Verb.ABANDONED, target, publisher_id) | {
            "result": {"duration": format_duration(duration_ms)}
        }

    def waived(self, unit: Unit, activity_iri: str, reason: str) -> dict[str, Any]:
        """Say that a unit counts as done (9.3.7)."""
        statement = self._statement(Verb.WAIVED, _unit_object(unit, activity_iri), unit.about.id)
        statement["context"]["contextActivities"]["category"].append(_activity(words.MOVE_ON_CATEGORY))
        result = {"success": True, "completion": True, "extensions": {words.REASON: reason}}
        return statement | {"result": result}

    def satisfied(self, pack: str, part: Block | Course) -> dict[str, Any]:
        """Say that a block, or the course, is satisfied (9.3.9)."""
        if isinstance(part, Course):
            iri, kind = pack_iri(pack), words.COURSE_TYPE
        else:
            iri, kind = f"{_BLOCK_PREFIX}{pack}:{part_name(part.about.id)}", words.BLOCK_TYPE
        target = {"objectType": "Activity", "id": iri, "definition": {**_definition(part.about), "type": kind}}
        return self._statement(Verb.SATISFIED, target, part.about.id)

    def _statement(
        self, verb: Verb, target: dict[str, Any], publisher_id: str, extensions: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        context = context_template(publisher_id, self._session)
        context["contextActivities"]["category"] = [_activity(words.CATEGORY)]
        context["extensions"] |= extensions or {}
        return {
            "actor": self._actor,
            "verb": {"id": verb.value, "display": {"en": verb.name.lower()}},
            "object": target,
            "context": {"registration": format_uuid(self._registration), **context},
            "timestamp": format_timestamp(self._now_ms),
        }


def context_template(publisher_id: str, session: bytes) -> dict[str, Any]:
    """Return what the context of every statement of a session has (10.2.1)."""
    return {
        "contextActivities": {"grouping": [_activity(publisher_id)]},
        "extensions": {words.SESSION_ID: format_uuid(session)},
    }


def launch_document(unit: Unit, session: bytes, mode: Mode, return_url: str) -> bytes:
    """Return the document LMS.LaunchData (10.2)."""
    key = None if unit.entitlement_key is None else {"courseStructure": unit.entitlement_key}
    maybe = {
        "launchParameters": unit.launch_parameters,
        "masteryScore": unit.mastery_score,
        "returnURL": return_url or None,
        "entitlementKey": key,
    }
    document = {
        "contextTemplate": context_template(unit.about.id, session),
        "launchMode": mode.value,
        "moveOn": unit.move_on.value,
    } | {name: value for name, value in maybe.items() if value is not None}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def preferences_document(languages: str) -> bytes:
    """Return the document cmi5LearnerPreferences (11)."""
    return json.dumps({"languagePreference": languages, "audioPreference": "on"}).encode()


def add_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """Return the address of a unit with what it is launched with, beside what its own query says (8.1)."""
    parts = urlsplit(url)
    own = parse_qsl(parts.query, keep_blank_values=True)
    return urlunsplit(parts._replace(query=urlencode([*own, *parameters.items()])))


def _unit_object(unit: Unit, activity_iri: str) -> dict[str, Any]:
    definition = _definition(unit.about)
    if unit.activity_type is not None:
        definition["type"] = unit.activity_type
    return {"objectType": "Activity", "id": activity_iri, "definition": definition}


def _definition(about: Titled) -> dict[str, Any]:
    return {"name": dict(about.title), "description": dict(about.description)}


def _activity(iri: str) -> dict[str, Any]:
    return {"objectType": "Activity", "id": iri}
