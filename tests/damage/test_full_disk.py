"""A disk that is really full: the box says "later", nothing acknowledged is lost, and it goes on once there is room."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edgebox.app import running_box
from edgebox.settings import Settings
from edgebox.store.connections import StoreUnavailable
from edgebox.store.database import Database
from edgebox.store.reserve import Reserve
from tests.support.box import School, make_school, make_tablet
from tests.support.filled import rows_of

SIZE_KIB = 16_000
LEFT_BYTES = 200_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KIB}k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def school(small_disk: Path) -> School:
    return make_school(small_disk / "box")


def fill_up(place: Path) -> Path:
    """Leave little room; return the file that takes the rest."""
    filler, free = place / "filler", os.statvfs(place)
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - LEFT_BYTES))
    return filler


async def post(client: aiohttp.ClientSession, request: Any) -> tuple[int, str | None, Any]:
    async with client.post("api/outbox", json=request) as response:
        return response.status, response.headers.get("Retry-After"), await response.json()


async def hand_in(client: aiohttp.ClientSession, requests: list[Any]) -> tuple[int, int]:
    """Send requests until one is not taken; return how many were and the status of the last."""
    for number, request in enumerate(requests):
        status, later, _answer = await post(client, request)
        if status != 200:
            assert (status, later) == (503, "5")
            return number, status
    return len(requests), 200


async def test_full_disk_is_told_and_costs_nothing(school: School, small_disk: Path) -> None:
    tablet, learner = make_tablet(), school.learners[0]
    events = [tablet.event(learner, item=f"q{number}", result={"response": "x" * 2000}) for number in range(1000)]
    requests = [tablet.request(*events[start : start + 20]) for start in range(0, len(events), 20)]
    async with running_box(school.settings) as running, aiohttp.ClientSession(running.address) as client:
        filler = await asyncio.to_thread(fill_up, small_disk)
        taken, status = await hand_in(client, requests)
        assert (status, 0 < taken < len(requests)) == (503, True)
        assert (await hand_in(client, requests[taken:]))[1] == 503
        await asyncio.to_thread(filler.unlink)
        assert await hand_in(client, requests[taken:]) == (len(requests) - taken, 200)
    rows = await asyncio.to_thread(rows_of, school.settings.data / "box.db", "statement")
    assert len(rows) == len(events)


async def test_the_reserve_takes_what_comes_when_the_disk_is_full(school: School, small_disk: Path) -> None:
    tablet, learner = make_tablet(), school.learners[0]
    events = [tablet.event(learner, item=f"q{number}", result={"response": "x" * 2000}) for number in range(300)]
    requests = [tablet.request(*events[start : start + 20]) for start in range(0, len(events), 20)]
    settings = Settings(data=school.settings.data, port=0, content_port=0, reserve_bytes=1_500_000)
    async with running_box(settings) as running, aiohttp.ClientSession(running.address) as client:
        await asyncio.to_thread(fill_up, small_disk)
        taken, status = await hand_in(client, requests)
        assert status == 503
        assert (await hand_in(client, requests[taken:]))[0] > 0
        assert running.box is not None
        assert await running.box.record_check.is_room_low()


def fill_wholly(place: Path) -> None:
    """Leave no room at all."""
    with (place / "rest").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


@pytest.mark.parametrize("reserve_bytes", [0, 1_500_000])
async def test_full_disk_at_the_start_is_no_damage(reserve_bytes: int, school: School, small_disk: Path) -> None:
    path = school.settings.data / "box.db"
    settings = replace(school.settings, reserve_bytes=reserve_bytes)
    async with running_box(settings):
        pass
    await asyncio.to_thread(fill_wholly, small_disk)
    before = await asyncio.to_thread(path.read_bytes)
    reserve = Reserve(school.settings.data / "reserve", reserve_bytes)
    with contextlib.nullcontext() if reserve_bytes else contextlib.suppress(StoreUnavailable):
        database = await asyncio.to_thread(Database, path, reserve)
        await asyncio.to_thread(database.close)
    assert await asyncio.to_thread(path.read_bytes) == before
    assert bool(reserve_bytes) != await asyncio.to_thread(reserve.is_held)
    assert not (path.parent / "damaged").exists()
    assert not path.with_name("box.db.suspect").exists()
