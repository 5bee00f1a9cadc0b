"""What state and profiles have in common: one document, or the names of several, under conditions."""

from collections.abc import Callable

from aiohttp import web

from edgebox.domain.caller import Reach
from edgebox.domain.xapi.values import StatementMalformed, parse_json
from edgebox.http import problems
from edgebox.http.xapi.answers import json_answer, last_modified
from edgebox.http.xapi.call import Call
from edgebox.keys import BOX
from edgebox.services.documents import DOCUMENT_MAX_BYTES, Condition, Need, etag, is_json
from edgebox.services.record_store import ReadingRefused, WritingRefused
from edgebox.store.documents import Place

NAME_MAX_CHARACTERS = 200
_READING = ("GET", "HEAD")
Check = Callable[[bytes], None]


def _takes_all(_content: bytes) -> None:
    return None


def check_right(call: Call) -> None:
    """Return if the client may do what it asks with documents of anybody; people are judged by their own agent.

    Raises:
        ReadingRefused, WritingRefused
    """
    client = call.caller.client
    if client is None:
        if not call.caller.may_read:
            # A submit token stays on the tablet after its learner left; her unfinished work is not for who comes next.
            raise ReadingRefused
        if not call.caller.may_record and call.method not in _READING:
            raise WritingRefused
    elif call.method not in _READING:
        if not client.may_write:
            raise WritingRefused
    elif client.reach is Reach.NONE or (client.reach is not Reach.ALL and not client.may_write):
        raise ReadingRefused


async def send(call: Call, place: Place, name: str) -> web.Response:
    """Answer with one document."""
    document = await call.request.app[BOX].documents.find(place, name)
    if document is None:
        raise problems.NotFound
    headers = {
        "Content-Type": document.content_type,
        "ETag": etag(document.content),
        # It comes back from the app's own origin, so a browser that is led there must not show it.
        "Content-Disposition": "attachment",
        **last_modified(document.updated_ms),
    }
    return web.Response(body=document.content, headers=headers)


async def send_names(call: Call, place: Place) -> web.Response:
    """Answer with the names of all documents changed after `since`."""
    found = await call.request.app[BOX].documents.list_names(place, call.moment("since"))
    headers = last_modified(max(updated_ms for _name, updated_ms in found)) if found else {}
    return json_answer([name for name, _updated_ms in found], headers)


async def put(call: Call, place: Place, name: str, *, need: Need, check: Check = _takes_all) -> web.Response:
    """Replace one document; `check` may refuse what is to be there."""
    content = await _content(call)
    check(content)
    condition = _condition(call, need)
    await call.request.app[BOX].documents.put(place, name, call.content_type, content, condition)
    return web.Response(status=204)


async def merge(call: Call, place: Place, name: str, *, check: Check = _takes_all) -> web.Response:
    """Merge a JSON object into a document; `check` may refuse what comes out."""
    content = await _content(call)
    await call.request.app[BOX].documents.merge(place, name, call.content_type, content, _condition(call), check)
    return web.Response(status=204)


async def delete(call: Call, place: Place, name: str) -> web.Response:
    """Remove one document."""
    await call.request.app[BOX].documents.delete(place, name, _condition(call))
    return web.Response(status=204)


def name_in(call: Call, parameter: str) -> str:
    """Return the name of a document.

    Raises:
        StatementMalformed
    """
    name = call.required(parameter)
    if len(name) > NAME_MAX_CHARACTERS or not name.isprintable():
        raise StatementMalformed(where=parameter, reason="too long or not storable")
    return name


async def _content(call: Call) -> bytes:
    content = await call.read(DOCUMENT_MAX_BYTES)
    if is_json(call.content_type):
        parse_json(content)
    return content


def _condition(call: Call, need: Need = Need.NEVER) -> Condition:
    return Condition(call.headers.get("If-Match"), call.headers.get("If-None-Match"), need, call.caller.launch)
