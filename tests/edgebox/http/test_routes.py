"""The table of routes: what holds for every line of it."""

import asyncio
import re
from pathlib import Path

from aiohttp import ClientSession, DummyCookieJar

from edgebox.app import running_box
from edgebox.http.routes import ROUTES
from tests.support.box import make_school

_NUMBERS = re.compile(r"\{\w+_no\}|\{version\}")


async def test_what_can_be_read_can_be_asked_for_its_headers(tmp_path: Path) -> None:
    school = await asyncio.to_thread(make_school, tmp_path)
    async with (
        running_box(school.settings) as running,
        ClientSession(running.address, cookie_jar=DummyCookieJar()) as client,
    ):
        for route in ROUTES:
            if route.method != "GET":
                continue
            path = re.sub(r"\{[^}]*\}", "x", _NUMBERS.sub("1", route.path))
            async with client.get(path, allow_redirects=False) as got:
                wanted = got.status, got.content_type, got.headers.get("Cache-Control")
            async with client.head(path, allow_redirects=False) as head:
                assert (head.status, head.content_type, head.headers.get("Cache-Control")) == wanted, path
                assert await head.read() == b""
