"""The resources of the record store, and what stands in front of each: reading the call, and the method it means."""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler

from edgebox.http import problems
from edgebox.http.xapi import about, activities, agents, profiles, state, statements
from edgebox.http.xapi.call import Call, open_call

Answer = Callable[[Call], Awaitable[web.StreamResponse]]
METHODS = ("GET", "PUT", "POST", "DELETE", "OPTIONS")
_MAX_AGE_SECONDS = "600"

RESOURCES: Mapping[str, Mapping[str, Answer]] = {
    "/xapi/statements": {"GET": statements.get, "PUT": statements.put, "POST": statements.post},
    "/xapi/activities": {"GET": activities.get},
    "/xapi/activities/state": {"GET": state.get, "PUT": state.put, "POST": state.post, "DELETE": state.delete},
    "/xapi/activities/profile": dict(profiles.OF_ACTIVITIES),
    "/xapi/agents": {"GET": agents.get},
    "/xapi/agents/profile": dict(profiles.OF_AGENTS),
}


def _make_handler(answers: Mapping[str, Answer]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return _allow(answers)
        call = await open_call(request)
        answer = answers.get("GET" if call.method == "HEAD" else call.method)
        if answer is None:
            raise problems.MethodRefused
        return await answer(call)

    return handler


def _allow(answers: Mapping[str, Answer]) -> web.Response:
    """Let pages of any origin ask with a credential of their own; a cookie is of no use to them."""
    methods = ", ".join((*answers, "HEAD", "OPTIONS"))
    return web.Response(
        status=204,
        headers={
            "Allow": methods,
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, If-None-Match, "
            "X-Experience-API-Version, Accept-Language, X-Requested-With",
            "Access-Control-Max-Age": _MAX_AGE_SECONDS,
        },
    )


HANDLERS: Mapping[str, Mapping[str, Handler]] = {
    "/xapi/about": {"GET": about.get, "OPTIONS": about.options},
    **{path: dict.fromkeys(METHODS, _make_handler(answers)) for path, answers in RESOURCES.items()},
}
