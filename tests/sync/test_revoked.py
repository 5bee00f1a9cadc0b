"""A stolen box: what it sends is kept aside. Replays and borrowed bundles count once or not at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import SigningKey
from edgebox.services.identity import open_identity
from sync import introduction
from sync.bundle.layout import Notice
from sync.enrolment import check_answer, make_request
from sync.hub.arrivals import Arrival, Arrivals
from sync.hub.errors import BoxUnknown
from sync.hub.operations import OPERATIONS
from sync.hub.store.reports import list_boxes
from sync.introduction import write_succession
from sync.transport.http import INTRODUCTION_TYPE
from tests.sync.hub_support import TestHub, hub_on
from tests.sync.makers import NOW_MS, Maker, answered, registries
from tests.sync.test_hub_pages import signed_in
from tests.sync.test_syncing import box_and_hub

TYPE = {"Content-Type": INTRODUCTION_TYPE}


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[TestHub]:
    async with hub_on(tmp_path / "hub") as made:
        yield made


async def introduced(hub: TestHub, content: bytes) -> tuple[int, str]:
    """Tell the hub something; return the status, and the code if it was refused."""
    async with hub.session.post(hub.url + "/api/introductions", data=content, headers=TYPE) as response:
        return response.status, "" if response.status == 200 else (await response.json())["code"]


async def revoke(hub: TestHub, box_no: int, *, is_undone: bool = False) -> None:
    await hub.listening.hub.enrolling.revoke(box_no, is_undone=is_undone)


async def test_bundles_of_a_revoked_box_are_refused_and_kept_aside(hub: TestHub, tmp_path: Path) -> None:
    box = await hub.enrolled()
    await hub.post(box.next([*registries(), answered(1)]))
    await revoke(hub, 1)
    stolen = box.next([answered(2)])
    for _ in range(2):
        assert await hub.refused(stolen) == (403, "hub.box_revoked")
    assert await hub.rows("SELECT seq, state FROM bundle ORDER BY seq") == [(1, "applied"), (2, "refused")]
    assert len(await hub.rows("SELECT id FROM statement")) == 1
    assert len(await asyncio.to_thread(lambda: list((tmp_path / "hub").glob("bundles/*/1-2-*.eb")))) == 1
    [shown] = await hub.listening.hub.store.run(lambda connection: list_boxes(connection, NOW_MS))
    assert (shown["revoked_ms"], shown["refused"]) == (NOW_MS, 1)


async def test_a_box_that_was_found_again_goes_on_where_it_stopped(hub: TestHub) -> None:
    box = await hub.enrolled()
    await hub.post(box.next(registries()))
    await revoke(hub, 1)
    kept = box.next([answered(1)])
    await hub.refused(kept)
    await revoke(hub, 1, is_undone=True)
    ack = await hub.post(kept)
    assert (ack.vector.through_seq, ack.notice) == (2, Notice.NONE)
    assert await hub.rows("SELECT state FROM bundle ORDER BY seq") == [("applied",), ("applied",)]


async def undo_on_the_page(hub: TestHub) -> None:
    await signed_in(hub)
    async with hub.session.post(hub.url + "/revoke", data={"box": "1", "undo": "1"}) as response:
        assert response.status == 200


async def undo_by_the_command(hub: TestHub) -> None:
    await OPERATIONS["revoke"](hub.listening.hub, {"box": 1, "is_undone": True})


@pytest.mark.parametrize("undo", [undo_on_the_page, undo_by_the_command])
async def test_what_waited_when_a_box_was_revoked_is_applied_once_it_is_taken_back(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch, undo: Callable[[TestHub], Awaitable[None]]
) -> None:
    load = Arrivals.load

    async def revoke_and_load(self: Arrivals, *arguments: Any) -> Arrival | None:
        await revoke(hub, 1)
        return await load(self, *arguments)

    box = await hub.enrolled()
    await hub.post(box.next([answered(1)]))  # set aside: nothing explains its numbers yet
    with monkeypatch.context() as patch:
        patch.setattr(Arrivals, "load", revoke_and_load)
        await hub.post(box.next(registries()))
        await hub.caught_up()
    query = "SELECT state, reason FROM bundle ORDER BY seq"
    assert await hub.rows(query) == [("quarantined", None), ("applied", None)]
    await undo(hub)
    await hub.caught_up()
    assert await hub.rows(query) == [("applied", None)] * 2


async def test_a_thief_gets_no_new_key_past_the_hub_nor_a_box_of_the_same_school(hub: TestHub) -> None:
    box, fresh = await hub.enrolled(), SigningKey.generate()
    await revoke(hub, 1)
    assert await introduced(hub, write_succession([box.key, fresh], NOW_MS)) == (403, "hub.box_revoked")
    assert await introduced(hub, write_succession([fresh, box.key], NOW_MS)) == (403, "hub.box_revoked")
    code = await hub.listening.hub.enrolling.make_code("Hill School")
    async with hub.session.post(hub.url + "/api/enroll", json=make_request(code, box.key)) as response:
        assert (response.status, (await response.json())["code"]) == (403, "hub.box_revoked")
    assert await hub.rows("SELECT no FROM box") == [(1,)]


async def test_only_a_box_that_there_is_can_be_revoked(hub: TestHub) -> None:
    with pytest.raises(BoxUnknown):
        await revoke(hub, 1)


async def test_a_revoked_box_says_so_and_keeps_teaching(tmp_path: Path) -> None:
    async with box_and_hub(tmp_path) as scene:
        await scene.enroll()
        await revoke(scene.hub, 1)
        await scene.work(2)
        status = await scene.box.syncing.sync_now()
        assert status.last_error is not None
        assert status.last_error["fields"]["hub_code"] == "hub.box_revoked"
        await scene.work(2)
        await revoke(scene.hub, 1, is_undone=True)
        assert (await scene.box.syncing.sync_now()).waiting_changes == 0
        assert await scene.hub_statements() == 4


async def test_a_whole_capture_replayed_in_any_order_changes_nothing(hub: TestHub) -> None:
    box, fresh = await hub.enrolled(), SigningKey.generate()
    captured = [box.next([*registries(), answered(1)]), *(box.next([answered(seq)]) for seq in range(2, 6))]
    for content in captured:
        await hub.post(content)
    succession = write_succession([box.key, fresh], NOW_MS)
    assert await introduced(hub, succession) == (200, "")
    after = Maker(box.receiver, fresh, epoch=9)
    later = after.next([*registries(), *map(answered, range(1, 7))])
    await hub.post(later)
    before = await hub.contents(), await hub.rows("SELECT * FROM box ORDER BY no")
    for content in [*captured[::-1], later, *captured, later]:
        await hub.post(content)
    for _ in range(3):
        assert await introduced(hub, succession) == (200, "")
    assert (await hub.contents(), await hub.rows("SELECT * FROM box ORDER BY no")) == before
    assert len(await hub.rows("SELECT id FROM statement")) == 6


async def test_what_a_box_sent_before_its_new_key_still_counts_once_when_it_comes_late(hub: TestHub) -> None:
    box, fresh = await hub.enrolled(), SigningKey.generate()
    first, late = box.next([*registries(), answered(1)]), box.next([answered(2)])
    await hub.post(first)
    await introduced(hub, write_succession([box.key, fresh], NOW_MS))
    after = Maker(box.receiver, fresh, epoch=9)
    await hub.post(after.next([*registries(), answered(1), answered(2)]))
    assert (await hub.post(late)).notice == Notice.SUCCEEDED
    assert len(await hub.rows("SELECT id FROM statement")) == 2
    assert await hub.rows("SELECT count(*) FROM statement_conflict") == [(0,)]


async def test_a_bundle_of_another_box_is_not_taken_for_ones_own(hub: TestHub) -> None:
    """Cut and paste: the head of one with the body of the other, and a bundle signed again by another key."""
    ours, theirs = await hub.enrolled("Hill School"), await hub.enrolled("Dale School")
    own, other = ours.next([*registries(), answered(1)]), theirs.next([*registries(), answered(2)])
    before = await hub.contents()
    pasted = own[: len(own) // 2] + other[len(other) // 2 :]
    swapped = other.replace(theirs.key.verify_key.key_id, ours.key.verify_key.key_id)
    for content in (pasted, swapped):
        assert (await hub.refused(content))[0] in (400, 403)
    assert await hub.contents() == before
    await hub.post(other)
    await hub.post(own)
    rows = await hub.rows("SELECT school_no, count(*) FROM statement GROUP BY school_no ORDER BY 1")
    assert rows == [(1, 1), (2, 1)]


async def test_a_stale_epoch_brings_back_no_old_row(hub: TestHub) -> None:
    box = await hub.enrolled()
    old = [box.next(registries()), box.next([answered(1)])]
    await hub.post(old[0])
    newer = replace(box, epoch=5, seq=0, through=0, previous=None)
    await hub.post(newer.next([*registries(), answered(1), answered(2)]))
    await hub.post(old[1])
    assert len(await hub.rows("SELECT id FROM statement")) == 2


async def test_an_answer_or_a_request_of_another_time_is_none(hub: TestHub) -> None:
    """What names another secret, another box or another file than the one that was asked with is refused."""
    key = SigningKey.generate()
    codes = [await hub.listening.hub.enrolling.make_code("Hill School") for _ in range(2)]
    async with hub.session.post(hub.url + "/api/enroll", json=make_request(codes[0], key)) as response:
        answer = await response.json()
    check_answer(answer, codes[0], key.verify_key)
    with pytest.raises(EdgeboxError):
        check_answer(answer, codes[1], key.verify_key)
    other = make_request(codes[1], SigningKey.generate()) | {"proof": make_request(codes[1], key)["proof"]}
    async with hub.session.post(hub.url + "/api/enroll", json=other) as response:
        assert (response.status, (await response.json())["code"]) == (403, "hub.enrolment_proof_invalid")
    assert await hub.rows("SELECT no FROM box") == [(1,)]


async def test_who_has_only_the_new_or_only_the_old_key_names_no_successor(hub: TestHub) -> None:
    box, thief = await hub.enrolled(), SigningKey.generate()
    raws = [box.key.verify_key.raw, thief.verify_key.raw]
    for signers in ([thief, thief], [box.key, box.key]):
        content = introduction._write([3, raws, NOW_MS, []], signers)
        assert await introduced(hub, content) == (400, "sync.enrolment_refused")
    stranger = write_succession([SigningKey.generate(), thief], NOW_MS)
    assert await introduced(hub, stranger) == (403, "sync.bundle_unknown_origin")
    assert await hub.rows("SELECT no FROM box") == [(1,)]


async def test_a_succession_moves_no_box_to_another_school(hub: TestHub) -> None:
    ours, theirs = await hub.enrolled("Hill School"), await hub.enrolled("Dale School")
    assert await introduced(hub, write_succession([ours.key, theirs.key], NOW_MS)) == (200, "")
    assert await hub.rows("SELECT no, school_no, succeeds_no FROM box ORDER BY no") == [(1, 1, None), (2, 2, None)]


async def test_a_stolen_card_has_no_password_code_or_token_in_clear(tmp_path: Path) -> None:
    """And no secret that another box has: every key on it was made on it."""
    password, code = "correct horse battery", ""
    async with box_and_hub(tmp_path) as scene:
        code = await scene.hub.listening.hub.enrolling.make_code("Hill School")
        await scene.box.syncing.enroll(scene.hub.url, code)
        await scene.box.signing_in.set_password("teacher", password)
        await scene.work(2)
        await scene.box.syncing.sync_now()
        school = scene.school
    secret = bytes.fromhex(make_request(code, SigningKey.generate())["code"])
    canaries = [password.encode(), code.encode(), secret, secret.hex().encode()]
    canaries += [person.session.encode() for person in (*school.learners, school.teacher)]
    found = await asyncio.to_thread(_files_with, tmp_path / "box", canaries)
    assert found == []
    names = [b"Learner 0", b"Class 4", b"Teacher"]
    spooled = await asyncio.to_thread(_files_with, tmp_path / "box" / "spool", names)
    assert spooled == []
    identity = await asyncio.to_thread(open_identity, tmp_path / "box" / "keys")
    other = await asyncio.to_thread(open_identity, tmp_path / "another")
    assert identity.submit_key != other.submit_key
    assert identity.box_id != other.box_id


def _files_with(folder: Path, canaries: list[bytes]) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if any(canary in path.read_bytes() for canary in canaries)]
