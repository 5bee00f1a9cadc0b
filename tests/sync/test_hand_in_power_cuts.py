"""The power is cut at every write of handing in, of sealing a file, and of taking it in at the hub: nothing is lost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from content_packs.base.hashing import blake2b_256
from tests.support.hand_ins import give_lesson, hand_in, photo
from tests.support.power_cut import CuttableDisk, PowerCut
from tests.sync.school_scene import SchoolScene, school_scene

Work = Callable[[SchoolScene], Awaitable[object]]
CONTENT = photo(60_000)


async def give(scene: SchoolScene) -> None:
    """Let a learner hand in a photo with a text."""
    await hand_in(scene.box, scene.school.learners[0].no, 1, "My tree", CONTENT)


async def send(scene: SchoolScene) -> None:
    """Let the box seal the file and send it."""
    await scene.box.syncing.sync_now()


async def take(scene: SchoolScene) -> None:
    """Let the hub take in the file."""
    files = scene.box.syncing.files
    found = await files.read_for_stick((await files.list_due())[0], scene.folder / "stick")
    assert found is not None
    await scene.hub.listening.hub.receiving.receive(found[1])


async def check(scene: SchoolScene) -> None:
    """Check that what the box has noted is there, whole."""
    for digest, size_bytes in await scene.rows("SELECT hash, size_bytes FROM file"):
        assert size_bytes == len(CONTENT)
        assert await asyncio.to_thread(scene.box.hand_ins.blobs.is_intact, digest)


async def cut(folder: Path, part: str, work: Work, cut_at: int) -> bool:
    """Cut the power of the hub or the box at one write; return whether the work had come to its end before."""
    async with school_scene(folder) as scene:
        await give_lesson(scene.box, scene.school.class_no)
        if work is not give:
            await give(scene)
        has_ended = False
        with pytest.MonkeyPatch.context() as patch:
            disk = CuttableDisk(folder / part, patch, cut_at)
            with suppress(PowerCut):
                await work(scene)
                has_ended = True
            disk.settle(lose_contents=True, lose_names=True)
        await (scene.restart_hub() if part == "hub" else scene.restart_box())
        await scene.box.hand_ins.sweep()
        await check(scene)
        await give(scene)  # who saw no answer does it again
        await check(scene)
        for _ in range(2):
            assert await scene.sync() is None
        assert await scene.box.syncing.files.list_due() == []
        assert await scene.rows("SELECT count(*) FROM hand_in") == [(1,)]
        assert await scene.hub.rows("SELECT hash FROM school_file") == [(blake2b_256(CONTENT),)]
        kept = scene.hub.listening.hub.settings.files / "1"
        found = await asyncio.to_thread(lambda: [p.read_bytes() for p in kept.glob("[0-9a-f][0-9a-f]/*")])
        assert found == [CONTENT]
        left = (scene.box.hand_ins.blobs.root / "incoming", scene.school.settings.spool / "files")
        assert await asyncio.to_thread(lambda: [path for place in left for path in place.glob("*")]) == []
    return has_ended


@pytest.mark.parametrize(
    ("part", "work", "least"), [("box", give, 6), ("box", send, 4), ("hub", take, 4)], ids=["give", "send", "take"]
)
async def test_a_power_cut_loses_and_doubles_nothing(tmp_path: Path, part: str, work: Work, least: int) -> None:
    cut_at = 1
    while not await cut(tmp_path / str(cut_at), part, work, cut_at):
        cut_at += 1
    assert cut_at > least
