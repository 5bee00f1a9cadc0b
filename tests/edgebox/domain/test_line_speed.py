"""How much may be on its way to the box at once: two seconds of a slow line, anything on a fast or unknown one."""

import pytest

from edgebox.domain.line_speed import FAST_BYTES_PER_MS, QUEUE_MIN_BYTES, QUEUE_MS, SPAN_MS, LineSpeed


def measured(bytes_per_ms: float, spans: int = 2, apart_ms: int = 250) -> LineSpeed:
    speed = LineSpeed()
    for now_ms in range(0, spans * SPAN_MS + 1, apart_ms):
        speed.note(now_ms, int(bytes_per_ms * apart_ms))
    return speed


def test_two_seconds_of_a_slow_line_may_be_on_their_way() -> None:
    assert measured(8).bytes_per_ms == 8
    assert measured(8).queue_bytes(None) == 8 * QUEUE_MS


@pytest.mark.parametrize("speed", [LineSpeed(), measured(8, spans=0), measured(2 * FAST_BYTES_PER_MS)])
def test_an_unknown_and_a_fast_line_have_no_limit(speed: LineSpeed) -> None:
    assert speed.queue_bytes(None) is None


def test_the_rate_that_is_allowed_counts_as_well() -> None:
    assert LineSpeed().queue_bytes(64) == 8 * QUEUE_MS
    assert measured(4).queue_bytes(64) == QUEUE_MIN_BYTES
    assert measured(40).queue_bytes(64) == 8 * QUEUE_MS


def test_a_rest_between_two_transfers_makes_no_line_slow() -> None:
    speed = measured(100)
    speed.note(10 * SPAN_MS, 1)
    assert speed.bytes_per_ms == 100
