"""Damage on the box is put right over a line, by whoever nearby has the file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from content_packs.format.manifest import FileEntry
from content_packs.installer import blob_store
from edgebox.services.checking import Checking
from edgebox.services.network_source import NetworkSource
from tests.support.fetching_box import KEY, Bench, box, neighbour
from tests.support.small_course import PACK, built


class Pair:
    """A box, a box nearby, and a pack that both have."""

    def __init__(self, bench: Bench, other: Bench) -> None:
        self.bench = bench
        self.other = other
        source = NetworkSource(bench.fetching)
        self.checking = Checking(bench.settings, bench.clock, bench.library, [source])

    async def damage(self, bench: Bench, entry: FileEntry) -> None:
        """Let a disk spoil a file."""
        await asyncio.to_thread(blob_store(bench.settings.data).path_of(entry.hash).write_bytes, b"rotten")

    async def is_intact(self, entry: FileEntry) -> bool:
        return await asyncio.to_thread(blob_store(self.bench.settings.data).is_intact, entry.hash)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    folder = await built(tmp_path / "stick", KEY)
    async with (
        box(tmp_path / "other") as other,
        neighbour(tmp_path / "other") as address,
        box(tmp_path / "box", neighbours=(address,)) as bench,
    ):
        await other.install(folder)
        await bench.install(folder)
        pair = Pair(bench, other)
        yield pair
        await pair.checking.close()


async def test_a_check_repairs_every_damaged_file_from_a_neighbour(pair: Pair) -> None:
    files = (await pair.bench.library.pack(PACK)).files
    for entry in files:
        await pair.damage(pair.bench, entry)
    report = await pair.checking.check()
    assert (report.checked.damaged_files, report.repaired_files, report.is_good) == (len(files), len(files), True)
    assert all([await pair.is_intact(entry) for entry in files])
    assert pair.checking.damage == ()


async def test_a_file_that_is_damaged_there_as_well_stays_damaged_and_the_others_come(pair: Pair) -> None:
    first, second = (await pair.bench.library.pack(PACK)).files[:2]
    for bench, entry in ((pair.bench, first), (pair.bench, second), (pair.other, first)):
        await pair.damage(bench, entry)
    report = await pair.checking.check()
    assert (report.repaired_files, [wanted.entry.hash for wanted in report.lost]) == (1, [first.hash])
    assert await pair.is_intact(second)
    assert pair.checking.damage[0].files == 1


async def test_while_packs_are_fetched_nothing_is_asked_and_no_installation_is_held_up(pair: Pair) -> None:
    (entry, *_) = (await pair.bench.library.pack(PACK)).files
    await pair.damage(pair.bench, entry)
    async with pair.bench.fetching._busy:
        report = await asyncio.wait_for(pair.checking.check(), 20)
    assert report.repaired_files == 0
    assert await pair.checking.repair() == 1
