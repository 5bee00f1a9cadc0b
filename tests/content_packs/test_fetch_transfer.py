"""Fetching over real sockets from servers that cut, stall, lie, change their minds, or are somebody else."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.budget import Budget, Window
from content_packs.fetch import FolderSource, HttpSource, Pace, Progress, Target, Transfer
from content_packs.fetch.blocks import one_block
from content_packs.fetch.errors import AddressInvalid, FetchPaused, NotOffered, SourceCaptured, SourceDown, SourceLied
from tests.support.clock import FakeClock
from tests.support.file_servers import (
    ALL_AT_ONCE,
    BLOCK_BYTES,
    NAME,
    block_map,
    fetched,
    serving,
    some_bytes,
    sources_of,
    transfer_of,
)

CONTENT = some_bytes(64 * 1024)


class HurriedClock:
    """The real clock, twenty times as fast: what is silent for a moment is silent for long."""

    def now_ms(self) -> int:
        return 1_763_780_000_000

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 50_000


async def test_a_file_comes_with_one_request(tmp_path: Path) -> None:
    async with serving(CONTENT) as server, sources_of(server) as sources:
        transfer = transfer_of(CONTENT, sources, tmp_path)
        assert await fetched(transfer) == CONTENT
        assert len(server.requests) == transfer.requests == 1
        assert server.requests[0]["line"] == f"GET /{NAME} HTTP/1.1"
        assert server.requests[0]["accept-encoding"] == "identity"
        assert transfer.counts.got_bytes == len(CONTENT)
        assert transfer.counts.resent_bytes == 0


@pytest.mark.parametrize("cut_after", [1000, 4096, 5000, 33_333])
async def test_a_line_cut_again_and_again_resends_nothing(tmp_path: Path, cut_after: int) -> None:
    async with serving(CONTENT, cut_after=cut_after) as server, sources_of(server) as sources:
        transfer = transfer_of(CONTENT, sources, tmp_path, pace=Pace(recruit_ms=10**9))
        assert await fetched(transfer) == CONTENT
        assert len(server.requests) == -(-len(CONTENT) // cut_after)
        assert server.sent_bytes == len(CONTENT)
        assert transfer.counts.resent_bytes == 0
        assert all(request["if-range"] == '"one"' for request in server.requests[1:])


async def test_a_cut_after_any_byte_resends_nothing(tmp_path: Path) -> None:
    content = some_bytes(600)
    for cut_after in range(1, 600, 7):
        async with serving(content, cut_after=cut_after) as server, sources_of(server) as sources:
            server.after_cut = lambda server=server: setattr(server.manners, "cut_after", None)
            transfer = transfer_of(content, sources, tmp_path / str(cut_after))
            assert await fetched(transfer) == content
            assert server.sent_bytes == len(content)
            assert transfer.counts.resent_bytes == 0


async def test_a_file_that_is_whole_is_not_fetched_again_after_a_restart(tmp_path: Path) -> None:
    async with serving(CONTENT) as server, sources_of(server) as sources:
        assert await fetched(transfer_of(CONTENT, sources, tmp_path)) == CONTENT
        assert await fetched(transfer_of(CONTENT, sources, tmp_path)) == CONTENT
        assert len(server.requests) == 1


async def test_a_restart_of_both_ends_goes_on_at_the_byte(tmp_path: Path) -> None:
    stop = 20_500
    async with serving(CONTENT, stall_after=stop) as server, sources_of(server) as sources:
        task = asyncio.create_task(fetched(transfer_of(CONTENT, sources, tmp_path)))
        while server.sent_bytes < stop:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with serving(CONTENT) as server, sources_of(server) as sources:
        transfer = transfer_of(CONTENT, sources, tmp_path)
        assert await fetched(transfer) == CONTENT
        assert server.requests[0]["range"] == f"bytes={stop}-{len(CONTENT) - 1}"
        assert server.sent_bytes == len(CONTENT) - stop


async def test_a_partial_file_of_another_target_is_not_mixed_in(tmp_path: Path) -> None:
    other = some_bytes(len(CONTENT))
    async with serving(other, stall_after=30_000) as server, sources_of(server) as sources:
        task = asyncio.create_task(fetched(transfer_of(other, sources, tmp_path)))
        while server.sent_bytes < 30_000:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with serving(CONTENT) as server, sources_of(server) as sources:
        assert await fetched(transfer_of(CONTENT, sources, tmp_path)) == CONTENT
        assert server.sent_bytes == len(CONTENT)


async def test_a_server_without_ranges_is_enough_as_long_as_it_stays(tmp_path: Path) -> None:
    async with serving(CONTENT, has_ranges=False, cut_after=10_000) as server, sources_of(server) as sources:
        server.after_cut = lambda: setattr(server.manners, "cut_after", None)
        transfer = transfer_of(CONTENT, sources, tmp_path)
        assert await fetched(transfer) == CONTENT
        assert transfer.counts.resent_bytes == 10_000


@pytest.mark.parametrize("length", [len(CONTENT), len(CONTENT) + 5])
async def test_a_file_that_changes_on_the_way_is_not_mixed(tmp_path: Path, length: int) -> None:
    """The new file has other bytes everywhere: with what came before, not one block of it fits."""
    async with serving(CONTENT, cut_after=10_000) as server, sources_of(server) as sources:

        def change() -> None:
            server.content, server.manners.etag, server.manners.cut_after = some_bytes(length), '"two"', None

        server.after_cut = change
        with pytest.raises((SourceLied, NotOffered)):
            await fetched(transfer_of(CONTENT, sources, tmp_path))
    async with serving(CONTENT, etag='"three"') as server, sources_of(server) as sources:
        assert await fetched(transfer_of(CONTENT, sources, tmp_path)) == CONTENT
        assert server.sent_bytes <= len(CONTENT) - 2 * BLOCK_BYTES, "the blocks that were verified stay"


async def test_one_wrong_byte_condemns_the_source_and_the_other_one_sends_the_block(tmp_path: Path) -> None:
    async with (
        serving(CONTENT, lies_at=[40_000]) as liar,
        serving(CONTENT) as honest,
        sources_of(liar, honest) as sources,
    ):
        transfer = transfer_of(CONTENT, sources, tmp_path)
        assert await fetched(transfer) == CONTENT
        assert transfer.given_up == [sources[0].name]
        assert transfer.counts.resent_bytes >= BLOCK_BYTES
        assert honest.sent_bytes <= len(CONTENT) - 40_000 + BLOCK_BYTES


async def test_a_source_that_lied_is_not_asked_again(tmp_path: Path) -> None:
    async with serving(CONTENT, lies_at=[10]) as server, sources_of(server) as sources:
        with pytest.raises(SourceLied) as raised:
            await fetched(transfer_of(CONTENT, sources, tmp_path))
        assert raised.value.fields == {"source": sources[0].name, "file": NAME}
        assert len(server.requests) == 1


async def test_several_sources_are_asked_for_different_bytes(tmp_path: Path) -> None:
    content = some_bytes(2_000_000)
    manners: dict[str, Any] = {"pause_seconds": 0.001, "meeting": asyncio.Barrier(3)}
    async with (
        serving(content, **manners) as one,
        serving(content, **manners) as two,
        serving(content, **manners) as three,
        sources_of(one, two, three) as sources,
    ):
        transfer = transfer_of(content, sources, tmp_path, pace=ALL_AT_ONCE)
        assert await fetched(transfer) == content
        assert len({server.requests[0].get("range") for server in (one, two, three)}) == 3
        assert transfer.counts.got_bytes - transfer.counts.resent_bytes == len(content)
        assert transfer.counts.resent_bytes < len(content) * 0.5


async def test_of_three_sources_at_once_the_lying_one_is_found_and_the_file_is_right(tmp_path: Path) -> None:
    content = some_bytes(1_000_000)
    manners = {"pause_seconds": 0.001}
    lies = range(0, len(content), 3_000)
    async with (
        serving(content, **manners) as one,
        serving(content, lies_at=lies) as liar,
        serving(content, **manners) as two,
        sources_of(one, liar, two) as sources,
    ):
        transfer = transfer_of(content, sources, tmp_path, pace=ALL_AT_ONCE)
        assert await fetched(transfer) == content
        assert transfer.given_up == [sources[1].name]


async def test_a_slow_source_loses_its_turn_to_an_idle_one(tmp_path: Path) -> None:
    content = some_bytes(600_000)
    async with serving(content, pause_seconds=0.5) as slow, serving(content) as fast, sources_of(slow, fast) as sources:
        transfer = transfer_of(content, sources, tmp_path, pace=ALL_AT_ONCE)
        assert await fetched(transfer) == content
        assert fast.sent_bytes > 500_000


async def test_a_silent_server_is_left_for_a_new_connection_at_once(tmp_path: Path) -> None:
    async with serving(CONTENT, stall_after=20_000) as server:
        source = HttpSource(server.address, clock=HurriedClock())
        task = asyncio.create_task(fetched(transfer_of(CONTENT, [source], tmp_path)))
        while server.sent_bytes < 20_000:
            await asyncio.sleep(0.01)
        server.manners.stall_after = None
        assert await task == CONTENT
        assert server.sent_bytes == len(CONTENT)
        await source.close()


async def test_a_silent_source_ends_in_an_error_that_can_be_tried_again(tmp_path: Path) -> None:
    async with serving(CONTENT, stall_after=0) as server:
        source = HttpSource(server.address, clock=HurriedClock())
        with pytest.raises(SourceDown) as raised:
            await fetched(transfer_of(CONTENT, [source], tmp_path, pace=Pace(give_up_ms=1)))
        assert raised.value.retryable
        await source.close()


async def test_a_captive_portal_is_never_taken_for_data(tmp_path: Path) -> None:
    page = b"<html>Please sign in</html>" * 2_000
    async with serving(CONTENT, page=page) as portal, sources_of(portal) as sources:
        with pytest.raises(SourceCaptured):
            await fetched(transfer_of(CONTENT, sources, tmp_path, pace=Pace(give_up_ms=600)))
        portal.manners.page = None
        transfer = transfer_of(CONTENT, sources, tmp_path)
        assert await fetched(transfer) == CONTENT
        assert transfer.counts.got_bytes == len(CONTENT)


@pytest.mark.parametrize("content_type", ["application/octet-stream", "text/plain"])
async def test_a_portal_that_hides_its_type_is_found_by_the_hashes(tmp_path: Path, content_type: str) -> None:
    page = (b"<html>Please sign in</html>" * 4_000)[: len(CONTENT)]
    async with serving(page) as portal, serving(CONTENT) as honest, sources_of(portal, honest) as sources:
        transfer = transfer_of(CONTENT, sources, tmp_path)
        assert await fetched(transfer) == CONTENT
        assert transfer.given_up == [sources[0].name]


async def test_a_compressed_answer_is_refused(tmp_path: Path) -> None:
    async with serving(CONTENT, more_headers="Content-Encoding: gzip\r\n") as server, sources_of(server) as sources:
        with pytest.raises(SourceCaptured):
            await fetched(transfer_of(CONTENT, sources, tmp_path, pace=Pace(give_up_ms=1)))


async def test_endless_data_ends_with_the_first_wrong_block(tmp_path: Path) -> None:
    async with serving(b"", is_endless=True) as server, sources_of(server) as sources:
        with pytest.raises(SourceLied):
            await fetched(transfer_of(CONTENT, sources, tmp_path))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_000_000


async def test_endless_data_after_the_file_is_not_read(tmp_path: Path) -> None:
    async with serving(CONTENT, is_endless=True) as server, sources_of(server) as sources:
        assert await fetched(transfer_of(CONTENT, sources, tmp_path)) == CONTENT


@pytest.mark.parametrize(("status", "error"), [(404, NotOffered), (503, SourceDown), (403, SourceCaptured)])
async def test_a_refusal_says_what_it_means(tmp_path: Path, status: int, error: type[Exception]) -> None:
    async with serving(CONTENT, status=status) as server, sources_of(server) as sources:
        with pytest.raises(error):
            await fetched(transfer_of(CONTENT, sources, tmp_path, pace=Pace(give_up_ms=1)))


async def test_redirects_are_followed_only_so_far(tmp_path: Path) -> None:
    async with serving(CONTENT) as server, sources_of(server) as sources:
        there = f"Location: {server.address}/{NAME}\r\n"
        async with serving(CONTENT, status=302, more_headers=there) as door, sources_of(door) as doors:
            assert await fetched(transfer_of(CONTENT, doors, tmp_path)) == CONTENT
        server.manners.status, server.manners.more_headers = 302, "Location: /again\r\n"
        with pytest.raises(SourceCaptured):
            await fetched(transfer_of(CONTENT, sources, tmp_path / "again", pace=Pace(give_up_ms=1)))


@pytest.mark.parametrize("address", ["", "hub.example", "ftp://hub.example/", "http://", "http://hub.example/?x=1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(AddressInvalid):
        HttpSource(address)


async def test_nobody_there_is_told_as_such(tmp_path: Path) -> None:
    async with serving(CONTENT) as server:
        pass
    async with sources_of(server) as sources:
        with pytest.raises(SourceDown) as raised:
            await fetched(transfer_of(CONTENT, sources, tmp_path, pace=Pace(give_up_ms=1)))
        assert raised.value.fields["reason"] == "nothing answers at its address"


async def test_a_file_of_which_only_the_hash_is_known_is_resumed_and_verified(tmp_path: Path) -> None:
    blocks = one_block(len(CONTENT), block_map(CONTENT, len(CONTENT)).hashes[0])
    async with serving(CONTENT, cut_after=10_000) as server, sources_of(server) as sources:
        transfer = Transfer(Target(NAME, len(CONTENT), blocks), sources, tmp_path, pace=Pace(recruit_ms=10**9))
        assert await fetched(transfer) == CONTENT
        assert server.sent_bytes == len(CONTENT)


async def test_an_empty_file_needs_no_request(tmp_path: Path) -> None:
    transfer = Transfer(Target(NAME, 0, one_block(0, b"")), [], tmp_path)
    assert await fetched(transfer) == b""
    assert transfer.requests == 0


async def test_a_budget_stops_in_the_middle_and_the_next_day_goes_on(tmp_path: Path) -> None:
    clock = FakeClock()
    budget = Budget(day_bytes=30_000)
    async with serving(CONTENT) as server, sources_of(server) as sources:
        for _ in range(2):
            with pytest.raises(FetchPaused):
                await fetched(transfer_of(CONTENT, sources, tmp_path, budget=budget, clock=clock))
            assert budget.left_bytes(clock.now_ms()) == 0
            clock.wall_ms = budget.next_ms(clock.now_ms())
        assert server.sent_bytes == 60_000
        assert await fetched(transfer_of(CONTENT, sources, tmp_path, budget=budget, clock=clock)) == CONTENT
        assert server.sent_bytes == len(CONTENT)


async def test_when_the_window_closes_fetching_stops_in_the_middle(tmp_path: Path) -> None:
    clock = FakeClock(now_ms=1_763_683_200_000)  # midnight
    budget = Budget(windows=[Window(0, 60)])
    async with serving(CONTENT, stall_after=20_000) as server, sources_of(server) as sources:
        task = asyncio.create_task(fetched(transfer_of(CONTENT, sources, tmp_path, budget=budget, clock=clock)))
        while server.sent_bytes < 20_000:
            await asyncio.sleep(0.01)
        clock.wall_ms += 60 * 60_000
        with pytest.raises(FetchPaused):
            await task
        clock.wall_ms = budget.next_ms(clock.now_ms())
        server.manners.stall_after = None
        assert await fetched(transfer_of(CONTENT, sources, tmp_path, budget=budget, clock=clock)) == CONTENT
        assert server.sent_bytes == len(CONTENT)


async def test_what_costs_nothing_is_not_bound_by_the_budget(tmp_path: Path) -> None:
    async with serving(CONTENT) as server, sources_of(server, is_metered=False) as sources:
        assert await fetched(transfer_of(CONTENT, sources, tmp_path, budget=Budget(day_bytes=0))) == CONTENT


async def test_a_folder_is_a_source_like_any_other_also_with_a_file_in_parts(tmp_path: Path) -> None:
    depot = tmp_path / "stick"
    (depot / "packs").mkdir(parents=True)
    for number, at in enumerate(range(0, len(CONTENT), 30_000)):
        (depot / f"{NAME}.{number:03d}").write_bytes(CONTENT[at : at + 30_000])
    told: list[Progress] = []
    transfer = transfer_of(CONTENT, [FolderSource(depot)], tmp_path / "work", on_progress=told.append)
    assert await fetched(transfer) == CONTENT
    assert told[-1].done_bytes == told[-1].total_bytes == len(CONTENT)


async def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    depot = tmp_path / "stick"
    depot.mkdir()
    (tmp_path / "secret").write_bytes(CONTENT)
    (depot / "packs").symlink_to(tmp_path)
    with pytest.raises(NotOffered):
        await fetched(transfer_of(CONTENT, [FolderSource(depot)], tmp_path / "work"))
