"""The built files of the front end: read once, named after their content, so tablets may keep them for ever."""

import json
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from aiohttp import web

from content_packs.base.errors import N_, EdgeboxError

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_FOR_EVER = "public, max-age=31536000, immutable"


class FrontendMissing(EdgeboxError):
    """The package was installed without its built front end."""

    code = "http.frontend_missing"
    status = 500
    exit_code = 95
    sentence = N_("The pages of this box were not built.")
    remedy = N_("Install Edgebox again with pip; it builds them.")


@dataclass(frozen=True)
class Asset:
    """One built file, plain and packed."""

    content: bytes
    packed: bytes
    content_type: str


def _read() -> tuple[MappingProxyType[str, str], MappingProxyType[str, Asset]]:
    folder = files("edgebox") / "web" / "static"
    listed = folder / "manifest.json"
    if not listed.is_file():
        return MappingProxyType({}), MappingProxyType({})
    names = {plain: entry["name"] for plain, entry in json.loads(listed.read_text()).items()}
    assets = {
        name: Asset(
            content=(folder / name).read_bytes(),
            packed=(folder / f"{name}.gz").read_bytes(),
            content_type=_TYPES["." + name.rsplit(".", 1)[1]],
        )
        for name in names.values()
    }
    return MappingProxyType(names), MappingProxyType(assets)


# Read when the module is imported: about 100 kB, and no handler ever waits for the disk.
_NAMES, _ASSETS = _read()


def asset_href(plain_name: str) -> str:
    """Return the address of a built file.

    Raises:
        FrontendMissing: there are no built files, or not this one.
    """
    if (name := _NAMES.get(plain_name)) is None:
        raise FrontendMissing(name=plain_name)
    return f"/static/{name}"


async def static_file(request: web.Request) -> web.Response:
    """Serve a built file, packed if the client can unpack it."""
    if (asset := _ASSETS.get(request.match_info["name"])) is None:
        raise web.HTTPNotFound
    headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding", "Content-Type": asset.content_type}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        return web.Response(body=asset.packed, headers=headers | {"Content-Encoding": "gzip"})
    return web.Response(body=asset.content, headers=headers)
