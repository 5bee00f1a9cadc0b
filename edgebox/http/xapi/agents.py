"""The agent resource (1.0.3 part 3, 2.4; 2.0, 4.1.6.3): all that is known of one agent."""

from aiohttp import web

from edgebox.domain.xapi.agents import person_object
from edgebox.domain.xapi.rules import check_agent
from edgebox.http.xapi.answers import json_answer
from edgebox.http.xapi.call import Call
from edgebox.http.xapi.documents import check_right
from edgebox.keys import BOX
from edgebox.services.recording import ActorRefused

_PARAMETERS = frozenset({"agent"})


async def get(call: Call) -> web.Response:
    """Return an agent as a Person; what the box knows of its own people beyond their account it does not tell."""
    call.allow(_PARAMETERS)
    check_right(call)
    call.required("agent")
    agent = call.agent()
    check_agent(agent, "agent")
    store = call.request.app[BOX].record_store
    if call.caller.client is None and not store.is_caller(agent, call.caller):
        raise ActorRefused
    name = await store.find_name(agent)
    return json_answer(person_object(agent, [] if name is None else [name]))
