"""Codec 1 and paired bundles give back every record, and refuse everything else with a code."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import PairKey, SealBroken, SealingKey, SigningKey
from sync.bundle import codec0, codec1
from sync.bundle.errors import BundleForged, BundleMalformed, BundleTooLarge
from sync.bundle.layout import Vector
from sync.bundle.paired import Paired, parse_paired, write_paired
from sync.bundle.write import Range
from sync.records import rows
from sync.records.coarse import coarse_times
from sync.records.kinds import Kind, RecordMalformed
from tests.support.school_day import make_day, make_school
from tests.sync.makers import NOW_MS, answered, completed, open_paired, registries
from tests.sync.test_codec0 import derived, others, plus_zero, statements

BOX = SigningKey(b"the box".ljust(32, b"."))
HUB = SealingKey(b"the hub".ljust(32, b"."))
PAIR = PairKey(BOX.sealing_key, HUB.public)
SPAN = Range(1, 7, 100, 120, bytes(range(32)))


def round_trip(records: list[rows.Record], *, is_coarse: bool = False) -> list[rows.Record]:
    plain_bytes, packed = codec1.pack_records(records, around_ms=NOW_MS, is_coarse=is_coarse)
    counts = codec0.count_by_kind(records)
    return codec1.unpack_records(packed, plain_bytes=plain_bytes, counts=counts, around_ms=NOW_MS)


def paired(records: list[rows.Record], vector: Vector | None = None) -> bytes:
    return write_paired(records, SPAN, pair=PAIR, box_no=12, created_ms=NOW_MS + 999, vector=vector)


@settings(max_examples=300, deadline=None)
@given(st.lists(statements | derived | others, max_size=30))
def test_every_record_comes_back_whole(records: list[rows.Record]) -> None:
    assert sorted(map(repr, round_trip(records))) == sorted(repr(plus_zero(record)) for record in records)


def test_a_school_day_comes_back_whole() -> None:
    day = make_day(make_school(), count=3000)
    assert set(round_trip(list(day))) == set(day)


def test_coarse_times_come_back_in_seconds_and_tenths() -> None:
    day = make_day(make_school(), count=1000)
    expected = {
        replace(row, timestamp_ms=times[0], duration_ms=times[1])
        for row in day
        for times in [coarse_times(row.timestamp_ms, row.duration_ms)]
    }
    assert set(round_trip(list(day), is_coarse=True)) == expected


def test_a_field_out_of_bounds_is_never_written() -> None:
    with pytest.raises(RecordMalformed):
        codec1.pack_records([rows.Statement(1, 1, 0, id=bytes(16), progress=1.5)], around_ms=NOW_MS)


def test_counts_that_differ_from_the_body_are_refused() -> None:
    records = [*registries(), answered(1), answered(2)]
    plain_bytes, packed = codec1.pack_records(records, around_ms=NOW_MS)
    counts = codec0.count_by_kind(records)
    for other in ({Kind.VERB: 3}, {Kind.STATEMENT: 1}, {Kind.STATEMENT: 90_000}):
        with pytest.raises(BundleMalformed):
            codec1.unpack_records(packed, plain_bytes=plain_bytes, counts=counts | other, around_ms=NOW_MS)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=120), st.integers(1, 300), st.integers(0, 200))
def test_any_bytes_are_read_or_refused_with_a_code(packed: bytes, count: int, plain_bytes: int) -> None:
    """A body is signed, so only an enrolled box can send such a thing; even then nothing else may happen."""
    try:
        found = codec1.unpack_records(packed, plain_bytes=plain_bytes, counts={Kind.STATEMENT: count}, around_ms=NOW_MS)
        assert len(found) == count
    except EdgeboxError as error:
        assert error.code in ("sync.bundle_malformed", "sync.record_malformed")


def test_a_paired_bundle_is_read_by_the_hub_it_is_for() -> None:
    records = [*registries(), answered(1), completed(2)]
    found = parse_paired(paired(records, Vector(b"", 3, 2, 1, ((5, 6),))))
    head = found.head
    assert (found.box_no, head.epoch, head.seq, head.from_change, head.through_change) == (12, 1, 7, 100, 120)
    assert (head.created_ms, head.previous, head.acks) == (NOW_MS, bytes(range(4)), (Vector(b"", 3, 2, 1, ((5, 6),)),))
    assert set(open_paired(found, PairKey(HUB, BOX.verify_key.sealing_public))) == set(records)


def test_a_paired_bundle_is_closed_to_everybody_else() -> None:
    found = parse_paired(paired([answered(1)]))
    for pair in (PairKey(SealingKey.generate(), BOX.verify_key.sealing_public), PairKey(HUB, HUB.public)):
        with pytest.raises(BundleForged):
            open_paired(found, pair)
    with pytest.raises(SealBroken):
        PairKey(HUB, bytes(32))


def test_a_paired_bundle_is_refused_whatever_is_changed_or_cut() -> None:
    content = paired([*registries(), answered(1)], Vector(b"", 3, 2, 1))
    changed = [
        content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
        for place in range(len(content))
        for bit in range(8)
    ]
    cut = [content[:end] for end in range(len(content))]
    for variant in (*changed, *cut, content + b"\0", content + content):
        with pytest.raises(EdgeboxError) as refusal:
            open_any(parse_paired(variant))
        assert refusal.value.code.startswith("sync.bundle_")


def open_any(found: Paired) -> None:
    open_paired(found, PAIR)


def test_the_same_records_never_make_the_same_paired_bundle() -> None:
    assert len({paired([answered(1)]) for _ in range(50)}) == 50


def test_what_is_too_large_for_a_paired_bundle_is_refused() -> None:
    with pytest.raises(BundleTooLarge):
        paired(list(make_day(make_school(), count=4000)))
    with pytest.raises(BundleTooLarge):
        parse_paired(paired([answered(1)]) + bytes(9000))


def test_an_answer_that_is_given_again_and_again_counts_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [replace(answered(seq), response="a" * 1_000) for seq in range(1, 42)]
    plain_bytes, packed = codec1.pack_records(records, around_ms=NOW_MS)
    assert len(packed) < 200
    monkeypatch.setattr(codec1, "PLAIN_MAX_BYTES", 40_999)
    with pytest.raises(BundleMalformed) as refusal:
        codec1.unpack_records(packed, plain_bytes=plain_bytes, counts={Kind.STATEMENT: 41}, around_ms=NOW_MS)
    assert refusal.value.fields == {"reason": "answers"}
    with pytest.raises(BundleTooLarge):
        codec1.pack_records(records, around_ms=NOW_MS)
    assert codec1.pack_records(records[:40], around_ms=NOW_MS)
