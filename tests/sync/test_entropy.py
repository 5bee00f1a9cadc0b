"""What the range coder's writer is given, its reader gives back."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sync.bundle.entropy import Coder, Contexts, Counts, Number, Odds, Reader, Writer

_NUMBERS = st.integers(0, 70) | st.integers(0, (1 << 64) - 1)
_SIGNED = st.integers(-70, 70) | st.integers(-(1 << 63), (1 << 63) - 1)
STEPS = st.lists(
    st.tuples(st.just("symbol"), st.integers(0, 2), st.sampled_from([0, 0, 0, 0, 1, 4]))
    | st.tuples(st.just("number"), st.integers(0, 1), _NUMBERS)
    | st.tuples(st.just("bit"), st.just(0), st.sampled_from([0, 1, 1, 1]))
    | st.tuples(st.just("near"), st.sampled_from([5, 62]), _SIGNED)
    | st.integers(0, 128).flatmap(
        lambda bits: st.tuples(st.just("raw"), st.just(bits), st.integers(0, (1 << bits) - 1))
    ),
    max_size=200,
)


def walk(coder: Coder, steps: list[tuple[str, int, int]]) -> list[int]:
    symbols, odds, numbers = Contexts[int, Counts](lambda: Counts((1,) * 5)), Odds(), Contexts[int, Number](Number)
    calls: dict[str, Any] = {
        "symbol": lambda key, value: coder.symbol(symbols[key], value),
        "bit": lambda _key, value: coder.bit(odds, bool(value)),
        "number": lambda key, value: coder.number(numbers[key], value),
        "near": lambda key, value: coder.near(numbers[key], value, 1 << key),
        "raw": lambda bits, value: coder.raw(value, bits),
    }
    return [calls[name](key, value) for name, key, value in steps]


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_a_reader_finds_what_was_written(steps: list[tuple[str, int, int]]) -> None:
    writer = Writer()
    values = walk(writer, steps)
    assert values == [value for _name, _key, value in steps]
    reader = Reader(writer.finish())
    assert walk(reader, [(name, key, 0) for name, key, _value in steps]) == values
    assert reader.is_used_up


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=80), STEPS)
def test_any_bytes_are_read_as_something(content: bytes, steps: list[tuple[str, int, int]]) -> None:
    found = walk(Reader(content), [(name, key, 0) for name, key, _value in steps])
    assert len(found) == len(steps)


def test_a_carry_runs_through_bytes_of_ones() -> None:
    writer = Writer()
    for _ in range(40):
        writer.raw(0xFFF, 12)
    steps = 400 * [("symbol", 0, 4)] + [("raw", 12, 0xFFF)] * 9
    walk(writer, steps)
    reader = Reader(writer.finish())
    assert [reader.raw(0, 12) for _ in range(40)] == 40 * [0xFFF]
    assert walk(reader, [(name, key, 0) for name, key, _value in steps]) == [value for _n, _k, value in steps]
