"""What is on the hub's disk of hand-ins and is not noted: what a school knows of is kept."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from content_packs.base.hashing import blake2b_256
from content_packs.installer.blobs import BlobStore
from sync.hub.files import UNNOTED_MS
from tests.support.hand_ins import give_lesson, hand_in, photo
from tests.sync.school_scene import SchoolScene, school_scene

CONTENT = photo(20_000)
DIGEST = blake2b_256(CONTENT)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SchoolScene]:
    async with school_scene(tmp_path) as scene:
        await give_lesson(scene.box, scene.school.class_no)
        yield scene


def kept(scene: SchoolScene) -> BlobStore:
    return BlobStore(scene.hub.listening.hub.settings.files / "1")


async def hashes(scene: SchoolScene) -> list[bytes]:
    return await asyncio.to_thread(lambda: list(kept(scene).hashes()))


async def leave(scene: SchoolScene, content: bytes, digest: bytes, *, age_ms: int = 0) -> None:
    """Leave a file on the disk of the hub as a power cut does that comes before its row."""
    blobs, written_ns = kept(scene), (scene.hub.clock.now_ms() - age_ms) * 1_000_000
    await asyncio.to_thread(blobs.add, blake2b_256(content), [content], "file")
    path = blobs.path_of(blake2b_256(content))
    if digest != blake2b_256(content):
        other = blobs.path_of(digest)
        await asyncio.to_thread(other.parent.mkdir, exist_ok=True)
        path = await asyncio.to_thread(path.rename, other)
    await asyncio.to_thread(os.utime, path, ns=(written_ns, written_ns))


async def test_a_file_whose_hand_in_is_known_is_noted_when_the_hub_starts(scene: SchoolScene) -> None:
    await hand_in(scene.box, scene.school.learners[0].no, 1, "My tree", CONTENT)
    assert await scene.sync() is None
    store = scene.hub.listening.hub.store
    await store.run(lambda connection: connection.exec_driver_sql("DELETE FROM school_file") and None)
    await scene.restart_hub()
    assert await scene.hub.rows("SELECT hash, size_bytes, box_no FROM school_file") == [(DIGEST, len(CONTENT), 1)]
    assert await asyncio.to_thread(kept(scene).is_intact, DIGEST)


async def test_a_file_that_nobody_knows_of_waits_a_quarter_of_a_year_for_its_record(scene: SchoolScene) -> None:
    other = photo(21_000)
    await leave(scene, CONTENT, DIGEST, age_ms=UNNOTED_MS + 1)
    await leave(scene, other, blake2b_256(other), age_ms=UNNOTED_MS - 60_000)
    await scene.restart_hub()
    assert await hashes(scene) == [blake2b_256(other)]
    assert await scene.hub.rows("SELECT * FROM school_file") == []


async def test_what_was_only_begun_or_is_damaged_is_removed_at_once(scene: SchoolScene) -> None:
    await leave(scene, photo(22_000), DIGEST)
    begun = await asyncio.to_thread(kept(scene).begin)
    await asyncio.to_thread(begun.write_bytes, b"begun")
    await scene.restart_hub()
    assert (await hashes(scene), await asyncio.to_thread(begun.exists)) == ([], False)
