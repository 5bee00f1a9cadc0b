"""While the hub refuses one bundle of a box, all that is no part of the chain goes on: what comes down, and files."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edgebox.services.file_sending import SENT_AGAIN_MS
from sync.engine.lanes import Lane, Tariff
from sync.engine.sender import REFUSED_WAIT_MS
from sync.transport.errors import HubRefused
from sync.transport.http import HttpTransport
from tests.support.hand_ins import give_lesson, hand_in, photo
from tests.sync.school_scene import PACK, SchoolScene, school_scene

CODE = "hub.quota_reached"
SMALL, LARGE = 50_000, 1_500_000


@dataclass
class Fussy:
    """A line whose hub says no to bundles of records, for as long as a test wants.

    Attributes:
        hears: what was sent, by lane; files are none of `Lane.PROGRESS`.
        waits_after_slice_ms: how much time each slice of a file takes.
    """

    scene: SchoolScene
    refuses: bool = True
    waits_after_slice_ms: int = 0
    hears: list[Lane] = field(default_factory=list)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SchoolScene]:
    async with school_scene(tmp_path) as made:
        await made.box.line.set_tariff(Tariff(is_metered=False))
        await give_lesson(made.box, made.school.class_no)
        assert await made.sync() is None
        yield made


@pytest.fixture
def fussy(scene: SchoolScene, monkeypatch: pytest.MonkeyPatch) -> Fussy:
    line, deliver = Fussy(scene), HttpTransport.deliver

    async def deliver_fussily(self: HttpTransport, bundle: bytes, *, lane: Lane, **options: object) -> bytes:
        line.hears.append(lane)
        if lane is Lane.PROGRESS and line.refuses:
            raise HubRefused(hub_code=CODE)
        told = options.pop("on_stored")

        def on_stored(stored_bytes: int) -> None:
            if lane is not Lane.PROGRESS and stored_bytes:
                scene.clock.advance(line.waits_after_slice_ms)
            told(stored_bytes)  # type: ignore[operator]

        return await deliver(self, bundle, lane=lane, on_stored=on_stored, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(HttpTransport, "deliver", deliver_fussily)
    return line


async def give(scene: SchoolScene, file: bytes) -> None:
    scene.clock.advance(1_000)
    await hand_in(scene.box, scene.school.learners[0].no, 1, "", file)


async def files_at_hub(scene: SchoolScene) -> int:
    return int((await scene.hub.rows("SELECT count(*) FROM school_file"))[0][0])


async def test_a_revocation_arrives_while_a_bundle_is_refused(scene: SchoolScene, fussy: Fussy) -> None:
    await scene.box.teaching.add_class("Class 6")
    await scene.send({"kind": "revocation", "pack": PACK, "version": 3})
    for _ in range(2):
        error = await scene.sync()
        assert error is not None and error["fields"]["hub_code"] == CODE
    assert await scene.rows("SELECT subject FROM revocation") == [(f"{PACK}@3",)]


async def test_a_box_by_itself_asks_for_what_waits_while_a_bundle_is_refused(scene: SchoolScene, fussy: Fussy) -> None:
    await scene.box.teaching.add_class("Class 6")
    syncing = scene.box.syncing
    await syncing.sync_when_due()
    assert syncing._asking.bringing is not None
    await syncing._asking.bringing
    await scene.send({"kind": "revocation", "pack": PACK, "version": 3})
    scene.clock.advance(6 * REFUSED_WAIT_MS)
    await syncing.sync_when_due()
    await syncing._asking.bringing
    assert await scene.rows("SELECT subject FROM revocation") == [(f"{PACK}@3",)]


async def test_files_arrive_while_a_bundle_is_refused_which_is_asked_about_once(
    scene: SchoolScene, fussy: Fussy
) -> None:
    await give(scene, photo(SMALL))
    await give(scene, photo(2 * SMALL))
    error = await scene.sync()
    assert error is not None and error["fields"]["hub_code"] == CODE
    assert await files_at_hub(scene) == 2
    assert fussy.hears.count(Lane.PROGRESS) == 1
    fussy.refuses = False
    assert await scene.sync() is None
    assert await scene.box.syncing.files.list_due() == []


async def test_a_long_file_behind_a_refused_bundle_is_not_ended_for_what_cannot_go(
    scene: SchoolScene, fussy: Fussy
) -> None:
    await give(scene, photo(LARGE))
    async with asyncio.timeout(60):
        assert await scene.sync() is not None
    assert await files_at_hub(scene) == 1
    assert fussy.hears == [Lane.PROGRESS, Lane.LARGE]


async def test_a_long_file_gives_way_to_the_refused_bundle_when_that_is_due_again(
    scene: SchoolScene, fussy: Fussy
) -> None:
    await give(scene, photo(LARGE))
    assert await scene.box.syncing.sync_when_due() is not None
    assert await files_at_hub(scene) == 1
    fussy.hears.clear()
    await give(scene, photo(LARGE + 1))
    fussy.waits_after_slice_ms = REFUSED_WAIT_MS // 4
    assert await scene.box.syncing.sync_when_due() is not None
    assert await files_at_hub(scene) == 2
    assert (fussy.hears[:3], fussy.hears[-1]) == ([Lane.LARGE, Lane.PROGRESS, Lane.LARGE], Lane.LARGE)


@pytest.mark.parametrize(
    ("hub_code", "asked_first", "asked_at_last"),
    [
        ("sync.bundle_unsupported", 1, 2),  # it reads no files
        ("hub.box_revoked", 2, 3),  # it takes nothing of this box, for now
        ("hub.no_such_file", 2, 4),
    ],
)
async def test_a_hub_that_refuses_every_file_is_not_asked_for_each(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch, hub_code: str, asked_first: int, asked_at_last: int
) -> None:
    deliver, asked = HttpTransport.deliver, list[int]()

    async def deliver_records(self: HttpTransport, bundle: bytes, *, lane: Lane, **options: object) -> bytes:
        if lane is Lane.PROGRESS:
            return await deliver(self, bundle, lane=lane, **options)  # type: ignore[arg-type]
        asked.append(len(bundle))
        raise HubRefused(hub_code=hub_code)

    monkeypatch.setattr(HttpTransport, "deliver", deliver_records)
    await give(scene, photo(SMALL))
    await give(scene, photo(SMALL + 1))
    for _ in range(2):
        await scene.sync()
    assert len(asked) == asked_first
    scene.clock.advance(SENT_AGAIN_MS)
    await scene.sync()
    assert len(asked) == asked_at_last
    monkeypatch.undo()
    scene.clock.advance(SENT_AGAIN_MS)
    assert await scene.sync() is None
    assert await files_at_hub(scene) == 2
