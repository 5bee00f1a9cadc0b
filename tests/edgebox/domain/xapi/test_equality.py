"""Which differences between two statements count."""

from typing import Any

import pytest

from edgebox.domain.xapi.equality import comparable
from tests.support.records import make_id, make_statement, reference

AMINA, OMAR = {"mbox": "mailto:amina@example.org"}, {"objectType": "Agent", "mbox": "mailto:omar@example.org"}
PAGE = "http://example.org/page"
UPPER = "5B1D1E46-2F5C-4B6A-9A5E-0000000000AA"


def nested(**changes: Any) -> dict[str, Any]:
    """Return an object that is a statement about a page."""
    return {"objectType": "SubStatement", "actor": OMAR, "verb": {"id": "http://v/"}, "object": {"id": PAGE}} | changes


SAME = {
    "a definition": ({"object": {"id": PAGE}}, {"object": {"id": PAGE, "definition": {"name": {"en": "Page"}}}}),
    "the usual kind of object": ({"object": {"id": PAGE}}, {"object": {"objectType": "Activity", "id": PAGE}}),
    "a display": ({"verb": {"id": "http://v/"}}, {"verb": {"id": "http://v/", "display": {"fr": "vu"}}}),
    "a time zone": ({"timestamp": "2026-01-01T10:00:00+02:00"}, {"timestamp": "2026-01-01T08:00:00.000Z"}),
    "a whole number": ({"result": {"score": {"raw": 1}}}, {"result": {"score": {"raw": 1.0}}}),
    "letters of an id": ({"context": {"registration": UPPER}}, {"context": {"registration": UPPER.lower()}}),
    "letters of a reference": ({"object": reference(10)}, {"object": reference(10) | {"id": make_id(10).upper()}}),
    "order of members": (
        {"actor": {"objectType": "Group", "member": [AMINA, OMAR]}},
        {"actor": {"objectType": "Group", "member": [OMAR, {"objectType": "Agent", **AMINA}]}},
    ),
    "one activity or a list of one": (
        {"context": {"contextActivities": {"parent": {"id": PAGE}}}},
        {"context": {"contextActivities": {"parent": [{"id": PAGE}]}}},
    ),
    "inside another": (
        {"object": nested(timestamp="2026-01-01T10:00:00+02:00", context={"registration": UPPER})},
        {"object": nested(timestamp="2026-01-01T08:00:00Z", context={"registration": UPPER.lower()})},
    ),
    "what the store sets": ({"stored": "2026-01-01T08:00:00Z", "authority": OMAR}, {"version": "1.0.3"}),
}
OTHER = {
    "a verb": ({"verb": {"id": "http://v/a"}}, {"verb": {"id": "http://v/b"}}),
    "a time": ({"timestamp": "2026-01-01T08:00:00Z"}, {"timestamp": "2026-01-01T08:00:01Z"}),
    "no time": ({"timestamp": "2026-01-01T08:00:00Z"}, {}),
    "true is not one": ({"result": {"extensions": {PAGE: 1}}}, {"result": {"extensions": {PAGE: True}}}),
    "numbers": ({"result": {"score": {"raw": 1}}}, {"result": {"score": {"raw": 1.5}}}),
    "order in an extension": ({"result": {"extensions": {PAGE: [1, 2]}}}, {"result": {"extensions": {PAGE: [2, 1]}}}),
    "a member": (
        {"actor": {"objectType": "Group", "member": [AMINA, OMAR]}},
        {"actor": {"objectType": "Group", "member": [OMAR]}},
    ),
    "where an activity stands": (
        {"context": {"contextActivities": {"parent": [{"id": PAGE}]}}},
        {"context": {"contextActivities": {"other": [{"id": PAGE}]}}},
    ),
}


@pytest.mark.parametrize(("first", "second"), SAME.values(), ids=list(SAME))
def test_difference_that_does_not_count(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert comparable(make_statement(1, **first)) == comparable(make_statement(1, **second))


@pytest.mark.parametrize(("first", "second"), OTHER.values(), ids=list(OTHER))
def test_difference_that_counts(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert comparable(make_statement(1, **first)) != comparable(make_statement(1, **second))


def test_time_that_the_store_set_does_not_count() -> None:
    timed = make_statement(1, timestamp="2026-01-01T08:00:00Z")
    assert comparable(timed, is_timed=False) == comparable(make_statement(1), is_timed=False)
