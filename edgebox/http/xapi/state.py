"""The state resource (1.0.3 part 3, 2.3; 2.0, 4.1.6.2): the last place in a film, the unfinished work in an app."""

from aiohttp import web

from edgebox.domain.cmi5.vocabulary import LAUNCH_DATA
from edgebox.domain.xapi.agents import identifier_of
from edgebox.domain.xapi.values import StatementMalformed, check_iri
from edgebox.domain.xapi.version import Version
from edgebox.http.cmi5 import unit_rights
from edgebox.http.xapi import documents
from edgebox.http.xapi.call import Call
from edgebox.keys import BOX
from edgebox.services.documents import Need
from edgebox.services.recording import ActorRefused
from edgebox.store.documents import Place, Subject
from edgebox.store.launches import READ_LAUNCH

_NAME = "stateId"
_PARAMETERS = frozenset({"activityId", "agent", "registration", _NAME})


async def get(call: Call) -> web.Response:
    """Return one document, or the names of all when no stateId is given."""
    place = await _place(call, _PARAMETERS | {"since"})
    if _NAME not in call.query:
        return await documents.send_names(call, place)
    name = documents.name_in(call, _NAME)
    if name == LAUNCH_DATA:
        await unit_rights.note_read(call, READ_LAUNCH)
    return await documents.send(call, place, name)


async def put(call: Call) -> web.Response:
    """Replace one document; under 2.0 not without saying what is replaced (4.1.4)."""
    place = await _place(call, _PARAMETERS)
    need = Need.TO_REPLACE if call.version is Version.TWO else Need.NEVER
    return await documents.put(call, place, documents.name_in(call, _NAME), need=need)


async def post(call: Call) -> web.Response:
    """Merge a JSON object into a document."""
    place = await _place(call, _PARAMETERS)
    return await documents.merge(call, place, documents.name_in(call, _NAME))


async def delete(call: Call) -> web.Response:
    """Remove one document, or all when no stateId is given."""
    place = await _place(call, _PARAMETERS)
    if _NAME in call.query:
        return await documents.delete(call, place, documents.name_in(call, _NAME))
    await call.request.app[BOX].documents.delete_all(place)
    return web.Response(status=204)


async def _place(call: Call, parameters: frozenset[str]) -> Place:
    call.allow(parameters)
    documents.check_right(call)
    activity_iri = call.required("activityId")
    check_iri(activity_iri, "activityId")
    call.required("agent")
    store, agent = call.request.app[BOX].record_store, call.agent()
    identifier = identifier_of(agent)
    if identifier is None:
        raise StatementMalformed(where="agent", reason="needs an identifier")
    if call.caller.client is None and not store.is_caller(agent, call.caller):
        raise ActorRefused
    person_no = await store.person_of(agent)
    registration = call.uuid("registration")
    unit_rights.check_state(call, activity_iri, registration, call.query.get(_NAME))
    if person_no is not None:
        return Place(Subject.STATE, person_no=person_no, activity_iri=activity_iri, registration=registration)
    return Place(Subject.STATE, agent=identifier, activity_iri=activity_iri, registration=registration)
