"""Codec 0 gives back every record, and leaves out what may not travel."""

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content_packs.base import codec
from content_packs.base.errors import EdgeboxError
from content_packs.base.hashing import blake2b_256
from sync.bundle import codec0
from sync.bundle.errors import BundleMalformed
from sync.records import rows
from sync.records.kinds import KINDS, MS_MAX, MS_MIN, NO_MAX, REAL_MAX, Kind, RecordMalformed
from sync.records.outside import without_people
from sync.records.stamps import STAMP_MAX
from tests.support.school_day import make_day, make_school
from tests.sync.makers import answered, merging, registries

nos = st.integers(0, NO_MAX)
small = st.integers(0, 5)
moments = st.integers(MS_MIN, MS_MAX)
keys = st.binary(min_size=16, max_size=16)
maybe = st.none()
reals = st.floats(-REAL_MAX, REAL_MAX) | st.integers(-100, 100).map(float)

statements = st.builds(
    rows.Statement,
    verb_no=nos | small,
    activity_no=nos | small,
    timestamp_ms=moments,
    learner_no=maybe | small | nos,
    device_no=maybe | small | nos,
    device_seq=maybe | small | nos,
    attempt_seq=maybe | small | nos,
    id=keys,
    registration=maybe | keys,
    stored_lag_seconds=st.integers(-(1 << 40), 1 << 40),
    success=maybe | st.booleans(),
    completion=maybe | st.booleans(),
    score_raw=maybe | reals,
    score_max=maybe | reals,
    score_scaled=maybe | reals,
    duration_ms=maybe | st.integers(0, MS_MAX),
    progress=maybe | st.floats(0, 1) | st.integers(0, 100).map(lambda hundredths: hundredths / 100),
    response=maybe | st.text(max_size=40),
    body=maybe | st.binary(max_size=60),
)
derived = st.builds(
    rows.Statement,
    verb_no=small,
    activity_no=small,
    timestamp_ms=moments,
    learner_no=small,
    device_no=small,
    device_seq=nos,
    attempt_seq=maybe | nos,
    duration_ms=maybe | st.integers(0, MS_MAX),
)
others = st.one_of(
    st.builds(rows.Learner, nos, keys),
    st.builds(rows.Class, nos, keys, st.text(min_size=1, max_size=4), st.booleans()),
    st.builds(rows.Enrollment, nos, nos, st.booleans()),
    st.builds(rows.Activity, nos, st.text(min_size=1)),
    st.builds(rows.Verb, nos, st.text(min_size=1)),
    st.builds(rows.Device, nos, keys),
    st.builds(
        rows.PackInstall,
        st.text(min_size=1, max_size=20),
        nos,
        st.binary(min_size=32, max_size=32),
        moments,
        st.booleans(),
    ),
    st.builds(
        rows.Assignment,
        nos,
        st.text(min_size=1, max_size=20),
        st.text(min_size=1, max_size=50),
        moments,
        st.booleans(),
    ),
    st.builds(rows.Boot, nos, moments, st.integers(0, 255), maybe | moments),
)


stamps = st.integers(0, STAMP_MAX)
origins = maybe | keys
short = st.text(max_size=8)
merged = st.one_of(
    st.builds(rows.Fact, small, keys, small, short, stamps, origins),
    st.builds(rows.Member, small, keys, keys, stamps, origins, st.booleans()),
    st.builds(rows.Mark, keys, keys, short, short, stamps, origins, st.binary(max_size=100)),
    st.builds(
        rows.State, keys, st.text(min_size=1), st.text(min_size=1), short, st.binary(max_size=50), stamps,
        st.binary(max_size=16), origins, st.booleans(),
    ),
    st.builds(rows.Message, keys, st.text(min_size=1), moments, stamps),
    st.builds(
        rows.Offer, st.text(min_size=1, max_size=20), nos, st.binary(min_size=32, max_size=32), st.text(min_size=1),
        nos, stamps, maybe | nos, maybe | nos,
    ),
    st.builds(rows.Revocation, st.integers(1, 3), st.text(min_size=1, max_size=30), stamps),
    st.builds(rows.Health, st.text(min_size=1, max_size=10), *[nos] * 7, stamps, origins),
    st.builds(
        rows.HandIn, keys, keys, keys, st.text(min_size=1, max_size=25), nos, st.binary(min_size=32, max_size=32),
        stamps, origins,
    ),
)  # fmt: skip


def round_trip(records: list[rows.Record]) -> list[rows.Record]:
    plain = codec0.encode_records(records)
    return codec0.decode_records(plain, codec0.count_by_kind(records))


@settings(max_examples=300, deadline=None)
@given(st.lists(statements | derived | others | merged, max_size=30))
def test_every_record_comes_back_whole(records: list[rows.Record]) -> None:
    assert sorted(map(repr, round_trip(records))) == sorted(repr(plus_zero(record)) for record in records)


def test_a_share_of_nothing_has_no_sign() -> None:
    record = replace(answered(1), score_raw=0.0, score_max=-1.0, score_scaled=0.0)
    assert [repr(one) for one in round_trip([record])] == [repr(record)]


def plus_zero(record: rows.Record) -> rows.Record:
    """Return the record without minus zeros, which are equal to zero and not kept apart."""
    if not isinstance(record, rows.Statement):
        return record
    values = {name: getattr(record, name) for name in record.__slots__}
    return rows.Statement(
        **{name: value + 0.0 if isinstance(value, float) else value for name, value in values.items()}
    )


def test_a_school_day_comes_back_whole() -> None:
    day = make_day(make_school(), count=3000)
    assert set(round_trip(list(day))) == set(day)


def test_statements_of_one_device_come_back_in_their_order() -> None:
    day = make_day(make_school(), count=500)
    seqs = [row.device_seq for row in round_trip(list(reversed(day))) if row.device_no == day[0].device_no]
    assert seqs == sorted(seqs)


def test_registries_come_before_the_statements_that_use_them() -> None:
    back = round_trip([answered(1), *registries()])
    assert isinstance(back[-1], rows.Statement)
    assert isinstance(back[0], rows.Verb)


@pytest.mark.parametrize(
    "packed",
    [
        [],
        b"",
        b"\x01",
        b"\x01\x02",
        b"\x01\x02\x80",
        b"\x01\x03\x04",
        b"\x01\x02\x04\x04",
        b"\x81\x00\x02\x04",
        b"\xff" * 40,
    ],
)
def test_boots_that_are_cut_too_long_or_written_in_two_ways_are_refused(packed: object) -> None:
    plain = codec.encode([[int(Kind.BOOT), packed]])
    with pytest.raises(BundleMalformed):
        codec0.decode_records(plain, {Kind.BOOT: 1})


def test_the_table_of_fields_is_the_whole_record() -> None:
    for rule in KINDS.values():
        assert {field.name for field in rule.fields} == {field.name for field in fields(rule.record)}


def test_no_kind_has_a_field_for_a_persons_name() -> None:
    names = {field.name for rule in KINDS.values() for field in rule.fields}
    assert not {name for name in names if "name" in name or name in ("title", "login", "avatar", "language", "actor")}


def test_the_bytes_of_a_body_are_what_they_were() -> None:
    """Bodies are read for ever: these are the hashes of what the first programs made that knew the kinds."""
    body = codec0.encode_records([*registries(), *map(answered, range(1, 9))])
    assert blake2b_256(body).hex() == "b35bfd172716077369a927ba26626fd9a29eb56397180412d8f3ef2c5155bf00"
    assert (
        blake2b_256(codec0.encode_records(merging())).hex()
        == "1dd232b49a4a109919bdc60cd208a4978042728679c6b8b654b726dd8b1de116"
    )


@pytest.mark.parametrize(
    "record",
    [
        rows.Learner(1, b"short"),
        rows.Learner(-1, bytes(16)),
        rows.Verb(1, ""),
        rows.Statement(1, 1, 0),
        rows.Statement(1, 1, 0, id=bytes(16), progress=1.5),
        rows.Statement(1, 1, 0, id=bytes(16), score_raw=float("nan")),
        rows.Statement(1, 1, 1 << 60, id=bytes(16)),
        rows.Statement(True, 1, 0, id=bytes(16)),
    ],
)
def test_a_field_out_of_bounds_is_never_written(record: rows.Record) -> None:
    with pytest.raises(RecordMalformed):
        codec0.encode_records([record])


def test_counts_that_differ_from_the_body_are_refused() -> None:
    plain = codec0.encode_records(registries())
    counts = codec0.count_by_kind(registries())
    with pytest.raises(BundleMalformed):
        codec0.decode_records(plain, counts | {Kind.VERB: 3})
    with pytest.raises(BundleMalformed):
        codec0.decode_records(plain, counts | {Kind.STATEMENT: 1})


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_any_altered_column_is_decoded_or_refused_with_a_code(data: st.DataObject) -> None:
    """A body is signed, so only an enrolled box can send such a thing; even then nothing else may happen."""
    records = [*registries(), *map(answered, range(1, 9)), *merging()]
    sections = codec.decode(codec0.encode_records(records), max_bytes=1 << 20)
    columns = data.draw(st.sampled_from(sections))[1]
    place = data.draw(st.integers(0, len(columns) - 1))
    junk = st.binary(max_size=12) | st.integers() | st.none() | st.lists(st.binary(max_size=5), max_size=3)
    columns[place] = data.draw(junk.filter(lambda value: not isinstance(value, int) or abs(value) < 1 << 63))
    try:
        codec0.decode_records(codec.encode(sections), codec0.count_by_kind(records))
    except EdgeboxError as error:
        assert error.code in ("sync.bundle_malformed", "sync.record_malformed")


def test_what_names_people_is_taken_out_of_an_outside_statement() -> None:
    body = (
        b'{"actor":{"name":"Amina","mbox":"mailto:a@b.c"},"verb":{"id":"v"},"authority":{"name":"Teacher"},'
        b'"context":{"instructor":{"name":"Teacher"},"team":{"name":"Team"},"platform":"web"},'
        b'"object":{"objectType":"Agent","name":"Omar"},"unknown":"Amina"}'
    )
    left = without_people(body)
    assert left == b'{"verb":{"id":"v"},"context":{"platform":"web"}}'


@pytest.mark.parametrize("body", [b"", b"[]", b"Amina", b"\xff", b"null"])
def test_an_outside_statement_that_is_no_object_carries_nothing(body: bytes) -> None:
    assert without_people(body) == b"{}"
