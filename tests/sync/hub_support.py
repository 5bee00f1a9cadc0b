"""A hub on a loopback port with its store on disk, and what the tests ask of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from content_packs.base.clock import Clock
from sync.bundle.layout import AckHead
from sync.bundle.read import read_ack
from sync.enrolment import check_answer, make_request
from sync.hub.app import Listening, running_hub
from sync.hub.settings import HubSettings
from sync.transport.http import ACK_TYPE, BUNDLE_TYPE
from tests.support.clock import FakeClock
from tests.sync.makers import NOW_MS, Maker

TABLES = ("verb", "activity", "device", "learner", "class", "enrollment", "pack_install", "assignment")


@dataclass
class TestHub:
    """A running hub and a client session."""

    __test__ = False

    listening: Listening
    session: aiohttp.ClientSession
    clock: Clock

    @property
    def url(self) -> str:
        return f"{self.listening.hub.settings.scheme}://127.0.0.1:{self.listening.port}"

    async def enrolled(self, school: str = "Hill School") -> Maker:
        """Return a maker of bundles for a box that was enrolled over the wire."""
        maker = Maker()
        code = await self.listening.hub.enrolling.make_code(school)
        async with self.session.post(self.url + "/api/enroll", json=make_request(code, maker.key)) as response:
            assert response.status == 200, await response.text()
            hub = check_answer(await response.json(), code, maker.key.verify_key)
        assert hub.verify_key == self.listening.hub.keys.signing.verify_key
        maker.receiver = self.listening.hub.keys.sealing
        return maker

    async def post(self, bundle: bytes) -> AckHead:
        """Post a bundle and return the hub's verified ack."""
        async with self.session.post(self.url + "/api/bundles", data=bundle, headers=TYPE) as response:
            assert response.status == 200, await response.text()
            assert response.content_type == ACK_TYPE
            return read_ack(await response.read(), self.listening.hub.keys.signing.verify_key)

    async def caught_up(self) -> None:
        """Return once nothing that waited at the hub is being applied any more."""
        await self.listening.hub.receiving.catching_up.idle()

    async def refused(self, bundle: bytes, **headers: str) -> tuple[int, str]:
        """Post a bundle that is refused; return status and code."""
        async with self.session.post(self.url + "/api/bundles", data=bundle, headers=TYPE | headers) as response:
            return response.status, (await response.json())["code"]

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of the hub's database."""
        store = self.listening.hub.store
        return await store.run(lambda connection: [tuple(row) for row in connection.exec_driver_sql(query)])

    async def contents(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return everything that bundles write once nothing waits any more, without times of receiving."""
        await self.caught_up()
        found = {table: await self.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}
        found["statement"] = await self.rows("SELECT * FROM statement ORDER BY id")
        found["bundle"] = await self.rows(
            "SELECT box_no, epoch, seq, hash, state FROM bundle ORDER BY epoch, seq, hash"
        )
        found["cursor"] = await self.rows("SELECT * FROM cursor ORDER BY box_no, epoch")
        return found


TYPE = {"Content-Type": BUNDLE_TYPE}


@asynccontextmanager
async def hub_on(
    data: Path, clock: Clock | None = None, *, at_port: int = 0, **settings: Any
) -> AsyncIterator[TestHub]:
    """Run a hub on a folder."""
    clock = clock or FakeClock(NOW_MS)
    async with (
        running_hub(HubSettings(data, port=at_port, **settings), clock) as listening,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        yield TestHub(listening, session, clock)
