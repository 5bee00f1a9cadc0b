"""A box that is really served, and browsers of its people."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import ClientResponse, ClientSession, CookieJar

from content_packs.base.clock import MachineClock
from edgebox.app import Part, running_box
from edgebox.keys import Box
from tests.support.box import Person, School, make_school


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


@asynccontextmanager
async def site_with_sticks(
    folder: Path,
    prepare: Callable[[School], object] | None = None,
    part: Part = Part.APP,
    clock: MachineClock | None = None,
) -> AsyncIterator[Site]:
    """Serve the box of a school that looks for sticks in `media`; `prepare` has the school, in a thread, before."""

    def make() -> School:
        (folder / "media").mkdir(exist_ok=True)
        school = make_school(folder / "box")
        if prepare is not None:
            prepare(school)
        return school

    school = await asyncio.to_thread(make)
    settings = replace(school.settings, stick_folders=(folder / "media",))
    async with running_box(settings, part, clock) as running:
        assert running.box is not None
        yield Site(running.box, replace(school, settings=running.settings), running.address.rstrip("/"))
