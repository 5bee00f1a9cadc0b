"""The files by which a box and a hub come to know each other without a line. Pure. See docs/bundle-format.md.

A *ticket* goes from the hub to a box: where the hub is, its keys, and a secret that is good once. A *request* is the
box's answer to it, sealed to the hub. A *succession* tells a hub that a box has a new key, signed by the old and the
new. An *answer* is the hub's signed word on either. A stick and a line carry the same bytes.
"""

from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any
from urllib.parse import urlsplit

from content_packs.base import codec
from content_packs.base.errors import N_
from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import (
    KEY_ID_BYTES,
    SIGNATURE_BYTES,
    SealBroken,
    SealingKey,
    SignatureInvalid,
    SigningKey,
    VerifyKey,
    seal,
)
from sync.enrolment import ANOTHER_HUB, BOX_NO_MAX, SECRET_BYTES, EnrolmentRefused

MAGIC = b"EBI"
FORMAT_VERSION = 1
FILE_MAX_BYTES = 16 * 1024
KEYS_MAX = 64
URL_MAX_BYTES = 200
SCHOOL_MAX_BYTES = 800
CODE_MAX_BYTES = 80
NOT_A_FILE = N_("this file is no ticket, or it was changed")
_PREFIX_BYTES = len(MAGIC) + 1 + 2
_KEY_BYTES = 32
_HASH_BYTES = 32
_MS_MAX = 1 << 47
_NUMBER_MAX = (1 << 53) - 1
_SEALED_MAX_BYTES = 512
_GROUP = 4
_FINGERPRINT_BYTES = 10


class IntroductionKind(IntEnum):
    """What a file is."""

    TICKET = 1
    REQUEST = 2
    SUCCESSION = 3
    ANSWER = 4


_DOMAINS = {kind: f"edgebox {kind.name.lower()} 1" for kind in IntroductionKind}


@dataclass(frozen=True, slots=True)
class Ticket:
    """A hub's invitation to one box.

    Attributes:
        url: where the hub answers, should there be a line.
        secret: what the hub knows the invitation by; good for one box.
        replaces_no: the hub's number of the box whose place the new one takes; 0 for none.
    """

    hub: VerifyKey
    sealing_key: bytes
    url: str
    school: str
    secret: bytes
    created_ms: int
    expires_ms: int
    replaces_no: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """What a box makes of a ticket: its key, and the secret that only holders of the ticket know."""

    box: VerifyKey
    secret: bytes


@dataclass(frozen=True, slots=True)
class LastBundle:
    """The last bundle of a box that its hub is known to have."""

    epoch: int
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Succession:
    """All keys a box has had, the present one last; each of them signed that.

    Attributes:
        last: made under the last key but one; what the hub has from then on, the box does not know of.
    """

    keys: tuple[VerifyKey, ...]
    made_ms: int
    last: LastBundle | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A hub's word on a request or a succession.

    Attributes:
        about: hash of the file that is answered, so that an old answer is none to a new question.
        box_no: the number of the box at the hub, 0 when it was refused.
        code: why it was refused; empty when it was not.
    """

    hub_id: bytes
    box_id: bytes
    about: bytes
    box_no: int
    code: str = ""


def fingerprint(key: VerifyKey) -> str:
    """Return 16 letters and digits by which people compare keys, in groups of four."""
    text = b32encode(key.key_id[:_FINGERPRINT_BYTES]).decode()
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))


def is_address(url: str) -> bool:
    """Return whether a text is the address of a hub."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc and url.isprintable()


def kind_of_file(content: bytes) -> IntroductionKind:
    """Return what a file claims to be, unverified.

    Raises:
        EnrolmentRefused: it is none of these files.
    """
    return IntroductionKind(_split(content)[1][0])


def write_ticket(ticket: Ticket, key: SigningKey) -> bytes:
    """Return the file of a ticket, signed by the hub's key."""
    values = [
        int(IntroductionKind.TICKET),
        ticket.hub.raw,
        ticket.sealing_key,
        ticket.url,
        ticket.school,
        ticket.secret,
        ticket.created_ms,
        ticket.expires_ms,
        ticket.replaces_no,
    ]
    return _write(values, [key])


def read_ticket(content: bytes) -> Ticket:
    """Return the ticket in a file. Whether its hub is the right one, only a person can tell, by the fingerprint.

    Raises:
        EnrolmentRefused: it is no ticket, or was changed.
    """
    signed, values, signatures = _read(content, IntroductionKind.TICKET, 9)
    hub = VerifyKey(_bytes(values[1], _KEY_BYTES))
    _verify(IntroductionKind.TICKET, signed, [hub], signatures)
    ticket = Ticket(
        hub,
        _bytes(values[2], _KEY_BYTES),
        _text(values[3], URL_MAX_BYTES),
        _text(values[4], SCHOOL_MAX_BYTES),
        _bytes(values[5], SECRET_BYTES),
        _number(values[6], _MS_MAX),
        _number(values[7], _MS_MAX),
        _number(values[8], BOX_NO_MAX),
    )
    if not is_address(ticket.url) or not ticket.school.isprintable():
        raise EnrolmentRefused(reason=NOT_A_FILE)
    return ticket


def write_request(ticket: Ticket, key: SigningKey) -> bytes:
    """Return the box's answer to a ticket; only the hub can read the secret in it.

    Raises:
        EnrolmentRefused: nothing can be sealed to the key in the ticket.
    """
    try:
        sealed = seal(ticket.sealing_key, codec.encode([key.verify_key.raw, ticket.secret]))
    except SealBroken as error:
        raise EnrolmentRefused(reason=NOT_A_FILE) from error
    return _write([int(IntroductionKind.REQUEST), key.verify_key.key_id, sealed], [key])


def read_request(content: bytes, hub: SealingKey) -> Request:
    """Return the request in a file once the box's signature passed.

    Raises:
        EnrolmentRefused: not a request, changed, or sealed to another hub.
    """
    signed, values, signatures = _read(content, IntroductionKind.REQUEST, 3)
    box_id = _bytes(values[1], KEY_ID_BYTES)
    if not isinstance(values[2], bytes) or len(values[2]) > _SEALED_MAX_BYTES:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    try:
        plain = codec.decode(hub.unseal(values[2]), max_bytes=_SEALED_MAX_BYTES, max_depth=2)
    except SealBroken as error:
        raise EnrolmentRefused(reason=ANOTHER_HUB) from error
    except codec.CodecMalformed as error:
        raise EnrolmentRefused(reason=NOT_A_FILE) from error
    if not isinstance(plain, list) or len(plain) != 2:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    box = VerifyKey(_bytes(plain[0], _KEY_BYTES))
    if box.key_id != box_id:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    _verify(IntroductionKind.REQUEST, signed, [box], signatures)
    return Request(box, _bytes(plain[1], SECRET_BYTES))


def write_succession(keys: Sequence[SigningKey], made_ms: int, last: LastBundle | None = None) -> bytes:
    """Return the word of a box that it goes on under the last of `keys`, signed by all of them; the oldest first."""
    keys = keys[-KEYS_MAX:]
    place = [] if last is None else [last.epoch, last.seq, last.hash]
    raws = [key.verify_key.raw for key in keys]
    return _write([int(IntroductionKind.SUCCESSION), raws, max(made_ms, 0), place], keys)


def read_succession(content: bytes) -> Succession:
    """Return the succession in a file once every signature passed.

    Raises:
        EnrolmentRefused: not a succession, or changed.
    """
    signed, values, signatures = _read(content, IntroductionKind.SUCCESSION, 4)
    if not isinstance(values[1], list) or not 2 <= len(values[1]) <= KEYS_MAX:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    keys = [VerifyKey(_bytes(raw, _KEY_BYTES)) for raw in values[1]]
    if len({key.raw for key in keys}) != len(keys):
        raise EnrolmentRefused(reason=NOT_A_FILE)
    _verify(IntroductionKind.SUCCESSION, signed, keys, signatures)
    return Succession(tuple(keys), _number(values[2], _MS_MAX), _last(values[3]))


def write_answer(answer: Answer, key: SigningKey) -> bytes:
    """Return the hub's answer, signed by its key."""
    values = [int(IntroductionKind.ANSWER), answer.hub_id, answer.box_id, answer.about, answer.box_no, answer.code]
    return _write(values, [key])


def read_answer(content: bytes, hub: VerifyKey) -> Answer:
    """Return the answer in a file once the hub's signature passed.

    Raises:
        EnrolmentRefused: not an answer, of another hub, or changed.
    """
    signed, values, signatures = _read(content, IntroductionKind.ANSWER, 6)
    if _bytes(values[1], KEY_ID_BYTES) != hub.key_id:
        raise EnrolmentRefused(reason=ANOTHER_HUB)
    _verify(IntroductionKind.ANSWER, signed, [hub], signatures)
    return Answer(
        hub.key_id,
        _bytes(values[2], KEY_ID_BYTES),
        _bytes(values[3], _HASH_BYTES),
        _number(values[4], BOX_NO_MAX),
        _text(values[5], CODE_MAX_BYTES),
    )


def peek_box(content: bytes) -> bytes:
    """Return the key id of the box that a request or a succession claims to be of, unverified; to address an answer.

    Raises:
        EnrolmentRefused: it is neither.
    """
    _signed, values, _signatures = _split(content)
    if values[0] == IntroductionKind.REQUEST and len(values) == 3:
        return _bytes(values[1], KEY_ID_BYTES)
    if values[0] == IntroductionKind.SUCCESSION and len(values) == 4 and isinstance(values[1], list) and values[1]:
        return VerifyKey(_bytes(values[1][-1], _KEY_BYTES)).key_id
    raise EnrolmentRefused(reason=NOT_A_FILE)


def about(content: bytes) -> bytes:
    """Return what an answer names the file by that it answers."""
    return blake2b_256(content)


def _write(values: list[Any], keys: Sequence[SigningKey]) -> bytes:
    encoded = codec.encode(values)
    signed = MAGIC + bytes([FORMAT_VERSION]) + len(encoded).to_bytes(2, "big") + encoded
    domain = _DOMAINS[IntroductionKind(values[0])]
    return signed + b"".join(key.sign(domain, signed) for key in keys)


def _split(content: bytes) -> tuple[bytes, list[Any], bytes]:
    if len(content) > FILE_MAX_BYTES or len(content) < _PREFIX_BYTES or content[: len(MAGIC)] != MAGIC:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    if content[len(MAGIC)] != FORMAT_VERSION:
        raise EnrolmentRefused(reason=N_("it was made by a newer Edgebox"))
    end = _PREFIX_BYTES + int.from_bytes(content[_PREFIX_BYTES - 2 : _PREFIX_BYTES], "big")
    try:
        values = codec.decode(content[_PREFIX_BYTES:end], max_bytes=FILE_MAX_BYTES, max_depth=3)
    except codec.CodecMalformed as error:
        raise EnrolmentRefused(reason=NOT_A_FILE) from error
    kinds = [int(kind) for kind in IntroductionKind]
    if not isinstance(values, list) or not values or isinstance(values[0], bool) or values[0] not in kinds:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    return content[:end], values, content[end:]


def _read(content: bytes, kind: IntroductionKind, length: int) -> tuple[bytes, list[Any], bytes]:
    signed, values, signatures = _split(content)
    if values[0] != kind or len(values) != length:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    return signed, values, signatures


def _verify(kind: IntroductionKind, signed: bytes, keys: Sequence[VerifyKey], signatures: bytes) -> None:
    if len(signatures) != SIGNATURE_BYTES * len(keys):
        raise EnrolmentRefused(reason=NOT_A_FILE)
    try:
        for place, key in enumerate(keys):
            start = place * SIGNATURE_BYTES
            key.verify(_DOMAINS[kind], signed, signatures[start : start + SIGNATURE_BYTES])
    except SignatureInvalid as error:
        raise EnrolmentRefused(reason=NOT_A_FILE) from error


def _last(value: Any) -> LastBundle | None:
    if value == []:
        return None
    if not isinstance(value, list) or len(value) != 3:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    return LastBundle(_number(value[0], _NUMBER_MAX), _number(value[1], _NUMBER_MAX), _bytes(value[2], _HASH_BYTES))


def _bytes(value: Any, size_bytes: int) -> bytes:
    if not isinstance(value, bytes) or len(value) != size_bytes:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    return value


def _text(value: Any, max_bytes: int) -> str:
    if not isinstance(value, str) or len(value.encode("utf-8", "surrogatepass")) > max_bytes:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    return value


def _number(value: Any, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
        raise EnrolmentRefused(reason=NOT_A_FILE)
    return value
