"""Under which keys this database has lived, and what the hub has yet to be told about them."""

import sqlite3
from dataclasses import dataclass
from enum import Enum

from edgebox.store.changes import begin_epoch, put_hub
from edgebox.store.stamping import put_origin
from edgebox.store.switches import HUB_READS_SHORT, set_switch
from sync.enrolment import Hub
from sync.introduction import IntroductionKind


class Reason(Enum):
    """Why the box goes under the key it has."""

    FIRST = "first"
    COPIED = "copied"
    RESTORED = "restored"
    HUB = "hub"


@dataclass(frozen=True, slots=True)
class Life:
    """The latest entry: a key, why it was made, and since when it is used."""

    key_id: bytes
    reason: Reason
    since_ms: int


@dataclass(frozen=True, slots=True)
class Introduction:
    """A file the hub has not answered yet."""

    kind: int
    content: bytes


def find_life(connection: sqlite3.Connection) -> Life | None:
    """Return the key this database lives under; None in a new one."""
    row = connection.execute("SELECT key_id, reason, since_ms FROM identity ORDER BY no DESC LIMIT 1").fetchone()
    return None if row is None else Life(row[0], Reason(row[1]), row[2])


def begin_life(connection: sqlite3.Connection, life: Life, epoch: int, succession: bytes) -> None:
    """Go on under another key: everything is sent again, in an epoch that no copy of this database has used."""
    _insert(connection, life)
    put_origin(connection, life.key_id)
    begin_epoch(connection, epoch)
    # The number at the hub is that of the key, and short bundles are sealed with the key and name it.
    connection.execute("UPDATE hub SET box_no = 0")
    set_switch(connection, HUB_READS_SHORT, on=False)
    _put_introduction(connection, IntroductionKind.SUCCESSION, succession, life.since_ms)


def note_first_life(connection: sqlite3.Connection, life: Life) -> None:
    """Note the key of a database that was never under another."""
    _insert(connection, life)


def meet_hub(connection: sqlite3.Connection, url: str, hub: Hub, now_ms: int, request: bytes = b"") -> None:
    """Know a hub from now on, and tell it `request`, if any; what another hub was to be told is void."""
    raw = hub.verify_key.raw
    connection.execute("DELETE FROM introduction WHERE NOT EXISTS (SELECT 1 FROM hub WHERE verify_key = ?)", (raw,))
    connection.execute("DELETE FROM introduction WHERE kind = ?", (IntroductionKind.REQUEST,))
    put_hub(connection, url, hub, now_ms)
    if request:
        _put_introduction(connection, IntroductionKind.REQUEST, request, now_ms)


def list_introductions(connection: sqlite3.Connection) -> list[Introduction]:
    """Return what the hub has not answered, in the order in which it is told."""
    found = connection.execute("SELECT kind, content FROM introduction WHERE answered_ms IS NULL ORDER BY kind")
    return [Introduction(*row) for row in found]


def note_answered(connection: sqlite3.Connection, told: Introduction, box_no: int, now_ms: int) -> None:
    """Note that the hub knows, unless there is something newer to tell, and the number it gave the present key."""
    connection.execute("UPDATE hub SET box_no = ?", (box_no,))
    connection.execute(
        "UPDATE introduction SET answered_ms = ? WHERE kind = ? AND content = ?", (now_ms, told.kind, told.content)
    )


def note_known(connection: sqlite3.Connection, now_ms: int) -> None:
    """Note that the hub knows the present key: it has acknowledged a bundle under it.

    What it has not given the key's number for is told again; without that, bundles cannot be short.
    """
    connection.execute(
        "UPDATE introduction SET answered_ms = ? WHERE answered_ms IS NULL"
        " AND EXISTS (SELECT 1 FROM hub WHERE box_no > 0)",
        (now_ms,),
    )


def forget_answers(connection: sqlite3.Connection) -> None:
    """Tell everything again: the hub does not know what it once answered, as after a restore of its own."""
    connection.execute("UPDATE introduction SET answered_ms = NULL")


def drop_introduction(connection: sqlite3.Connection, told: Introduction) -> None:
    """Tell something no more, unless there is something newer of its kind: the hub will never take it."""
    connection.execute("DELETE FROM introduction WHERE kind = ? AND content = ?", (told.kind, told.content))


def _put_introduction(connection: sqlite3.Connection, kind: IntroductionKind, content: bytes, now_ms: int) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO introduction (kind, content, made_ms, answered_ms) VALUES (?, ?, ?, NULL)",
        (int(kind), content, now_ms),
    )


def _insert(connection: sqlite3.Connection, life: Life) -> None:
    connection.execute(
        "INSERT INTO identity (key_id, reason, since_ms) VALUES (?, ?, ?)",
        (life.key_id, life.reason.value, life.since_ms),
    )
