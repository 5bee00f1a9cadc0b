"""Take the bundles that a courier brings on a stick, and leave the answers on it.

A stick is a stranger's: of every file the start is read first, and the rest only when a box that is enrolled here
signed it, its name is the one it was signed for and its size is what the head says. So thousands of files of others,
or of none, cost thousands of short reads and nothing else; and of one box's folder not more than a hundred.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from content_packs.base.errors import EdgeboxError
from content_packs.format.errors import StickGone
from sync import introduction
from sync.bundle.errors import BundleMalformed
from sync.bundle.layout import BundleKind, Head
from sync.bundle.read import peek_length
from sync.enrolment import EnrolmentRefused
from sync.hub.enrolling import Enrolling
from sync.hub.receiving import Acknowledged, Receiving
from sync.transport import folder, tickets
from sync.transport.stick_writing import StickWriter

REFUSED_MAX = 100
_NUMBERS = {
    BundleKind.RECORDS: folder.bundle_numbers,
    BundleKind.EXPRESS: folder.express_numbers,
    BundleKind.FILE: folder.file_numbers,
}


@dataclass
class Taken:
    """What came of the files that a courier brought, so far.

    Attributes:
        bundles: how many were taken, those that were known already included.
        refused: error codes by file name.
        acks: the last of each box and epoch.
        origins: the boxes that something came from, be it only a word on what they hold.
    """

    bundles: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    acks: dict[tuple[bytes, int], Acknowledged] = field(default_factory=dict)
    origins: set[bytes] = field(default_factory=set)

    def add(self, acknowledged: Acknowledged) -> None:
        """Note a bundle that was taken."""
        self.bundles += 1
        self.acks[acknowledged.origin, acknowledged.epoch] = acknowledged
        self.origins.add(acknowledged.origin)


async def exchange_stick(receiving: Receiving, root: Path) -> dict[str, Any]:
    """Take the bundles of every box on the stick and write one ack per box and epoch; safe to repeat.

    Boxes that are new, or go on under a new key, are made known before their bundles are looked at.

    Returns:
        How many bundles were `taken`, how many boxes were made known (`met`), and the `refused` ones by file name and
        error code: one bad file stops no other.

    Raises:
        StickMissing: there is no such folder.
        StickFilled, StickReadOnly, StickLies, StickPlaceTaken, StickGone: the answers could not be written. What was
            on the stick is taken all the same.
    """
    met, refused = await take_introductions(receiving.enrolling, root)
    taken = Taken(refused=refused)
    for origin in await asyncio.to_thread(folder.list_origins, root):
        await _take_folder(receiving, root, origin, taken)
    await asyncio.to_thread(_write_answers, root, list(taken.acks.values()))
    return {"taken": taken.bundles, "met": met, "refused": taken.refused}


async def _take_folder(receiving: Receiving, root: Path, origin: bytes, taken: Taken) -> None:
    refused = 0
    files = await asyncio.to_thread(folder.list_express, root, origin)
    files += await asyncio.to_thread(folder.list_bundles, root, origin)
    files += await asyncio.to_thread(folder.list_files, root, origin)
    for path in files:
        try:
            acknowledged = await _take_file(receiving, path)
        except StickGone:
            raise
        except EdgeboxError as error:
            taken.refused[f"{path.parent.name}/{path.name}"] = error.code
            refused += 1
            if refused == REFUSED_MAX:
                return
            continue
        taken.add(acknowledged)


async def _take_file(receiving: Receiving, path: Path) -> Acknowledged:
    start = await asyncio.to_thread(folder.read_start, path)
    head = await admit_start(receiving, start, (await asyncio.to_thread(path.lstat)).st_size)
    if _NUMBERS[head.kind](path.name) != (head.epoch, head.seq):
        raise BundleMalformed(reason="name")
    return await receiving.receive(await asyncio.to_thread(folder.read_bundle, path))


async def admit_start(receiving: Receiving, start: bytes, size_bytes: int | None) -> Head:
    """Return the head of a bundle of which only the start was read, and the size is known or not.

    Raises:
        EdgeboxError: a refusal with a code; the rest need not be read.
    """
    head = await receiving.admit(start)
    if size_bytes is not None and size_bytes != peek_length(start):
        raise BundleMalformed(reason="cut in the body")
    return head


def _write_answers(root: Path, acks: list[Acknowledged]) -> None:
    """Write what the hub has for the boxes of this stick; here goes what else there is for them beside the acks."""
    if not acks:
        return
    writer = StickWriter(root)
    for acknowledged in acks:
        writer.put(folder.ack_place(acknowledged.origin, acknowledged.epoch), acknowledged.ack)
    writer.settle()


async def take_introductions(enrolling: Enrolling, root: Path) -> tuple[int, dict[str, str]]:
    """Take what boxes on a stick have to tell and leave the answers; return how many were taken, and the refused."""
    met, refused = 0, {}
    for name, content in await asyncio.to_thread(tickets.list_introductions, root):
        try:
            kind, box_id = introduction.kind_of_file(content), introduction.peek_box(content)
        except EnrolmentRefused as error:
            refused[name] = error.code
            continue
        try:
            answer = await enrolling.introduce(content, "")
            met += 1
        except EdgeboxError as error:
            refused[name] = error.code
            answer = enrolling.refuse(content, box_id, error.code)
        await asyncio.to_thread(tickets.write_answer, root, box_id, kind, answer)
    return met, refused
