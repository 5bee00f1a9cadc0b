"""By line, stick, phone and file at once, in any order, each more than once: the databases end as by line alone.

Compared is every row of every table of the hub and of the box, but for when something was received and how much arrived
on a day, which is what differs: the columns in `RECEIPT`.
"""

import asyncio
import random
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from aiohttp import FormData

from content_packs.base import sockets
from edgebox.app import open_box
from edgebox.keys import Box
from edgebox.services.copy_marks import note_place
from edgebox.settings import Settings
from sync.hub.sticks import exchange_stick
from sync.transport import archive, folder
from sync.transport.errors import LinkDown
from sync.transport.http import HttpTransport
from tests.support.box import make_school, make_tablet
from tests.support.clock import FakeClock
from tests.sync.hub_support import TYPE, TestHub, hub_on
from tests.sync.makers import NOW_MS

BUNDLES = 4
HISTORIES = 12
RECEIPT = {
    "hub": {"bundle": {"received_ms"}, "box": {"contact_ms"}, "box_day": {"*"}},
    "box": {"bundle_out": {"acked_ms"}, "line_day": {"*"}},
}
# Rows: when the hub spoke last, and the one-time code of the first teacher, which is new at every start of a box.
ROWS_LEFT_OUT = ("hub_said_ms", "set_up_code_hash")


class ShortLink(HttpTransport):
    """A line that carries one bundle and breaks."""

    _left = 1

    async def deliver(self, bundle: bytes, **options: Any) -> bytes:
        if not self._left:
            raise LinkDown(reason="cut")
        self._left -= 1
        return await super().deliver(bundle, **options)


def machine() -> FakeClock:
    """Return the clock of a machine that went on running, and that a time server has set: no ack tells it anything."""
    clock = FakeClock(NOW_MS)
    clock.run, clock.is_served = "one run", True
    return clock


@dataclass
class Way:
    """One school's box and its hub, and every way between them."""

    box: Box
    hub: TestHub
    clock: FakeClock
    stick: Path
    bundles: list[bytes]

    async def line(self, _place: int) -> None:
        """Send the next bundle that waits, and believe the answer."""
        await self.go_by(ShortLink)

    async def go_by(self, make_link: Callable[[str], HttpTransport]) -> None:
        """Send what waits over a line of this kind."""
        self.box.syncing._uploading.make_link = make_link
        await self.box.syncing.close()
        await self.box.syncing.sync_now()

    async def stick_there(self, place: int) -> None:
        origin = self.box.identity.box_id
        await asyncio.to_thread(folder.write_bundle, self.stick, origin, 1, place + 1, self.bundles[place])
        await exchange_stick(self.hub.listening.hub.receiving, self.stick)

    async def stick_back(self, _place: int) -> None:
        await self.box.exchanging.import_(self.stick)

    async def phone(self, place: int) -> None:
        """Send one as a courier's page does, and bring the answer back."""
        headers = TYPE | {"Origin": "http://edgebox.lan", "Sec-Fetch-Site": "cross-site"}
        async with self.hub.session.post(
            self.hub.url + "/api/bundles", data=self.bundles[place], headers=headers
        ) as response:
            assert response.status == 200
            await self.box.carrying.take(await response.read())

    async def file(self, place: int) -> None:
        """Give one to the hub's page in a file; the answers go astray."""
        content = self.bundles[place]
        name = PurePosixPath(folder.bundle_place(self.box.identity.box_id, 1, place + 1).as_posix())
        form = FormData()
        packed = archive.member_header(name, len(content)) + content + archive.padding(len(content)) + archive.END
        form.add_field("file", packed, filename="bundles.tar")
        async with self.hub.session.post(self.hub.url + "/carry", data=form) as response:
            assert response.status == 200
            assert "1 bundle was taken" in await response.text()


@dataclass
class Start:
    """The folders that every history starts with."""

    folder: Path
    settings: Settings
    hub_port: int
    bundles: list[bytes]

    @asynccontextmanager
    async def again(self, at: Path) -> AsyncIterator[Way]:
        """Run box and hub from the start, in a folder of their own."""
        await asyncio.to_thread(shutil.copytree, self.folder, at, ignore=shutil.ignore_patterns("*.sock"))
        await asyncio.to_thread(note_place, at / "box" / "keys")  # the copy is to be taken for the box itself
        await asyncio.to_thread((at / "stick").mkdir)
        clock = machine()
        async with (
            hub_on(at / "hub", clock, at_port=self.hub_port) as hub,
            open_box(replace(self.settings, data=at / "box"), clock) as box,
        ):
            yield Way(box, hub, clock, at / "stick", self.bundles)


@pytest.fixture
async def start(tmp_path: Path) -> Start:
    """Make a box that is enrolled and has four bundles in its spool."""
    with sockets.listen("127.0.0.1", 0) as listener:
        port = int(listener.getsockname()[1])
    home, clock = tmp_path / "start", machine()
    school = await asyncio.to_thread(make_school, home / "box")
    tablet = make_tablet()
    async with hub_on(home / "hub", clock, at_port=port) as hub, open_box(school.settings, clock) as box:
        await box.syncing.enroll(hub.url, await hub.listening.hub.enrolling.make_code("Hill School"))
        for number in range(BUNDLES):
            learner = school.learners[number % 2]
            events = [tablet.event(learner, item=f"q{number}", result={"success": True}) for _ in range(3)]
            await box.recording.store_outbox(tablet.request(*events))
            waiting = await box.syncing.prepare()
        bundles = [content for made in waiting if (content := await box.syncing.read_waiting(made)) is not None]
    assert len(bundles) == BUNDLES
    return Start(home, school.settings, port, bundles)


def contents(path: Path, receipt: dict[str, set[str]]) -> dict[str, list[tuple[object, ...]]]:
    """Return every row of every table, but for what tells of receiving."""
    with sqlite3.connect(path) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {}
        for name in names:
            cursor = connection.execute(f'SELECT * FROM "{name}"')
            columns = [column[0] for column in cursor.description]
            left_out = receipt.get(name, set())
            kept = [number for number, column in enumerate(columns) if column not in left_out and "*" not in left_out]
            rows = [tuple(row[number] for number in kept) for row in cursor if row[0] not in ROWS_LEFT_OUT]
            found[name] = sorted(rows, key=repr)
    connection.close()
    return found


async def ended(start: Start, at: Path, go: Callable[[Way], object]) -> dict[str, dict[str, object]]:
    async with start.again(at) as way:
        await go(way)  # type: ignore[misc]
        assert (await way.box.syncing.status()).waiting_changes == 0
        await way.hub.caught_up()
    return {name: await asyncio.to_thread(contents, at / name / f"{name}.db", RECEIPT[name]) for name in ("hub", "box")}


async def by_line(way: Way) -> None:
    await way.box.syncing.sync_now()


def shuffled(seed: int) -> Callable[[Way], object]:
    """Return a history: every bundle by two or more ways, everything in any order, and the line at the end."""
    draw = random.Random(seed)

    async def go(way: Way) -> None:
        ways = [way.line, way.stick_there, way.stick_back, way.phone, way.file]
        steps = [(draw.choice(ways), place) for place in range(BUNDLES) for _ in range(4)]
        steps += [(one, draw.randrange(BUNDLES)) for one in ways]
        draw.shuffle(steps)
        for step, place in steps:
            way.clock.advance(draw.randrange(1, 3_600_000))
            await step(place)
        await way.stick_back(0)
        way.clock.advance(3_600_000)
        await way.go_by(HttpTransport)

    return go


async def test_a_short_line_carries_one_bundle_a_time(start: Start, tmp_path: Path) -> None:
    async with start.again(tmp_path / "short") as way:
        for left in (3, 2):
            await way.line(0)
            assert (await way.box.syncing.status()).waiting_bundles == left
            way.clock.advance(3_600_000)


async def test_by_any_way_in_any_order_with_duplicates_the_databases_are_those_of_the_line(
    start: Start, tmp_path: Path
) -> None:
    expected = await ended(start, tmp_path / "line", by_line)
    assert expected["hub"]["statement"]
    for seed in range(HISTORIES):
        found = await ended(start, tmp_path / f"any-{seed}", shuffled(seed))
        differing = [name for side in found for name in found[side] if found[side][name] != expected[side].get(name)]
        assert (seed, differing, found == expected) == (seed, [], True)
