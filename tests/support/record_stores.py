"""Record stores outside the school: a real box in that part, and a server that misbehaves as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from edgebox.app import Part, running_box
from edgebox.domain.caller import Reach
from edgebox.domain.statement_out import write_out
from edgebox.domain.xapi.version import Version
from edgebox.keys import Box
from edgebox.store.statement_filters import Filter
from edgebox.store.statement_filters import Reach as Everything
from edgebox.store.statement_queries import list_statements
from sync.engine.lanes import Tariff
from tests.support.box import School, Tablet, make_school

_MANY = 1_000
Reply = Callable[[web.Request, list[dict[str, Any]]], Awaitable[web.StreamResponse]]


@dataclass
class Scripted:
    """A store that keeps statements by their ids, and answers some requests as a test wants instead.

    Attributes:
        replies: answers to the next posts of statements, in order; None is a good one.
        default: what answers all others, if it is not the good one.
        posts: ids of the statements of every post.
    """

    address: str = ""
    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    replies: list[Reply | None] = field(default_factory=list)
    default: Reply | None = None
    posts: list[list[str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def post(self, request: web.Request) -> web.StreamResponse:
        """Answer to statements."""
        sent = await request.json()
        self.posts.append([one["id"] for one in sent])
        self.headers.append(dict(request.headers))
        reply = (self.replies.pop(0) if self.replies else None) or self.default
        return await reply(request, sent) if reply is not None else self.keep(sent)

    def keep(self, sent: list[dict[str, Any]]) -> web.Response:
        """Keep statements and answer as a store does."""
        self.kept |= {one["id"]: one for one in sent}
        return web.json_response([one["id"] for one in sent])

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Answer to a question for one statement."""
        named = request.query.get("statementId", "")
        self.asked.append(named)
        found = self.kept.get(named)
        return web.Response(status=404) if found is None else web.json_response(found)


def saying(status_no: int, text: str = "", **headers: str) -> Reply:
    """Answer with a status and nothing else."""

    async def reply(_request: web.Request, _sent: list[dict[str, Any]]) -> web.Response:
        return web.Response(status=status_no, text=text, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return reply


@asynccontextmanager
async def scripted_store() -> AsyncIterator[Scripted]:
    """Serve one on loopback."""
    store, app = Scripted(), web.Application(client_max_size=1024 * 1024)
    app.router.add_post("/lrs/statements", store.post)
    app.router.add_get("/lrs/statements", store.get)
    async with TestServer(app) as server:
        store.address = str(server.make_url("/lrs/"))
        yield store


@dataclass
class Sending:
    """A box that forwards, and its school."""

    box: Box
    school: School
    address: str
    tablet: Tablet

    async def record(self, count: int, **changes: Any) -> None:
        """Let a learner answer so often."""
        learner = self.school.learners[0]
        events = [self.tablet.event(learner, **changes) for _ in range(count)]
        async with ClientSession() as client:
            answer = await client.post(f"{self.address}api/outbox", json=self.tablet.request(*events))
            assert answer.status == 200, await answer.text()

    async def forward_to(
        self, address: str, login: str = "box", secret: str = "secret", *, sends_given: bool = False
    ) -> None:
        """Name a store."""
        await self.box.forwarding.set_up(address, login, secret, Version.ONE, sends_given=sends_given)

    async def ids(self) -> list[str]:
        """Return the ids of all statements of the box, the oldest first."""
        return [one["id"] for one in await statements_of(self.box)]


async def statements_of(box: Box) -> list[dict[str, Any]]:
    """Return all statements of a box that are not taken back, the oldest first."""
    wanted = Filter(is_ascending=True)
    page = await box.database.read(lambda connection: list_statements(connection, wanted, Everything(), 0, _MANY))
    return [write_out(one, box.identity.home_page) for one in page.statements]


@asynccontextmanager
async def sending_box(folder: Path, tablet: Tablet, **options: Any) -> AsyncIterator[Sending]:
    """Run a box whose line costs nothing."""
    school = await asyncio.to_thread(make_school, folder)
    async with running_box(school.settings, Part.APP, **options) as running:
        assert running.box is not None
        await running.box.line.set_tariff(Tariff(is_metered=False))
        yield Sending(running.box, school, running.address, tablet)


@asynccontextmanager
async def receiving_box(folder: Path) -> AsyncIterator[tuple[Box, str, str, str]]:
    """Run another box that takes statements; give it, its address, and a login and secret for it."""
    school = await asyncio.to_thread(make_school, folder)
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        login, secret = await running.box.clients.make(
            "The school", may_write=True, reach=Reach.ALL, class_no=None, person_no=1
        )
        yield running.box, f"{running.address}xapi", login, secret
