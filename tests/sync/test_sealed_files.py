"""A file is sealed once for the line, which may break off, and the box keeps no second copy that it does not need."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from content_packs.base import atomic
from content_packs.base.hashing import blake2b_256
from content_packs.installer.planning import DiskSpace
from content_packs.usb.writing import BESIDE
from edgebox.app import running_box
from edgebox.store import changes
from sync.transport import stick_writing
from sync.transport.errors import LinkDown, StickFilled
from sync.transport.http import HttpTransport
from tests.support.hand_ins import give_lesson, photo
from tests.sync.school_scene import SchoolScene, school_scene
from tests.sync.test_hand_ins import ROOMY, at_the_box, at_the_hub, due, give, hub_files, on_stick, spooled

SMALL, LARGE = 50_000, 3_000_000
NARROW = DiskSpace(1_000, 32_000_000_000)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SchoolScene]:
    (tmp_path / "stick").mkdir()
    async with school_scene(tmp_path) as made:
        await made.box.line.set_tariff(ROOMY)
        await give_lesson(made.box, made.school.class_no)
        assert await made.sync() is None
        yield made


async def break_off(scene: SchoolScene) -> None:
    """Let the line break while a file is on its way."""
    deliver = HttpTransport.deliver

    async def deliver_half(self: HttpTransport, bundle: bytes, **options: object) -> bytes:
        if len(bundle) > SMALL:
            raise LinkDown(reason="the line broke")
        return await deliver(self, bundle, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(HttpTransport, "deliver", deliver_half)
        assert await scene.sync() is not None


async def test_a_stick_gets_its_files_without_a_second_copy_on_the_card(scene: SchoolScene) -> None:
    await give(scene, "", photo(LARGE))
    await at_the_box(scene)
    assert (await spooled(scene), on_stick(scene)) == ([], ["1-1.ebf"])


async def test_a_stick_that_has_a_file_is_not_written_again(scene: SchoolScene) -> None:
    await give(scene, "", photo(LARGE))
    await at_the_box(scene)
    path = next((scene.folder / "stick").rglob("1-1.ebf"))
    before = await asyncio.to_thread(lambda: (path.stat().st_ino, path.read_bytes()))
    await at_the_box(scene)
    assert await asyncio.to_thread(lambda: (path.stat().st_ino, path.read_bytes())) == before


async def test_what_another_file_left_on_a_stick_under_this_number_is_replaced(scene: SchoolScene) -> None:
    await give(scene, "", photo(LARGE))
    await give(scene, "", photo(SMALL), learner=1)
    await at_the_box(scene)
    first, second = (next((scene.folder / "stick").rglob(name)) for name in ("1-1.ebf", "1-2.ebf"))
    await asyncio.to_thread(first.replace, second)
    await at_the_box(scene)
    await at_the_hub(scene)
    assert sorted(await hub_files(scene)) == sorted([blake2b_256(photo(LARGE)), blake2b_256(photo(SMALL))])


async def test_an_upload_that_broke_off_and_a_stick_bring_the_same_bytes(scene: SchoolScene) -> None:
    await give(scene, "", photo(SMALL))
    await break_off(scene)
    (kept,) = await spooled(scene)
    await at_the_box(scene)
    path = next((scene.folder / "stick").rglob("1-1.ebf"))
    spool = scene.school.settings.spool / "files"
    assert await asyncio.to_thread(path.read_bytes) == await asyncio.to_thread((spool / kept).read_bytes)


async def test_no_sealed_copy_takes_the_room_that_the_database_needs(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await give(scene, "", photo(SMALL))
    monkeypatch.setattr(scene.box.hand_ins, "_measure", lambda _folder: NARROW)
    await break_off(scene)
    assert await spooled(scene) == []
    assert await scene.sync() is None
    assert await hub_files(scene) == [blake2b_256(photo(SMALL))]


async def test_a_sealed_file_that_the_disk_changed_is_sealed_again(scene: SchoolScene) -> None:
    await give(scene, "", photo(SMALL))
    await break_off(scene)
    await at_the_box(scene)
    for folder in (scene.school.settings.spool / "files", scene.folder / "stick"):
        (path,) = await asyncio.to_thread(lambda folder=folder: list(folder.rglob("*.ebf")))
        await asyncio.to_thread(path.write_bytes, b"damaged")
    await at_the_box(scene)
    await at_the_hub(scene)
    assert await hub_files(scene) == [blake2b_256(photo(SMALL))]


async def test_a_full_spool_keeps_no_file_from_line_and_stick(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file = atomic.write_file

    def full(path: Path, content: bytes, **options: int) -> None:
        if path.suffix == ".ebf":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_file(path, content, **options)

    await give(scene, "", photo(LARGE))
    await give(scene, "", photo(SMALL), learner=1)
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "write_file", full)
        files, stick = scene.box.syncing.files, scene.folder / "stick"
        assert [await files.read_for_stick(file, stick) is not None for file in await files.list_due()] == [True, True]
        hub = await scene.box.database.read(changes.find_hub)
        assert hub is not None and await files.send_next(*hub) is not None
    assert await hub_files(scene) == [blake2b_256(photo(SMALL))]


async def test_what_a_box_does_not_know_any_more_stays_on_stick_and_in_the_spool(scene: SchoolScene) -> None:
    await give(scene, "", photo(SMALL))
    await break_off(scene)
    await at_the_box(scene)
    await scene.box.database.write(lambda db: db.execute("DELETE FROM file") and None)
    await scene.box.syncing.files.tidy()
    await scene.box.syncing.files.tidy_stick(scene.folder / "stick")
    assert (await spooled(scene), on_stick(scene)) == (["1.ebf"], ["1-1.ebf"])


async def test_what_tidies_waits_for_a_file_that_is_being_sealed(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await give(scene, "", photo(SMALL))
    files, loop, write_file = scene.box.syncing.files, asyncio.get_running_loop(), atomic.write_file
    tidied: list[asyncio.Task[None]] = []

    def slowly(path: Path, content: bytes, **options: int) -> None:
        if path.suffix == ".ebf":
            beside = path.with_name(path.name + ".part")
            beside.write_bytes(b"half")
            asyncio.run_coroutine_threadsafe(begin_to_tidy(), loop).result()
            assert beside.exists()
        write_file(path, content, **options)

    async def begin_to_tidy() -> None:
        tidied.append(asyncio.ensure_future(files.tidy()))
        await asyncio.wait(tidied, timeout=0.2)

    monkeypatch.setattr(atomic, "write_file", slowly)
    await break_off(scene)
    await asyncio.gather(*tidied)
    assert await spooled(scene) == ["1.ebf"]


async def test_what_the_hub_has_by_a_stick_leaves_the_spool(scene: SchoolScene) -> None:
    await give(scene, "", photo(SMALL))
    await break_off(scene)
    await at_the_box(scene)
    await at_the_hub(scene)
    await at_the_box(scene)
    assert await due(scene) == [] == await spooled(scene)


async def test_what_the_hub_has_by_a_courier_leaves_the_spool(scene: SchoolScene) -> None:
    await give(scene, "", photo(SMALL))
    await break_off(scene)
    await scene.hub.listening.hub.receiving.receive(await sealed(scene))
    for content in await scene.prepared():
        await scene.box.carrying.take_down(content)
    assert await due(scene) == [] == await spooled(scene)


async def test_what_the_hub_had_before_the_start_leaves_the_spool_at_the_start(scene: SchoolScene) -> None:
    await give(scene, "", photo(SMALL))
    await break_off(scene)
    await scene.hub.listening.hub.receiving.receive(await sealed(scene))
    for content in await scene.prepared():
        await scene.box.receiving.receive(content)
    assert await spooled(scene) == ["1.ebf"]
    await scene.stop()
    async with running_box(replace(scene.school.settings, port=0, content_port=0)):
        assert await spooled(scene) == []


async def test_a_file_that_is_too_large_for_a_stick_keeps_no_smaller_one_and_no_word_off_it(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_beside, tried = stick_writing.write_beside, list[int]()

    def write_what_fits(path: Path, content: bytes) -> None:
        if path.suffix == ".ebf":
            tried.append(len(content))
        if len(content) > 1_000_000:
            path.with_name(path.name + BESIDE).write_bytes(content[:1_000])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_beside(path, content)

    for learner, size_bytes in ((0, LARGE), (0, LARGE + 1), (1, SMALL)):
        await give(scene, "", photo(size_bytes), learner=learner)
    await scene.send()
    for content in await scene.prepared():
        await scene.box.receiving.receive(content)
    monkeypatch.setattr(stick_writing, "write_beside", write_what_fits)
    with pytest.raises(StickFilled):
        await scene.box.exchanging.export(scene.folder / "stick")
    assert (on_stick(scene), len(tried)) == (["1-3.ebf"], 2)
    assert await asyncio.to_thread(lambda: list((scene.folder / "stick").rglob(f"*{BESIDE}"))) == []
    monkeypatch.undo()
    await at_the_hub(scene)
    assert await hub_files(scene) == [blake2b_256(photo(SMALL))]
    assert await scene.waiting() == 1  # the hub's word on that file; what came before it is settled


async def sealed(scene: SchoolScene) -> bytes:
    """Return what waits of the file in the spool."""
    (name,) = await spooled(scene)
    return await asyncio.to_thread((scene.school.settings.spool / "files" / name).read_bytes)
