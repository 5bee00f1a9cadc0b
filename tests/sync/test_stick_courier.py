"""What happens to a stick that goes from a box to the hub and back, and again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from content_packs.usb.errors import StickReadOnly
from sync.hub.sticks import exchange_stick
from sync.transport import folder
from sync.transport.errors import StickMissing
from sync.transport.stick_writing import StickWriter
from tests.sync.test_syncing import Scene, box_and_hub


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with box_and_hub(tmp_path) as made:
        await made.enroll()
        await made.work()
        yield made


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


async def carry(scene: Scene, stick: Path) -> None:
    """Bring the stick to the hub and back."""
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    assert await scene.box.exchanging.import_(stick) == 1


async def bundles(stick: Path) -> list[Path]:
    return await asyncio.to_thread(folder.list_bundles, stick)


async def test_a_stick_that_is_not_mounted_is_not_made(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(StickMissing):
        await scene.box.exchanging.export(tmp_path / "away")
    assert not (tmp_path / "away").exists()
    (tmp_path / "away").mkdir()
    assert await scene.box.exchanging.export(tmp_path / "away") == 1


async def test_what_the_hub_has_leaves_the_stick_and_what_it_has_not_stays(scene: Scene, stick: Path) -> None:
    await scene.box.exchanging.export(stick)
    await exchange_stick(scene.hub.listening.hub.receiving, stick)
    await scene.work()
    await scene.box.exchanging.export(stick)
    assert [path.name for path in await bundles(stick)] == ["1-1.eb", "1-2.eb"]
    assert await scene.box.exchanging.import_(stick) == 1
    assert [path.name for path in await bundles(stick)] == ["1-2.eb"]
    await carry(scene, stick)
    assert await bundles(stick) == []
    assert (await scene.box.syncing.status()).waiting_changes == 0
    assert await scene.hub_statements() == 2


async def test_files_that_this_box_did_not_write_stay(scene: Scene, stick: Path) -> None:
    origin = scene.box.identity.box_id
    await scene.box.exchanging.export(stick)
    (ours,) = await bundles(stick)
    others = [
        await asyncio.to_thread(folder.write_bundle, stick, *place, ours.read_bytes())
        for place in ((bytes(16), 1, 1), (origin, 0, 1))
    ]
    junk = await asyncio.to_thread(folder.write_bundle, stick, origin, 1, 7, b"junk")
    note = stick / "edgebox" / "note.txt"
    note.touch()
    await carry(scene, stick)
    assert not ours.exists()
    assert all(path.exists() for path in (*others, junk, note))


async def test_a_bundle_of_a_copy_of_this_box_stays(scene: Scene, stick: Path) -> None:
    await scene.box.exchanging.export(stick)
    await scene.box.database.write(lambda db: db.execute("UPDATE bundle_out SET hash = zeroblob(32)") and None)
    await carry(scene, stick)
    assert len(await bundles(stick)) == 1


async def test_a_stick_that_cannot_be_written_is_read_all_the_same(
    scene: Scene, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.box.exchanging.export(stick)

    def refuse(*_arguments: object) -> None:
        raise StickReadOnly(stick="stick")

    monkeypatch.setattr(StickWriter, "remove", refuse)
    await carry(scene, stick)
    assert len(await bundles(stick)) == 1
    assert (await scene.box.syncing.status()).waiting_changes == 0
