"""Box and hub come to write short: codec 1 and paired bundles once the hub has said that it reads them."""

from dataclasses import replace
from pathlib import Path

from content_packs.base.signing import PairKey
from edgebox.store import changes, switches
from sync.bundle.layout import Notice
from sync.bundle.paired import is_paired, write_paired
from sync.bundle.write import Range
from sync.records.coarse import coarse_times
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS, Maker, answered, registries
from tests.sync.test_syncing import Scene, scene

__all__ = ["scene"]


def forms(scene: Scene) -> list[tuple[bool, bytes]]:
    """Return the bundles in the spool, by number: whether they are paired, and their bytes."""
    paths = sorted((scene.box.settings.spool / "out").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return [(is_paired(content), content) for content in (path.read_bytes() for path in paths)]


async def test_a_box_writes_the_first_form_until_the_hub_has_said_that_it_reads_more(scene: Scene) -> None:
    await scene.enroll()
    await scene.work(2)
    await scene.box.syncing.sync_now()
    await scene.work(2)
    await scene.box.syncing.sync_now()
    (first_paired, _first), (second_paired, second) = forms(scene)
    assert (first_paired, second_paired) == (False, True)
    assert len(second) < 150
    assert await scene.hub_statements() == 4


async def test_another_hub_is_not_taken_for_one_that_reads_the_short_form(scene: Scene, tmp_path: Path) -> None:
    await scene.enroll()
    await scene.work(1)
    await scene.box.syncing.sync_now()
    assert (await scene.box.database.read(changes.find_form)).is_short_read
    async with hub_on(tmp_path / "other", scene.clock) as other:
        await scene.box.syncing.enroll(other.url, await other.listening.hub.enrolling.make_code("Hill School"))
        assert not (await scene.box.database.read(changes.find_form)).is_short_read


async def test_coarse_times_go_out_when_staff_want_it_and_exact_ones_stay(scene: Scene) -> None:
    await scene.box.database.write(lambda db: switches.set_switch(db, switches.COARSE_TIMES, on=True))
    await scene.enroll()
    await scene.work(1)
    await scene.box.syncing.sync_now()
    scene.tablet.t += 234
    await scene.work(1)
    await scene.box.syncing.sync_now()
    query = "SELECT id, timestamp_ms FROM statement ORDER BY timestamp_ms"
    ours = [tuple(row) for row in await scene.box.database.read(lambda db: db.execute(query).fetchall())]
    theirs = await scene.hub.rows(query)
    assert [id_ for id_, _at in theirs] == [id_ for id_, _at in ours]
    assert ours[1][1] % 1000
    assert theirs[1][1] == ours[1][1] // 1000 * 1000


def paired(hub: TestHub, maker: Maker, records: list[object]) -> bytes:
    span = Range(1, maker.seq + 1, maker.through + 1, maker.through + len(records), maker.previous)
    pair = PairKey(maker.key.sealing_key, hub.listening.hub.keys.sealing.public)
    return write_paired(records, span, pair=pair, box_no=1, created_ms=NOW_MS)  # type: ignore[arg-type]


async def test_a_paired_bundle_stands_in_the_order_of_the_others(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next(registries()))
        content = paired(hub, maker, [answered(1)])
        ack = await hub.post(content)
        assert (ack.vector.through_seq, ack.notice) == (2, Notice.NONE)
        assert await hub.post(content) == replace(ack, created_ms=ack.created_ms)
        assert await hub.rows("SELECT count(*) FROM statement") == [(1,)]
        other = paired(hub, maker, [answered(2)])
        assert (await hub.post(other)).notice == Notice.FORKED


async def test_a_paired_bundle_of_nobody_or_of_another_box_is_refused(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        stranger = Maker(receiver=hub.listening.hub.keys.sealing)
        assert await hub.refused(paired(hub, stranger, registries())) == (403, "sync.bundle_forged")
        unknown = paired(hub, maker, registries()).replace(b"EBB\x02\x00\x01", b"EBB\x02\x00\x09", 1)
        assert await hub.refused(unknown) == (403, "sync.bundle_unknown_origin")
        assert await hub.rows("SELECT * FROM bundle") == []


async def test_a_statement_in_coarse_and_exact_time_is_one_with_the_exact_time(tmp_path: Path) -> None:
    exact = replace(answered(1), timestamp_ms=NOW_MS + 4_321, duration_ms=1_234)
    time, duration = coarse_times(exact.timestamp_ms, exact.duration_ms)
    coarse = replace(exact, timestamp_ms=time, duration_ms=duration)
    for number, pair in enumerate([(coarse, exact), (exact, coarse)]):
        async with hub_on(tmp_path / str(number)) as hub:
            maker = await hub.enrolled()
            await hub.post(maker.next([*registries(), pair[0]]))
            await hub.post(maker.next([pair[1]]))
            found = await hub.rows("SELECT timestamp_ms, duration_ms FROM statement")
            assert found == [(exact.timestamp_ms, exact.duration_ms)]
            assert await hub.rows("SELECT * FROM statement_conflict") == []
            await hub.post(maker.next([replace(exact, duration_ms=2_000)]))
            await hub.post(maker.next([replace(coarse, response="c")]))
            assert len(await hub.rows("SELECT * FROM statement_conflict")) == 2
