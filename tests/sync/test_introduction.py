"""Tickets, requests, successions and answers: what is good is read back, whatever else is refused with a code."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from content_packs.base import codec
from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import SealingKey, SigningKey, seal
from sync import introduction
from sync.enrolment import EnrolmentRefused
from sync.introduction import (
    Answer,
    IntroductionKind,
    LastBundle,
    Request,
    Succession,
    Ticket,
    fingerprint,
    peek_box,
    read_answer,
    read_request,
    read_succession,
    read_ticket,
    write_answer,
    write_request,
    write_succession,
    write_ticket,
)
from tests.sync.makers import NOW_MS

HUB, BOX, OTHER = SigningKey(b"h" * 32), SigningKey(b"b" * 32), SigningKey(b"o" * 32)
SEALING = SealingKey(b"s" * 32)
TICKET = Ticket(
    HUB.verify_key, SEALING.public, "https://hub.example", "Hill School", bytes(range(10)), NOW_MS, NOW_MS + 1000, 7
)
CHAIN = [SigningKey(bytes([number]) * 32) for number in range(1, 4)]
ANSWER = Answer(HUB.verify_key.key_id, BOX.verify_key.key_id, introduction.about(b"asked"), 7)
FILES: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "ticket": (write_ticket(TICKET, HUB), read_ticket),
    "request": (write_request(TICKET, BOX), lambda content: read_request(content, SEALING)),
    "succession": (write_succession(CHAIN, NOW_MS, LastBundle(3, 4, bytes(32))), read_succession),
    "answer": (write_answer(ANSWER, HUB), lambda content: read_answer(content, HUB.verify_key)),
}


def test_what_was_written_is_read() -> None:
    assert read_ticket(FILES["ticket"][0]) == TICKET
    assert read_request(FILES["request"][0], SEALING) == Request(BOX.verify_key, TICKET.secret)
    keys = tuple(key.verify_key for key in CHAIN)
    assert read_succession(FILES["succession"][0]) == Succession(keys, NOW_MS, LastBundle(3, 4, bytes(32)))
    assert read_succession(write_succession(CHAIN, NOW_MS)) == Succession(keys, NOW_MS)
    assert read_answer(FILES["answer"][0], HUB.verify_key) == ANSWER


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_byte_is_refused_with_a_code(name: str) -> None:
    content, read = FILES[name]
    for place in range(len(content)):
        for change in (0x01, 0x80, 0xFF):
            altered = content[:place] + bytes([content[place] ^ change]) + content[place + 1 :]
            with pytest.raises(EnrolmentRefused):
                read(altered)


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_and_whatever_follows_is_refused(name: str) -> None:
    content, read = FILES[name]
    for altered in (*(content[:length] for length in range(len(content))), content + b"\0", content * 2):
        with pytest.raises(EnrolmentRefused):
            read(altered)


@pytest.mark.parametrize("name", FILES)
def test_one_file_is_not_taken_for_another(name: str) -> None:
    for other, (content, _read) in FILES.items():
        if other != name:
            with pytest.raises(EnrolmentRefused):
                FILES[name][1](content)


@pytest.mark.parametrize(
    "changes",
    [
        {"url": "ftp://hub.example"},
        {"url": "https://user@hub.example"},
        {"url": "https://hub.example/\n"},
        {"url": "http://" + "a" * 300},
        {"school": "Hill\u202eloohcS"},
        {"school": "S" * 900},
        {"secret": b"short"},
        {"sealing_key": b"short"},
        {"expires_ms": -1},
        {"replaces_no": 2**40},
    ],
)
def test_a_ticket_that_says_what_no_hub_says_is_refused_whoever_signed_it(changes: dict[str, Any]) -> None:
    with pytest.raises(EnrolmentRefused):
        read_ticket(write_ticket(replace(TICKET, **changes), HUB))


def test_a_ticket_signed_by_another_than_its_hub_is_refused() -> None:
    with pytest.raises(EnrolmentRefused):
        read_ticket(write_ticket(TICKET, OTHER))


def test_a_key_that_nothing_can_be_sealed_to_is_refused_and_no_fault() -> None:
    with pytest.raises(EdgeboxError):
        write_request(replace(TICKET, sealing_key=bytes(32)), BOX)


def test_the_secret_of_a_ticket_is_not_to_be_read_in_a_request() -> None:
    assert TICKET.secret not in FILES["request"][0]


def test_a_request_is_for_one_hub_and_by_its_own_box() -> None:
    with pytest.raises(EnrolmentRefused):
        read_request(FILES["request"][0], SealingKey.generate())
    stolen = seal(SEALING.public, codec.encode([BOX.verify_key.raw, TICKET.secret]))
    for claimed in (OTHER.verify_key.key_id, BOX.verify_key.key_id):
        values = [int(IntroductionKind.REQUEST), claimed, stolen]
        with pytest.raises(EnrolmentRefused):
            read_request(introduction._write(values, [OTHER]), SEALING)


def test_a_succession_needs_the_word_of_every_key_in_it() -> None:
    raws = [key.verify_key.raw for key in CHAIN]
    for signers in ([CHAIN[0], CHAIN[1], OTHER], [OTHER, CHAIN[1], CHAIN[2]], CHAIN[:2], CHAIN[::-1]):
        values = [int(IntroductionKind.SUCCESSION), raws, NOW_MS, []]
        with pytest.raises(EnrolmentRefused):
            read_succession(introduction._write(values, signers))


@pytest.mark.parametrize("count", [0, 1])
def test_a_succession_of_less_than_two_keys_is_none(count: int) -> None:
    with pytest.raises(EnrolmentRefused):
        read_succession(write_succession(CHAIN[:count], NOW_MS))


def test_of_very_many_keys_the_latest_are_told() -> None:
    keys = [SigningKey(bytes([number]) * 32) for number in range(1, 101)]
    told = read_succession(write_succession(keys, NOW_MS)).keys
    assert told == tuple(key.verify_key for key in keys[-introduction.KEYS_MAX :])


def test_an_answer_says_for_whom_it_is() -> None:
    assert peek_box(FILES["request"][0]) == BOX.verify_key.key_id
    assert peek_box(FILES["succession"][0]) == CHAIN[-1].verify_key.key_id
    for name in ("ticket", "answer"):
        with pytest.raises(EnrolmentRefused):
            peek_box(FILES[name][0])


def test_a_fingerprint_is_short_enough_to_read_out_and_differs_between_keys() -> None:
    shown = fingerprint(HUB.verify_key)
    assert len(shown) == 19
    assert shown == fingerprint(SigningKey(b"h" * 32).verify_key) != fingerprint(OTHER.verify_key)
