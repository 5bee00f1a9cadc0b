"""What goes down by stick is what goes down a line; both at once, in any order, end in the same database."""

import asyncio
from collections.abc import AsyncIterator
from itertools import permutations
from pathlib import Path

import pytest

from edgebox.control import sync_operations
from edgebox.services import copy_marks
from sync.hub.sticks import exchange_stick
from sync.hub.sticks_down import fill_stick
from sync.transport import folder
from tests.sync.school_scene import WHOLE, SchoolScene, copied_scene, message, school_scene

WHOLE_TEXT = "Exams begin on Monday."
# Everything but when it came, and what rows were numbered.
_SAME = {
    "fact": "entity, id, field, value, stamp, origin",
    "member": "set_no, owner, member, stamp, origin, is_removed",
    "message": "id, text, until_ms, stamp",
    "class": "pseudonym, code, title",
    "person": "pseudonym, given_name, family_name",
    "enrollment": "*",
    "assignment": "*",
    "inbox_cursor": "*",
    "inbox_bundle": "hub, box, epoch, seq, hash, state, reason",
}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[SchoolScene]:
    (tmp_path / "stick").mkdir()
    async with school_scene(tmp_path) as made:
        yield made


async def at_the_hub(scene: SchoolScene) -> int:
    """Put the stick into the hub; return how many bundles for boxes are on it then."""
    hub = scene.hub.listening.hub
    await exchange_stick(hub.receiving, scene.folder / "stick")
    return await fill_stick(hub.sending, scene.folder / "stick")


async def at_the_box(scene: SchoolScene) -> None:
    """Put the stick into the box, which takes what is for it and writes what it has."""
    scene.clock.advance(1_000)
    await scene.box.exchanging.import_(scene.folder / "stick")
    await scene.box.exchanging.export(scene.folder / "stick")


def files(scene: SchoolScene, ending: str) -> list[str]:
    return sorted(path.name for path in (scene.folder / "stick" / "edgebox" / "inbox").rglob(f"*{ending}"))


async def test_a_stick_brings_what_was_sent_and_takes_the_receipt_back(scene: SchoolScene) -> None:
    await scene.send()
    assert await at_the_hub(scene) == 0  # it has never been at a box
    await at_the_box(scene)
    assert await at_the_hub(scene) == 1
    await at_the_box(scene)
    assert await scene.told() == WHOLE
    await scene.restart_box()
    await scene.restart_hub()
    assert await at_the_hub(scene) == 0
    assert (await scene.waiting(), files(scene, ".eb")) == (0, [])
    await at_the_box(scene)
    assert await scene.told() == WHOLE


async def test_a_stick_that_is_only_filled_tells_the_hub_what_the_box_holds(scene: SchoolScene) -> None:
    stick = scene.folder / "stick"
    await scene.box.exchanging.export(stick)
    assert len(await asyncio.to_thread(folder.list_words, stick, scene.box.identity.box_id)) == 1


async def test_taking_what_a_stick_brings_tells_how_far_it_is(scene: SchoolScene) -> None:
    await at_the_box(scene)
    await scene.send()
    await at_the_hub(scene)
    sizes = [path.stat().st_size for path in (scene.folder / "stick" / "edgebox" / "inbox").rglob("*.eb")]
    told: list[dict[str, int]] = []
    arguments = {"folder": str(scene.folder / "stick")}
    assert (await sync_operations.import_acks(scene.box, arguments, told.append))["acks"] > 0
    assert told[-1] == {"done_bytes": sum(sizes), "total_bytes": sum(sizes)}
    assert len(told) == len(sizes)


async def test_a_stick_that_comes_again_and_again_changes_nothing(scene: SchoolScene) -> None:
    await at_the_box(scene)
    await scene.send()
    await at_the_hub(scene)
    for _ in range(3):
        await at_the_box(scene)
    rows = await scene.rows("SELECT seq, state FROM inbox_bundle")
    assert (await scene.told(), rows) == (WHOLE, [(1, "applied")])


async def test_link_and_stick_in_any_order_end_in_the_same_database(
    scene: SchoolScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copy_marks, "is_moved", lambda keys: False)  # else the copy is a box of its own
    await at_the_box(scene)
    await scene.send()
    await at_the_hub(scene)
    await scene.send(message("two"))
    await scene.prepared()  # sealed once, so that every copy gets the same bytes
    await scene.stop()
    ends = []
    for number, order in enumerate(sorted(set(permutations(("line", "line", "stick", "hub"))))):
        async with copied_scene(scene, scene.folder.parent / f"copy-{number}") as copy:
            for step in order:
                await _step(copy, step)
            await at_the_hub(copy)
            await at_the_box(copy)
            assert await copy.sync() is None
            assert (await copy.told(), await copy.waiting()) == (WHOLE | {"messages": [(WHOLE_TEXT,), ("two",)]}, 0)
            ends.append({table: await copy.rows(f"SELECT {columns} FROM {table}") for table, columns in _SAME.items()})
    for name in _SAME:
        differ = [end[name] for end in ends if end[name] != ends[0][name]]
        assert not differ, (name, ends[0][name], differ[0])
    assert len(ends) == 12


async def _step(scene: SchoolScene, step: str) -> None:
    if step == "line":
        assert await scene.sync() is None
    elif step == "stick":
        await at_the_box(scene)
    else:
        await at_the_hub(scene)


async def test_a_damaged_file_stops_no_other(scene: SchoolScene) -> None:
    await at_the_box(scene)
    for text in ("one", "two"):
        await scene.send(message(text))
        await at_the_hub(scene)
    first, second = sorted((scene.folder / "stick" / "edgebox" / "inbox").rglob("*.eb"))
    first.write_bytes(first.read_bytes()[:-7])
    second.with_name("1-9.eb").write_bytes(b"EBB" + bytes(100))
    await at_the_box(scene)
    vector = await scene.vector()
    assert (vector.through_seq, vector.ranges, await scene.messages()) == (0, ((2, 2),), [])
    await at_the_hub(scene)
    await at_the_box(scene)
    assert await scene.messages() == ["one", "two"]


async def test_a_box_of_another_hub_gets_nothing_and_stops_nobody(scene: SchoolScene) -> None:
    stranger = scene.folder / "stick" / "edgebox" / "outbox" / ("ab" * 16)
    stranger.mkdir(parents=True)
    (stranger / "1.eba").write_bytes(b"EBB\x01")
    await at_the_box(scene)
    await scene.send()
    assert await at_the_hub(scene) == 1
    assert files(scene, ".eb") == ["1-1.eb"]
