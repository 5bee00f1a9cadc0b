"""Machines on the way to a hub that hold back requests or answers until they are whole, or keep copies of answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

_NOT_PASSED_ON = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"})


@dataclass
class HoldingProxy:
    """Passes on whole requests to a hub.

    Attributes:
        holds_requests: a request is passed on once all of it is here.
        holds_answers: an answer is passed on once all of it is here.
        most_bytes: a longer request is refused, as nginx does from 1 MB on.
        is_caching: answers are kept and given again, unless they forbid it.
        requests: method and length of each that came.
    """

    hub: str
    url: str = ""
    holds_requests: bool = True
    holds_answers: bool = True
    most_bytes: int = 1 << 40
    is_caching: bool = False
    requests: list[tuple[str, int]] = field(default_factory=list)
    copies: dict[tuple[str, str], web.Response] = field(default_factory=dict)

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        self.requests.append((request.method, request.content_length or 0))
        place = (request.method, request.path)
        if place in self.copies:
            return self.copies[place]
        if (request.content_length or 0) > self.most_bytes:
            return web.Response(status=413, text="<html>too large</html>", content_type="text/html")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_PASSED_ON}
        headers |= {"Content-Length": str(request.content_length)} if request.can_read_body else {}
        body = await request.read() if self.holds_requests else request.content.iter_any()
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method, self.hub + request.path, headers=headers, data=body, allow_redirects=False
            ) as answer,
        ):
            said = {name: value for name, value in answer.headers.items() if name.lower() not in _NOT_PASSED_ON}
            if self.holds_answers or request.method == "HEAD":
                response = web.Response(status=answer.status, headers=said, body=await answer.read())
                if self.is_caching and "no-store" not in said.get("Cache-Control", ""):
                    self.copies[place] = response
                return response
            passed = web.StreamResponse(status=answer.status, headers=said)
            await passed.prepare(request)
            async for part in answer.content.iter_any():
                await passed.write(part)
            return passed


@asynccontextmanager
async def holding_proxy(hub: str, **manners: bool | int) -> AsyncIterator[HoldingProxy]:
    """Run a proxy in front of a hub."""
    proxy = HoldingProxy(hub, **manners)  # type: ignore[arg-type]
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", proxy.pass_on)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield proxy
    finally:
        await runner.cleanup()
