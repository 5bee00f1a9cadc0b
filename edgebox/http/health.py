"""Is the box there?"""

from aiohttp import web


async def ping(_request: web.Request) -> web.Response:
    """Answer 204: pages ask this to learn that the box is back."""
    return web.Response(status=204)
