"""The profile resources of activities and of agents (1.0.3 part 3, 2.6 and 2.7; 2.0, 4.1.6.5 and 4.1.6.6)."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType

from aiohttp import web

from edgebox.domain.cmi5.preferences import check_preferences
from edgebox.domain.cmi5.vocabulary import PREFERENCES
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
from edgebox.store.launches import READ_PREFERENCES

_NAME = "profileId"
_AGENT = "agent"
FindPlace = Callable[[Call], Place]


def _of_activity(call: Call) -> Place:
    activity_iri = call.required("activityId")
    check_iri(activity_iri, "activityId")
    is_own = call.caller.launch is not None and call.caller.launch.activity_iri == activity_iri
    if call.caller.client is None and not is_own and call.method not in ("GET", "HEAD"):
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
    unit_rights.check_agent_profile(call, call.query.get(_NAME))
    return Place(Subject.AGENT_PROFILE, agent=identifier)


def _check_content(owner: str, call: Call, content: bytes) -> None:
    if owner == _AGENT and call.caller.launch is not None:
        check_preferences(call.base_type, content)


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
        if owner == _AGENT and call.query[_NAME] == PREFERENCES:
            await unit_rights.note_read(call, READ_PREFERENCES)
        return await documents.send(call, place, documents.name_in(call, _NAME))

    async def put(call: Call) -> web.StreamResponse:
        place = place_of(call, one)
        need = Need.ALWAYS if call.version is Version.ONE else Need.TO_REPLACE
        return await documents.put(
            call, place, documents.name_in(call, _NAME), need=need, check=partial(_check_content, owner, call)
        )

    async def post(call: Call) -> web.StreamResponse:
        place = place_of(call, one)
        return await documents.merge(
            call, place, documents.name_in(call, _NAME), check=partial(_check_content, owner, call)
        )

    async def delete(call: Call) -> web.StreamResponse:
        place = place_of(call, one)
        return await documents.delete(call, place, documents.name_in(call, _NAME))

    return MappingProxyType({"GET": get, "PUT": put, "POST": post, "DELETE": delete})


OF_ACTIVITIES = _make_answers("activityId", _of_activity)
OF_AGENTS = _make_answers(_AGENT, _of_agent)
