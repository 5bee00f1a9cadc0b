"""What the record store speaks (1.0.3 part 3, 2.8; 2.0, 4.1.6.7); the one resource that asks for no version."""

from aiohttp import web

from edgebox.domain.xapi.version import Version
from edgebox.http.xapi.answers import json_answer


async def get(_request: web.Request) -> web.Response:
    """Name the versions."""
    return json_answer({"version": [version.title for version in Version], "extensions": {}})


async def options(_request: web.Request) -> web.Response:
    """Let pages of any origin ask."""
    return web.Response(status=204, headers={"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS"})
