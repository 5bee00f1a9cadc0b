"""Rules without a socket: waiting after failures, silence, the day's bytes and hours, and the journal on a disk."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_packs.base.budget import DAY_MS, Budget, Window, parse_window
from content_packs.base.hashing import blake2b_256
from content_packs.fetch.names import blob_hash_in, is_depot_name
from content_packs.fetch.partial import Journal, PartialFile, sweep
from content_packs.fetch.pulse import CONNECT_ALIVE_MS, Pulse, connect_max_ms
from content_packs.fetch.turns import LONGEST_WAIT_MS, Turn, wait_ms
from tests.support.file_servers import block_map, some_bytes
from tests.support.power_cut import CuttableDisk, PowerCut

HOUR_MS = 3_600_000


def test_the_first_failure_is_followed_by_a_try_at_once_then_ceilings_double_up_to_five_minutes() -> None:
    ceilings = [wait_ms(failures, 0.999_999) for failures in range(12)]
    assert ceilings[:5] == [0, 999, 1_999, 3_999, 7_999]
    assert max(ceilings) == ceilings[-1] == LONGEST_WAIT_MS - 1


@given(st.integers(1, 40), st.floats(0, 1, exclude_max=True))
def test_a_wait_is_anything_below_its_ceiling(failures: int, unit: float) -> None:
    assert 0 <= wait_ms(failures, unit) < LONGEST_WAIT_MS


def test_connections_that_die_together_are_one_failure() -> None:
    turn = Turn()
    turn.fail(10_000, 0.5, began_ms=1_000)
    turn.fail(10_100, 0.5, began_ms=2_000)
    assert (turn.failures, turn.next_try_ms) == (1, 10_000)
    turn.fail(12_000, 0.5, began_ms=10_050)
    assert (turn.failures, turn.next_try_ms) == (2, 12_500)
    turn.succeed()
    turn.fail(20_000, 0.5, began_ms=12_600)
    assert turn.next_try_ms == 20_000


@pytest.mark.parametrize(
    ("round_trip_ms", "queue_ms", "patience", "expected_ms"),
    [(0, 0, 0, 4_000), (600, 0, 0, 4_000), (2_000, 500, 0, 6_500), (0, 0, 2, 16_000), (10_000, 0, 4, 60_000)],
)
def test_silence_is_measured_against_four_seconds_or_three_round_trips_and_the_queue(
    round_trip_ms: int, queue_ms: int, patience: int, expected_ms: int
) -> None:
    pulse = Pulse(0, round_trip_ms=round_trip_ms, queue_ms=queue_ms, patience=patience)
    assert not pulse.is_dead(expected_ms - 1)
    assert pulse.is_dead(expected_ms)


def test_any_packet_is_a_sign_of_life_and_the_same_count_is_none() -> None:
    pulse = Pulse(0)
    pulse.hear(3_000, 7)
    pulse.hear(6_000, 7)
    assert not pulse.is_dead(6_999)
    assert pulse.is_dead(7_000)


def test_only_a_far_peer_is_doubted_early() -> None:
    assert not Pulse(0, round_trip_ms=5).is_doubtful(3_999)
    assert Pulse(0, round_trip_ms=600).is_doubtful(1_200)


def test_a_connection_gets_longer_where_another_one_is_heard() -> None:
    assert connect_max_ms(600, 0, is_alive=False) == 2_000
    assert connect_max_ms(600, 0, is_alive=True) == CONNECT_ALIVE_MS


def test_a_budget_is_of_one_day_of_the_place() -> None:
    budget = Budget(day_bytes=100, offset_minutes=180)
    evening_ms = 20 * HOUR_MS  # 23:00 in the place
    budget.spend(evening_ms, 60)
    budget.spend(evening_ms + 1, 60)
    assert budget.left_bytes(evening_ms) == 0
    assert budget.next_ms(evening_ms) == 21 * HOUR_MS
    assert budget.left_bytes(21 * HOUR_MS) == 100


@given(st.integers(0, 1439), st.integers(0, 1439), st.integers(0, 3 * DAY_MS), st.integers(-720, 840))
def test_the_next_time_is_the_first_minute_in_the_window(start: int, end: int, now_ms: int, offset: int) -> None:
    budget = Budget(windows=[Window(start, end)], offset_minutes=offset)
    next_ms = budget.next_ms(now_ms)
    if start == end:
        assert budget.left_bytes(next_ms) == 0
    else:
        assert budget.left_bytes(next_ms) is None
        assert now_ms <= next_ms < now_ms + DAY_MS
        if next_ms > now_ms:
            assert budget.left_bytes(next_ms - 1) == 0


@pytest.mark.parametrize(("text", "window"), [("22:00-06:00", Window(1320, 360)), ("00:00-24:00", Window(0, 0))])
def test_a_window_is_read(text: str, window: Window) -> None:
    assert parse_window(text) == window


@pytest.mark.parametrize("text", ["", "22-06", "22:00", "25:00-26:00", "a:b-c:d", "10:61-11:00"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_window(text)


@pytest.mark.parametrize(
    "name", ["", "/a", "a/", "../a", "a/../b", "a//b", ".a", "a/.b", "a\\b", "a b", "é", "a" * 401]
)
def test_a_name_that_could_lead_out_of_a_depot_is_none(name: str) -> None:
    assert not is_depot_name(name)


def test_a_blob_says_its_hash() -> None:
    name = "ab" + "0" * 62
    assert blob_hash_in(f"packs/org.example/1/blobs/ab/{name}") == name
    assert blob_hash_in("patches/org.example/full.ebp") == ""


CONTENT = some_bytes(10_000)
TARGET = blake2b_256(b"target")


def _fetch_all(folder: Path) -> None:
    partial = PartialFile(folder, "k")
    journal, blocks = partial.read_journal(TARGET), block_map(CONTENT)
    held = bytearray(journal.held or len(blocks.hashes))
    for block in range(len(blocks.hashes)):
        if not held[block]:
            start, end = blocks.bounds(block)
            partial.write(start, CONTENT[start:end])
            held[block] = 1
            partial.write_journal(Journal(TARGET, held=bytes(held)))
    partial.close()


@pytest.mark.parametrize(("lose_contents", "lose_names"), [(True, False), (False, True), (True, True)])
def test_whatever_call_the_power_goes_at_what_counts_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lose_contents: bool, lose_names: bool
) -> None:
    blocks = block_map(CONTENT)
    for cut_at in range(1, 60):
        folder = tmp_path / str(cut_at) / "disk"
        folder.mkdir(parents=True)
        disk = CuttableDisk(folder, monkeypatch, cut_at)
        try:
            _fetch_all(folder / "fetched")
        except PowerCut:
            disk.settle(lose_contents=lose_contents, lose_names=lose_names)
        else:
            disk.settle(lose_contents=False, lose_names=False)
            return
        partial = PartialFile(folder / "fetched", "k")
        journal = partial.read_journal(TARGET)
        assert all(partial.is_good(blocks, block) for block, is_held in enumerate(journal.held) if is_held)
        partial.close()
        _fetch_all(folder / "fetched")
    pytest.fail("the last cut was never reached")


def test_a_damaged_journal_counts_for_nothing(tmp_path: Path) -> None:
    _fetch_all(tmp_path)
    (tmp_path / "k.journal").write_bytes(b"\x83garbage")
    partial = PartialFile(tmp_path, "k")
    assert partial.read_journal(TARGET) == Journal(TARGET)
    assert partial.path.stat().st_size == 0
    partial.discard()
    assert not list(tmp_path.iterdir())


def test_what_nobody_went_on_with_for_long_is_removed(tmp_path: Path) -> None:
    for name, age_ms in (("old.part", 1), ("old.journal", 1), ("lost.part", 1), ("new.part", 9), ("new.journal", 9)):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, ns=(age_ms * 1_000_000, age_ms * 1_000_000))
    sweep(tmp_path, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.journal", "new.part"]
    sweep(tmp_path / "nowhere", 5)
