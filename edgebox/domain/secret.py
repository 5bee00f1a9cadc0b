"""What learners and staff prove themselves with: the rules for secrets, and drawing new ones from random bytes."""

import unicodedata
from enum import Enum

from content_packs.base.errors import N_, EdgeboxError

PICTURES = (
    "apple", "ball", "bird", "boat", "clock", "cup", "drum", "fish",
    "flower", "house", "key", "moon", "star", "sun", "tree", "umbrella",
)  # fmt: skip
PICTURE_COUNT = 4
PIN_DIGITS = 4
PASSWORD_MIN_CHARACTERS = 12
SECRET_MAX_CHARACTERS = 256
RANDOM_BYTES = 8
CODE_CHARACTERS = 12
FORM = N_("it has another form")
LENGTH = N_("it is too short")
COMMON = N_("many people use it")
PATTERN = N_("it follows a simple pattern")
LOGIN = N_("it is the name to sign in with")
_CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_DISTINCT_MIN = 5
_STRAIGHT = "01234567890 09876543210"
_KEYPAD_LINES = frozenset({"2580", "0852", "1470", "3690", "1397", "7913", "1379", "1590", "3570"})
_COMMON = frozenset(
    {
        "123456789012", "1234567890123", "123456789123", "012345678910", "0123456789012", "987654321098",
        "password1234", "password12345", "password123456", "passwordpassword", "passw0rd1234", "p@ssword1234",
        "mypassword123", "changeme1234", "changemechangeme", "qwertyuiop12", "qwertyuiop123", "qwertyuiop1234",
        "qwerty123456", "qwerty1234567", "1q2w3e4r5t6y", "1qaz2wsx3edc", "qazwsxedcrfv", "zxcvbnmasdfghjkl",
        "asdfghjkl123", "asdfghjklqwerty", "abcdefghijkl", "abcdefghijklm", "abcdef123456", "abc123456789",
        "a1b2c3d4e5f6", "iloveyou1234", "iloveyou12345", "letmein12345", "letmeinletmein", "welcome12345",
        "welcome123456", "administrator", "administrator1", "admin1234567", "adminadmin123", "teacher12345",
        "teacherteacher", "edgeboxedgebox", "edgebox12345", "schoolschool", "raspberrypi1", "raspberrypi123",
        "unbelievable", "trustno1trustno1", "sunshine1234", "princess1234", "football1234", "superman1234",
        "correcthorsebatterystaple",
    }
)  # fmt: skip


class SecretKind(Enum):
    """The forms of a secret."""

    PICTURE = "picture"
    PIN = "pin"
    PASSWORD = "password"  # noqa: S105 - a kind, not a password


class SecretWeak(EdgeboxError):
    """A secret that is refused because it is too easy to guess, or not of its kind."""

    code = "sign_in.secret_weak"
    status = 400
    exit_code = 68
    sentence = N_("This secret is too easy to guess ({reason}).")
    remedy = N_("Choose another one. A password has at least 12 characters: a few words make a good one.")


def check_secret(kind: SecretKind, secret: str, login: str | None = None) -> None:
    """Refuse a new secret that breaks the rules of its kind.

    Raises:
        SecretWeak: the reason is a message id: FORM, LENGTH, COMMON, PATTERN or LOGIN.
    """
    if kind is SecretKind.PICTURE:
        _check_pictures(secret.split(","))
    elif kind is SecretKind.PIN:
        _check_pin(secret)
    else:
        _check_password(normal_form(secret), (login or "").casefold())


def normal_form(secret: str) -> str:
    """Return the secret as it is hashed, so that two keyboards that write one text differently agree."""
    return unicodedata.normalize("NFKC", secret[:SECRET_MAX_CHARACTERS])


def draw_secret(kind: SecretKind, random: bytes) -> str | None:
    """Return the picture row or PIN that 8 random bytes choose, or None when it would be weak: draw again."""
    number = int.from_bytes(random, "big")
    if kind is SecretKind.PICTURE:
        secret = ",".join(PICTURES[number >> 4 * place & 15] for place in range(PICTURE_COUNT))
    else:
        secret = f"{number % 10**PIN_DIGITS:0{PIN_DIGITS}d}"
    try:
        check_secret(kind, secret)
    except SecretWeak:
        return None
    return secret


def draw_code(random: bytes) -> str:
    """Return a one-time code for 12 random bytes, in groups that are easy to type: `K7QF-2M9X-TB4R`."""
    letters = "".join(_CODE_ALPHABET[byte & 31] for byte in random[:CODE_CHARACTERS])
    return "-".join(letters[start : start + 4] for start in range(0, CODE_CHARACTERS, 4))


def plain_code(code: str) -> str:
    """Return a typed code without the hyphens, spaces and small letters people add."""
    return "".join(code.upper().split()).replace("-", "")


def _check_pictures(names: list[str]) -> None:
    if len(names) != PICTURE_COUNT or not set(names) <= set(PICTURES):
        raise SecretWeak(reason=FORM)
    if len(set(names)) == 1:
        raise SecretWeak(reason=PATTERN)


def _check_pin(pin: str) -> None:
    if len(pin) != PIN_DIGITS or not (pin.isascii() and pin.isdigit()):
        raise SecretWeak(reason=FORM)
    is_repeated = pin[:2] == pin[2:] or pin[:2] == pin[:1:-1] or len(set(pin)) == 1
    if is_repeated or pin in _STRAIGHT or pin[:2] in ("19", "20") or pin in _KEYPAD_LINES:
        raise SecretWeak(reason=PATTERN)


def _check_password(password: str, login: str) -> None:
    folded = password.casefold()
    if len(password) < PASSWORD_MIN_CHARACTERS:
        raise SecretWeak(reason=LENGTH)
    if login and folded.replace(login, "") == "":
        raise SecretWeak(reason=LOGIN)
    if folded in _COMMON or folded.rstrip("0123456789!.?") in _COMMON:
        raise SecretWeak(reason=COMMON)
    if len(set(folded)) < _DISTINCT_MIN:
        raise SecretWeak(reason=PATTERN)
