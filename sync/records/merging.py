"""How two copies of what merges become one, at every box and at the hub alike.

Every kind has a key, and of two records with one key the higher in a total order stays. A maximum does not depend on
order, grouping or repetition, so replicas that have seen the same records hold the same (a join semilattice; Shapiro et
al., "Conflict-free Replicated Data Types", 2011). What a set or a mark is follows from the records that are kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from content_packs.base import codec
from sync.records.facts import is_official
from sync.records.kinds import KINDS, TAG_BYTES, Kind, kind_of
from sync.records.rows import Fact, Mark, Member, Merged, Message, Offer, Revocation

M = TypeVar("M", bound=Merged)
Tag = tuple[int, bytes]

KEYS: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {
        Kind.FACT: ("entity", "id", "field"),
        Kind.MEMBER: ("set_no", "owner", "member", "stamp", "origin"),
        Kind.MARK: ("assignment", "learner", "stamp", "origin"),
        Kind.STATE: ("learner", "activity", "registration", "state_id"),
        Kind.MESSAGE: ("id",),
        Kind.OFFER: ("pack", "version"),
        Kind.REVOCATION: ("subject_kind", "subject"),
        Kind.HEALTH: ("origin",),
        Kind.HAND_IN: ("id",),
    }
)
_WITHOUT_ORIGIN = (Message, Offer, Revocation)


def key_of(record: Merged) -> tuple[Any, ...]:
    """Return what a record is about: two records with one key are two copies of one thing."""
    return tuple(getattr(record, name) for name in KEYS[kind_of(record)])


def join(held: M, arriving: M, hub: bytes | None) -> M:
    """Return which of two records with one key stays; `hub` is the origin of what is official."""
    return max(held, arriving, key=lambda record: _rank(record, hub))


def with_origin(record: M, maker: bytes) -> M:
    """Return the record with its origin spelled out."""
    if isinstance(record, _WITHOUT_ORIGIN) or record.origin is not None:
        return record
    return replace(record, origin=maker)


def without_origin(record: M, maker: bytes) -> M:
    """Return the record as `maker` puts it into a bundle."""
    if isinstance(record, _WITHOUT_ORIGIN) or record.origin != maker:
        return record
    return replace(record, origin=None)


def is_member(puttings: Iterable[Member]) -> bool:
    """Return whether a member is in a set, by everything known of the two: any putting that was not removed counts."""
    return any(not putting.is_removed for putting in puttings)


def open_marks(marks: Iterable[Mark]) -> list[Mark]:
    """Return the marks of one learner's assignment that no other replaces, newest first; two or more need a choice."""
    known = list(marks)
    replaced = {tag for mark in known for tag in read_tags(mark.replaces)}
    return sorted((mark for mark in known if tag_of(mark) not in replaced), key=tag_of, reverse=True)


def tag_of(record: Mark | Member) -> Tag:
    """Return what names this write among all of its kind."""
    return record.stamp, record.origin or b""


def write_tags(tags: Iterable[Tag]) -> bytes:
    """Return tags as bytes: 8 of the stamp, big-endian, and 16 of the origin each, in order."""
    return b"".join(stamp.to_bytes(8, "big") + origin for stamp, origin in sorted(tags))


def read_tags(raw: bytes) -> list[Tag]:
    """Return the tags that `write_tags` wrote; a rest that is no tag is left out."""
    whole = range(0, len(raw) - TAG_BYTES + 1, TAG_BYTES)
    return [(int.from_bytes(raw[at : at + 8], "big"), raw[at + 8 : at + TAG_BYTES]) for at in whole]


def _rank(record: Merged, hub: bytes | None) -> tuple[Any, ...]:
    if isinstance(record, Fact):
        official = hub is not None and record.origin == hub and is_official(record)
        return official, record.stamp, record.origin or b"", record.value
    if isinstance(record, Member):
        return (record.is_removed,)
    names = [field.name for field in KINDS[kind_of(record)].fields]
    content = codec.encode([getattr(record, name) for name in names])
    return record.stamp, getattr(record, "origin", None) or b"", content
