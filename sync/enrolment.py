"""How a box and a hub come to know each other's keys: a one-time code, a proof and a signed answer. Pure.

The code carries the start of the hub's key id, so a box knows the right hub even over plain HTTP.
"""

from base64 import b32decode, b32encode
from dataclasses import dataclass
from typing import Any

from content_packs.base import codec
from content_packs.base.errors import N_, EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey, VerifyKey

REQUEST_DOMAIN = "edgebox enrol request 1"
ANSWER_DOMAIN = "edgebox enrol answer 1"
SECRET_BYTES = 10
FINGERPRINT_BYTES = 5
BOX_NO_MAX = 2**31 - 1
NOT_A_CODE = N_("this is not a code")
ANOTHER_HUB = N_("the code is of another hub")
_GROUP = 4
_KEY_BYTES = 32
# Letters that people mistake for each other, as they are typed and as they are meant; base32 has no 0, 1 and 8.
_MISTAKEN = str.maketrans("018", "OIB", "- ")


class EnrolmentRefused(EdgeboxError):
    """A code that is no code, or an answer that is not from the hub that made the code."""

    code = "sync.enrolment_refused"
    status = 400
    exit_code = 37
    sentence = N_("The box cannot be enrolled ({reason}).")
    remedy = N_("Check the address and the code, letter by letter, or ask the hub for a new code.")


class EnrolmentExpired(EdgeboxError):
    """A code or ticket that is older than its hub wants it to be."""

    code = "sync.enrolment_expired"
    status = 403
    exit_code = 118
    sentence = N_("The code or ticket is too old.")
    remedy = N_("Ask the hub for a new one. If the date of this box is wrong, set it first.")


@dataclass(frozen=True, slots=True)
class Hub:
    """What a box keeps of the hub it is enrolled with."""

    verify_key: VerifyKey
    sealing_key: bytes
    box_no: int


def make_code(secret: bytes, hub: VerifyKey) -> str:
    """Return a code to read out: 10 secret bytes and 5 that name the hub, in groups of four letters and digits."""
    text = b32encode(secret + hub.key_id[:FINGERPRINT_BYTES]).decode()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def parse_code(code: str) -> tuple[bytes, bytes]:
    """Return the secret and the hub's fingerprint.

    Raises:
        EnrolmentRefused: it is not a code.
    """
    try:
        raw = b32decode(code.upper().translate(_MISTAKEN))
    except ValueError as error:
        raise EnrolmentRefused(reason=NOT_A_CODE) from error
    if len(raw) != SECRET_BYTES + FINGERPRINT_BYTES:
        raise EnrolmentRefused(reason=NOT_A_CODE)
    return raw[:SECRET_BYTES], raw[SECRET_BYTES:]


def code_hash(secret: bytes) -> bytes:
    """Return what a hub keeps of a code."""
    return blake2b_256(b"edgebox enrolment code\0" + secret)


def make_request(code: str, key: SigningKey) -> dict[str, Any]:
    """Return what a box sends: the code, its public key, and the proof that it holds the secret half."""
    secret, _fingerprint = parse_code(code)
    proof = key.sign(REQUEST_DOMAIN, _request_message(secret, key.verify_key.raw))
    return {"code": secret.hex(), "verify_key": key.verify_key.raw.hex(), "proof": proof.hex()}


def check_request(request: Any) -> tuple[bytes, VerifyKey]:
    """Return the code's secret and the box's key once the proof fits.

    Raises:
        EnrolmentRefused: not a request.
        SignatureInvalid: the proof does not fit.
    """
    secret, raw, proof = (_hex(request, name) for name in ("code", "verify_key", "proof"))
    if len(secret) != SECRET_BYTES or len(raw) != _KEY_BYTES:
        raise EnrolmentRefused(reason="request")
    key = VerifyKey(raw)
    key.verify(REQUEST_DOMAIN, _request_message(secret, raw), proof)
    return secret, key


def make_answer(secret: bytes, box: VerifyKey, box_no: int, key: SigningKey, sealing_public: bytes) -> dict[str, Any]:
    """Return what a hub answers: its keys and the box's number, signed for this code and this box."""
    signature = key.sign(ANSWER_DOMAIN, _answer_message(secret, box.raw, box_no, sealing_public))
    return {
        "box_no": box_no,
        "verify_key": key.verify_key.raw.hex(),
        "sealing_key": sealing_public.hex(),
        "signature": signature.hex(),
    }


def check_answer(answer: Any, code: str, box: VerifyKey) -> Hub:
    """Return the hub once its key is the one named in the code and the signature fits.

    Raises:
        EnrolmentRefused: not an answer, or from another hub.
        SignatureInvalid: the signature does not fit.
    """
    secret, fingerprint = parse_code(code)
    raw, sealing_public, signature = (_hex(answer, name) for name in ("verify_key", "sealing_key", "signature"))
    key, box_no = VerifyKey(raw), answer.get("box_no")
    if key.key_id[:FINGERPRINT_BYTES] != fingerprint:
        raise EnrolmentRefused(reason=ANOTHER_HUB)
    if (
        not isinstance(box_no, int)
        or isinstance(box_no, bool)
        or not 1 <= box_no <= BOX_NO_MAX
        or len(sealing_public) != _KEY_BYTES
    ):
        raise EnrolmentRefused(reason="answer")
    key.verify(ANSWER_DOMAIN, _answer_message(secret, box.raw, box_no, sealing_public), signature)
    return Hub(key, sealing_public, box_no)


def _request_message(secret: bytes, public: bytes) -> bytes:
    return codec.encode([secret, public])


def _answer_message(secret: bytes, box_public: bytes, box_no: int, sealing_public: bytes) -> bytes:
    return codec.encode([secret, box_public, box_no, sealing_public])


def _hex(record: Any, name: str) -> bytes:
    try:
        return bytes.fromhex(record[name])
    except (KeyError, TypeError, ValueError) as error:
        raise EnrolmentRefused(reason=name) from error
