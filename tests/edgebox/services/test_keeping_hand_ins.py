"""A file of a hand-in whose row was not written goes; one whose row was written, or is lost, stays."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

from content_packs.base.hashing import blake2b_256
from edgebox.services.hand_ins import HandInRefused
from edgebox.store.connections import NOT_WRITTEN, StoreUnavailable
from tests.support.hand_ins import give_lesson, hand_in, photo
from tests.sync.school_scene import SchoolScene, school_scene

CONTENT, OTHER = photo(60_000), photo(70_000)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SchoolScene]:
    async with school_scene(tmp_path) as made:
        await give_lesson(made.box, made.school.class_no)
        yield made


async def give(scene: SchoolScene, content: bytes, learner: int = 0) -> bool:
    return await hand_in(scene.box, scene.school.learners[learner].no, 1, "", content)


async def kept(scene: SchoolScene) -> list[str]:
    """Return the names of all files of hand-ins, those on their way too."""
    root = scene.school.settings.hand_ins
    return await asyncio.to_thread(lambda: sorted(path.name for path in root.rglob("*") if path.is_file()))


def named(*contents: bytes) -> list[str]:
    return sorted(blake2b_256(content).hex() for content in contents)


async def fail_to_give(scene: SchoolScene, content: bytes, learner: int = 0) -> None:
    """Hand in while the disk refuses the row."""

    async def refuse(_job: Callable[[Connection], Any]) -> None:
        raise StoreUnavailable(reason=NOT_WRITTEN)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoreUnavailable):
        patch.setattr(scene.box.database, "write", refuse)
        await give(scene, content, learner)


async def test_a_file_without_a_row_goes_at_the_start(scene: SchoolScene) -> None:
    await give(scene, OTHER)
    await fail_to_give(scene, CONTENT)
    await scene.box.hand_ins.sweep()
    assert await kept(scene) == named(OTHER)


async def test_a_file_without_a_row_goes_when_the_next_row_was_written(scene: SchoolScene) -> None:
    await fail_to_give(scene, CONTENT)
    await give(scene, OTHER)
    assert await kept(scene) == named(OTHER)


async def test_a_file_that_is_handed_in_again_stays(scene: SchoolScene) -> None:
    await fail_to_give(scene, CONTENT)
    await give(scene, CONTENT)
    await scene.box.hand_ins.sweep()
    assert await kept(scene) == named(CONTENT)


async def test_the_file_of_one_learner_outlives_what_another_could_not_hand_in(scene: SchoolScene) -> None:
    await give(scene, CONTENT)
    await fail_to_give(scene, CONTENT, learner=1)
    await scene.box.hand_ins.sweep()
    assert await kept(scene) == named(CONTENT)


async def test_nothing_is_left_of_a_file_that_is_refused(scene: SchoolScene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgebox.services.hand_ins.HAND_INS_MAX", 1)
    await give(scene, OTHER)
    with pytest.raises(HandInRefused):
        await give(scene, CONTENT)
    assert await kept(scene) == named(OTHER)


async def test_a_file_whose_row_a_rebuilt_database_lacks_stays(scene: SchoolScene) -> None:
    await give(scene, CONTENT)
    await scene.box.database.write(lambda db: db.execute("DELETE FROM hand_in") and None)
    await scene.box.hand_ins.sweep()
    await give(scene, OTHER, learner=1)
    assert await kept(scene) == named(CONTENT, OTHER)


async def test_a_row_that_is_written_after_its_request_was_ended_has_its_file(scene: SchoolScene) -> None:
    write, is_begun = scene.box.database.write, asyncio.Event()

    async def write_late(job: Callable[[Connection], Any]) -> Any:
        is_begun.set()
        return await asyncio.shield(asyncio.ensure_future(write(job)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scene.box.database, "write", write_late)
        giving = asyncio.ensure_future(give(scene, CONTENT))
        await is_begun.wait()
        giving.cancel()
        await asyncio.wait({giving})
    await give(scene, OTHER, learner=1)
    assert await scene.rows("SELECT count(*) FROM hand_in") == [(2,)]
    assert await kept(scene) == named(CONTENT, OTHER)
