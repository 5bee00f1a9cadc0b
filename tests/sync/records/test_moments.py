import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.records.moments import format_duration, format_timestamp, parse_duration, parse_timestamp


@given(st.integers(0, 4_102_444_800_000))
def test_timestamp_comes_back(moment_ms: int) -> None:
    assert parse_timestamp(format_timestamp(moment_ms)) == moment_ms


@given(st.integers(0, 10**12))
def test_duration_comes_back(duration_ms: int) -> None:
    assert parse_duration(format_duration(duration_ms)) == duration_ms


@pytest.mark.parametrize(
    ("text", "moment_ms"),
    [
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:00.5+01:00", 500),
        ("1970-01-01T00:00:00.1239", 123),
        ("1969-12-31T23:00:00-01", 0),
        ("1970-01-01T00:01Z", 60_000),
    ],
)
def test_timestamp_is_read_in_utc(text: str, moment_ms: int) -> None:
    assert parse_timestamp(text) == moment_ms


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00-00:00", "2026-01-01T25:00:00Z"]
)
def test_text_that_is_no_timestamp_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_timestamp(text)


@pytest.mark.parametrize(
    ("text", "duration_ms"),
    [("PT5.3S", 5300), ("PT1H30M", 5_400_000), ("P1DT1S", 86_401_000), ("P2W", 1_209_600_000), ("PT0S", 0)],
)
def test_duration_is_read_in_milliseconds(text: str, duration_ms: int) -> None:
    assert parse_duration(text) == duration_ms


@pytest.mark.parametrize("text", ["", "P", "PT", "P1", "5S", "PT1.5M2S", "P1W2D", "-PT1S", "P" + "9" * 15 + "Y"])
def test_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_duration(text)
