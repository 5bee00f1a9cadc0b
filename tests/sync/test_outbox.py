"""What a box keeps on its card for the hub: at most twice what waits, and a little, whenever the power goes."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from sqlite3 import Connection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content_packs.base import ids
from edgebox.app import open_box
from edgebox.services import spool
from edgebox.store import changes, repairs
from edgebox.store.changes import Made
from edgebox.store.connections import open_writer
from edgebox.store.upgrade import upgrade
from tests.support.box import make_school, make_tablet
from tests.support.clock import FakeClock
from tests.support.power_cut import CuttableDisk, PowerCut
from tests.sync.hub_support import hub_on
from tests.sync.makers import NOW_MS
from tests.sync.test_syncing import Scene, back_up, box_and_hub, work_and_sync

KEPT_BYTES = 600


async def outbox(scene: Scene) -> tuple[int, int]:
    """Return the size of the files on the card, and of those that wait."""
    files = await asyncio.to_thread(lambda: list((scene.school.settings.spool / "out").iterdir()))
    waiting = await scene.box.database.read(changes.list_unacknowledged)
    return sum(path.stat().st_size for path in files), sum(made.size_bytes for made in waiting)


async def test_what_is_kept_is_at_most_what_waits_and_a_little_and_the_latest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "KEEP_ACKNOWLEDGED_BYTES", KEPT_BYTES)
    async with box_and_hub(tmp_path) as scene:
        await scene.enroll()
        for _ in range(12):
            await scene.work()
            await scene.box.syncing.sync_now()
            on_card, waiting = await outbox(scene)
            assert on_card <= 2 * waiting + KEPT_BYTES
        names = {path.name for path in (scene.school.settings.spool / "out").iterdir()}
        assert names == {f"1-{seq}.eb" for seq in range(13 - len(names), 13)}
        assert 1 < len(names) < 12
        await scene.work(20)
        await scene.box.syncing.prepare()
        on_card, waiting = await outbox(scene)
        assert waiting < on_card <= 2 * waiting + KEPT_BYTES


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    path = tmp_path_factory.mktemp("outbox") / "box.db"
    upgrade(path)
    with closing(open_writer(path)) as connection:
        yield connection


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 900), st.booleans()), max_size=12), st.integers(0, 2_000))
def test_whatever_waits_has_its_file_and_of_the_confirmed_the_oldest_go_first(
    store: Connection, made: list[tuple[int, int, bool]], more_bytes: int
) -> None:
    store.execute("BEGIN")
    bundles = {}
    for seq, (epoch, size_bytes, is_confirmed) in enumerate(made, 1):
        changes.insert_bundle(store, Made(epoch, seq, seq, seq, ids.random_bytes(32), size_bytes, NOW_MS))
        if is_confirmed:
            store.execute("UPDATE bundle_out SET acked_ms = 1 WHERE epoch = ? AND seq = ?", (epoch, seq))
        bundles[epoch, seq] = (size_bytes, is_confirmed)
    kept = changes.list_kept(store, more_bytes)
    store.execute("ROLLBACK")
    waiting = {place for place, (_, is_confirmed) in bundles.items() if not is_confirmed}
    waiting_bytes = sum(bundles[place][0] for place in waiting)
    assert len(kept) == len(set(kept))
    assert waiting <= set(kept)
    assert sum(bundles[place][0] for place in kept) <= 2 * waiting_bytes + more_bytes
    confirmed = sorted(set(bundles) - waiting)
    stay = sorted(set(kept) - waiting)
    assert stay == confirmed[len(confirmed) - len(stay) :]
    if len(stay) < len(confirmed):
        next_bytes = bundles[confirmed[len(confirmed) - len(stay) - 1]][0]
        assert sum(bundles[place][0] for place in stay) + next_bytes > waiting_bytes + more_bytes


async def test_a_hub_restored_from_a_backup_gets_everything_when_the_card_kept_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "KEEP_ACKNOWLEDGED_BYTES", 0)
    clock = FakeClock(NOW_MS)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with open_box(school.settings, clock) as box:
        async with hub_on(tmp_path / "hub", clock) as hub:
            scene = Scene(box, school, hub, make_tablet(), clock)
            await scene.enroll()
            await scene.work()
            await box.syncing.sync_now()
            await box.syncing.close()
        await asyncio.to_thread(back_up, tmp_path / "hub", tmp_path / "backup")
        await work_and_sync(scene, tmp_path / "hub", turns=3)
        assert await outbox(scene) == (0, 0)
        assert await work_and_sync(scene, tmp_path / "backup", turns=2) == 1 + 3 + 2


async def test_a_power_cut_at_any_write_leaves_no_file_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "KEEP_ACKNOWLEDGED_BYTES", 0)
    cut_at, has_ended = 0, False
    while not has_ended:
        cut_at += 1
        has_ended = await is_over_before(tmp_path / str(cut_at), cut_at)
    assert cut_at > 4


async def is_over_before(folder: Path, cut_at: int) -> bool:
    """Cut the power of the box at one of its writes while it sends; return whether it came to the end before."""
    clock, has_ended = FakeClock(NOW_MS), False
    school = await asyncio.to_thread(make_school, folder / "box")
    async with hub_on(folder / "hub", clock) as hub:
        async with open_box(school.settings, clock) as box:
            scene = Scene(box, school, hub, make_tablet(), clock)
            await scene.enroll()
            await scene.work()
            with pytest.MonkeyPatch.context() as patch:
                disk = CuttableDisk(folder / "box", patch, cut_at)
                with suppress(PowerCut):
                    await box.syncing.sync_now()
                    has_ended = True
                disk.settle(lose_contents=True, lose_names=True)
        async with open_box(school.settings, clock) as scene.box:
            await scene.box.syncing.sync_now()
            assert await outbox(scene) == (0, 0)
            assert await scene.hub_statements() == 1
    return has_ended


@pytest.mark.parametrize("paired_max", [spool.PAIRED_MAX_RECORDS, 1])
@pytest.mark.parametrize("damage", ["response = 'c'", "response = 'not to be mended'"])
async def test_a_damaged_statement_is_put_right_before_the_hub_confirms_what_is_behind_it(
    damage: str, paired_max: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "PAIRED_MAX_RECORDS", paired_max)
    async with box_and_hub(tmp_path) as scene:
        await scene.enroll()
        await scene.work(3)
        await scene.box.database.write(
            lambda db: db.execute(f"UPDATE statement SET {damage} WHERE device_seq = 2").rowcount
        )
        await scene.box.syncing.sync_now()
        is_mended = damage == "response = 'c'"
        assert await scene.hub_statements() == (3 if is_mended else 2)
        assert await scene.device() == ((3, 3) if is_mended else (1, 1))


async def test_a_statement_that_is_mended_goes_to_the_hub_again(tmp_path: Path) -> None:
    async with box_and_hub(tmp_path) as scene:
        await scene.enroll()
        await scene.work(3)
        key = await scene.box.database.read(
            lambda db: db.execute("SELECT id FROM statement WHERE device_seq = 2").fetchone()[0]
        )
        moved = key[:-1] + bytes([key[-1] ^ 1])
        await scene.box.database.write(
            lambda db: db.execute("UPDATE statement SET id = ? WHERE id = ?", (moved, key)).rowcount
        )
        await scene.box.syncing.sync_now()
        assert await scene.hub_statements() == 2
        await scene.box.record_check.scrub(None)
        await scene.box.syncing.sync_now()
        assert await scene.hub_statements() == 3
        logged = "SELECT count(*) FROM change WHERE kind = 1 AND key = ?"
        assert await scene.box.database.read(lambda db: db.execute(logged, (key,)).fetchone()[0]) == 1


async def test_the_hub_gets_everything_again_after_a_database_was_made_anew(tmp_path: Path) -> None:
    clock = FakeClock(NOW_MS)
    school = await asyncio.to_thread(make_school, tmp_path / "box")
    async with hub_on(tmp_path / "hub", clock) as hub:
        async with open_box(school.settings, clock) as box:
            scene = Scene(box, school, hub, make_tablet(), clock)
            await scene.enroll()
            await scene.work(2)
            await box.syncing.sync_now()
            before = await box.database.read(changes.find_epoch)
            await asyncio.to_thread(box.database.note_damage, "as a test has it")
        async with open_box(school.settings, clock) as scene.box:
            assert await scene.box.database.read(changes.find_epoch) > before
            assert not await scene.box.database.read(repairs.has_unsettled)
            await scene.work()
            await scene.box.syncing.sync_now()
            assert await scene.hub_statements() == 3
