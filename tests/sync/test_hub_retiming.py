"""The hub repairs times as the rules say, whatever the boots, and its page says so."""

from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select

from sync.hub.store import reports
from sync.hub.store.database import open_engine
from sync.hub.store.retiming import is_told_in, repaired_ms, wrong_boots
from sync.hub.store.schema import METADATA, activity, boot, box, device, school, statement, verb
from sync.records.retiming import Timeline
from sync.records.rows import Boot
from tests.sync.hub_support import hub_on
from tests.sync.makers import NOW_MS, answered, registries

DAY_MS = 86_400_000

times = st.integers(0, 40)
boots = st.lists(st.tuples(times, st.integers(-9, 9)), max_size=6, unique_by=lambda one: one[0])
stored = st.lists(st.tuples(times, times, st.booleans()), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(boots, boots, stored)
def test_the_query_repairs_as_the_rule_does(
    ours: list[tuple[int, int]],
    others: list[tuple[int, int]],
    found: list[tuple[int, int, bool]],
) -> None:
    engine = open_engine("sqlite://")
    METADATA.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(school), {"no": 1, "title": "Hill"})
        key = {"school_no": 1, "verify_key": b"", "enrolled_ms": 0}
        connection.execute(insert(box), [key | {"no": no, "key_id": bytes([no])} for no in (1, 2)])
        connection.execute(insert(verb), {"no": 1, "iri": "v"})
        connection.execute(insert(activity), {"no": 1, "iri": "a"})
        connection.execute(insert(device), {"no": 1, "school_no": 1, "id": b"d"})
        rows = [(no, *one) for no, them in ((1, ours), (2, others)) for one in them]
        for box_no, start_ms, offset_ms in rows:
            values = {"box_no": box_no, "start_ms": start_ms, "offset_ms": offset_ms, "quality": 3}
            connection.execute(insert(boot), values | {"stamp_epoch": 1, "stamp_seq": 1})
        for no, row in enumerate(found):
            connection.execute(insert(statement), statement_row(no, *row))
        wrong = wrong_boots()
        query = select(statement.c.timestamp_ms, repaired_ms(wrong)).outerjoin_from(statement, wrong, is_told_in(wrong))
        repaired = [tuple(row) for row in connection.execute(query.order_by(statement.c.id))]
    engine.dispose()
    timeline = Timeline(ours)
    assert repaired == [(told_ms, told_ms + expected(timeline, told_ms, at_ms, own)) for told_ms, at_ms, own in found]


def expected(timeline: Timeline, told_ms: int, stored_ms: int, is_own_page: bool) -> int:
    """Return what is added; the pages' upper bound, the moment of storing, is no matter of reports."""
    is_told = told_ms <= stored_ms and (is_own_page or told_ms == stored_ms)
    return timeline.offset_at(told_ms) if is_told else 0


def statement_row(no: int, told_ms: int, stored_ms: int, is_own_page: bool) -> dict[str, Any]:
    keys = {"school_no": 1, "id": bytes([no]), "box_no": 1, "verb_no": 1, "activity_no": 1, "digest": b""}
    return keys | {"timestamp_ms": told_ms, "stored_ms": stored_ms, "device_no": 1 if is_own_page else None}


async def test_a_record_for_a_boot_that_nobody_explained_waits_for_the_one_that_does(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next([Boot(4, DAY_MS, 3)]))
        assert await hub.rows("SELECT state FROM bundle") == [("quarantined",)]
        await hub.post(maker.next([Boot(4, 0, 1, NOW_MS)]))
        await hub.caught_up()
        assert await hub.rows("SELECT state FROM bundle") == [("applied",), ("applied",)]


async def test_an_older_record_never_takes_back_what_a_newer_one_learned(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next([Boot(4, 0, 1, NOW_MS)]))
        await hub.post(maker.next([Boot(4, DAY_MS, 3)]))
        maker.epoch, maker.seq, maker.through, maker.previous = 0, 0, 0, None
        await hub.post(maker.next([Boot(9, 0, 1, NOW_MS)]))
        assert await hub.rows("SELECT start_ms, offset_ms, quality FROM boot") == [(NOW_MS, DAY_MS, 3)]


async def test_the_operator_sees_which_dates_were_put_right(tmp_path: Path) -> None:
    async with hub_on(tmp_path) as hub:
        maker = await hub.enrolled()
        await hub.post(maker.next([Boot(1, 0, 1, NOW_MS), *registries(), answered(1)]))
        [before] = await hub.listening.hub.store.run(reports.list_pack_progress)
        await hub.post(maker.next([Boot(1, 5 * DAY_MS, 3), Boot(2, 0, 3, NOW_MS + 6 * DAY_MS)]))
        [after] = await hub.listening.hub.store.run(reports.list_pack_progress)
        assert (before["is_repaired"], after["is_repaired"]) == (0, 1)
        assert after["last_ms"] == before["last_ms"] + 5 * DAY_MS
        [found] = await hub.listening.hub.store.run(lambda connection: reports.list_boxes(connection, NOW_MS))
        assert found["repaired"] == 1
        code = await hub.listening.hub.admin.make_code()
        async with hub.session.post(hub.url + "/sign-in", data={"code": code}, headers={"Origin": hub.url}) as page:
            text = await page.text()
        assert "its dates were put right later" in text
        assert "~2026-06-06" in text
