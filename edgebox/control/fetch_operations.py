"""What commands ask of a box about packs in other places."""

import asyncio
from typing import Any

from edgebox.keys import Box

TELL_SECONDS = 0.5


async def fetch(box: Box, arguments: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Install the pack at `address`, after trusting the publisher key in `trust` if there is one."""
    if arguments.get("trust"):
        await box.loading.trust(arguments["trust"].encode())
    work = asyncio.ensure_future(box.fetching.install(arguments["address"]))
    pack = arguments["address"].rstrip("/").rpartition("/")[2]
    while not work.done():
        await asyncio.wait({work}, timeout=TELL_SECONDS)
        for update in box.fetching.updates():
            if update.pack == pack:
                progress({"done_bytes": update.done_bytes, "total_bytes": update.total_bytes})
    result = await work
    manifest = result.manifest
    return {"pack": manifest.pack, "version": manifest.version, "size_bytes": manifest.size_bytes}


async def updates(box: Box, _arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """List the newer versions there are of the packs on the box; nothing is fetched."""
    return {
        "updates": [
            {
                "pack": update.pack,
                "version": update.version,
                "state": update.state.value,
                "sources": list(update.sources),
                "done_bytes": update.done_bytes,
                "total_bytes": update.total_bytes,
                "error": update.error,
            }
            for update in await box.fetching.look()
        ]
    }
