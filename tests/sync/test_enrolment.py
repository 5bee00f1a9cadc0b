"""Box and hub come to know each other's keys, and nobody else can step between."""

import pytest

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import SealingKey, SignatureInvalid, SigningKey
from sync.enrolment import (
    EnrolmentRefused,
    check_answer,
    check_request,
    make_answer,
    make_code,
    make_request,
    parse_code,
)

HUB, BOX = SigningKey.generate(), SigningKey.generate()
SEALING = SealingKey.generate().public
SECRET = bytes(range(10))
CODE = make_code(SECRET, HUB.verify_key)


def answer(**changes: object) -> dict[str, object]:
    return make_answer(SECRET, BOX.verify_key, 4, HUB, SEALING) | changes


def test_a_code_is_read_however_it_is_typed() -> None:
    fingerprint = HUB.verify_key.key_id[:5]
    for typed in (CODE, CODE.lower(), CODE.replace("-", " "), CODE.replace("-", ""), CODE.replace("O", "0")):
        assert parse_code(typed) == (SECRET, fingerprint)


@pytest.mark.parametrize("typed", ["", "K7QF", CODE[:-1], CODE + "AAAA", "!" * 24, "é" * 24])
def test_what_is_no_code_is_refused(typed: str) -> None:
    with pytest.raises(EnrolmentRefused):
        parse_code(typed)


def test_the_box_proves_its_key_and_learns_the_hubs() -> None:
    secret, key = check_request(make_request(CODE, BOX))
    assert (secret, key) == (SECRET, BOX.verify_key)
    hub = check_answer(answer(), CODE, BOX.verify_key)
    assert (hub.verify_key, hub.sealing_key, hub.box_no) == (HUB.verify_key, SEALING, 4)


def test_a_proof_by_another_key_is_refused() -> None:
    stolen = make_request(CODE, SigningKey.generate()) | {"verify_key": BOX.verify_key.raw.hex()}
    with pytest.raises(SignatureInvalid):
        check_request(stolen)


@pytest.mark.parametrize("request_", [None, [], {}, {"code": "zz"}, {"code": 3}, {"code": "00", "verify_key": ""}])
def test_what_is_no_request_is_refused(request_: object) -> None:
    with pytest.raises(EnrolmentRefused):
        check_request(request_)


def test_another_hub_cannot_answer_for_the_one_that_made_the_code() -> None:
    impostor = SigningKey.generate()
    with pytest.raises(EnrolmentRefused):
        check_answer(make_answer(SECRET, BOX.verify_key, 4, impostor, SEALING), CODE, BOX.verify_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"sealing_key": bytes(32).hex()},
        {"box_no": 5},
        {"box_no": True},
        {"box_no": 2**70},
        {"signature": "00"},
        {"verify_key": None},
    ],
)
def test_an_altered_answer_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(EdgeboxError):
        check_answer(answer(**changes), CODE, BOX.verify_key)


def test_an_answer_to_another_box_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        check_answer(answer(), CODE, SigningKey.generate().verify_key)
