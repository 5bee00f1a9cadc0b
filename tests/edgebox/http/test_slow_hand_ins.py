"""A file that drips keeps the room for others from them for a bounded time only, and a learner a bounded part of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from content_packs.installer.planning import DiskSpace
from edgebox.app import Part, running_box
from edgebox.http import body as http_body
from edgebox.services.hand_ins import AT_ONCE_MAX
from tests.edgebox.http.test_hand_ins import form_start, kept, learner, rows, submit
from tests.support.box import make_school
from tests.support.hand_ins import give_lesson, photo
from tests.support.site import Site

SIZE_BYTES = 20_000_000


class Drip:
    """A form whose file comes a few bytes at a time, and which never ends."""

    def __init__(self, site: Site, csrf: str) -> None:
        self._site = site
        self._start = form_start(csrf).removesuffix(b"\r\n--x\r\n")

    async def __aenter__(self) -> Self:
        host, port = self._site.address.removeprefix("http://").split(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /hand-in/1 HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: {self._site.address}\r\nAccept: text/html\r\n"
            f"Cookie: edgebox_session={learner(self._site).session}\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {SIZE_BYTES}\r\n\r\n"
        )
        self._writer.write(head.encode() + self._start)
        await self._writer.drain()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def answer(self) -> bytes:
        """Drip until the box answers, and return the start of that."""
        reading = asyncio.ensure_future(self._reader.read(100))
        while not reading.done():
            with suppress(ConnectionError):
                self._writer.write(bytes(32))
            await asyncio.wait({reading}, timeout=0.02)
        return reading.result()


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with running_box(school.settings, Part.APP) as running:
        assert running.box is not None
        made = Site(running.box, school, running.address.rstrip("/"))
        await give_lesson(made.box, school.class_no)
        yield made


async def csrf_of(site: Site) -> str:
    async with site.browser(learner(site)) as browser:
        return await browser.csrf("/hand-in/1")


async def test_a_file_that_drips_is_given_up_though_it_never_stops(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_body, "TOTAL_SECONDS", 0.3)
    monkeypatch.setattr(http_body, "LEAST_BYTES_PER_SECOND", 1e9)
    async with asyncio.timeout(30), Drip(site, await csrf_of(site)) as drip:
        assert (await drip.answer()).startswith(b"HTTP/1.1 408 ")
        assert await kept(site) == []


async def test_a_learner_whose_files_drip_takes_no_room_from_another(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Room beyond the reserve for three files of this size.
    monkeypatch.setattr(site.box.hand_ins, "_measure", lambda _folder: DiskSpace(861_000_000, 3_200_000_000))
    csrf = await csrf_of(site)
    async with asyncio.timeout(30), Drip(site, csrf), Drip(site, csrf):
        while site.box.hand_ins._promised_bytes < AT_ONCE_MAX * SIZE_BYTES:
            await asyncio.sleep(0.01)
        async with Drip(site, csrf) as third:
            assert (await third.answer()).startswith(b"HTTP/1.1 422 ")
        async with site.browser(site.school.learners[1]) as other:
            assert (await submit(other, "", photo(3_000)))[0] == 303
    async with asyncio.timeout(30), site.browser(learner(site)) as browser:
        while (await submit(browser, "", photo(4_000)))[0] != 303:
            await asyncio.sleep(0.01)
    assert len(await rows(site, "SELECT no FROM hand_in")) == 2


def test_a_large_file_has_time_at_the_least_rate() -> None:
    async def left() -> float:
        return http_body.end_seconds(SIZE_BYTES) - asyncio.get_running_loop().time()

    assert asyncio.run(left()) == pytest.approx(60 + 5_000, abs=1)
