"""Bytes per statement of whole bundle files in every form, beside the same statements in other formats, and CPU time.

The peers' figures that no library here gives are measured ones: Kolibri 0.19.5 through its own serialiser and gzip -9.
"""

import io
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from content_packs.base.compress import compress
from content_packs.base.signing import PairKey, SealingKey, SigningKey
from sync.bundle import codec0, codec1
from sync.bundle.body import Body
from sync.bundle.errors import BundleTooLarge
from sync.bundle.paired import write_paired
from sync.bundle.read import open_bundle, unseal_bundle, verify_bundle
from sync.bundle.write import Range, write_bundle
from sync.hub.decoding import decode_apart
from sync.records.rows import Statement
from tests.benchmarks.table import show, verdict
from tests.support.school_day import START_MS, gzip_json_bytes, make_day, make_school

SIZES = (20, 200, 2000, 18_000)
GOALS = MappingProxyType({20: 12.0, 200: 8.0, 2000: 5.6, 18_000: 4.8})
SHORT_GOAL, COARSE_GOAL = 4.0, 2.1
KOLIBRI = MappingProxyType({20: 89.7, 200: 140.4, 2000: 163.7, 18_000: 196.7})
MAKE_SECONDS_GOAL = 0.4
DECODE_GOAL = 50_000
RUNS = 5
KEY, HUB = SigningKey.generate(), SealingKey.generate()
PAIR = PairKey(KEY.sealing_key, HUB.public)
# A box in its second year: numbers of the size that they have then.
EPOCH, SEQ, FROM_CHANGE = 1, 4_000, 2_000_000

Maker = Callable[[list[Statement]], int]


def usual(statements: list[Statement], *, codec_no: int = 1, is_coarse: bool = False) -> bytes:
    """Return the whole file: head, signature and seal included."""
    span = Range(EPOCH, SEQ, FROM_CHANGE, FROM_CHANGE + len(statements), bytes(range(32)))
    created_ms = statements[-1].timestamp_ms + 2_000
    return write_bundle(
        statements,
        span,
        key=KEY,
        receiver_public=HUB.public,
        created_ms=created_ms,
        codec_no=codec_no,
        is_coarse=is_coarse,
    )


def short_bytes(statements: list[Statement], *, is_coarse: bool = False) -> int:
    """Return the size in the form a box chooses: paired when it is small enough."""
    span = Range(EPOCH, SEQ, FROM_CHANGE, FROM_CHANGE + len(statements), bytes(range(32)))
    created_ms = statements[-1].timestamp_ms + 2_000
    try:
        return len(write_paired(statements, span, pair=PAIR, box_no=300, created_ms=created_ms, is_coarse=is_coarse))
    except BundleTooLarge:
        return len(usual(statements, is_coarse=is_coarse))


def slices(day: list[Statement], count: int) -> list[list[Statement]]:
    """Return up to 25 runs of consecutive statements, spread over the day."""
    number = max(1, min(25, len(day) // count))
    step = (len(day) - count) // max(1, number - 1)
    return [day[place * step : place * step + count] for place in range(number)]


def main() -> None:
    """Print the tables."""
    school = make_school()
    day = make_day(school)
    lines = {
        "codec 0, signed and sealed": lambda run: len(usual(run, codec_no=codec0.CODEC)),
        "as a box writes it": short_bytes,
        "... in coarse times": lambda run: short_bytes(run, is_coarse=True),
        "xAPI JSON + gzip": lambda run: gzip_json_bytes(school, run),
        "JSON lines + zstd-19": json_lines_bytes,
    }
    if (parquet := parquet_bytes()) is not None:
        lines["Parquet, zstd-19"] = parquet
    rows = [[name, *[f"{per_statement(day, count, make):.2f}" for count in SIZES]] for name, make in lines.items()]
    rows.append(["Kolibri 0.19.5, measured before", *[f"{KOLIBRI[count]:.2f}" for count in SIZES]])
    found = [per_statement(day, count, short_bytes) for count in SIZES]
    goals = [f"{GOALS[count]} ({verdict(size <= GOALS[count])})" for count, size in zip(SIZES, found, strict=True)]
    rows.append(["goal of what a box writes", *goals])
    show("Bundles of a synthetic school day, bytes a statement, everything included", ["form", *map(str, SIZES)], rows)
    show_other_streams()
    show_speed(day)


def per_statement(day: list[Statement], count: int, make: Maker) -> float:
    """Return the mean size per statement over the runs of a day."""
    runs = slices(day, count)
    return sum(map(make, runs)) / len(runs) / count


def json_lines_bytes(statements: list[Statement]) -> int:
    """Return the size of one flat JSON object a line, compressed."""
    lines = [json.dumps({name: getattr(row, name) for name in row.__slots__}, default=bytes.hex) for row in statements]
    return len(compress("\n".join(lines).encode()))


def parquet_bytes() -> Maker | None:
    """Return what writes a Parquet file, or None where the library for it is not installed."""
    try:
        import pyarrow  # type: ignore[import-not-found, unused-ignore]
        from pyarrow import parquet  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return None

    def write(statements: list[Statement]) -> int:
        columns = {name: [getattr(row, name) for row in statements] for name in Statement.__slots__}
        target = io.BytesIO()
        parquet.write_table(pyarrow.table(columns), target, compression="zstd", compression_level=19)
        return len(target.getvalue())

    return write


def show_other_streams() -> None:
    """Print what codec 1 gains over codec 0 on days that are unlike the one it was looked at with."""
    rows = []
    for name, day in other_days().items():
        first = len(usual(day, codec_no=codec0.CODEC)) / len(day)
        exact, coarse = len(usual(day)) / len(day), len(usual(day, is_coarse=True)) / len(day)
        rows.append(
            [name, f"{len(day):,}", f"{first:.2f}", f"{exact:.2f}", f"{coarse:.2f}", f"{1 - exact / first:.0%}"]
        )
    header = ["day", "statements", "codec 0", "codec 1", "codec 1, coarse", "gain"]
    show(f"Other days (goals of the first: {SHORT_GOAL} and {COARSE_GOAL})", header, rows)


def other_days() -> dict[str, list[Statement]]:
    """Return days of other schools, and days whose learners do other things."""
    days = {f"seed {seed}": make_day(make_school(seed), seed=seed + 6) for seed in (1, 2, 3)}
    base = days["seed 1"]
    dice = random.Random(4)
    days["a small school"] = make_day(make_school(5, learners=60, lessons=90, tablets=31), seed=5, count=4_000)
    days["answers are words"] = [
        replace(row, response=f"{dice.choice('abcdefgh')}{dice.randrange(900)} km") if row.response else row
        for row in base
    ]
    days["right answers are always the same"] = [
        replace(row, response="abcd"[row.activity_no % 4 if row.success else dice.randrange(4)])
        if row.response
        else row
        for row in base
    ]
    days["no durations"] = [replace(row, duration_ms=None) for row in base]
    days["pages that report each 10 s"] = [
        replace(row, duration_ms=None, response=None, success=None, score_raw=None, score_max=None, score_scaled=None,
                timestamp_ms=START_MS + place // 90 * 10_000 + dice.randrange(300), progress=min(1.0, place % 97 / 96))
        for place, row in enumerate(base)
    ]  # fmt: skip
    days["stored hours later"] = [replace(row, stored_lag_seconds=dice.randrange(2) + 9_000) for row in base]
    return days


def show_speed(day: list[Statement]) -> None:
    """Print processor time of making and reading the bundle of a day, the least of several runs."""
    rows = []
    for codec_no in (codec0.CODEC, codec1.CODEC):
        content = usual(day, codec_no=codec_no)
        make_seconds = _least_seconds(partial(usual, day, codec_no=codec_no))
        make_goal = f"{MAKE_SECONDS_GOAL} s ({verdict(make_seconds <= MAKE_SECONDS_GOAL)})"
        rows.append([f"codec {codec_no}", f"{make_seconds:.2f} s", make_goal, *_rate(day, partial(_read, content))])
        rows.append(["... read by a process of its own", "", "", *_rate(day, partial(_read_apart, content))])
    header = ["form", "to make", "goal", "read at the hub, statements", "goal"]
    show(f"Processor time of a day of {len(day):,}, of all processes", header, rows)


def _rate(day: list[Statement], read: Callable[[], object]) -> list[str]:
    rate = len(day) / _least_seconds(read)
    return [f"{rate:,.0f}/s", f"{DECODE_GOAL:,}/s ({verdict(rate >= DECODE_GOAL)})"]


def _read(content: bytes) -> None:
    open_bundle(verify_bundle(content, {KEY.verify_key.key_id: KEY.verify_key}), HUB)


def _read_apart(content: bytes) -> None:
    found = verify_bundle(content, {KEY.verify_key.key_id: KEY.verify_key})
    decode_apart(unseal_bundle(found, HUB), Body.from_head(found.head))


def _least_seconds(work: Callable[[], object]) -> float:
    """Return the processor time of one run, that of processes it started and waited for included."""
    took = []
    for _ in range(RUNS):
        start = sum(os.times()[:4])
        work()
        took.append(sum(os.times()[:4]) - start)
    return min(took)


if __name__ == "__main__":
    main()
