"""What all xAPI handlers read from a request: version, caller, parameters."""

import json
import re
from typing import Any

from aiohttp import web

from content_packs.base import ids
from content_packs.base.errors import N_, EdgeboxError
from edgebox.domain.session import Role
from edgebox.http import problems
from edgebox.keys import BOX, SESSION
from edgebox.services.recording import ActorRefused, Caller
from sync.records.moments import parse_timestamp
from sync.records.xapi import StatementMalformed, check_actor, check_uuid, parse_json

_VERSION_HEADER = "X-Experience-API-Version"
_KNOWN_VERSION = re.compile(r"1\.0(\.\d+)?")
_BEARER = "Bearer "


class VersionUnsupported(EdgeboxError):
    """A client of another xAPI version, or one that does not say."""

    code = "record.version_unsupported"
    status = 400
    exit_code = 86
    sentence = N_("The box speaks xAPI 1.0.3, not {version}.")
    remedy = N_("Tell the maker of the learning app.")


async def open_request(request: web.Request, parameters: frozenset[str]) -> Caller:
    """Return who asks, after the version and the names of the parameters were checked.

    Raises:
        VersionUnsupported, SignInNeeded, TokenInvalid, PersonUnknown
        StatementMalformed: a parameter that the resource does not have, or one given twice.
    """
    version = request.headers.get(_VERSION_HEADER, "")
    if not _KNOWN_VERSION.fullmatch(version):
        raise VersionUnsupported(version=version[:20])
    for name in request.query:
        if name not in parameters or len(request.query.getall(name)) > 1:
            raise StatementMalformed(where=name[:100], reason="not a parameter here")
    return await _caller(request)


async def _caller(request: web.Request) -> Caller:
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith(_BEARER):
        return await request.app[BOX].recording.caller_of_token(authorization.removeprefix(_BEARER).strip())
    session = request.get(SESSION)
    if session is None:
        raise problems.SignInNeeded
    is_learner = session.role is Role.LEARNER
    return Caller(
        person_no=session.person_no,
        pseudonym=session.pseudonym,
        may_record=is_learner,
        may_read=True,
        reads_of=session.person_no if is_learner else None,
    )


def required(request: web.Request, name: str) -> str:
    """Return a parameter that must be given.

    Raises:
        StatementMalformed
    """
    value = request.query.get(name)
    if not value:
        raise StatementMalformed(where=name, reason="missing")
    return value


def uuid_parameter(request: web.Request, name: str) -> bytes | None:
    """Return a UUID, None when it was not given.

    Raises:
        StatementMalformed
    """
    value = request.query.get(name)
    if value is None:
        return None
    check_uuid(value, name)
    return ids.parse_uuid(value)


def time_parameter(request: web.Request, name: str) -> int | None:
    """Return a moment in milliseconds, None when it was not given.

    Raises:
        StatementMalformed
    """
    value = request.query.get(name)
    try:
        return None if value is None else parse_timestamp(value)
    except ValueError as error:
        raise StatementMalformed(where=name, reason="not a timestamp") from error


def agent_parameter(request: web.Request) -> Any:
    """Return the agent or group in `agent`, None when it was not given.

    Raises:
        StatementMalformed
    """
    value = request.query.get("agent")
    if value is None:
        return None
    agent = parse_json(value.encode(errors="replace"))
    check_actor(agent, "agent")
    return agent


def check_own_agent(request: web.Request, caller: Caller) -> None:
    """Return if the required `agent` is the caller.

    Raises:
        StatementMalformed, ActorRefused
    """
    required(request, "agent")
    if not request.app[BOX].recording.is_caller(agent_parameter(request), caller):
        raise ActorRefused


def json_answer(value: Any, headers: dict[str, str] | None = None) -> web.Response:
    """Return JSON in UTF-8."""
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    return web.Response(body=body, content_type="application/json", headers=headers)
