"""A box that is really served, and browsers of its people."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from aiohttp import ClientResponse, ClientSession, CookieJar

from edgebox.keys import Box
from tests.support.box import Person, School


class Browser:
    """A browser of one person, or of nobody."""

    def __init__(self, address: str, session: ClientSession) -> None:
        self.address = address
        self.session = session

    async def get(self, path: str, **headers: str) -> tuple[ClientResponse, str]:
        """Open a page."""
        async with self.session.get(self.address + path, headers={"Accept": "text/html"} | headers) as response:
            return response, await response.text()

    async def post(self, path: str, fields: dict[str, str], *, origin: str | None = None) -> tuple[ClientResponse, str]:
        """Send a form as a browser does; redirects are not followed."""
        headers = {"Accept": "text/html", "Origin": origin or self.address}
        async with self.session.post(
            self.address + path, data=fields, headers=headers, allow_redirects=False
        ) as response:
            return response, await response.text()

    async def csrf(self, path: str = "/staff/classes") -> str:
        """Return what the forms of a page repeat."""
        _, text = await self.get(path)
        found = re.search(r'name="csrf" value="([^"]+)"', text)
        assert found is not None
        return found[1]

    async def submit(self, path: str, **fields: str) -> tuple[ClientResponse, str]:
        """Send a form of a signed-in person."""
        return await self.post(path, {"csrf": await self.csrf(), **fields})


@asynccontextmanager
async def browser_at(address: str, person: Person | None = None) -> AsyncIterator[Browser]:
    """Open a browser, in which the person is signed in."""
    jar = CookieJar(unsafe=True)
    async with ClientSession(cookies=person.cookies if person else {}, cookie_jar=jar) as session:
        yield Browser(address, session)


class Site:
    """A served box and its people."""

    def __init__(self, box: Box, school: School, address: str) -> None:
        self.box = box
        self.school = school
        self.address = address

    @asynccontextmanager
    async def browser(self, person: Person | None = None) -> AsyncIterator[Browser]:
        """Open a browser in which the person is signed in."""
        async with browser_at(self.address, person) as browser:
            yield browser

    def teacher(self) -> AbstractAsyncContextManager[Browser]:
        """Open the teacher's browser."""
        return self.browser(self.school.teacher)
