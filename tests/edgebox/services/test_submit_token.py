import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgebox.services.submit_token import SubmitRight, SubmitTokens, TokenInvalid, check, make

KEY = b"k" * 32
RIGHT = SubmitRight(7, bytes(range(16)))


def test_token_gives_back_its_right() -> None:
    assert check(KEY, make(KEY, RIGHT)) == RIGHT


def test_token_fits_into_an_address_and_a_header() -> None:
    assert make(KEY, RIGHT).replace("-", "").replace("_", "").isalnum()


def test_token_of_another_box_is_refused() -> None:
    with pytest.raises(TokenInvalid):
        check(b"o" * 32, make(KEY, RIGHT))


@given(st.integers(0, 39), st.integers(0, 7))
def test_altered_token_is_refused(place: int, bit: int) -> None:
    raw = bytearray(base64.urlsafe_b64decode(make(KEY, RIGHT) + "=="))
    raw[place] ^= 1 << bit
    with pytest.raises(TokenInvalid):
        check(KEY, base64.urlsafe_b64encode(raw).rstrip(b"=").decode())


@pytest.mark.parametrize("token", ["", "x", "é" * 40, "A" * 54, "A" * 200, "\x00"])
def test_text_that_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(TokenInvalid):
        SubmitTokens(KEY).check(token)


def test_remembered_token_gives_the_same_right() -> None:
    tokens = SubmitTokens(KEY)
    token = tokens.make(RIGHT.person_no, RIGHT.pseudonym)
    assert tokens.check(token) == tokens.check(token) == RIGHT
