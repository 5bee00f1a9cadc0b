"""Take the bundles that a courier brings on a stick, and leave the acks on it."""

import asyncio
from pathlib import Path
from typing import Any

from content_packs.base.errors import EdgeboxError
from sync.hub.receiving import Acknowledged, Receiving
from sync.transport import folder


async def exchange_stick(receiving: Receiving, root: Path) -> dict[str, Any]:
    """Take every bundle on the stick and write one ack per box and epoch; safe to repeat.

    Returns:
        How many bundles were `taken`, and the `refused` ones by file name and error code: one bad file stops no other.

    Raises:
        StickMissing: there is no such folder.
    """
    refused: dict[str, str] = {}
    acks: dict[tuple[bytes, int], Acknowledged] = {}
    paths = await asyncio.to_thread(folder.list_bundles, root)
    for path in paths:
        try:
            content = await asyncio.to_thread(folder.read_bundle, path)
            acknowledged = await receiving.receive(content)
            acks[acknowledged.origin, acknowledged.epoch] = acknowledged
        except EdgeboxError as error:
            refused[f"{path.parent.name}/{path.name}"] = error.code
    for acknowledged in acks.values():
        await asyncio.to_thread(folder.write_ack, root, acknowledged.origin, acknowledged.epoch, acknowledged.ack)
    return {"taken": len(paths) - len(refused), "refused": refused}
