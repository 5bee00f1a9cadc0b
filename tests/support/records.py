"""An outside client of a box's record store, with a credential of its own."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from edgebox.app import make_app
from edgebox.domain.caller import Reach
from edgebox.keys import Box

STATEMENTS = "/xapi/statements"
ADL = "http://adlnet.gov/expapi/verbs/"
VOIDED = {"id": f"{ADL}voided", "display": {"en": "voided"}}


def make_id(number: int) -> str:
    """Return a UUID of a number."""
    return f"5b1d1e46-2f5c-4b6a-9a5e-{number:012x}"


def make_statement(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a small valid statement; `changes` replace or add fields."""
    statement = {
        "id": make_id(number),
        "actor": {"mbox": "mailto:amina@example.org"},
        "verb": {"id": f"{ADL}experienced", "display": {"en": "experienced"}},
        "object": {"objectType": "Activity", "id": "http://example.org/page"},
    }
    return statement | changes


def reference(number: int) -> dict[str, str]:
    """Return an object that is a statement."""
    return {"objectType": "StatementRef", "id": make_id(number)}


@dataclass
class Records:
    """A client that speaks one version."""

    client: TestClient[Any, Any]
    headers: Mapping[str, str]
    login: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, **options: Any) -> ClientResponse:
        """Send a request; `params` may hold JSON values."""
        params = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in options.pop("params", {}).items()
        }
        headers = {**self.headers, **options.pop("headers", {})}
        wanted = {name: value for name, value in headers.items() if value}
        return await self.client.request(method, path, params=params, headers=wanted, **options)

    async def send(self, *statements: dict[str, Any]) -> None:
        """Store statements that must be taken."""
        response = await self.ask("POST", STATEMENTS, json=list(statements))
        assert response.status == 200, await response.text()

    async def get(self, path: str = STATEMENTS, **params: Any) -> Any:
        """Return the JSON of a resource that must be there."""
        response = await self.ask("GET", path, params=params)
        assert response.status == 200, await response.text()
        return await response.json()

    async def ids(self, **params: Any) -> list[int]:
        """Return the numbers of the statements found, page after page."""
        page = await self.get(**params)
        found = [int(row["id"][-12:], 16) for row in page["statements"]]
        while page["more"]:
            response = await self.client.get(page["more"], headers=self.headers)
            page = await response.json()
            found += [int(row["id"][-12:], 16) for row in page["statements"]]
        return found


@asynccontextmanager
async def outside_client(
    box: Box,
    *,
    version: str = "1.0.3",
    may_write: bool = True,
    reach: Reach = Reach.ALL,
    class_no: int | None = None,
) -> AsyncIterator[Records]:
    """Make a credential and a client that uses it."""
    login, secret = await box.clients.make("Some app", may_write=may_write, reach=reach, class_no=class_no, person_no=1)
    async with TestClient(TestServer(make_app(box))) as client:
        basic = b64encode(f"{login}:{secret}".encode()).decode()
        yield Records(client, {"X-Experience-API-Version": version, "Authorization": f"Basic {basic}"}, login)
