from typing import Any

import pytest

from edgebox.domain.events import EVENTS_MAX, EventMalformed, parse_event, parse_outbox, seq_of

EVENT = {
    "seq": 12,
    "attempt": 9,
    "token": "token",
    "t": 1_763_780_000_000,
    "verb": "answered",
    "pack": "org.edgebox.fractions",
    "resource": "halves",
    "item": "q3",
    "result": {"success": True, "score": 3, "max": 4, "response": "b", "duration_ms": 5300, "progress": 0.4},
}


def test_event_of_the_contract_is_read_whole() -> None:
    event = parse_event(EVENT)
    assert (event.seq, event.attempt, event.timestamp_ms, event.item) == (12, 9, 1_763_780_000_000, "q3")
    assert (event.result.score, event.result.scaled, event.result.duration_ms) == (3, 0.75, 5300)


def test_result_and_item_may_be_missing_or_null() -> None:
    event = parse_event({**EVENT, "item": None, "result": {"score": None}})
    assert (event.item, event.result.scaled) == (None, None)
    assert parse_event({name: value for name, value in EVENT.items() if name != "result"}).result.success is None


def test_score_over_the_maximum_counts_as_full_and_is_not_lost() -> None:
    assert parse_event({**EVENT, "result": {"score": 7, "max": 5}}).result.scaled == 1.0
    assert parse_event({**EVENT, "result": {"score": 7, "max": 0}}).result.scaled is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"seq": 0}, "seq"),
        ({"seq": True}, "seq"),
        ({"seq": 1 << 53}, "seq"),
        ({"seq": "12"}, "seq"),
        ({"attempt": 13}, "attempt"),
        ({"t": -1}, "t"),
        ({"t": 1.5}, "t"),
        ({"verb": "voided"}, "verb"),
        ({"verb": ["answered"]}, "verb"),
        ({"token": None}, "token"),
        ({"token": "x" * 300}, "token"),
        ({"pack": "Org"}, "pack"),
        ({"pack": "a:b:c"}, "pack"),
        ({"resource": "../up"}, "resource"),
        ({"resource": "halves\n"}, "resource"),
        ({"item": ""}, "item"),
        ({"item": "x" * 81}, "item"),
        ({"item": "a\x00b"}, "item"),
        ({"item": "\ud800"}, "item"),
        ({"more": 1}, "event"),
        ({"result": []}, "result"),
        ({"result": {"grade": 1}}, "result.grade"),
        ({"result": {"success": 1}}, "result.success"),
        ({"result": {"score": float("nan")}}, "result.score"),
        ({"result": {"score": True}}, "result.score"),
        ({"result": {"score": 10**400}}, "result.score"),
        ({"result": {"max": -1}}, "result.max"),
        ({"result": {"progress": 1.01}}, "result.progress"),
        ({"result": {"duration_ms": 2.5}}, "result.duration_ms"),
        ({"result": {"response": "x" * 9000}}, "result.response"),
        ({"result": {"response": "\udfff"}}, "result.response"),
    ],
)
def test_malformed_event_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(EventMalformed) as refused:
        parse_event(EVENT | change)
    assert refused.value.fields == {"field": field}


@pytest.mark.parametrize("value", [None, [], "x", 7])
def test_event_that_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(EventMalformed):
        parse_event(value)
    assert seq_of(value) is None


@pytest.mark.parametrize(
    "change",
    [
        {"device": "A" * 32},
        {"device": "0" * 31},
        {"device": None},
        {"events": None},
        {"events": [{}] * (EVENTS_MAX + 1)},
        {"held_from": 0},
        {"more": 1},
    ],
)
def test_malformed_request_is_refused(change: dict[str, Any]) -> None:
    request = {"device": "0" * 32, "events": []}
    assert parse_outbox(request).device_id == bytes(16)
    with pytest.raises(EventMalformed):
        parse_outbox(request | change)
