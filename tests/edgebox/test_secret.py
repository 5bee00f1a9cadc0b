"""Which secrets are taken, and which are drawn."""

import pytest

from content_packs.base import ids
from edgebox.domain.secret import (
    COMMON,
    LENGTH,
    LOGIN,
    PATTERN,
    PICTURES,
    SecretKind,
    SecretWeak,
    check_secret,
    draw_code,
    draw_secret,
    plain_code,
)


@pytest.mark.parametrize("pin", ["0000", "1234", "9876", "1212", "1221", "2580", "1999", "2012", "12", "12a4", "١٢٣٥"])
def test_weak_pins_are_refused(pin: str) -> None:
    with pytest.raises(SecretWeak):
        check_secret(SecretKind.PIN, pin)


@pytest.mark.parametrize("row", ["sun,sun,sun,sun", "sun,key,sun", "sun,key,sun,dragon", ""])
def test_weak_or_unknown_picture_rows_are_refused(row: str) -> None:
    with pytest.raises(SecretWeak):
        check_secret(SecretKind.PICTURE, row)


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", LENGTH),
        ("Password1234", COMMON),
        ("QWERTYUIOP123", COMMON),
        ("anna.teacher", LOGIN),
        ("anna.teacheranna.teacher", LOGIN),
        ("abababababab", PATTERN),
    ],
)
def test_weak_passwords_are_refused_with_their_reason(password: str, reason: str) -> None:
    with pytest.raises(SecretWeak) as caught:
        check_secret(SecretKind.PASSWORD, password, "Anna.Teacher")
    assert caught.value.fields == {"reason": reason}


@pytest.mark.parametrize("kind", [SecretKind.PICTURE, SecretKind.PIN])
def test_drawn_secrets_are_of_their_kind_and_never_weak(kind: SecretKind) -> None:
    drawn = [draw_secret(kind, ids.random_bytes(8)) for _ in range(500)]
    taken = [secret for secret in drawn if secret is not None]
    for secret in taken:
        check_secret(kind, secret)
    assert len(taken) > 300
    assert len(set(taken)) > 250


def test_every_picture_can_be_drawn() -> None:
    rows = [draw_secret(SecretKind.PICTURE, ids.random_bytes(8)) for _ in range(500)]
    assert {name for row in rows if row for name in row.split(",")} == set(PICTURES)


def test_a_code_is_understood_as_people_type_it() -> None:
    code = draw_code(ids.random_bytes(12))
    assert len(code) == 14
    assert plain_code(f" {code.lower().replace('-', ' ')} ") == code.replace("-", "")
