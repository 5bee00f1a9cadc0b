"""The line: who goes first, what is counted on real sockets, and what of it is on the disk."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from content_packs.base import sockets
from content_packs.fetch import Ask, HttpSource, Target, Transfer
from content_packs.fetch.http import HttpStream
from edgebox.domain.tariff import read_tariff
from edgebox.services.allowance import FetchAllowance
from edgebox.services.line import FLUSH_BYTES, Line, LinePaused, Wire
from edgebox.settings import Settings
from edgebox.store import line as store
from edgebox.store.connections import StoreUnavailable
from edgebox.store.database import Database
from sync.engine.lanes import FREE_BYTES, KEPT_DAYS, SLICE_BYTES, SMALL_MAX_BYTES, Lane, Tariff
from sync.transport import tcp
from tests.support import tls
from tests.support.clock import FakeClock
from tests.support.counting_proxy import CountingProxy, counting_proxy
from tests.support.file_servers import NAME, block_map, serving, some_bytes

DAY_MS = 86_400_000
UNMETERED = Tariff(is_metered=False)


class Counting(Database):
    """A database that says how often it was written, and may refuse to be."""

    writes = 0
    error: Exception | None = None

    async def write(self, job: Callable[[Connection], Any]) -> Any:
        self.writes += 1
        if self.error is not None:
            raise self.error
        return await super().write(job)


@asynccontextmanager
async def opened(data: Path, clock: FakeClock | None = None, **settings: Any) -> AsyncIterator[tuple[Line, Counting]]:
    database = await asyncio.to_thread(Counting, data / "box.db")
    line = await Line.open(database, clock or FakeClock(), Settings(data=data, **settings))
    try:
        yield line, database
    finally:
        database.error = None
        await line.close()
        await asyncio.to_thread(database.close)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with opened(tmp_path) as (line, _):
        yield line


@asynccontextmanager
async def echo(*, is_tls: bool = False) -> AsyncIterator[CountingProxy]:
    """Run a server behind a proxy; it takes any body, and answers with as many bytes as it is asked for."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=bytes(int(request.query.get("bytes", "0"))))

    app = web.Application(client_max_size=10**9)
    app.router.add_route("*", "/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = sockets.listen("127.0.0.1", 0)
    context = await asyncio.to_thread(tls.server_context) if is_tls else None
    await web.SockSite(runner, listener, ssl_context=context).start()
    try:
        async with counting_proxy(listener.getsockname()[1]) as proxy:
            yield proxy
    finally:
        await runner.cleanup()


@asynccontextmanager
async def session_on(wire: Wire, context: ssl.SSLContext | bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(socket_factory=wire.make_socket, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


def spent(line: Line) -> dict[Lane, int]:
    ledger = line.rules.ledger
    day = ledger.day(line.moment())
    return {lane: size for lane in Lane if (size := ledger.spent_bytes(day, [lane]))}


async def test_the_meter_says_what_the_proxy_counted_headers_and_both_ways(line: Line) -> None:
    wire = line.wire(Lane.PROGRESS)
    async with echo() as proxy, session_on(wire) as session:
        for up_bytes, down_bytes in ((70_000, 300), (1, 0), (0, 900_000), (200_000, 200_000)):
            address = f"http://127.0.0.1:{proxy.port}/?bytes={down_bytes}"
            async with session.post(address, data=bytes(up_bytes)) as response:
                await response.read()
        assert spent(line) == {Lane.PROGRESS: proxy.crossed_bytes}
        assert proxy.crossed_bytes > 1_370_301


async def test_the_meter_counts_tls_and_its_greeting(line: Line) -> None:
    wire = line.wire(Lane.SMALL)
    context = await asyncio.to_thread(tls.client_context)
    async with echo(is_tls=True) as proxy:
        async with (
            session_on(wire, context) as session,
            session.get(f"https://localhost:{proxy.port}/?bytes=50000") as response,
        ):
            await response.read()
        counted_bytes = spent(line)[Lane.SMALL]
        assert counted_bytes > 50_000 + 1_000
        assert abs(counted_bytes - proxy.crossed_bytes) <= 0.02 * proxy.crossed_bytes


async def test_what_crossed_before_a_connection_was_dropped_is_counted(line: Line) -> None:
    wire = line.wire(Lane.LARGE)
    async with echo() as proxy, session_on(wire) as session:
        response = await session.get(f"http://127.0.0.1:{proxy.port}/?bytes=30000")
        await response.content.readexactly(30_000)
        response.close()
        assert spent(line) == {Lane.LARGE: proxy.crossed_bytes}


async def test_where_the_kernel_does_not_count_the_calls_are(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp, "ask_kernel", lambda *_: None)
    wire = line.wire(Lane.PROGRESS)
    async with echo() as proxy, session_on(wire) as session:
        async with session.post(f"http://127.0.0.1:{proxy.port}/?bytes=70000", data=bytes(150_000)) as response:
            await response.read()
        assert spent(line) == {Lane.PROGRESS: proxy.crossed_bytes}


async def test_a_socket_that_is_closed_where_no_loop_runs_is_closed_and_counted(line: Line) -> None:
    wire = line.wire(Lane.PROGRESS)
    async with echo() as proxy:
        made = wire.make_socket((socket.AF_INET, socket.SOCK_STREAM, 0))
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", proxy.port))
        await asyncio.get_running_loop().sock_sendall(made, bytes(100))
        await asyncio.to_thread(made.close)
        assert made.fileno() == -1
    assert spent(line)[Lane.PROGRESS] >= 100
    await line.flush()


async def test_one_connection_counts_for_the_lane_at_work(line: Line) -> None:
    wire = line.wire(Lane.PROGRESS)
    async with echo() as proxy, session_on(wire) as session:
        for lane in (Lane.PROGRESS, Lane.CLOSING):
            wire.lane = lane
            async with session.post(f"http://127.0.0.1:{proxy.port}/", data=bytes(10_000)) as response:
                await response.read()
        assert sum(spent(line).values()) == proxy.crossed_bytes
        assert {lane: size // 10_000 for lane, size in spent(line).items()} == {Lane.PROGRESS: 1, Lane.CLOSING: 1}


async def test_a_higher_lane_stops_the_lower_one_at_its_next_slice(line: Line) -> None:
    order: list[str] = []
    is_begun, may_end = asyncio.Event(), asyncio.Event()

    async def large() -> None:
        for number in range(3):
            async with line.turn(Lane.LARGE, 10 * SLICE_BYTES, is_asked=True) as size_bytes:
                assert size_bytes == SLICE_BYTES
                order.append(f"large {number}")
                is_begun.set()
                await may_end.wait()

    async def closing() -> None:
        async with line.turn(Lane.CLOSING, 100) as size_bytes:
            assert size_bytes == 100
            order.append("closing")
            may_end.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            order.append("closed")

    first = asyncio.create_task(large())
    await is_begun.wait()
    await asyncio.gather(closing(), first)
    assert order == ["large 0", "closing", "closed", "large 1", "large 2"]


async def test_a_fetch_stops_reading_while_something_urgent_is_sent(line: Line, tmp_path: Path) -> None:
    content = some_bytes(2_000_000)
    async with serving(content) as server:
        source = HttpSource(server.address, wire=line.wire(Lane.SMALL))
        transfer = Transfer(
            Target(NAME, len(content), block_map(content)),
            [source],
            tmp_path,
            budget=FetchAllowance(line, is_asked=True),
        )
        async with line.turn(Lane.CLOSING, 100):
            fetching = asyncio.create_task(transfer.run())
            for _ in range(20):
                await asyncio.sleep(0)
            assert not server.requests
        while transfer.received_bytes < 100_000:
            await asyncio.sleep(0)
        async with line.turn(Lane.CLOSING, 100):
            while not line._waiting[Lane.LARGE]:
                await asyncio.sleep(0)
            came_bytes = transfer.received_bytes
            for _ in range(20):
                await asyncio.sleep(0)
            assert transfer.received_bytes == came_bytes < len(content)
        partial = await fetching
        await asyncio.to_thread(partial.discard)
        await source.close()
    assert list(spent(line)) == [Lane.SMALL, Lane.LARGE]
    assert spent(line)[Lane.LARGE] > 1_000_000


async def test_a_small_file_does_not_wait_for_itself_when_a_large_one_comes_beside_it(line: Line) -> None:
    wire = line.wire(Lane.SMALL)

    async def read(stream: HttpStream) -> int:
        try:
            return sum([len(part) async for part in stream.parts()])
        finally:
            await stream.close()

    async with serving(some_bytes(200_000)) as small, serving(some_bytes(400_000)) as large, asyncio.timeout(20):
        sources = [HttpSource(server.address, wire=wire) for server in (small, large)]
        streams = [await source.open(Ask(NAME)) for source in sources]
        assert await asyncio.gather(*map(read, streams)) == [200_000, 400_000]
        for source in sources:
            await source.close()
    assert set(spent(line)) == {Lane.SMALL, Lane.LARGE}


async def test_a_lane_whose_waiting_streams_break_goes_before_its_betters_after_a_day_all_the_same(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock) as (line, _):
        line.begin(Lane.LARGE)
        for hours in (23, 1):
            waiting = asyncio.create_task(line.wait(Lane.TELEMETRY))
            await asyncio.sleep(0)
            clock.advance(hours * 3_600_000)
            waiting.cancel()
            await asyncio.wait({waiting})
            clock.advance(600_000)
        async with asyncio.timeout(20):
            await line.wait(Lane.TELEMETRY)
        # It had its turn, and waits a day for the next one; so does one that was away for long.
        for _ in range(2):
            waiting = asyncio.create_task(line.wait(Lane.TELEMETRY))
            await asyncio.sleep(0)
            clock.advance(3_600_001)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})
            clock.advance(DAY_MS)
        line.end(Lane.LARGE)


async def test_the_rate_that_is_allowed_holds_the_next_slice_back(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock, line_rate_kbit=64) as (line, _):
        assert line.may_go(Lane.CLOSING)
        line.count(Lane.PROGRESS, SLICE_BYTES)
        clock.advance(7_999)
        assert not line.may_go(Lane.CLOSING)
        clock.advance(1)
        assert line.may_go(Lane.CLOSING)


async def test_what_is_urgent_does_not_pay_for_what_a_pack_took_beyond_the_rate(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock, line_rate_kbit=64) as (line, _):
        # What a peer sent before it heard how much it may.
        line.count(Lane.LARGE, 400_000)
        assert line.may_go(Lane.CLOSING)
        line.count(Lane.CLOSING, 8_000)
        assert not line.may_go(Lane.CLOSING)
        clock.advance(1_000)
        assert line.may_go(Lane.CLOSING)
        # The pack makes up for both.
        clock.advance(49_000)
        assert not line.may_go(Lane.LARGE)
        clock.advance(1_000)
        assert line.may_go(Lane.LARGE)


async def test_a_used_up_day_pauses_and_the_next_one_goes_on(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock, line_day_bytes=100_000) as (line, _):
        line.count(Lane.LARGE, 100_000)
        async with line.turn(Lane.PROGRESS, 10**6) as size_bytes:
            assert size_bytes == FREE_BYTES
            with pytest.raises(LinePaused):
                async with line.turn(Lane.PROGRESS, 1):
                    pass
            line.count(Lane.PROGRESS, size_bytes)
        assert line.left_bytes(Lane.PROGRESS) == 0
        clock.wall_ms = line.next_ms(Lane.PROGRESS)
        async with line.turn(Lane.PROGRESS, 10):
            pass


async def test_nothing_is_written_with_a_slice_and_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path) as (line, database):
        for _ in range(100):
            line.count(Lane.PROGRESS, 1_000)
        line.count(Lane.LARGE, 5_000)
        await asyncio.sleep(0)
        assert database.writes == 0
    async with opened(tmp_path) as (line, database):
        assert spent(line) == {Lane.PROGRESS: 100_000, Lane.LARGE: 5_000}
        # A power cut costs what was not written: at most so much.
        for _ in range(3 * FLUSH_BYTES // SLICE_BYTES):
            line.count(Lane.LARGE, SLICE_BYTES)
            await asyncio.sleep(0)
        await line.flush()
        assert database.writes <= 5
        rows = await database.read(store.list_days)
        assert sum(size for _, _, size in rows) == 105_000 + 3 * FLUSH_BYTES // SLICE_BYTES * SLICE_BYTES


async def test_what_a_full_disk_did_not_take_is_written_later(tmp_path: Path) -> None:
    async with opened(tmp_path) as (line, database):
        line.count(Lane.PROGRESS, 1_000)
        database.error = StoreUnavailable(reason="full", fault="test")
        await line.flush()
        line.count(Lane.PROGRESS, 1_000)
        database.error = None
        await line.flush()
        assert [row[2] for row in await database.read(store.list_days)] == [2_000]


async def test_of_the_past_some_four_hundred_days_are_kept(tmp_path: Path) -> None:
    clock = FakeClock()
    async with opened(tmp_path, clock, line_month_bytes=10_000) as (line, database):
        today = line.rules.ledger.day(line.moment())
        # Of a box that ran for years before this was so, and whose clock was wrong once.
        before = {(day, int(Lane.LARGE)): 7 for day in [*range(today - 1_000, today), today + 9_000]}
        await database.write(lambda db: store.add_bytes(db, before))
    async with opened(tmp_path, clock, line_month_bytes=10_000) as (line, database):
        for _ in range(3):
            line.count(Lane.PROGRESS, 100)
            clock.advance(DAY_MS)
        await line.flush()
        days = {row[0] for row in await database.read(store.list_days)}
        assert days == {*range(today - KEPT_DAYS + 4, today + 3), today + 9_000}
        assert set(line.rules.ledger.days) == {day for day, _ in line.rules.ledger.lanes} == days


async def test_what_staff_chose_is_kept_and_the_command_line_goes_before_it(tmp_path: Path) -> None:
    chosen = Tariff(day_bytes=5_000_000, rate_kbit=64, price_micros=12_500_000, currency="KSh")
    async with opened(tmp_path) as (line, _):
        await line.set_tariff(chosen)
        assert line.tariff == chosen
    async with opened(tmp_path, line_day_bytes=1_000_000) as (line, _):
        assert line.tariff == Tariff(day_bytes=1_000_000, rate_kbit=64, price_micros=12_500_000, currency="KSh")
        await line.set_tariff(UNMETERED)
        assert line.tariff == Tariff(is_metered=False, day_bytes=1_000_000)
    async with opened(tmp_path) as (line, _):
        assert line.tariff == Tariff(is_metered=False, day_bytes=5_000_000)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"day_bytes": -1, "windows": ["a"], "currency": 5, "more": 1}']
)
def test_a_tariff_that_nobody_can_have_meant_is_as_if_nobody_had_set_one(text: str) -> None:
    assert read_tariff(text) == Tariff()


async def test_a_large_file_is_begun_by_day_only_as_far_as_it_could_be_small(tmp_path: Path) -> None:
    clock = FakeClock(FakeClock().wall_ms + DAY_MS // 2)
    async with opened(tmp_path, clock) as (line, _):
        allowance = FetchAllowance(line)
        assert allowance.left_bytes(0) == SMALL_MAX_BYTES
        allowance.spend(0, 1_000)
        assert allowance.left_bytes(0) == SMALL_MAX_BYTES - 1_000
        allowance.length_bytes = SMALL_MAX_BYTES + 1
        assert allowance.left_bytes(0) == 0
        allowance.is_asked = True
        assert allowance.left_bytes(0) != 0
