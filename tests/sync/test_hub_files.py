"""What is on the hub's disk of hand-ins and is not noted: what a school knows of is kept."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from content_packs.base import sockets
from content_packs.base.hashing import blake2b_256
from content_packs.installer.blobs import BlobStore
from sync.hub.app import open_hub
from sync.hub.files import UNNOTED_MS, Files
from tests.support.hand_ins import give_lesson, hand_in, photo
from tests.sync.hub_support import hub_on
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


async def leave(scene: SchoolScene, content: bytes, digest: bytes) -> None:
    """Leave a file on the disk of the hub as a power cut does that comes before its row, and very long ago."""
    blobs = kept(scene)
    await asyncio.to_thread(blobs.add, blake2b_256(content), [content], "file")
    path = blobs.path_of(blake2b_256(content))
    if digest != blake2b_256(content):
        other = blobs.path_of(digest)
        await asyncio.to_thread(other.parent.mkdir, exist_ok=True)
        path = await asyncio.to_thread(path.rename, other)
    await asyncio.to_thread(os.utime, path, ns=(0, 0))


async def test_a_file_whose_hand_in_is_known_is_noted_when_the_hub_starts(scene: SchoolScene) -> None:
    await hand_in(scene.box, scene.school.learners[0].no, 1, "My tree", CONTENT)
    assert await scene.sync() is None
    store = scene.hub.listening.hub.store
    await store.run(lambda connection: connection.exec_driver_sql("DELETE FROM school_file") and None)
    await scene.restart_hub()
    assert await scene.hub.rows("SELECT hash, size_bytes, box_no FROM school_file") == [(DIGEST, len(CONTENT), 1)]
    assert await asyncio.to_thread(kept(scene).is_intact, DIGEST)


async def test_a_file_that_nobody_knows_of_waits_a_quarter_of_a_year_from_when_it_was_found(scene: SchoolScene) -> None:
    other = photo(21_000)
    await leave(scene, CONTENT, DIGEST)
    await scene.restart_hub()
    scene.clock.advance(UNNOTED_MS - 1)
    await leave(scene, other, blake2b_256(other))
    await scene.restart_hub()
    assert await hashes(scene) == sorted([DIGEST, blake2b_256(other)])
    scene.clock.advance(1)
    await scene.restart_hub()
    assert await hashes(scene) == [blake2b_256(other)]
    assert await asyncio.to_thread(kept(scene).aside) == [DIGEST]  # kept all the same
    assert await scene.hub.rows("SELECT * FROM school_file") == []
    assert await scene.hub.rows("SELECT hash FROM unnoted_file") == [(blake2b_256(other),)]


async def test_a_hub_looks_at_its_files_before_it_listens_and_a_command_without_one_does_not(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave(scene, CONTENT, DIGEST)
    settings, done, sweep, listen = scene.hub.listening.hub.settings, list[str](), Files.sweep, sockets.listen
    await scene.stop()

    async def note_sweep(self: Files) -> None:
        done.append("looks")
        await sweep(self)

    def note_listening(host: str, port: int) -> socket.socket:
        done.append("listens")
        return listen(host, port)

    monkeypatch.setattr(Files, "sweep", note_sweep)
    monkeypatch.setattr(sockets, "listen", note_listening)
    async with open_hub(settings, scene.clock) as hub:
        await hub.posting.send_message("Exams begin on Monday.", None)
    assert done == []
    async with hub_on(scene.folder / "hub", scene.clock):
        assert done == ["looks", "listens"]


async def test_what_was_only_begun_is_removed_and_what_is_damaged_put_aside_at_once(scene: SchoolScene) -> None:
    await leave(scene, photo(22_000), DIGEST)
    begun = await asyncio.to_thread(kept(scene).begin)
    await asyncio.to_thread(begun.write_bytes, b"begun")
    await scene.restart_hub()
    assert (await hashes(scene), await asyncio.to_thread(begun.exists)) == ([], False)
    assert await asyncio.to_thread(kept(scene).aside) == [DIGEST]


async def test_a_file_with_which_something_goes_wrong_keeps_no_hub_from_starting_nor_another_from_being_noted(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hand_in(scene.box, scene.school.learners[0].no, 1, "My tree", CONTENT)
    assert await scene.sync() is None
    store = scene.hub.listening.hub.store
    await store.run(lambda connection: connection.exec_driver_sql("DELETE FROM school_file") and None)
    unreadable, check = photo(23_000), BlobStore.check
    await leave(scene, unreadable, blake2b_256(unreadable))

    def fail(self: BlobStore, digest: bytes) -> object:
        if digest == blake2b_256(unreadable):
            raise OSError(errno.EIO, "input/output error")
        return check(self, digest)

    monkeypatch.setattr(BlobStore, "check", fail)
    await scene.restart_hub()
    assert await hashes(scene) == sorted([DIGEST, blake2b_256(unreadable)])
    assert await scene.hub.rows("SELECT hash FROM school_file") == [(DIGEST,)]
