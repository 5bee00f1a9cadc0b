"""The codec writes one form only and refuses every other."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_packs.base import codec

LIMIT_BYTES = 1_000_000

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=30,
)


@given(values)
def test_what_is_encoded_comes_back(value: object) -> None:
    assert codec.decode(codec.encode(value), max_bytes=LIMIT_BYTES, max_depth=40) == value


@given(st.dictionaries(st.text(), st.integers(0, 9), min_size=2))
def test_order_of_keys_makes_no_difference(value: dict[str, int]) -> None:
    assert codec.encode(value) == codec.encode(dict(reversed(value.items())))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ValueError"),
        (b"\x01\x01", "ExtraData"),
        (b"\x82\xa1a\x01\xa1a\x02", "keys"),
        (b"\x81\x01\x02", "keys"),
        (b"\x81\xc4\x01a\x02", "keys"),
        (b"\xc7\x01\x05x", "extension type 5"),
        (b"\xd6\xff\x00\x00\x00\x00", "timestamp type"),
        (b"\xcb\x7f\xf8\0\0\0\0\0\0", "not a number"),
        (b"\xcb\x7f\xf0\0\0\0\0\0\0", "not a number"),
        (b"\xdd\xff\xff\xff\xff", "ValueError"),
        (b"\xa2\xff\xff", "UnicodeDecodeError"),
        (b"\x91" * 40 + b"\x01", "too deep"),
        (b"\x91" * 5000 + b"\x01", "StackError"),
    ],
)
def test_what_the_writer_never_makes_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(codec.CodecMalformed) as caught:
        codec.decode(data, max_bytes=LIMIT_BYTES)
    assert caught.value.fields["reason"] == reason


def test_a_value_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(codec.CodecMalformed, match="too large"):
        codec.decode(codec.encode(b"x" * 100), max_bytes=99)


def test_key_that_is_a_list_is_refused_like_any_other_key() -> None:
    with pytest.raises(codec.CodecMalformed):
        codec.decode(b"\x81\x91\x01\x01", max_bytes=10)


@pytest.mark.parametrize("bomb", [b"\x90" * 9, b"\x80" * 9, b"\xc0" * 11])
def test_more_parts_than_allowed_are_refused_though_they_are_few_bytes(bomb: bytes) -> None:
    data = b"\xdd" + len(bomb).to_bytes(4, "big") + bomb
    assert codec.decode(data, max_bytes=LIMIT_BYTES, max_containers=11)
    with pytest.raises(codec.CodecMalformed):
        codec.decode(data, max_bytes=LIMIT_BYTES, max_containers=len(bomb) - 1)


@given(st.dictionaries(st.sampled_from("abfx"), st.lists(st.lists(st.integers(0, 999) | st.binary(max_size=300)))))
def test_list_that_is_split_off_is_the_one_that_decodes_whole(value: dict[str, Any]) -> None:
    data = codec.encode(value)
    rest, places = codec.split_list(data, "f", max_bytes=10**6)
    elements = [codec.decode(data[start:end], max_bytes=10**6) for start, end in pairwise(places)]
    assert (rest, elements) == ({key: one for key, one in value.items() if key != "f"}, value.get("f", []))


@pytest.mark.parametrize("damaged", [b"", b"\x80\x00", b"\x81\xa1f\x01", b"\x81\xa1f\x92\x01", b"\x90", b"\x81\xa1f"])
def test_list_in_a_damaged_map_is_not_split_off(damaged: bytes) -> None:
    with pytest.raises(codec.CodecMalformed):
        codec.split_list(damaged, "f", max_bytes=10**6)
