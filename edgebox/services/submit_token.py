"""The right to submit work for one learner: a text in the page, signed by the box, that gives no right to read.

It lives as long as the learner and the box's `submit.key`, because work is often sent weeks after it was done, by a
tablet on which somebody else is signed in by then.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from hashlib import blake2b

from content_packs.base.errors import N_, EdgeboxError

_VERSION = b"\x01"
_NO_BYTES = 8
_PSEUDONYM_BYTES = 16
_SEAL_BYTES = 15
_CONTENT_BYTES = len(_VERSION) + _NO_BYTES + _PSEUDONYM_BYTES
_PERSON = b"edgebox submit"
_CACHED_MAX = 4096


class TokenInvalid(EdgeboxError):
    """A submit token that this box did not make."""

    code = "record.token_invalid"
    status = 401
    exit_code = 80
    sentence = N_("The box does not know the sign-in under which this was done.")
    remedy = N_("Sign in again. If the box was replaced, show this tablet to your teacher.")


@dataclass(frozen=True, slots=True)
class SubmitRight:
    """For whom the holder may submit."""

    person_no: int
    pseudonym: bytes


def make(key: bytes, right: SubmitRight) -> str:
    """Return the token of a right: 40 bytes as url-safe text."""
    content = _VERSION + right.person_no.to_bytes(_NO_BYTES, "big") + right.pseudonym
    return urlsafe_b64encode(content + _seal(key, content)).rstrip(b"=").decode()


def check(key: bytes, token: str) -> SubmitRight:
    """Return the right that a token gives.

    Raises:
        TokenInvalid: this key did not make it.
    """
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (NotBase64, ValueError) as error:
        raise TokenInvalid from error
    content, seal = raw[:_CONTENT_BYTES], raw[_CONTENT_BYTES:]
    if not hmac.compare_digest(seal, _seal(key, content)) or not content.startswith(_VERSION):
        raise TokenInvalid
    return SubmitRight(int.from_bytes(content[1 : 1 + _NO_BYTES], "big"), content[1 + _NO_BYTES :])


class SubmitTokens:
    """Makes and checks the tokens of one box, and remembers those it has checked."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._checked: dict[str, SubmitRight] = {}

    def make(self, person_no: int, pseudonym: bytes) -> str:
        """Return the token of a learner; the same one every time."""
        return make(self._key, SubmitRight(person_no, pseudonym))

    def check(self, token: str) -> SubmitRight:
        """Return the right that a token gives.

        Raises:
            TokenInvalid: this box did not make it.
        """
        if (right := self._checked.get(token)) is None:
            right = check(self._key, token)
            if len(self._checked) >= _CACHED_MAX:
                self._checked.clear()
            self._checked[token] = right
        return right


def _seal(key: bytes, content: bytes) -> bytes:
    return blake2b(content, key=key, digest_size=_SEAL_BYTES, person=_PERSON).digest()
