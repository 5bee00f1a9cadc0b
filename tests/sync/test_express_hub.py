"""What a hub does with an express bundle: applied by id, once, and without a trace in the chain."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import PairKey
from sync.bundle.errors import BundleUnsupported
from sync.bundle.layout import BundleKind, Notice
from sync.bundle.paired import is_paired, parse_paired, write_paired
from sync.bundle.read import peek_length, verify_bundle
from sync.bundle.write import Range
from sync.enrolment import check_answer, make_request
from sync.hub.store import express
from sync.hub.store.outgoing import read_due
from sync.records.rows import Activity, Boot, Device, Learner, Mark, Record, Statement, Verb
from tests.support.clock import FakeClock
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import COMPLETED, DEVICE, NOW_MS, Maker, answered, completed, registries

MARK = Mark(bytes(16), b"learner-one-----", "7", "", NOW_MS << 16)
BOOT = Boot(1, 0, 1, NOW_MS - 5_000)
CLOSING: list[Record] = [
    Verb(2, COMPLETED),
    Activity(2, "urn:x-edgebox:org.example.sums:adding"),
    Device(1, DEVICE),
    Learner(1, b"learner-one-----"),
    BOOT,
    completed(9),
    MARK,
]
MAIN: list[Record] = [BOOT, *registries(), answered(1), completed(9), MARK]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[TestHub]:
    async with hub_on(tmp_path, FakeClock(NOW_MS)) as made:
        yield made


async def everything(hub: TestHub) -> dict[str, list[tuple[object, ...]]]:
    """Return all that bundles write, the express ones' own table included."""
    found = await hub.contents()
    for table in ("express", "told_early", "registry", "boot", "mark", "school_change", "statement_conflict"):
        found[table] = await hub.rows(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
    return found


async def test_an_express_bundle_is_applied_and_the_chain_does_not_move(hub: TestHub) -> None:
    maker = await hub.enrolled()
    ack = await hub.post(maker.express(CLOSING))
    assert (ack.vector.through_seq, ack.vector.through_change, ack.vector.ranges) == (0, 0, ())
    assert (ack.express, ack.notice) == (((1, 1),), Notice.NONE)
    assert await hub.rows("SELECT count(*) FROM statement") == [(1,)]
    assert await hub.rows("SELECT count(*) FROM cursor") == [(0,)]
    assert await hub.rows("SELECT count(*) FROM registry") == [(0,)]


async def test_the_chain_brings_the_same_rows_and_stores_them_once(hub: TestHub) -> None:
    maker = await hub.enrolled()
    await hub.post(maker.express(CLOSING))
    ack = await hub.post(maker.next(MAIN))
    assert (ack.vector.through_seq, ack.express) == (1, ((1, 1),))
    assert await hub.rows("SELECT count(*) FROM statement") == [(2,)]
    assert await hub.rows("SELECT count(*) FROM mark") == [(1,)]
    assert await hub.rows("SELECT count(*), max(stamp_seq) FROM boot") == [(1, 1)]
    assert await hub.rows("SELECT * FROM statement_conflict") == []
    assert await hub.rows("SELECT * FROM told_early") == []
    logged = await hub.rows("SELECT kind, row_no, row_id, count(*) FROM school_change GROUP BY 1, 2, 3")
    assert {row[3] for row in logged} == {1}


@pytest.mark.parametrize("is_after", [False, True])
async def test_the_same_express_bundle_again_changes_nothing(hub: TestHub, is_after: bool) -> None:
    maker = await hub.enrolled()
    content = maker.express(CLOSING)
    first = await hub.post(content)
    if is_after:
        await hub.post(maker.next(MAIN))
    before = await everything(hub)
    assert (await hub.post(content)).express == first.express
    assert await everything(hub) == before


async def test_an_express_bundle_that_is_late_changes_nothing_but_that_it_came(hub: TestHub) -> None:
    maker = await hub.enrolled()
    content = maker.express(CLOSING)
    await hub.post(maker.next(MAIN))
    before = await everything(hub)
    await hub.post(content)
    after = await everything(hub)
    assert after.pop("express") != before.pop("express")
    assert after == before


async def test_a_number_means_nothing_outside_of_its_express_bundle(hub: TestHub) -> None:
    maker = await hub.enrolled()
    await hub.post(maker.express([Verb(1, COMPLETED), *CLOSING]))
    await hub.post(maker.next(MAIN))
    assert await hub.rows("SELECT state FROM bundle") == [("applied",)]
    assert await hub.rows("SELECT count(DISTINCT verb_no) FROM statement") == [(2,)]


async def test_what_names_a_number_nobody_explains_is_left_to_the_chain(hub: TestHub) -> None:
    maker = await hub.enrolled()
    await hub.post(maker.next(MAIN))
    before = await hub.contents()
    assert (await hub.post(maker.express([completed(10)]))).express == ((1, 1),)
    assert await hub.contents() == before
    assert await hub.rows("SELECT state FROM express") == [("quarantined",)]


async def test_an_epoch_with_two_histories_takes_no_express_bundle(hub: TestHub) -> None:
    maker, other = await hub.enrolled(), Maker()
    other.key, other.receiver = maker.key, maker.receiver
    await hub.post(maker.next(registries()))
    assert (await hub.post(other.next([*registries(), answered(1)]))).notice == Notice.FORKED
    assert (await hub.post(maker.express(CLOSING))).notice == Notice.FORKED
    assert await hub.rows("SELECT count(*) FROM statement") == [(0,)]
    assert await hub.rows("SELECT state FROM express") == [("forked",)]


async def test_two_express_bundles_of_one_number_mean_two_histories(hub: TestHub) -> None:
    maker = await hub.enrolled()
    await hub.post(maker.express(CLOSING))
    assert (await hub.post(maker.express([*CLOSING, completed(10)]))).notice == Notice.FORKED
    assert await hub.rows("SELECT count(*) FROM statement") == [(1,)]
    assert sorted(await hub.rows("SELECT state FROM express")) == [("applied",), ("forked",)]


async def test_an_express_bundle_is_noted_with_its_rows_or_not_at_all(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = await hub.enrolled()
    before = await everything(hub)

    def fail(*_values: object, **_more: object) -> None:
        raise OSError

    with monkeypatch.context() as patch:
        patch.setattr(express, "add", fail)
        with pytest.raises(OSError):
            await hub.listening.hub.receiving.receive(maker.express(CLOSING))
    assert await everything(hub) == before


async def test_other_boxes_of_the_school_are_told_what_came_ahead_and_what_its_numbers_stand_for(hub: TestHub) -> None:
    maker, other = await hub.enrolled(), await hub.enrolled()
    await hub.post(other.next([Verb(1, COMPLETED)]))
    await hub.post(maker.express(CLOSING))
    due, through = await hub.listening.hub.store.run(lambda db: read_due(db, 1, 2, 0, 100))
    kinds = [type(record) for record in due]
    assert {Verb, Activity, Device, Learner, Statement, Mark} <= set(kinds)
    await hub.post(maker.next(MAIN))
    more, _ = await hub.listening.hub.store.run(lambda db: read_due(db, 1, 2, through, 100))
    assert not [record for record in more if record in due]


def test_an_express_bundle_carries_closing_results_and_what_explains_them_only() -> None:
    maker = Maker()
    content = maker.express(registries())
    with pytest.raises(BundleUnsupported):
        peek_length(content)


def test_a_reader_of_before_refuses_an_express_bundle_by_name() -> None:
    maker = Maker()
    with pytest.raises(BundleUnsupported) as refusal:
        verify_bundle(maker.express(CLOSING), maker.trusted)
    assert refusal.value.fields["what"] == "kind 3"


async def test_the_short_form_is_taken_and_tells_its_kind(hub: TestHub) -> None:
    maker = Maker()
    code = await hub.listening.hub.enrolling.make_code("Hill School")
    async with hub.session.post(hub.url + "/api/enroll", json=make_request(code, maker.key)) as response:
        known = check_answer(await response.json(), code, maker.key.verify_key)
    content = write_paired(
        CLOSING,
        Range(1, 1, 1, len(CLOSING)),
        pair=PairKey(maker.key.sealing_key, known.sealing_key),
        box_no=known.box_no,
        created_ms=NOW_MS,
        kind=BundleKind.EXPRESS,
    )
    assert is_paired(content)
    assert parse_paired(content).head.is_express
    assert (await hub.post(content)).express == ((1, 1),)
    for flags in range(32, 256):
        with pytest.raises(EdgeboxError):
            parse_paired(content[:4] + bytes([flags]) + content[5:])
