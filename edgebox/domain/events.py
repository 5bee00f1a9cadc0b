"""Events as our pages send them: JSON in, checked values out.

The checks are written by hand because this is the box's hottest path: a class of forty sends here all day. An event
that does not pass is refused alone, with the name of the field; its neighbours are stored.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from content_packs.base.errors import N_, EdgeboxError
from content_packs.format.layout import VERSION_MAX
from edgebox.domain.verbs import IRIS

EVENTS_MAX = 50
SEQ_MAX = (1 << 53) - 1
TIME_MAX_MS = 4_102_444_800_000  # 2100; ids carry 32 bits of seconds
DURATION_MAX_MS = 30 * 24 * 3600 * 1000
RESPONSE_MAX_CHARACTERS = 8192
ITEM_MAX_CHARACTERS = 80
TOKEN_MAX_CHARACTERS = 200
SCORE_MAX = 1e9

_DEVICE = re.compile("[0-9a-f]{32}")
_PACK = re.compile("[a-z0-9.-]{3,80}")
_RESOURCE = re.compile("[a-z0-9-]{1,80}")
_VERSION = re.compile("[1-9][0-9]{0,9}")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_KEYS = frozenset({"seq", "attempt", "token", "t", "verb", "pack", "version", "resource", "item", "result"})
_ENVELOPE_KEYS = frozenset({"device", "events", "held_from", "refused", "now"})


class EventMalformed(EdgeboxError):
    """An event, or the request around it, that is not what the outbox takes."""

    code = "record.event_malformed"
    status = 400
    exit_code = 81
    sentence = N_("The box did not understand a piece of work ({field}).")
    remedy = N_("Open the page again. If it happens again, tell your technician.")


@dataclass(frozen=True, slots=True)
class Result:
    """What came out of it; None where the event says nothing."""

    success: bool | None = None
    completion: bool | None = None
    score: float | None = None
    max: float | None = None
    response: str | None = None
    duration_ms: int | None = None
    progress: float | None = None

    @property
    def scaled(self) -> float | None:
        """Return the score from -1 to 1, None when there is no number or nothing to be had."""
        if self.score is None or not self.max:
            return None
        return max(-1.0, min(1.0, self.score / self.max))


@dataclass(frozen=True, slots=True)
class Event:
    """One thing a learner did on a page of ours.

    Attributes:
        seq: number of the event on its device, from 1.
        attempt: `seq` of the event that opened the attempt.
        token: the right to submit for one learner, unchecked.
        version: of the pack, as the page was made of it; None from a page that does not say.
    """

    seq: int
    attempt: int
    token: str
    timestamp_ms: int
    verb: str
    pack: str
    resource: str
    item: str | None
    result: Result
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Outbox:
    """A request: the device, the lowest number it still holds, how much it holds that was refused, and its events.

    The events are unchecked; the numbers are None when the request does not say. `tablet_ms` is the tablet's own clock.
    """

    device_id: bytes
    held_from: int | None
    refused: int | None
    events: list[Any]
    tablet_ms: int | None


def parse_outbox(value: Any) -> Outbox:
    """Return the request with its events unchecked.

    Raises:
        EventMalformed: the whole request is unusable.
    """
    if not isinstance(value, dict) or not value.keys() <= _ENVELOPE_KEYS:
        raise EventMalformed(field="request")
    device, events, held_from = value.get("device"), value.get("events"), value.get("held_from")
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise EventMalformed(field="device")
    if not isinstance(events, list) or len(events) > EVENTS_MAX:
        raise EventMalformed(field="events")
    if held_from is not None:
        held_from = _integer(value, "held_from", 1, SEQ_MAX)
    refused = value.get("refused")
    if refused is not None:
        refused = _integer(value, "refused", 0, SEQ_MAX)
    now = value.get("now")
    tablet_ms = now if type(now) is int and 0 <= now <= TIME_MAX_MS else None  # a clock gone mad costs no work
    return Outbox(bytes.fromhex(device), held_from, refused, events, tablet_ms)


def parse_event(value: Any) -> Event:
    """Return one checked event.

    Raises:
        EventMalformed: names the field.
    """
    if not isinstance(value, dict) or not value.keys() <= _KEYS:
        raise EventMalformed(field="event")
    seq = _integer(value, "seq", 1, SEQ_MAX)
    verb = value.get("verb")
    if not isinstance(verb, str) or verb not in IRIS:
        raise EventMalformed(field="verb")
    token = value.get("token")
    if not isinstance(token, str) or len(token) > TOKEN_MAX_CHARACTERS:
        raise EventMalformed(field="token")
    return Event(
        seq=seq,
        attempt=_integer(value, "attempt", 1, seq),
        token=token,
        timestamp_ms=_integer(value, "t", 0, TIME_MAX_MS),
        verb=verb,
        pack=_matching(value, "pack", _PACK),
        resource=_matching(value, "resource", _RESOURCE),
        item=_item(value.get("item")),
        result=_result(value.get("result")),
        version=_version(value) if "version" in value else None,
    )


def seq_of(value: Any) -> int | None:
    """Return the number of an event that may be malformed, for the answer about it."""
    seq = value.get("seq") if isinstance(value, dict) else None
    return seq if type(seq) is int and 1 <= seq <= SEQ_MAX else None


def _integer(source: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = source.get(name)
    # `type() is int`, because True is an int to isinstance.
    if type(value) is not int or not low <= value <= high:
        raise EventMalformed(field=name)
    return value


def _matching(source: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = source.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise EventMalformed(field=name)
    return value


def _version(source: Mapping[str, Any]) -> int:
    """Return the version of the pack, which a page hands on as the text it has."""
    version = int(_matching(source, "version", _VERSION))
    if version > VERSION_MAX:
        raise EventMalformed(field="version")
    return version


def _item(value: Any) -> str | None:
    """Return the item's name: any short text, because learning apps choose their own."""
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= ITEM_MAX_CHARACTERS or _CONTROLS.search(value):
        raise EventMalformed(field="item")
    return value


def _result(value: Any) -> Result:
    if value is None:
        return _NO_RESULT
    if not isinstance(value, dict):
        raise EventMalformed(field="result")
    for name, given in value.items():
        admits = _RESULT_CHECKS.get(name)
        if admits is None or not (given is None or admits(given)):
            raise EventMalformed(field=f"result.{name}")
    return Result(**value)


def _is_boolean(value: Any) -> bool:
    return value is True or value is False


def _is_number(value: Any, low: float, high: float) -> bool:
    return type(value) in (int, float) and low <= value <= high


_NO_RESULT = Result()
_RESULT_CHECKS: Mapping[str, Callable[[Any], bool]] = MappingProxyType(
    {
        "success": _is_boolean,
        "completion": _is_boolean,
        "score": lambda value: _is_number(value, -SCORE_MAX, SCORE_MAX),
        "max": lambda value: _is_number(value, 0, SCORE_MAX),
        "response": lambda value: (
            isinstance(value, str) and len(value) <= RESPONSE_MAX_CHARACTERS and not _UNSTORABLE.search(value)
        ),
        "duration_ms": lambda value: type(value) is int and 0 <= value <= DURATION_MAX_MS,
        "progress": lambda value: _is_number(value, 0, 1),
    }
)
