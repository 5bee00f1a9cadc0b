import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebox.domain.xapi.values import check_iri
from sync.records.activity import Activity, own_activity, parse_activity


@given(st.none() | st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=80))
def test_activity_comes_back_from_its_iri(item: str | None) -> None:
    activity = own_activity("org.edgebox.fractions", "halves", item)
    check_iri(activity.iri, "iri")
    assert parse_activity(activity.iri) == activity


def test_item_belongs_to_its_resource() -> None:
    assert own_activity("a.b.c", "halves", "q1").whole == own_activity("a.b.c", "halves")


@pytest.mark.parametrize(
    "iri",
    [
        "http://example.org/a",
        "urn:x-edgebox:abc",
        "urn:x-edgebox:abc:r:%ff",
        "urn:x-edgebox:abc:r:%41",
    ],
)
def test_other_iri_names_no_pack(iri: str) -> None:
    assert parse_activity(iri) == Activity(iri)
    assert parse_activity(iri).whole == Activity(iri)
