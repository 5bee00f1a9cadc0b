"""The power is cut at every write of making a bundle for a box, and of taking one in: nothing is lost or doubled."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.power_cut import CuttableDisk, PowerCut
from tests.sync.school_scene import LETTER, WHOLE, SchoolScene, school_scene

Work = Callable[[SchoolScene], Awaitable[object]]


async def make(scene: SchoolScene) -> None:
    """Let the hub make the bundle."""
    await scene.prepared()


async def take(scene: SchoolScene) -> None:
    """Let the box take in a bundle that came too early, and then the one before it."""
    for content in reversed(await scene.prepared()):
        await scene.box.receiving.receive(content)


async def cut(folder: Path, part: str, work: Work, cut_at: int) -> bool:
    """Cut the power of the hub or the box at one write; return whether the work had come to its end before."""
    async with school_scene(folder) as scene:
        await scene.send(*LETTER[:3])
        if part == "box":
            await scene.prepared()
        await scene.send(*LETTER[3:])
        if part == "box":
            await scene.prepared()
        has_ended = False
        with pytest.MonkeyPatch.context() as patch:
            disk = CuttableDisk(folder / part, patch, cut_at)
            with suppress(PowerCut):
                await work(scene)
                has_ended = True
            disk.settle(lose_contents=True, lose_names=True)
        await (scene.restart_hub() if part == "hub" else scene.restart_box())
        for _ in range(2):
            assert await scene.sync() is None
        assert await scene.told() == WHOLE
        assert await scene.waiting() == 0
        assert not list((scene.school.settings.spool / "in").glob("*"))
        names = {path.name for path in scene.hub.listening.hub.settings.outgoing.iterdir()}
        rows = await scene.hub.rows("SELECT name FROM stream_bundle")
        assert names == {f"{name.hex()}.eb" for (name,) in rows}
    return has_ended


@pytest.mark.parametrize(("part", "work", "least"), [("hub", make, 4), ("box", take, 8)])
async def test_a_power_cut_loses_and_doubles_nothing(tmp_path: Path, part: str, work: Work, least: int) -> None:
    cut_at = 1
    while not await cut(tmp_path / str(cut_at), part, work, cut_at):
        cut_at += 1
    assert cut_at > least
