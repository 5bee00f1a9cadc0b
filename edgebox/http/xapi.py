"""xAPI 1.0.3 statements for outside clients: learners write and read their own, teachers read the school's."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from content_packs.base import ids
from edgebox.http import problems
from edgebox.http.body import read_body
from edgebox.http.xapi_request import (
    agent_parameter,
    check_own_agent,
    json_answer,
    open_request,
    time_parameter,
    uuid_parameter,
)
from edgebox.keys import BOX
from edgebox.services.recording import Caller
from edgebox.store.statement_queries import Filter
from sync.records.moments import format_timestamp
from sync.records.xapi import VERSION, StatementMalformed, check_iri, check_uuid, parse_json

REQUEST_MAX_BYTES = 256 * 1024
PAGE_MAX = 100
_PATH = "/xapi/statements"
_FORMATS = ("exact", "canonical")
_ONE = frozenset({"statementId", "format", "attachments"})
_LIST = frozenset(
    {
        "agent",
        "verb",
        "activity",
        "registration",
        "since",
        "until",
        "limit",
        "ascending",
        "format",
        "attachments",
        "related_activities",
        "related_agents",
        "start",
    }
)
_UNSUPPORTED = ("attachments", "related_activities", "related_agents")


async def about(_request: web.Request) -> web.Response:
    """Say which versions are spoken; the one resource that asks for no version."""
    return json_answer({"version": [VERSION]})


async def post_statements(request: web.Request) -> web.Response:
    """Store one statement or a list of them, all or none; answer their ids."""
    caller = await open_request(request, frozenset())
    received = await _read_json(request)
    statements = received if isinstance(received, list) else [received]
    stored = await request.app[BOX].recording.store_statements(caller, statements)
    return json_answer(stored)


async def put_statement(request: web.Request) -> web.Response:
    """Store one statement under the id in the address."""
    caller = await open_request(request, frozenset({"statementId"}))
    wanted = request.query.get("statementId")
    check_uuid(wanted, "statementId")
    statement = await _read_json(request)
    if not isinstance(statement, dict):
        raise StatementMalformed(where="statement", reason="not an object")
    if str(statement.setdefault("id", wanted)).lower() != str(wanted).lower():
        raise StatementMalformed(where="statement.id", reason="not the statementId")
    await request.app[BOX].recording.store_statements(caller, [statement])
    return web.Response(status=204)


async def get_statements(request: web.Request) -> web.Response:
    """Return one statement by its id, or a page of them."""
    caller = await open_request(request, _ONE if "statementId" in request.query else _LIST)
    if request.query.get("format", "exact") not in _FORMATS:
        raise StatementMalformed(where="format", reason="not one of " + ", ".join(_FORMATS))
    for name in _UNSUPPORTED:
        if _flag(request, name):
            raise StatementMalformed(where=name, reason="only false is supported")
    headers = {"X-Experience-API-Consistent-Through": format_timestamp(request.app[BOX].clock.now_ms())}
    statement_id = uuid_parameter(request, "statementId")
    if statement_id is None:
        return json_answer(await _page(request, caller), headers)
    found = await request.app[BOX].recording.find_statement(caller, statement_id)
    if found is None:
        raise problems.NotFound
    return json_answer(found, headers | {"Last-Modified": found["stored"]})


async def _page(request: web.Request, caller: Caller) -> dict[str, Any]:
    query = request.query
    wanted = Filter(
        person_no=await _wanted_person(request, caller),
        verb=_iri(request, "verb"),
        activity=_iri(request, "activity"),
        registration=uuid_parameter(request, "registration"),
        since_ms=time_parameter(request, "since"),
        until_ms=time_parameter(request, "until"),
        is_ascending=_flag(request, "ascending"),
    )
    limit = min(_number(request, "limit", 0) or PAGE_MAX, PAGE_MAX)
    start = _number(request, "start", 0) if "start" in query else None
    statements, next_seq = await request.app[BOX].recording.list_statements(caller, wanted, start, limit)
    more = "" if next_seq is None else f"{_PATH}?{urlencode({**query, 'start': next_seq})}"
    return {"statements": statements, "more": more}


async def _wanted_person(request: web.Request, caller: Caller) -> int | None:
    """Return the person whose statements are wanted; nobody has the number 0."""
    agent = agent_parameter(request)
    if agent is None:
        return caller.reads_of
    if caller.reads_of is not None:
        check_own_agent(request, caller)
        return caller.reads_of
    return await request.app[BOX].recording.person_of(agent) or 0


async def _read_json(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise problems.BodyMalformed(reason="application/json")
    return parse_json(await read_body(request, REQUEST_MAX_BYTES))


def _iri(request: web.Request, name: str) -> str | None:
    value = request.query.get(name)
    if value is not None:
        check_iri(value, name)
    return value


def _flag(request: web.Request, name: str) -> bool:
    value = request.query.get(name, "false")
    if value not in ("true", "false"):
        raise StatementMalformed(where=name, reason="not true or false")
    return value == "true"


def _number(request: web.Request, name: str, otherwise: int) -> int:
    value = request.query.get(name)
    if value is None:
        return otherwise
    if not (value.isascii() and value.isdigit() and len(value) <= ids.ID_BYTES):
        raise StatementMalformed(where=name, reason="not a whole number")
    return int(value)
