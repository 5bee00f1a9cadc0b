"""What the hub tells people on the box: messages, packs that can be had, packs that were taken back."""

import json
import sqlite3
from dataclasses import dataclass

from sync.records.kinds import Subject

_MESSAGES_MAX = 100
_MESSAGES = "SELECT no, text, until_ms FROM message ORDER BY stamp DESC, no DESC LIMIT ?"
_OFFERS = "SELECT pack, version, titles, size_bytes, from_version, patch_bytes FROM offer ORDER BY pack, version DESC"
_WITHDRAWN = "SELECT subject FROM revocation WHERE subject_kind = ?"
# A message that the box does not have any more, or never had, needs no mark.
_MARK_READ = """
INSERT INTO message_read (message_no, person_no) SELECT no, ? FROM message WHERE no = ? ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class HubMessage:
    """A message to the staff of this school, to be shown until a moment."""

    no: int
    text: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class HubOffer:
    """A pack version that the hub has; `patch_bytes` bring a box there that has `from_version`."""

    pack: str
    version: int
    titles: dict[str, str]
    size_bytes: int
    from_version: int | None
    patch_bytes: int | None


@dataclass(frozen=True, slots=True)
class News:
    """Everything the hub told, newest messages first; `read` are pairs of message and person."""

    messages: tuple[HubMessage, ...] = ()
    offers: tuple[HubOffer, ...] = ()
    withdrawn: frozenset[tuple[str, int]] = frozenset()
    read: frozenset[tuple[int, int]] = frozenset()


def read_news(connection: sqlite3.Connection) -> News:
    """Return what the hub told."""
    return News(
        messages=tuple(HubMessage(*row) for row in connection.execute(_MESSAGES, (_MESSAGES_MAX,))),
        offers=tuple(HubOffer(row[0], row[1], _titles(row[2]), *row[3:]) for row in connection.execute(_OFFERS)),
        withdrawn=frozenset(
            version for row in connection.execute(_WITHDRAWN, (Subject.PACK,)) if (version := _version(row[0]))
        ),
        read=frozenset(tuple(row) for row in connection.execute("SELECT message_no, person_no FROM message_read")),
    )


def mark_read(connection: sqlite3.Connection, message_no: int, person_no: int) -> None:
    """Put a message away for one teacher. Safe to repeat."""
    connection.execute(_MARK_READ, (person_no, message_no))


def _titles(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {str(language): str(title) for language, title in found.items()} if isinstance(found, dict) else {}


def _version(subject: str) -> tuple[str, int] | None:
    pack, _, version = subject.rpartition("@")
    return (pack, int(version)) if version.isascii() and version.isdecimal() else None
