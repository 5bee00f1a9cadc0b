"""What answers of a record store mean, which addresses may be one, and what goes into a request."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from content_packs.base import ids
from edgebox.domain.forwarding import (
    BATCH_MAX,
    BATCH_MAX_BYTES,
    RETRY_AFTER_MAX_MS,
    Batch,
    Fate,
    ForwardAddressInvalid,
    ForwardBusy,
    ForwardRefused,
    Item,
    Verdict,
    check_not_own,
    error_of_status,
    fits,
    is_due,
    is_same,
    judge,
    lists_all,
    move_through,
    next_try_ms,
    parse_address,
    parse_retry_after,
    reason_of,
)
from tests.support.records import make_id, make_statement

NOW_MS = 1_763_780_000_000


def item(number: int, size_bytes: int = 100, *, fate: Fate = Fate.SEND, has_files: bool = False) -> Item:
    return Item(number, ids.parse_uuid(make_id(number)), fate, b"x" * size_bytes, has_files=has_files)


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("https://lrs.example/xapi", "https://lrs.example/xapi/statements"),
        (" https://lrs.example/xapi/statements/ ", "https://lrs.example/xapi/statements"),
        ("https://LRS.example./a/statements/statements", "https://lrs.example/a/statements"),
        ("http://lrs.example:80", "http://lrs.example/statements"),
        ("http://[2001:db8::1]:8080/x/", "http://[2001:db8::1]:8080/x/statements"),
        ("http://10.0.0.7/xapi", "http://10.0.0.7/xapi/statements"),
    ],
)
def test_the_path_is_kept_and_ends_in_one_statements(typed: str, url: str) -> None:
    assert parse_address(typed) == url
    assert parse_address(url) == url


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "lrs.example/xapi",
        "ftp://lrs.example/",
        "https:///xapi",
        "https://box:secret@lrs.example/xapi",
        "https://lrs.example/xapi?a=b",
        "https://lrs.example/xapi#a",
        "https://lrs.example:0/",
        "https://lrs.example:99999/",
        "https://[::1/",
        "https://lrs example/",
        "https://lrs.example/\x00",
        "http://2130706433/",
        "http://127.1/",
        "http://0x7f.0.0.1/",
    ],
)
def test_what_is_no_plain_address_is_refused(typed: str) -> None:
    with pytest.raises(ForwardAddressInvalid):
        parse_address(typed)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_an_address_or_refused(typed: str) -> None:
    for text in (typed, f"https://{typed}"):
        try:
            url = parse_address(text)
        except ForwardAddressInvalid:
            continue
        assert url.startswith(("http://", "https://"))
        assert url.endswith("/statements")
        assert "@" not in url.partition("://")[2].partition("/")[0]


@pytest.mark.parametrize("host", ["edgebox.local", "127.0.0.1", "127.9.9.9", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"])
def test_the_box_itself_is_no_store(host: str) -> None:
    with pytest.raises(ForwardAddressInvalid):
        check_not_own(parse_address(f"http://{host}:8080/xapi"), {"edgebox.local"}, {8080, 8081})
    check_not_own(parse_address(f"http://{host}:9000/xapi"), {"edgebox.local"}, {8080, 8081})


@pytest.mark.parametrize(
    ("status_no", "count", "is_listed", "verdict"),
    [
        (200, 9, True, Verdict.TAKEN),
        (204, 9, False, Verdict.LATER),
        (200, 9, False, Verdict.LATER),
        (400, 9, False, Verdict.HALVE),
        (400, 1, False, Verdict.ASIDE),
        (413, 2, False, Verdict.HALVE),
        (413, 1, False, Verdict.ASIDE),
        (409, 2, False, Verdict.HALVE),
        (409, 1, True, Verdict.COMPARE),
        (401, 1, False, Verdict.DENIED),
        (403, 9, True, Verdict.DENIED),
        (302, 1, True, Verdict.LATER),
        (404, 1, True, Verdict.LATER),
        (429, 1, True, Verdict.LATER),
        (500, 1, True, Verdict.LATER),
    ],
)
def test_an_answer_means_one_thing(status_no: int, count: int, is_listed: bool, verdict: Verdict) -> None:
    assert judge(status_no, count=count, is_listed=is_listed) is verdict


@given(st.integers(100, 999), st.integers(1, 50), st.booleans())
def test_nothing_is_taken_or_dropped_by_an_answer_of_another_kind(status_no: int, count: int, is_listed: bool) -> None:
    verdict = judge(status_no, count=count, is_listed=is_listed)
    assert (verdict is Verdict.TAKEN) == (200 <= status_no < 300 and is_listed)
    assert verdict is not Verdict.ASIDE or (count == 1 and 400 <= status_no < 500)


def test_a_request_has_a_bounded_number_and_size_and_files_go_alone() -> None:
    assert fits([], item(1, 2 * BATCH_MAX_BYTES))
    assert fits([item(1)] * (BATCH_MAX - 1), item(2))
    assert not fits([item(1)] * BATCH_MAX, item(2))
    assert not fits([item(1, BATCH_MAX_BYTES)], item(2))
    assert not fits([item(1)], item(2, has_files=True))
    assert not fits([item(1, has_files=True)], item(2))


def test_an_answer_names_all_statements_or_is_none() -> None:
    sent = [item(1), item(2)]
    assert lists_all(json.dumps([make_id(2).upper(), make_id(1)]).encode(), sent)
    for answer in (b"", b"[]", b"{}", b"[1]", b"null", b"[" * 100_000, json.dumps([make_id(1)]).encode(), b"\xff"):
        assert not lists_all(answer, sent)


def test_a_statement_is_the_same_with_the_times_the_box_told_before_too() -> None:
    told, repaired = (make_statement(1, timestamp=f"20{year}-01-01T00:00:00Z") for year in ("00", "26"))
    sent = Item(1, b"", Fate.SEND, json.dumps(repaired).encode(), json.dumps(told).encode())
    for kept in (told, repaired):
        stored = kept | {"stored": "2026-01-01T00:00:00Z", "authority": {"mbox": "mailto:a@example.org"}}
        assert is_same(json.dumps(stored).encode(), sent)
    assert not is_same(json.dumps(make_statement(1, timestamp="2025-01-01T00:00:00Z")).encode(), sent)
    for answer in (b"", b"{}", b"[]", b"null", b"{" * 100_000, b'{"verb": 1, "object": 2, "actor": 3}'):
        assert not is_same(answer, sent)


def test_waiting_times_grow_and_end_and_the_store_may_ask_for_more() -> None:
    assert next_try_ms(ForwardBusy(), 1, 0.0, NOW_MS) == NOW_MS + 1_000
    assert next_try_ms(ForwardBusy(), 30, 0.999_999, NOW_MS) in range(NOW_MS + 299_000, NOW_MS + 300_001)
    assert next_try_ms(ForwardBusy(), 1, 0.0, NOW_MS, 90_000) == NOW_MS + 90_000
    assert next_try_ms(ForwardBusy(), 1, 0.0, NOW_MS, 10**15) == NOW_MS + RETRY_AFTER_MAX_MS
    assert next_try_ms(ForwardRefused(), 1, 0.0, NOW_MS) == NOW_MS + 3_600_000


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    assert is_due(None, NOW_MS)
    assert is_due(NOW_MS, NOW_MS)
    assert not is_due(NOW_MS + 1, NOW_MS)
    assert is_due(NOW_MS + RETRY_AFTER_MAX_MS + 1, NOW_MS)


@pytest.mark.parametrize(
    ("text", "wanted_ms"),
    [
        ("", None),
        ("soon", None),
        ("-5", None),
        ("120", 120_000),
        ("9" * 400, 999_999_999_000),
        ("Sat, 22 Nov 2025 02:54:20 GMT", 60_000),
        ("Sat, 22 Nov 1997 02:54:20 GMT", 0),
        ("Sat, 22 Nov 99999 02:54:20 GMT", None),
    ],
)
def test_a_time_to_come_back_is_read_as_seconds_or_as_a_date(text: str, wanted_ms: int | None) -> None:
    assert parse_retry_after(text, NOW_MS) == wanted_ms


def test_what_was_passed_over_is_counted_once() -> None:
    batch = Batch((item(3, fate=Fate.KEEP), item(4), item(6, fate=Fate.DAMAGED), item(7), item(9, fate=Fate.KEEP)), 12)
    first = move_through(batch, 2, 4, sent=[batch.items[1]])
    second = move_through(batch, 4, 7, sent=[batch.items[3]])
    rest = move_through(batch, 7, 12)
    assert [(step.sent, step.kept, step.damaged) for step in (first, second, rest)] == [(1, 1, 0), (1, 0, 1), (0, 1, 0)]
    assert (second.last, rest.last) == (batch.items[3], None)


def test_what_a_store_says_is_shown_as_a_short_plain_text() -> None:
    said = reason_of(b"\xff<b>\x00no\x1b[31m " + b"x" * 10_000)
    assert len(said) <= 200
    assert said.isprintable()


@pytest.mark.parametrize(("status_no", "code"), [(200, "captured"), (401, "denied"), (302, "refused"), (503, "busy")])
def test_each_answer_that_takes_nothing_has_its_words(status_no: int, code: str) -> None:
    assert error_of_status(status_no).code == f"forward.{code}"
