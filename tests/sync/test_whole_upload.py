"""A hub of a time before resumable uploads gets a bundle whole, or nothing of it."""

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from edgebox.services.line import Line
from edgebox.settings import Settings
from edgebox.store.database import Database
from sync.engine.lanes import FREE_BYTES, Lane
from sync.transport.errors import LinkDown
from sync.transport.http import BUNDLES_PATH
from sync.transport.tus import ACK_TYPE
from tests.support.clock import FakeClock
from tests.sync.test_http import answering


async def old_hub(request: web.Request) -> web.Response:
    if request.path != BUNDLES_PATH:
        return web.json_response({"code": "hub.not_found"}, status=404)
    return web.Response(body=str(len(await request.read())).encode(), content_type=ACK_TYPE)


async def test_a_bundle_that_goes_only_whole_does_not_overdraw_the_day(tmp_path: Path) -> None:
    bundle, clock = bytes(4 * FREE_BYTES), FakeClock()
    database = await asyncio.to_thread(Database, tmp_path / "box.db")
    line = await Line.open(database, clock, Settings(data=tmp_path, line_day_bytes=20 * FREE_BYTES))
    async with answering(old_hub) as transport:
        transport._wire = line.wire(Lane.PROGRESS)
        assert await transport.deliver(bundle) == str(len(bundle)).encode()
        left_bytes = line.left_bytes(Lane.PROGRESS)
        assert left_bytes is not None
        line.count(Lane.LARGE, left_bytes - 3 * FREE_BYTES)
        with pytest.raises(LinkDown) as refused:
            await transport.deliver(bundle)
        assert "whole" in str(refused.value.fields["reason"])
        left_bytes = line.left_bytes(Lane.PROGRESS)
        assert left_bytes is not None
        assert left_bytes > FREE_BYTES
        clock.advance(86_400_000)
        assert await transport.deliver(bundle) == str(len(bundle)).encode()
    await line.close()
    await asyncio.to_thread(database.close)
