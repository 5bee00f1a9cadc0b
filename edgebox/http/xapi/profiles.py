"""The profile resources of activities and of agents (1.0.3 part 3, 2.6 and 2.7; 2.0, 4.1.6.5 and 4.1.6.6)."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from aiohttp import web

from edgebox.domain.xapi.agents import identifier_of
from edgebox.domain.xapi.values import StatementMalformed, check_iri
from edgebox.domain.xapi.version import Version
from edgebox.http.xapi import documents
from edgebox.http.xapi.call import Call
from edgebox.keys import BOX
from edgebox.services.documents import Need
from edgebox.services.recording import ActorRefused
from edgebox.store.documents import Place, Subject

_NAME = "profileId"
FindPlace = Callable[[Call], Place]


def _of_activity(call: Call) -> Place:
    activity_iri = call.required("activityId")
    check_iri(activity_iri, "activityId")
    if call.caller.client is None and call.method not in ("GET", "HEAD"):
        raise ActorRefused  # it is everybody's
    return Place(Subject.ACTIVITY_PROFILE, activity_iri=activity_iri)


def _of_agent(call: Call) -> Place:
    call.required("agent")
    agent = call.agent()
    identifier = identifier_of(agent)
    if identifier is None:
        raise StatementMalformed(where="agent", reason="needs an identifier")
    if call.caller.client is None and not call.request.app[BOX].record_store.is_caller(agent, call.caller):
        raise ActorRefused
    return Place(Subject.AGENT_PROFILE, agent=identifier)


def _make_answers(owner: str, find_place: FindPlace) -> Mapping[str, Callable[[Call], Awaitable[web.StreamResponse]]]:
    one = frozenset({owner, _NAME})

    def place_of(call: Call, parameters: frozenset[str]) -> Place:
        call.allow(parameters)
        documents.check_right(call)
        return find_place(call)

    async def get(call: Call) -> web.StreamResponse:
        place = place_of(call, one | {"since"})
        if _NAME not in call.query:
            return await documents.send_names(call, place)
        return await documents.send(call, place, documents.name_in(call, _NAME))

    async def put(call: Call) -> web.StreamResponse:
        place = place_of(call, one)
        need = Need.ALWAYS if call.version is Version.ONE else Need.TO_REPLACE
        return await documents.put(call, place, documents.name_in(call, _NAME), need=need)

    async def post(call: Call) -> web.StreamResponse:
        place = place_of(call, one)
        return await documents.merge(call, place, documents.name_in(call, _NAME))

    async def delete(call: Call) -> web.StreamResponse:
        place = place_of(call, one)
        return await documents.delete(call, place, documents.name_in(call, _NAME))

    return MappingProxyType({"GET": get, "PUT": put, "POST": post, "DELETE": delete})


OF_ACTIVITIES = _make_answers("activityId", _of_activity)
OF_AGENTS = _make_answers("agent", _of_agent)
