"""xAPI 1.0.3 state documents: the last place in a film, the unfinished work in a learning app."""

from email.utils import formatdate

from aiohttp import web

from edgebox.http import problems
from edgebox.http.body import read_body, read_json
from edgebox.http.xapi_request import (
    check_own_agent,
    json_answer,
    open_request,
    required,
    time_parameter,
    uuid_parameter,
)
from edgebox.keys import BOX
from edgebox.services.app_state import DOCUMENT_MAX_BYTES, JSON_TYPE, Condition, etag
from edgebox.services.recording import ReadingRefused
from edgebox.store.states import Place
from sync.records.xapi import StatementMalformed, check_iri

STATE_ID_MAX_CHARACTERS = 200
_PARAMETERS = frozenset({"activityId", "agent", "registration", "stateId"})
_LIST_PARAMETERS = _PARAMETERS | {"since"}
_SECOND_MS = 1000
# A document comes back from the app's own origin, so a browser that is led there must not show it.
_ATTACHMENT = {"Content-Disposition": "attachment"}


async def get_state(request: web.Request) -> web.Response:
    """Return one document, or the ids of all when no stateId is given."""
    place = await _place(request, _LIST_PARAMETERS)
    app_state = request.app[BOX].app_state
    if "stateId" not in request.query:
        return json_answer(await app_state.list_ids(place, time_parameter(request, "since") or 0))
    document = await app_state.find(place, _state_id(request))
    if document is None:
        raise problems.NotFound
    headers = {
        "Content-Type": document.content_type,
        "ETag": etag(document.content),
        "Last-Modified": formatdate(document.updated_ms / _SECOND_MS, usegmt=True),
        **_ATTACHMENT,
    }
    return web.Response(body=document.content, headers=headers)


async def put_state(request: web.Request) -> web.Response:
    """Replace one document."""
    place = await _place(request, _PARAMETERS)
    content_type, content = await _document(request)
    await request.app[BOX].app_state.put(place, _state_id(request), content_type, content, _condition(request))
    return web.Response(status=204)


async def post_state(request: web.Request) -> web.Response:
    """Merge a JSON object into a document."""
    place = await _place(request, _PARAMETERS)
    content_type, content = await _document(request)
    await request.app[BOX].app_state.merge(place, _state_id(request), content_type, content, _condition(request))
    return web.Response(status=204)


async def delete_state(request: web.Request) -> web.Response:
    """Remove one document, or all when no stateId is given."""
    place = await _place(request, _PARAMETERS)
    if "stateId" in request.query:
        await request.app[BOX].app_state.delete(place, _state_id(request), _condition(request))
    else:
        await request.app[BOX].app_state.delete_all(place)
    return web.Response(status=204)


async def _place(request: web.Request, parameters: frozenset[str]) -> Place:
    caller = await open_request(request, parameters)
    if not caller.may_read:
        # A submit token stays on the tablet after its learner left; her unfinished work is not for who comes next.
        raise ReadingRefused
    activity_iri = required(request, "activityId")
    check_iri(activity_iri, "activityId")
    check_own_agent(request, caller)
    return Place(caller.person_no, activity_iri, uuid_parameter(request, "registration") or b"")


def _state_id(request: web.Request) -> str:
    state_id = required(request, "stateId")
    if len(state_id) > STATE_ID_MAX_CHARACTERS or not state_id.isprintable():
        raise StatementMalformed(where="stateId", reason="too long or not storable")
    return state_id


async def _document(request: web.Request) -> tuple[str, bytes]:
    content = await read_body(request, DOCUMENT_MAX_BYTES)
    if request.content_type == JSON_TYPE:
        await read_json(request, DOCUMENT_MAX_BYTES)
    return request.content_type, content


def _condition(request: web.Request) -> Condition:
    return Condition(request.headers.get("If-Match"), request.headers.get("If-None-Match"))
