"""The statement resource (1.0.3 part 3, 2.1; 2.0, 4.1.6.1)."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from edgebox.domain.xapi.agents import identifier_of
from edgebox.domain.xapi.formats import FORMATS, in_canonical_form, languages_of, with_ids_only
from edgebox.domain.xapi.places import activities_of
from edgebox.domain.xapi.values import StatementMalformed, check_iri, check_uuid, parse_json
from edgebox.http import problems
from edgebox.http.xapi import multipart
from edgebox.http.xapi.answers import json_answer, last_modified, write_json, written_answer
from edgebox.http.xapi.call import COMPLETE_THROUGH_MS, JSON_TYPE, REQUEST_MAX_BYTES, Call
from edgebox.keys import BOX
from edgebox.services import large
from edgebox.services.attachments import Part
from edgebox.services.record_store import Found
from edgebox.store.definitions import Definitions
from edgebox.store.statement_filters import Filter
from sync.records.moments import parse_timestamp

PAGE_MAX = 100
_PATH = "/xapi/statements"
_START = "start"
_NONE: frozenset[str] = frozenset()
_ONE = ("statementId", "voidedStatementId")
_HOW = frozenset({"format", "attachments"})
_LIST = _HOW | {
    "agent",
    "verb",
    "activity",
    "registration",
    "since",
    "until",
    "limit",
    "ascending",
    "related_activities",
    "related_agents",
    _START,
}


async def post(call: Call) -> web.Response:
    """Store one statement or a list of them, all or none; answer their ids."""
    call.allow(_NONE)
    return json_answer(await _store(call, None))


async def put(call: Call) -> web.Response:
    """Store one statement under the id in the address."""
    call.allow(frozenset({"statementId"}))
    wanted = call.required("statementId")
    check_uuid(wanted, "statementId")
    await _store(call, wanted)
    return web.Response(status=204)


async def _store(call: Call, wanted_id: str | None) -> list[str]:
    store = call.request.app[BOX].record_store
    store.check_may_record(call.caller)
    async with AsyncExitStack() as stack:
        parts: list[Part] = []
        if call.base_type == multipart.TYPE and call.content is None:
            size_bytes = multipart.size_of(call.request)
            folder = await stack.enter_async_context(store.files.receiving(size_bytes))
            body, parts = await multipart.receive(call.request, folder)
        elif call.base_type == JSON_TYPE:
            body = await call.read(REQUEST_MAX_BYTES)
        else:
            raise problems.BodyMalformed(reason=JSON_TYPE)
        received = await large.work(len(body), parse_json, body)
        if wanted_id is not None:
            received = [_with_id(received, wanted_id)]
        statements = received if isinstance(received, list) else [received]
        return await store.store(call.caller, call.version, statements, parts, size_bytes=len(body))


def _with_id(statement: Any, wanted_id: str) -> dict[str, Any]:
    if not isinstance(statement, dict):
        raise StatementMalformed(where="statement", reason="not an object")
    if str(statement.get("id", wanted_id)).lower() != wanted_id.lower():
        raise StatementMalformed(where="statement.id", reason="not the statementId")
    return {"id": wanted_id, **statement}


async def get(call: Call) -> web.StreamResponse:
    """Return one statement by its id, or a page of them."""
    # Before anything is read: what is stored meanwhile is after this time, and so found by the next request.
    call.request[COMPLETE_THROUGH_MS] = call.request.app[BOX].record_store.through_ms()
    chosen = [name for name in _ONE if name in call.query]
    call.allow(_HOW | {*chosen} if len(chosen) == 1 else _LIST)
    if call.query.get("format", "exact") not in FORMATS:
        raise StatementMalformed(where="format", reason="not one of " + ", ".join(FORMATS))
    has_files = call.flag("attachments")
    if chosen:
        found = await _find(call, chosen[0])
        headers = last_modified(parse_timestamp(found.statements[0]["stored"]))
        found = await _formatted(call, found, await _definitions(call, found))
        return await _answer(call, found, found.statements[0], headers, has_files=has_files)
    return await _page(call, has_files=has_files)


async def _find(call: Call, name: str) -> Found:
    statement_id = call.uuid(name)
    is_void = name == "voidedStatementId"
    found = await call.request.app[BOX].record_store.find(call.caller, statement_id or b"", is_void=is_void)
    if found is None:
        raise problems.NotFound
    return found


async def _page(call: Call, *, has_files: bool) -> web.StreamResponse:
    store = call.request.app[BOX].record_store
    agent = call.agent()
    wanted = Filter(
        agent=None if agent is None else identifier_of(agent) or "",
        person_no=None if agent is None else await store.person_of(agent),
        verb=_iri(call, "verb"),
        activity=_iri(call, "activity"),
        registration=call.uuid("registration"),
        since_ms=call.moment("since"),
        until_ms=call.moment("until"),
        is_ascending=call.flag("ascending"),
        related_agents=call.flag("related_agents"),
        related_activities=call.flag("related_activities"),
    )
    limit = min(call.number("limit") or PAGE_MAX, PAGE_MAX)
    found = await store.list_page(call.caller, wanted, call.number(_START), limit)
    definitions = await _definitions(call, found)
    if definitions.fitting < len(found.statements):
        found = await store.list_page(call.caller, wanted, call.number(_START), definitions.fitting)
    found = await _formatted(call, found, definitions)
    more = "" if found.next_seq is None else f"{_PATH}?{urlencode({**call.query, _START: found.next_seq})}"
    body = {"statements": found.statements, "more": more}
    moments = [parse_timestamp(statement["stored"]) for statement in found.statements]
    headers = last_modified(max(moments)) if moments else {}
    return await _answer(call, found, body, headers, has_files=has_files)


async def _answer(
    call: Call, found: Found, body: Any, headers: dict[str, str], *, has_files: bool
) -> web.StreamResponse:
    written = await large.work(found.size_bytes, write_json, body)
    if not has_files:
        return written_answer(written, headers)
    return await multipart.send(call.request, written, found.statements, headers)


async def _definitions(call: Call, found: Found) -> Definitions:
    """Return what the canonical form adds to statements; to the other forms nothing, so that all fit."""
    if call.query.get("format") != "canonical":
        return Definitions(fitting=len(found.statements))
    mentioned = await large.work(found.size_bytes, _activities_in, found.statements)
    return await call.request.app[BOX].record_store.find_definitions(mentioned)


async def _formatted(call: Call, found: Found, definitions: Definitions) -> Found:
    wanted = call.query.get("format", "exact")
    if wanted == "exact":
        return found
    if wanted == "ids":
        return replace(found, statements=await large.work(found.size_bytes, _each, with_ids_only, found.statements))
    languages = languages_of(call.headers.get("Accept-Language", ""))
    canonical = partial(in_canonical_form, languages=languages, find_definition=definitions.by_iri.get)
    size_bytes = found.size_bytes + definitions.size_bytes
    statements = await large.work(size_bytes, _each, canonical, found.statements)
    return replace(found, statements=statements, size_bytes=size_bytes)


def _each(
    form: Callable[[dict[str, Any]], dict[str, Any]], statements: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    return [form(statement) for statement in statements]


def _activities_in(statements: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [activities_of(statement) for statement in statements]


def _iri(call: Call, name: str) -> str | None:
    value = call.query.get(name)
    if value is not None:
        check_iri(value, name)
    return value
