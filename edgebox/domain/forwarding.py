"""Forwarding statements to a record store outside the school: what its answers mean, and which address may be one.

By xAPI 1.0.3 part 3, 2.1 and 3.2, a store answers 200 with the ids of the statements it has, 400 or 413 for what it
never takes, 409 for an id that it has with another content; whatever else it says means later. What it refuses as a
whole is halved, until the one statement is found that is to blame.
"""

import ipaddress
import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from content_packs.base import ids
from content_packs.base.errors import N_, EdgeboxError
from content_packs.format import texts
from edgebox.domain.xapi.equality import comparable
from sync.engine.sender import REFUSED_WAIT_MS, wait_ms

BATCH_MAX = 50
BATCH_MAX_BYTES = 256 * 1024  # one statement may be as large by itself
FILES_MAX_BYTES = 5 * 1024 * 1024  # of one statement; a line with a daily budget has to carry them in one piece
RETRY_AFTER_MAX_MS = 24 * 3_600_000
REASON_MAX_CHARACTERS = 200
_RETRY_DIGITS_MAX = 9
_PATH = "/statements"
_SET_BY_THE_STORE = frozenset({"stored", "authority", "version"})
_SCHEMES = {"http": 80, "https": 443}
# What a resolver may take for an address although it is written as none: 127.1, 0x7f.1, 2130706433.
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)\.?", re.ASCII | re.IGNORECASE)
_LATER = frozenset({408, 425, 429})
_NEVER = frozenset({400, 413, 422})
_DENIED = frozenset({401, 403})


class ForwardAddressInvalid(EdgeboxError):
    """Nothing can be forwarded to this address."""

    code = "forward.address_invalid"
    status = 400
    exit_code = 176
    sentence = N_("Records cannot be sent to this address ({reason}).")
    remedy = N_("Ask whoever runs the record store for its xAPI address. It begins with https:// or http://.")


class ForwardSignInMissing(EdgeboxError):
    """There is no user name, or no password for this address."""

    code = "forward.sign_in_missing"
    status = 400
    exit_code = 177
    sentence = N_("The user name or the password is missing.")
    remedy = N_("Write both as you got them from whoever runs the record store. A user name has no colon.")


class ForwardDenied(EdgeboxError):
    """The store does not let the box in; nobody is asked again until staff do something."""

    code = "forward.denied"
    status = 502
    exit_code = 178
    sentence = N_("The record store does not accept the user name and password ({status_no}).")
    remedy = N_("Correct them below. Nothing is lost: the box goes on where it stopped.")


class ForwardRefused(EdgeboxError):
    """The store answered what no record store says; it is asked again once an hour."""

    code = "forward.refused"
    status = 502
    exit_code = 179
    sentence = N_("What answers at the address takes no records ({status_no}).")
    remedy = N_("Check the address. The box tries again every hour. Nothing is lost.")


class ForwardBusy(EdgeboxError):
    """The store asks to come back later."""

    code = "forward.busy"
    status = 503
    exit_code = 180
    retryable = True
    sentence = N_("The record store cannot take anything now ({status_no}).")
    remedy = N_("The box tries again by itself. Nothing is lost.")


class ForwardCaptured(EdgeboxError):
    """Somebody said yes who is no record store, as the sign-in page of a network does."""

    code = "forward.captured"
    status = 502
    exit_code = 181
    retryable = True
    sentence = N_("Another page answered instead of the record store.")
    remedy = N_("Check the address, and whether the network of the box wants a sign-in. Nothing is lost.")


class ForwardUnproven(EdgeboxError):
    """The store took a statement and did not give it back when asked."""

    code = "forward.unproven"
    status = 502
    exit_code = 182
    retryable = True
    sentence = N_("The record store took the records, but did not show the last one when asked ({status_no}).")
    remedy = N_("The box asks again after the next records. If it stays so, let the sign-in read what it wrote.")


class Verdict(Enum):
    """What an answer to some statements means."""

    TAKEN = "it has them"
    HALVE = "one of them is to blame: try each half"
    ASIDE = "it never takes this one"
    COMPARE = "it has this id: ask with which content"
    DENIED = "it does not let the box in"
    LATER = "not now"


class Cause(Enum):
    """Why a statement was set aside."""

    REFUSED = "refused"
    TOO_LARGE = "too_large"
    CONFLICT = "conflict"
    FILE_MISSING = "file_missing"
    FILE_TOO_LARGE = "file_too_large"


class Fate(Enum):
    """What becomes of a statement of the log."""

    SEND = "send"
    KEEP = "keep"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Item:
    """A statement of the log on its way.

    Attributes:
        content: its JSON as it is sent; empty for what is not.
        as_told: its JSON with the times as they were before the box repaired them, if it did: the store may have that.
        has_files: it names files, so it goes alone.
    """

    seq: int
    id: bytes
    fate: Fate
    content: bytes = b""
    as_told: bytes = b""
    stored_ms: int = 0
    has_files: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Some items in the order of the log, and the place up to which it was looked through."""

    items: tuple[Item, ...]
    through_seq: int

    @property
    def sendable(self) -> tuple[Item, ...]:
        """Return what is to be sent."""
        return tuple(item for item in self.items if item.fate is Fate.SEND)


@dataclass(frozen=True, slots=True)
class Aside:
    """A statement that the store does not take, and what it said."""

    seq: int
    id: bytes
    cause: Cause
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """One step of the cursor, which is written as a whole.

    Attributes:
        last: the last statement that the store took in it.
    """

    from_seq: int
    through_seq: int
    sent: int = 0
    kept: int = 0
    damaged: int = 0
    last: Item | None = None
    aside: Aside | None = None


def parse_address(text: str) -> str:
    """Return the address of the statements of a store: the path is kept, and ends in one `/statements`.

    Raises:
        ForwardAddressInvalid
    """
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, (parts.hostname or "").rstrip(".")
    except ValueError as error:
        raise ForwardAddressInvalid(reason=N_("it is not an address")) from error
    if parts.scheme not in _SCHEMES or not host or port == 0 or not text.strip().isprintable() or " " in text.strip():
        raise ForwardAddressInvalid(reason=N_("it is not an address"))
    if "@" in parts.netloc:
        raise ForwardAddressInvalid(reason=N_("a user name or password in it"))
    if parts.query or parts.fragment or (_ENDS_IN_A_NUMBER.fullmatch(host) and _ip(host) is None):
        raise ForwardAddressInvalid(reason=N_("it is not an address"))
    path = parts.path.rstrip("/")
    while path.endswith(_PATH):
        path = path.removesuffix(_PATH).rstrip("/")
    named = f"[{host}]" if ":" in host else host
    netloc = named if port in (None, _SCHEMES[parts.scheme]) else f"{named}:{port}"
    return urlunsplit((parts.scheme, netloc, path + _PATH, "", ""))


def check_not_own(url: str, hosts: Collection[str], ports: Collection[int]) -> None:
    """Return if an address from `parse_address` is not one of the box itself, by its names and the ports it answers on.

    Raises:
        ForwardAddressInvalid
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _SCHEMES[parts.scheme]
    address = _ip(host)
    is_here = address is not None and (address.is_loopback or address.is_unspecified)
    if port in ports and (is_here or (host if address is None else str(address)) in hosts):
        raise ForwardAddressInvalid(reason=N_("it is this box itself"))


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def origin_of(url: str) -> tuple[str, str]:
    """Return to whom a password for an address may be sent."""
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def write_outgoing(statement: dict[str, Any]) -> bytes:
    """Return a whole statement as it is sent: without what a store sets."""
    kept = {name: value for name, value in statement.items() if name not in _SET_BY_THE_STORE}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode()


def fits(chosen: Sequence[Item], item: Item) -> bool:
    """Return whether one more statement goes into the same request."""
    if not chosen:
        return True
    size_bytes = sum(len(one.content) for one in chosen) + len(item.content)
    has_files = item.has_files or any(one.has_files for one in chosen)
    return len(chosen) < BATCH_MAX and size_bytes <= BATCH_MAX_BYTES and not has_files


def write_body(items: Iterable[Item]) -> bytes:
    """Return the JSON of a request."""
    return b"[" + b",".join(item.content for item in items) + b"]"


def judge(status_no: int, *, count: int, is_listed: bool) -> Verdict:
    """Return what an answer to so many statements means.

    Args:
        is_listed: the answer names all of them, as only a store does.
    """
    if 200 <= status_no < 300:
        return Verdict.TAKEN if is_listed else Verdict.LATER
    if status_no in _DENIED:
        return Verdict.DENIED
    if status_no in _NEVER or status_no == 409:
        if count > 1:
            return Verdict.HALVE
        return Verdict.COMPARE if status_no == 409 else Verdict.ASIDE
    return Verdict.LATER


def error_of_status(status_no: int) -> EdgeboxError:
    """Return what is wrong with an answer that took nothing."""
    if 200 <= status_no < 300:
        return ForwardCaptured()
    if status_no in _DENIED:
        return ForwardDenied(status_no=status_no)
    is_later = status_no in _LATER or status_no >= 500
    return ForwardBusy(status_no=status_no) if is_later else ForwardRefused(status_no=status_no)


def is_later(status_no: int) -> bool:
    """Return whether an answer to a question says nothing about what was asked."""
    return status_no in _LATER or status_no >= 500 or 300 <= status_no < 400


def cause_of(status_no: int) -> Cause:
    """Return why a statement is set aside that was answered with 4xx by itself."""
    return {409: Cause.CONFLICT, 413: Cause.TOO_LARGE}.get(status_no, Cause.REFUSED)


def lists_all(answer: bytes, items: Iterable[Item]) -> bool:
    """Return whether an answer is a list with the ids of all statements (1.0.3 part 3, 2.1.2)."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return False
    named = {one.lower() for one in found if isinstance(one, str)} if isinstance(found, list) else set()
    return all(ids.format_uuid(item.id) in named for item in items)


def is_statement(answer: bytes, id_: bytes) -> bool:
    """Return whether an answer is the statement of this id."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return False
    named = found.get("id") if isinstance(found, dict) else None
    return isinstance(named, str) and named.lower() == ids.format_uuid(id_)


def is_same(answer: bytes, item: Item) -> bool:
    """Return whether the statement that a store gave back is the one of the box, in all that counts."""
    try:
        found = comparable(json.loads(answer))
        return found in {comparable(json.loads(form)) for form in (item.content, item.as_told) if form}
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return False  # it is no valid statement, so not this one


def reason_of(answer: bytes) -> str:
    """Return what a store said, as a short plain text."""
    return texts.make_plain(answer[:4096].decode(errors="replace")).strip()[:REASON_MAX_CHARACTERS]


def next_try_ms(
    error: EdgeboxError, failures: int, random_unit: float, now_ms: int, retry_after_ms: int | None = None
) -> int:
    """Return when to try again after so many failures in a row: full jitter up to five minutes, an hour for a refusal.

    Args:
        random_unit: in [0, 1).
        retry_after_ms: how long the store wants the box to wait at least.
    """
    least_ms = REFUSED_WAIT_MS if isinstance(error, ForwardRefused) else wait_ms(failures, random_unit)
    return now_ms + max(least_ms, min(retry_after_ms or 0, RETRY_AFTER_MAX_MS))


def is_due(planned_ms: int | None, now_ms: int) -> bool:
    """Return whether it is time; a longer wait than any there is means that the clock was set back."""
    return planned_ms is None or planned_ms <= now_ms or planned_ms > now_ms + RETRY_AFTER_MAX_MS


def parse_retry_after(text: str, now_ms: int) -> int | None:
    """Return how long a `Retry-After` asks to wait (RFC 9110, 10.2.3), None if it says nothing that is understood."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return int(text[:_RETRY_DIGITS_MAX]) * 1000
    try:
        at_ms = int(parsedate_to_datetime(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
    return max(at_ms - now_ms, 0)


def move_through(
    batch: Batch, from_seq: int, through_seq: int, *, sent: Sequence[Item] = (), aside: Aside | None = None
) -> Move:
    """Return the step of the cursor over a part of a batch, of which some was sent, or one set aside."""
    passed = [item.fate for item in batch.items if from_seq < item.seq <= through_seq]
    return Move(
        from_seq,
        through_seq,
        sent=len(sent),
        kept=passed.count(Fate.KEEP),
        damaged=passed.count(Fate.DAMAGED),
        last=sent[-1] if sent else None,
        aside=aside,
    )
