"""Ids are unique, ordered by time, and the same at both ends."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_packs.base import ids

DEVICE = bytes(range(16))
NOW_MS = 1_763_780_000_123


def test_derived_ids_are_version_8_uuids() -> None:
    for value in (ids.derive_statement_id(DEVICE, 7, NOW_MS), ids.derive_registration(DEVICE, 7)):
        assert uuid.UUID(bytes=value).version == 8
        assert uuid.UUID(bytes=value).variant == uuid.RFC_4122


def test_the_millisecond_does_not_change_a_derived_id() -> None:
    assert ids.derive_statement_id(DEVICE, 7, NOW_MS) == ids.derive_statement_id(DEVICE, 7, NOW_MS + 500)


@given(st.integers(1, 2**40), st.integers(1, 2**40), st.binary(min_size=16, max_size=16))
def test_other_events_have_other_ids(first: int, second: int, device: bytes) -> None:
    same = ids.derive_statement_id(device, first, NOW_MS) == ids.derive_statement_id(device, second, NOW_MS)
    assert same == (first == second)


def test_ids_of_later_seconds_sort_later() -> None:
    made = [ids.derive_statement_id(DEVICE, seq, NOW_MS + seq * 1000) for seq in range(50)]
    assert made == sorted(made)


def test_new_ids_are_version_7_and_sort_by_time() -> None:
    earlier, later = ids.new_uuid7(NOW_MS), ids.new_uuid7(NOW_MS + 1)
    assert uuid.UUID(bytes=earlier).version == 7
    assert earlier < later


def test_text_form_comes_back() -> None:
    value = ids.new_uuid7(NOW_MS)
    assert ids.format_uuid(value) == str(uuid.UUID(bytes=value))
    assert ids.parse_uuid(ids.format_uuid(value)) == value


@pytest.mark.parametrize("text", ["", "x" * 36, NOW_MS.to_bytes(16, "big").hex(), "{" + "0" * 34 + "}"])
def test_other_text_is_not_an_id(text: str) -> None:
    with pytest.raises(ValueError):
        ids.parse_uuid(text)
