"""cmi5 courses made here, and a unit of one that speaks as content does: token, documents, statements."""

import html
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from aiohttp import ClientSession, encode_basic_auth
from aiohttp.test_utils import TestClient, TestServer

from edgebox.app import make_app
from edgebox.domain.caller import Reach
from edgebox.domain.cmi5.vocabulary import CATEGORY, MASTERY_SCORE, MOVE_ON_CATEGORY, Verb
from edgebox.keys import Box
from tests.support.raw_zip import Raw, make_zip

Client = TestClient[Any, Any]
PUBLISHER = "https://example.org/course"
ACTOR = {"objectType": "Agent", "account": {"homePage": "https://example.org", "name": "ada"}}
VERSION = {"X-Experience-API-Version": "1.0.3"}
_JUDGED = {Verb.PASSED: {"success": True}, Verb.FAILED: {"success": False}, Verb.COMPLETED: {"completion": True}}
_TITLES = """<title><langstring lang="en">{0}</langstring><langstring lang="fr">{0} fr</langstring></title>
<description><langstring lang="en">About {0}</langstring></description>"""


def titles(text: str) -> str:
    """Return title and description of an element."""
    return _TITLES.format(text)


def unit(name: str, url: str = "index.html", inner: str = "", **attributes: str) -> str:
    """Return an assignable unit."""
    written = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<au id="{PUBLISHER}/{name}"{written}>{titles(name)}<url>{url}</url>{inner}</au>'


def block(name: str, *children: str) -> str:
    """Return a block of units and blocks."""
    return f'<block id="{PUBLISHER}/{name}">{titles(name)}{"".join(children)}</block>'


def structure(*children: str, course: str = PUBLISHER, before: str = "", objectives: str = "") -> bytes:
    """Return a course structure; `before` stands before its root."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?>{before}'
        '<courseStructure xmlns="https://w3id.org/xapi/profiles/cmi5/v1/CourseStructure.xsd">'
        f'<course id="{course}">{titles("Rocks")}</course>{objectives}{"".join(children)}</courseStructure>'
    ).encode()


def package(content: bytes, *more: Raw) -> bytes:
    """Return a package with a page, a script and a course structure."""
    page = Raw("index.html", b"<!doctype html><title>Rocks</title><script src='a.js'></script>")
    return make_zip([Raw("a.js", b"1"), Raw("cmi5.xml", content), page, *more])


@asynccontextmanager
async def driving(box: Box, person_no: int) -> AsyncIterator[Client]:
    """Give an outside program with a credential that may launch and reads everything."""
    await box.local_packs.allow_scripts(on=True)
    login, secret = await box.clients.make(
        "driver", may_write=False, reach=Reach.ALL, class_no=None, person_no=person_no, may_launch=True
    )
    headers = VERSION | {"Authorization": encode_basic_auth(login, secret)}
    async with TestClient(TestServer(make_app(box)), headers=headers) as client:
        yield client


async def bring(client: Client, content: bytes, content_type: str = "application/zip") -> str:
    """Bring a course and return its id."""
    response = await client.post("/cmi5/courses", data=content, headers={"Content-Type": content_type})
    assert response.status == 201, await response.text()
    return str((await response.json())["id"])


async def launch(client: Client, course: str, index: int = 0, **fields: Any) -> "Unit":
    """Launch a unit, and return it with nothing said yet."""
    response = await client.post(f"/cmi5/courses/{course}/units/{index}/launch", json={"actor": ACTOR, **fields})
    assert response.status == 200, await response.text()
    return _unit((await response.json())["url"], client)


def launched_on(page: str, session: ClientSession) -> "Unit":
    """Return the unit that a page of a learner has just launched, with nothing said yet."""
    found = re.search(r'(?:src|href)="([^"]*[?&;]endpoint=[^"]*)"', page)
    assert found is not None
    return _unit(html.unescape(found[1]), session)


def _unit(url: str, client: Client | ClientSession) -> "Unit":
    query = parse_qs(urlsplit(url).query)
    fetch, actor, registration, activity = (query[name][0] for name in _NAMES)
    return Unit(client, fetch, actor, registration, activity)


_NAMES = ("fetch", "actor", "registration", "activityId")


@dataclass
class Unit:
    """A launched unit; it does nothing by itself."""

    client: Client | ClientSession
    fetch: str
    actor: str
    registration: str
    activity: str
    token: str = ""
    template: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)

    async def call(self, method: str, path: str, **more: Any) -> Any:
        """Ask the record store as the unit."""
        headers = VERSION | {"Authorization": f"Basic {self.token}", "Origin": "null"} | more.pop("headers", {})
        return await self.client.request(method, f"/xapi/{path}", headers=headers, **more)

    async def ask_token(self) -> dict[str, Any]:
        """Ask the fetch address."""
        response = await self.client.post(urlsplit(self.fetch).path, headers={"Origin": "null"})
        assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (200, "*")
        answer: dict[str, Any] = await response.json()
        return answer

    def state(self, name: str = "LMS.LaunchData") -> dict[str, str]:
        """Return the place of a state document."""
        place = {"activityId": self.activity, "agent": self.actor, "registration": self.registration}
        return place | {"stateId": name}

    async def begin(self) -> "Unit":
        """Take the token and read both documents."""
        self.token = (await self.ask_token())["auth-token"]
        response = await self.call("GET", "activities/state", params=self.state())
        assert response.status == 200
        self.data = await response.json()
        self.template = self.data["contextTemplate"]
        params = {"agent": self.actor, "profileId": "cmi5LearnerPreferences"}
        assert (await self.call("GET", "agents/profile", params=params)).status in (200, 404)
        return self

    async def start(self) -> "Unit":
        """Begin, and say so."""
        await self.begin()
        assert await self.say(Verb.INITIALIZED) == 200
        return self

    def statement(self, verb: Verb, **changes: Any) -> dict[str, Any]:
        """Return a statement as cmi5 wants it; `changes` replace or add members."""
        template = json.loads(json.dumps(self.template))
        categories = [{"id": CATEGORY}, *([{"id": MOVE_ON_CATEGORY}] if verb in _JUDGED else [])]
        template["contextActivities"]["category"] = categories
        statement: dict[str, Any] = {
            "id": str(uuid4()),
            "actor": json.loads(self.actor),
            "verb": {"id": verb.value},
            "object": {"id": self.activity},
            "context": {"registration": self.registration, **template},
            "timestamp": "2026-11-25T10:00:00Z",
        }
        if verb is not Verb.INITIALIZED:
            statement["result"] = {"duration": "PT9S", **_JUDGED.get(verb, {})}
        return statement | changes

    async def say(self, verb: Verb, score: float | None = None, **changes: Any) -> int:
        """Send a statement and return the status of the answer."""
        statement = self.statement(verb, **changes)
        if score is not None:
            statement["result"]["score"] = {"scaled": score}
            statement["context"]["extensions"][MASTERY_SCORE] = self.data.get("masteryScore")
        return await self.send(statement)

    async def send(self, *statements: Mapping[str, Any]) -> int:
        """Send statements together and return the status of the answer."""
        return int((await self.call("POST", "statements", json=list(statements))).status)


async def verbs_of(client: Client, registration: str) -> list[tuple[str, str]]:
    """Return verb and session of all statements of a registration, in the order of storing."""
    params = {"registration": registration, "ascending": "true"}
    response = await client.get("/xapi/statements", params=params)
    found = (await response.json())["statements"]
    key = "https://w3id.org/xapi/cmi5/context/extensions/sessionid"
    return [(one["verb"]["id"].rsplit("/", 1)[1], one["context"]["extensions"][key]) for one in found]
