"""Statements arrive at a record store outside once each and in order, whatever it says and whenever the power goes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest
from aiohttp import web

from content_packs.base import ids
from content_packs.base.budget import Window
from content_packs.base.clock import SystemClock
from edgebox.domain.forwarding import Cause, ForwardAddressInvalid, ForwardSignInMissing
from edgebox.domain.xapi.version import Version
from edgebox.services.forwarding import State
from edgebox.store import forwards
from edgebox.store.connections import StoreUnavailable
from edgebox.store.forwards import Target
from sync.engine.lanes import Lane, Tariff
from sync.transport.records import RecordLink
from tests.support.box import make_tablet
from tests.support.clock import FakeClock
from tests.support.record_stores import (
    Reply,
    Scripted,
    Sending,
    receiving_box,
    saying,
    scripted_store,
    sending_box,
    statements_of,
)
from tests.support.records import VOIDED, make_id, make_statement, outside_client, reference

HOUR_MS = 3_600_000


@asynccontextmanager
async def forwarding(folder: Path, count: int) -> AsyncIterator[tuple[Scripted, Sending, FakeClock]]:
    """Run a box with some statements that forwards to a store which does what it is told."""
    clock = FakeClock(SystemClock().now_ms())
    async with scripted_store() as store, sending_box(folder, make_tablet(), machine=clock) as sending:
        await sending.record(count)
        await sending.forward_to(store.address)
        yield store, sending, clock


async def run(sending: Sending) -> State:
    await sending.box.forwarding.run_due()
    return await state_of(sending)


async def state_of(sending: Sending) -> State:
    state = await sending.box.forwarding.state()
    assert state is not None
    return state


def code_of(state: State) -> str:
    return "" if state.progress.error is None else str(state.progress.error["code"])


def refusing(wanted: int, status_no: int, text: str = "") -> Reply:
    """Refuse every request in which the statement of this place in the first one is."""
    refused: list[str] = []

    async def reply(request: web.Request, sent: list[dict[str, Any]]) -> web.Response:
        refused.extend([] if refused else [sent[wanted]["id"]])
        if refused[0] in {one["id"] for one in sent}:
            return web.Response(status=status_no, text=text)
        return web.json_response([one["id"] for one in sent])

    return reply


async def test_all_statements_arrive_once_in_order_and_are_proven(tmp_path: Path) -> None:
    async with (
        receiving_box(tmp_path / "store") as (store, address, login, secret),
        sending_box(tmp_path / "box", make_tablet()) as sending,
    ):
        for _ in range(3):
            await sending.record(40)
        await sending.forward_to(address, login, secret)
        state = await run(sending)
        arrived, made = await statements_of(store), await statements_of(sending.box)
        assert [one["id"] for one in arrived] == [one["id"] for one in made]
        assert [one["actor"] for one in arrived] == [one["actor"] for one in made]
        assert {one["actor"]["account"]["homePage"] for one in arrived} == {sending.school.home_page}
        assert (state.progress.sent, state.waiting.statements, code_of(state)) == (120, 0, "")
        assert state.progress.is_proven
        assert state.progress.proof_id == ids.parse_uuid(made[-1]["id"])
        assert state.progress.last_stored_ms is not None


async def test_a_cut_between_the_answer_and_the_cursor_sends_again_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        receiving_box(tmp_path / "store") as (store, address, login, secret),
        sending_box(tmp_path / "box", make_tablet()) as sending,
    ):
        await sending.record(5)
        await sending.forward_to(address, login, secret)
        with monkeypatch.context() as patch:
            patch.setattr(forwards, "move", cut)
            assert (await run(sending)).progress.sent == 0
        assert len(await statements_of(store)) == 5
        state = await run(sending)
        assert (state.progress.sent, state.asides, state.waiting.statements) == (5, 0, 0)
        assert [one["id"] for one in await statements_of(store)] == await sending.ids()


def cut(_connection: Connection, *_arguments: Any) -> bool:
    raise StoreUnavailable(reason="the power went", fault="")


async def test_what_other_apps_wrote_stays_here_unless_staff_say_otherwise(tmp_path: Path) -> None:
    async with forwarding(tmp_path, 2) as (store, sending, _):
        async with outside_client(sending.box) as records:
            await records.send(make_statement(1))
            state = await run(sending)
            assert (state.progress.sent, state.progress.kept, state.waiting.statements) == (2, 1, 0)
            assert make_id(1) not in store.kept
            await sending.forward_to(store.address, secret="", sends_given=True)
            await records.send(make_statement(2))
        state = await run(sending)
        assert (state.progress.sent, state.progress.kept) == (3, 1)
        assert store.kept[make_id(2)]["actor"]["mbox"] == "mailto:amina@example.org"
        assert not {"stored", "authority", "version"} & store.kept[make_id(2)].keys()


async def test_what_was_taken_back_goes_and_is_taken_back_there(tmp_path: Path) -> None:
    async with (
        receiving_box(tmp_path / "store") as (store, address, login, secret),
        sending_box(tmp_path / "box", make_tablet()) as sending,
        outside_client(sending.box) as records,
    ):
        await records.send(make_statement(1))
        await records.send(make_statement(2, verb=VOIDED, object=reference(1)))
        await sending.forward_to(address, login, secret, sends_given=True)
        state = await run(sending)
        assert (state.progress.sent, state.asides) == (2, 0)
        async with outside_client(store) as reader:
            assert await reader.get(voidedStatementId=make_id(1))
            assert await reader.ids() == [2]


async def test_a_statement_goes_with_its_files(tmp_path: Path) -> None:
    content = b"a drawing"
    about = {
        "usageType": "http://example.org/drawing",
        "display": {"en": "Drawing"},
        "contentType": "text/plain",
        "length": len(content),
        "sha2": sha256(content).hexdigest(),
    }
    head = "Content-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\n"
    head += "Content-Transfer-Encoding: binary\r\nX-Experience-API-Hash: {}\r\n\r\n"
    async with (
        receiving_box(tmp_path / "store") as (store, address, login, secret),
        sending_box(tmp_path / "box", make_tablet()) as sending,
        outside_client(sending.box) as records,
    ):
        for number in (1, 2):
            text = head.format(json.dumps(make_statement(number, attachments=[about])), about["sha2"])
            body = b"--b\r\n" + text.encode() + content + b"\r\n--b--\r\n"
            headers = {"Content-Type": "multipart/mixed; boundary=b"}
            response = await records.ask("POST", "/xapi/statements", data=body, headers=headers)
            assert response.status == 200, await response.text()
        await sending.forward_to(address, login, secret, sends_given=True)
        state = await run(sending)
        assert (state.progress.sent, state.asides) == (2, 0)
        path = store.record_store.files.path_of(sha256(content).hexdigest())
        assert await asyncio.to_thread(path.read_bytes) == content
        await asyncio.to_thread(sending.box.record_store.files.path_of(sha256(content).hexdigest()).unlink)
        await sending.box.forwarding.end()
        await sending.forward_to(address, login, secret, sends_given=True)
        state = await run(sending)
        assert [one.cause for one in state.newest_asides] == [Cause.FILE_MISSING] * 2


async def test_a_damaged_statement_is_counted_and_passed_over(tmp_path: Path) -> None:
    async with forwarding(tmp_path, 3) as (store, sending, _):
        await sending.box.database.write(
            lambda connection: connection.execute("UPDATE statement SET response = 'x' WHERE device_seq = 2")
        )
        state = await run(sending)
        assert (state.progress.sent, state.progress.damaged, len(store.kept)) == (2, 1, 2)


async def test_a_busy_store_is_asked_again_when_it_says(tmp_path: Path) -> None:
    async with forwarding(tmp_path, 3) as (store, sending, clock):
        store.replies = [saying(503, Retry_After="90")]
        come_back_ms = await sending.box.forwarding.run_due()
        assert come_back_ms == sending.box.clock.now_ms() + 90_000
        assert code_of(await run(sending)) == "forward.busy"
        assert len(store.posts) == 1
        clock.advance(90_000)
        state = await run(sending)
        assert (state.progress.sent, state.next_try_ms, code_of(state)) == (3, None, "")


async def test_the_one_statement_that_is_refused_is_found_and_the_others_go(tmp_path: Path) -> None:
    async with forwarding(tmp_path, 40) as (store, sending, _):
        made = await sending.ids()
        store.default = refusing(23, 400, "I do not know\nthis verb")
        state = await run(sending)
        assert (state.progress.sent, state.asides, state.waiting.statements) == (39, 1, 0)
        (aside,) = state.newest_asides
        assert (ids.format_uuid(aside.id), aside.cause) == (made[23], Cause.REFUSED)
        assert "I do not know" in aside.reason
        assert len(store.posts) < 15


async def test_a_store_that_takes_less_at_once_gets_less(tmp_path: Path) -> None:
    async def small(request: web.Request, sent: list[dict[str, Any]]) -> web.Response:
        return store.keep(sent) if len(sent) <= 5 else web.Response(status=413)

    async with forwarding(tmp_path, 20) as (store, sending, _):
        store.default = small
        assert (await run(sending)).progress.sent == 20
        assert list(store.kept) == await sending.ids()


@pytest.mark.parametrize("is_same", [True, False])
async def test_an_id_that_the_store_has_is_done_if_its_content_is_the_same(tmp_path: Path, is_same: bool) -> None:
    async with forwarding(tmp_path, 3) as (store, sending, _):
        second = (await statements_of(sending.box))[1]
        store.kept[second["id"]] = second | {"stored": "2020-01-01T00:00:00Z"}
        if not is_same:
            store.kept[second["id"]] |= {"result": {"success": not second.get("result", {}).get("success", False)}}
        store.default = refusing(1, 409)
        state = await run(sending)
        wanted = (3, 0) if is_same else (2, 1)
        assert (state.progress.sent, state.asides, state.waiting.statements) == (*wanted, 0)
        assert [one.cause for one in state.newest_asides] == [Cause.CONFLICT] * (not is_same)


@pytest.mark.parametrize("status_no", [301, 302, 307, 404])
async def test_whoever_sends_elsewhere_or_knows_nothing_gets_nothing(tmp_path: Path, status_no: int) -> None:
    async with forwarding(tmp_path, 3) as (store, sending, clock):
        store.default = saying(status_no, Location=f"{store.address}statements")
        state = await run(sending)
        assert (state.progress.sent, state.waiting.statements, code_of(state)) == (0, 3, "forward.refused")
        assert len(store.posts) == 1
        assert state.next_try_ms == sending.box.clock.now_ms() + HOUR_MS
        clock.advance(HOUR_MS)
        store.default = None
        assert (await run(sending)).progress.sent == 3


@pytest.mark.parametrize("answer", ["<html>Welcome to our Wi-Fi", "[]", '"yes"', "[" * 200_000])
async def test_a_yes_that_does_not_name_the_statements_is_not_believed(tmp_path: Path, answer: str) -> None:
    async with forwarding(tmp_path, 3) as (store, sending, _):
        store.default = saying(200, answer)
        state = await run(sending)
        assert (state.progress.sent, state.waiting.statements, code_of(state)) == (0, 3, "forward.captured")


async def test_an_answer_without_end_is_cut_off(tmp_path: Path) -> None:
    async def endless(request: web.Request, sent: list[dict[str, Any]]) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65536)
        except ConnectionError:
            return response

    async with forwarding(tmp_path, 3) as (store, sending, _):
        store.default = endless
        state = await run(sending)
        assert (state.progress.sent, code_of(state)) == (0, "forward.unreached")


async def test_a_store_that_says_nothing_is_left_after_a_while(tmp_path: Path) -> None:
    is_over = asyncio.Event()

    async def silent(request: web.Request, sent: list[dict[str, Any]]) -> web.StreamResponse:
        await is_over.wait()
        return web.Response()

    def impatient(target: Target) -> RecordLink:
        wire = sending.box.line.wire(Lane.TELEMETRY)
        return RecordLink(target.url, target.login, target.secret, "1.0.3", wire, total_seconds=0.1)

    async with forwarding(tmp_path, 3) as (store, sending, _):
        store.default, sending.box.forwarding.make_link = silent, impatient
        state = await run(sending)
        is_over.set()
        assert (state.progress.sent, code_of(state)) == (0, "forward.unreached")
        assert state.next_try_ms is not None


async def test_a_password_that_is_not_accepted_stops_it_until_staff_give_another(tmp_path: Path) -> None:
    async with forwarding(tmp_path, 3) as (store, sending, clock):
        store.default = saying(401)
        assert code_of(await run(sending)) == "forward.denied"
        clock.advance(24 * HOUR_MS)
        assert await sending.box.forwarding.run_due() is None
        assert len(store.posts) == 1
        store.default = None
        await sending.forward_to(store.address, secret="another")
        assert (await run(sending)).progress.sent == 3
        assert store.headers[0]["Authorization"] != store.headers[1]["Authorization"]
        assert store.headers[1]["X-Experience-API-Version"] == Version.ONE.title


@pytest.mark.parametrize(("login", "secret"), [("box", "another"), ("other", "secret")])
async def test_a_refusal_of_the_old_sign_in_that_comes_late_does_not_stop_the_new_one(
    tmp_path: Path, login: str, secret: str
) -> None:
    async def meanwhile(_request: web.Request, _sent: list[dict[str, Any]]) -> web.Response:
        await sending.forward_to(store.address, login, secret)
        return web.Response(status=401)

    async with forwarding(tmp_path, 3) as (store, sending, _):
        store.replies = [meanwhile]
        state = await run(sending)
        assert (state.login, state.is_denied, code_of(state), state.progress.sent) == (login, False, "", 0)
        assert (await run(sending)).progress.sent == 3
        assert store.headers[0]["Authorization"] != store.headers[1]["Authorization"]


async def forgetful(_request: web.Request, sent: list[dict[str, Any]]) -> web.Response:
    return web.json_response([one["id"] for one in sent])


async def test_a_store_that_shows_nothing_has_proven_nothing(tmp_path: Path) -> None:
    async with forwarding(tmp_path, 3) as (store, sending, _):
        store.default = forgetful
        state = await run(sending)
        assert (state.progress.sent, state.progress.is_proven, code_of(state)) == (3, False, "forward.unproven")
        asked = len(store.asked)
        assert await sending.box.forwarding.run_due() is None
        assert len(store.asked) == asked


async def test_it_waits_for_the_hours_of_the_line_unless_somebody_asks(tmp_path: Path) -> None:
    async with forwarding(tmp_path, 3) as (store, sending, _):
        await sending.box.line.set_tariff(Tariff(windows=(Window(0, 0),)))
        assert code_of(await run(sending)) == "line.paused"
        assert store.posts == []
        await sending.box.forwarding.send_now(20)
        state = await state_of(sending)
        assert (state.progress.sent, state.progress.is_proven) == (3, True)
        ledger = sending.box.line.rules.ledger
        assert sum(size for (_day, lane), size in ledger.lanes.items() if lane is Lane.TELEMETRY) > 1_000


async def test_what_is_paused_or_ended_while_it_is_sent_moves_no_cursor_of_another(tmp_path: Path) -> None:
    async def meanwhile(request: web.Request, sent: list[dict[str, Any]]) -> web.Response:
        await sending.forward_to(f"{store.address}other")
        return store.keep(sent)

    async with forwarding(tmp_path, 3) as (store, sending, _):
        store.default = meanwhile
        state = await run(sending)
        assert (state.progress.sent, state.waiting.statements) == (0, 3)
        assert state.url.endswith("/lrs/other/statements")
        await sending.box.forwarding.pause(on=True)
        await run(sending)
        assert len(store.posts) == 1
        await sending.box.forwarding.end()
        assert await sending.box.forwarding.state() is None


async def test_two_runs_are_one(tmp_path: Path) -> None:
    async with forwarding(tmp_path, 3) as (store, sending, _):
        box = sending.box
        await asyncio.gather(box.forwarding.run_due(), box.forwarding.run_due(), box.forwarding.send_now(20))
        assert len(store.posts) == 1


async def test_a_password_goes_to_no_other_machine_than_it_was_given_for(tmp_path: Path) -> None:
    async with forwarding(tmp_path, 1) as (store, sending, _):
        for address, login in (("https://elsewhere.example/", "box"), (store.address, "somebody")):
            with pytest.raises(ForwardSignInMissing):
                await sending.forward_to(address, login, secret="")
        with pytest.raises(ForwardSignInMissing):
            await sending.forward_to(store.address, "a:b")
        for host in ("127.0.0.1", "localhost", "edgebox.local", "[::1]"):
            with pytest.raises(ForwardAddressInvalid):
                await sending.forward_to(f"http://{host}:{sending.box.settings.port}/xapi")
        assert (await state_of(sending)).url == f"{store.address}statements"
