"""A real hub and a real box that is enrolled there; either can be stopped, started again, or put back from a copy."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from content_packs.base.clock import Clock
from edgebox.app import open_box
from edgebox.keys import Box
from sync.bundle.layout import AckHead, Vector
from sync.bundle.read import read_ack
from sync.hub.store import boxes
from sync.hub.store.streams import Outgoing
from tests.support.box import School, make_school
from tests.support.clock import FakeClock
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS

HILL = "Hill School"
PACK = "org.example.sums"
LETTER: list[dict[str, Any]] = [
    {"kind": "class", "id": "5B", "title": "Class 5B"},
    {"kind": "learner", "id": "N-1", "given_name": "Awa", "family_name": "Diop", "classes": ["5B"]},
    {"kind": "learner", "id": "N-2", "given_name": "Moussa", "family_name": "Ba", "classes": ["5B"]},
    {"kind": "assignment", "class": "5B", "pack": PACK, "lesson": "adding"},
    {"kind": "message", "text": "Exams begin on Monday."},
]
_TOLD = {
    "learners": """
SELECT class.title, given_name, family_name FROM enrollment JOIN person ON person.no = person_no
JOIN class ON class.no = class_no WHERE is_active AND title = 'Class 5B' ORDER BY given_name
""",
    "assigned": """
SELECT title, pack, lesson, is_active FROM assignment JOIN class ON class.no = class_no WHERE title = 'Class 5B'
""",
    "messages": "SELECT text FROM message ORDER BY text",
}
WHOLE = {
    "learners": [("Class 5B", "Awa", "Diop"), ("Class 5B", "Moussa", "Ba")],
    "assigned": [("Class 5B", PACK, "adding", 1)],
    "messages": [("Exams begin on Monday.",)],
}


def message(text: str) -> dict[str, Any]:
    return {"kind": "message", "text": text}


class SceneClock(Clock, Protocol):
    """A clock that a test sets forward."""

    def advance(self, by_ms: int) -> None:
        """Let time pass."""


@dataclass
class SchoolScene:
    """Where a hub and a box stand."""

    folder: Path
    school: School
    clock: SceneClock
    hub: TestHub = field(init=False)
    box: Box = field(init=False)
    _hub: AsyncExitStack = field(default_factory=AsyncExitStack)
    _box: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(self) -> None:
        """Start both, and enrol the box."""
        self.hub = await self._hub.enter_async_context(hub_on(self.folder / "hub", self.clock))
        self.box = await self._box.enter_async_context(open_box(self.school.settings, self.clock))
        code = await self.hub.listening.hub.enrolling.make_code(HILL)
        await self.box.syncing.enroll(self.hub.url, code)

    async def resume(self) -> None:
        """Start both on their folders; the hub at a new address."""
        self.hub = await self._hub.enter_async_context(hub_on(self.folder / "hub", self.clock))
        self.box = await self._box.enter_async_context(open_box(self.school.settings, self.clock))
        url = self.hub.url
        await self.box.database.write(lambda db: db.execute("UPDATE hub SET url = ?", (url,)) and None)

    async def stop(self) -> None:
        """Stop both; safe to repeat."""
        await self._box.aclose()
        await self._hub.aclose()

    async def restart_box(self, backup: Path | None = None) -> None:
        """Start the box again, from a copy of its folder if one is given."""
        await self._box.aclose()
        if backup:
            await asyncio.to_thread(_put_back, backup, self.school.settings.data)
        self.box = await self._box.enter_async_context(open_box(self.school.settings, self.clock))

    async def restart_hub(self, backup: Path | None = None) -> None:
        """Start the hub again at its address, from a copy of its folder if one is given."""
        port = self.hub.listening.port
        await self._hub.aclose()
        if backup:
            await asyncio.to_thread(_put_back, backup, self.folder / "hub")
        self.hub = await self._hub.enter_async_context(hub_on(self.folder / "hub", self.clock, at_port=port))

    async def back_up(self, part: str) -> Path:
        """Copy the folder of the `hub` or the `box`, which goes on; return the copy."""
        copy = self.folder / f"{part}-copy"
        await asyncio.to_thread(shutil.copytree, self.folder / part, copy, ignore=shutil.ignore_patterns("*.sock"))
        return copy

    async def send(self, *lines: dict[str, Any]) -> None:
        """Send lines to the school, or the letter."""
        text = "\n".join(json.dumps(line) for line in lines or LETTER)
        await self.hub.listening.hub.posting.send(text, HILL)

    async def sync(self) -> dict[str, Any] | None:
        """Let the box exchange now, and return what went wrong."""
        self.clock.advance(1_000)
        return (await self.box.syncing.sync_now()).last_error

    async def prepared(self, box: Box | None = None) -> list[bytes]:
        """Return the bundles that the hub has for the box, made if need be."""
        hub = self.hub.listening.hub
        origin = (box or self.box).identity.box_id
        found = await hub.store.run(lambda connection: boxes.find_box(connection, origin))
        assert found is not None
        await hub.sending.make_due(found)
        return [await self._content(bundle) for bundle in await hub.sending.waiting(found)]

    async def _content(self, bundle: Outgoing) -> bytes:
        content = await self.hub.listening.hub.sending.read(bundle)
        assert content is not None
        return content

    async def ack(self) -> AckHead:
        """Return what the box says it holds."""
        self.clock.advance(1_000)
        content = await self.box.receiving.make_ack()
        assert content is not None
        return read_ack(content, self.box.identity.signing.verify_key)

    async def vector(self) -> Vector:
        """Return the vector of that."""
        return (await self.ack()).vector

    async def told(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return what the letter made on the box."""
        return {name: await self.rows(query) for name, query in _TOLD.items()}

    async def messages(self) -> list[str]:
        """Return the texts of all messages on the box."""
        return [row[0] for row in await self.rows(_TOLD["messages"])]

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return rows of the box's database."""
        return await self.box.database.read(lambda db: [tuple(row) for row in db.execute(query)])

    async def waiting(self) -> int:
        """Return how many bundles wait at the hub, as it knows."""
        return int((await self.hub.rows("SELECT count(*) FROM stream_bundle WHERE settled_ms IS NULL"))[0][0])


@asynccontextmanager
async def school_scene(folder: Path, clock: SceneClock | None = None) -> AsyncIterator[SchoolScene]:
    """Run a hub and an enrolled box."""
    school = await asyncio.to_thread(make_school, folder / "box")
    scene = SchoolScene(folder, school, clock or FakeClock(NOW_MS))
    try:
        await scene.start()
        yield scene
    finally:
        await scene.stop()


@asynccontextmanager
async def copied_scene(scene: SchoolScene, folder: Path) -> AsyncIterator[SchoolScene]:
    """Run copies of a hub and a box that were stopped, as if neither had noticed."""
    await asyncio.to_thread(shutil.copytree, scene.folder, folder, ignore=shutil.ignore_patterns("*.sock"))
    settings = replace(scene.school.settings, data=folder / "box")
    clock = FakeClock(scene.clock.now_ms())
    copy = SchoolScene(folder, replace(scene.school, settings=settings), clock)
    try:
        await copy.resume()
        yield copy
    finally:
        await copy.stop()


def _put_back(backup: Path, data: Path) -> None:
    shutil.rmtree(data)
    shutil.copytree(backup, data)
