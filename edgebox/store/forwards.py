"""The record store outside the school: where it is, how far it has the log, and what it does not take.

The cursor moves in one transaction with what is counted. Between an answer and that the power may go: then the same
statements are sent again, and their ids let the store know them.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from edgebox.domain.forwarding import Batch, Cause, Fate, Item, Move, fits, write_outgoing
from edgebox.domain.statement_out import write_out
from edgebox.domain.statements import StoredStatement
from edgebox.domain.xapi.places import hashes_of
from edgebox.domain.xapi.version import Version
from edgebox.store import changes
from edgebox.store.boots import find_timeline
from edgebox.store.statement_queries import PAGE_MAX_BYTES, read_places
from sync.records.kinds import Kind

LOOKED_AT_MAX = 500
SHOWN_MAX = 50
WAITING_MAX = 100_000  # counted for a page; whatever is more is "more than that"
_EVERYTHING = 2**63 - 1
_CHUNK = 20  # rows in memory at once, of which each may have 256 kB
_TARGET = "no, url, login, secret, version, sends_given, is_paused, is_denied, failures, next_try_ms, seq"
_FIND = f"SELECT {_TARGET} FROM forward"  # noqa: S608 - a constant
_PROGRESS = """
SELECT error, sent, kept, damaged, last_seq, last_id, last_stored_ms, proof_seq, proof_id, proof_ms FROM forward
"""
_INSERT = "INSERT INTO forward (url, login, secret, version, sends_given) VALUES (?, ?, ?, ?, ?)"
_CHANGE = """
UPDATE forward SET login = ?, secret = ?, version = ?, sends_given = ?, is_denied = 0, error = NULL, failures = 0,
    next_try_ms = NULL
"""
_PLACES = "SELECT seq FROM change WHERE seq > ? AND kind = ? ORDER BY seq LIMIT ?"
_WAITING = """
SELECT count(*), min(seq) FROM (SELECT seq FROM change WHERE seq > ? AND kind = ? ORDER BY seq LIMIT ?)
"""
_STORED_MS = "SELECT stored_ms FROM change JOIN statement ON statement.id = change.key WHERE seq = ?"
_MOVE = """
UPDATE forward SET seq = ?, sent = sent + ?, kept = kept + ?, damaged = damaged + ?, error = NULL, failures = 0,
    next_try_ms = NULL, is_denied = 0 WHERE no = ? AND seq = ?
"""
_NOTE_LAST = "UPDATE forward SET last_seq = ?, last_id = ?, last_stored_ms = ?"
_PUT_ASIDE = "INSERT OR REPLACE INTO forward_aside (seq, id, cause, reason, at_ms) VALUES (?, ?, ?, ?, ?)"
_PROVE = """
UPDATE forward SET proof_seq = ?, proof_id = ?, proof_ms = ?, error = NULL, failures = 0, next_try_ms = NULL
WHERE no = ?
"""
# A password that was corrected meanwhile is not to blame.
_FAIL = """
UPDATE forward SET error = ?, failures = ?, next_try_ms = ?, is_denied = ? WHERE no = ? AND login = ? AND secret = ?
"""
_ASIDE = "SELECT seq, id, cause, reason, at_ms FROM forward_aside ORDER BY seq DESC LIMIT ?"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to and how, for whoever sends.

    Attributes:
        no: another store has another one.
        secret: never to be shown.
        sends_given: statements go out as other apps sent them, too.
        seq: the last change that is done with.
    """

    no: int
    url: str
    login: str
    secret: str
    version: Version
    sends_given: bool
    is_paused: bool
    is_denied: bool
    failures: int
    next_try_ms: int | None
    seq: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes:
        error: code and fields of the last failure, None since the last success.
        kept: statements of other apps that stay here, because they may hold names.
        last_id: of the last statement that the store took.
        proof_id: of the last one that it gave back when it was asked.
    """

    error: dict[str, Any] | None
    sent: int
    kept: int
    damaged: int
    last_seq: int
    last_id: bytes | None
    last_stored_ms: int | None
    proof_seq: int
    proof_id: bytes | None
    proof_ms: int | None

    @property
    def is_proven(self) -> bool:
        """Return whether there is nothing to ask for."""
        return self.last_id is None or self.proof_seq >= self.last_seq


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the store does not have yet: how many statements, at most WAITING_MAX, and when the first was stored."""

    statements: int
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class PutAside:
    """A statement that the store does not take."""

    seq: int
    id: bytes
    cause: Cause
    reason: str
    at_ms: int


def find_target(connection: sqlite3.Connection) -> Target | None:
    """Return where statements go; None when they go nowhere."""
    row = connection.execute(_FIND).fetchone()
    if row is None:
        return None
    no, url, login, secret, version, sends_given, is_paused, is_denied, *rest = row
    spoken = next(one for one in Version if one.title == version)
    return Target(no, url, login, secret, spoken, bool(sends_given), bool(is_paused), bool(is_denied), *rest)


def find_progress(connection: sqlite3.Connection) -> Progress | None:
    """Return how far it is; None when statements go nowhere."""
    row = connection.execute(_PROGRESS).fetchone()
    return None if row is None else Progress(None if row[0] is None else json.loads(row[0]), *tuple(row)[1:])


def put_target(
    connection: sqlite3.Connection, url: str, login: str, secret: str, version: Version, *, sends_given: bool
) -> None:
    """Keep where statements go: to another address from the first one on. Safe to repeat."""
    found = find_target(connection)
    if found is not None and found.url == url:
        connection.execute(_CHANGE, (login, secret, version.title, sends_given))
        return
    end(connection)
    connection.execute(_INSERT, (url, login, secret, version.title, sends_given))


def end(connection: sqlite3.Connection) -> None:
    """Forward nothing any more, and forget the store. Safe to repeat."""
    connection.execute("DELETE FROM forward")
    connection.execute("DELETE FROM forward_aside")


def pause(connection: sqlite3.Connection, *, on: bool) -> None:
    """Send nothing until it goes on, or go on at once. Safe to repeat."""
    connection.execute("UPDATE forward SET is_paused = ?, next_try_ms = NULL", (on,))


def read_batch(connection: sqlite3.Connection, target: Target, home_page: str) -> Batch | None:
    """Return what goes next, as much as fits into one request; None when everything was looked at."""
    through = changes.find_last_change(connection)
    if target.seq >= through:
        return None
    found = connection.execute(_PLACES, (target.seq, int(Kind.STATEMENT), LOOKED_AT_MAX)).fetchall()
    seqs = [seq for (seq,) in found]
    items: list[Item] = []
    chosen: list[Item] = []
    left_bytes = PAGE_MAX_BYTES
    for size_bytes, item in _items(connection, seqs, home_page, sends_given=target.sends_given):
        if left_bytes <= 0 or (item.fate is Fate.SEND and not fits(chosen, item)):
            return Batch(tuple(items), items[-1].seq)
        items.append(item)
        chosen += [item] if item.fate is Fate.SEND else []
        left_bytes -= size_bytes
    # The log may have grown between the two questions.
    return Batch(tuple(items), seqs[-1] if len(seqs) == LOOKED_AT_MAX else max([through, *seqs[-1:]]))


def _items(
    connection: sqlite3.Connection, seqs: list[int], home_page: str, *, sends_given: bool
) -> Iterator[tuple[int, Item]]:
    """Return the statements at some places, of those that are there still, each with the size of its row."""
    timeline = find_timeline(connection)
    for start in range(0, len(seqs), _CHUNK):
        for seq, size_bytes, statement in read_places(connection, seqs[start : start + _CHUNK], timeline):
            yield size_bytes, _item(seq, statement, home_page, sends_given=sends_given)


def _item(seq: int, statement: StoredStatement | None, home_page: str, *, sends_given: bool) -> Item:
    if statement is None or (statement.body is None and statement.pseudonym is None):
        return Item(seq, b"", Fate.DAMAGED)
    if statement.body is not None and not sends_given:
        return Item(seq, statement.id, Fate.KEEP)
    as_told = b""
    if statement.told is not None:
        untold = replace(statement, told=None, timestamp_ms=statement.told[0])
        as_told = write_outgoing(write_out(untold, home_page))
    whole = write_out(statement, home_page)
    has_files = statement.body is not None and bool(hashes_of(whole))
    return Item(seq, statement.id, Fate.SEND, write_outgoing(whole), as_told, statement.stored_ms, has_files=has_files)


def move(connection: sqlite3.Connection, target: Target, step: Move, now_ms: int) -> bool:
    """Move the cursor; return whether it was where the step begins, in the same store. Otherwise nothing is changed."""
    values = (step.through_seq, step.sent, step.kept, step.damaged, target.no, step.from_seq)
    if connection.execute(_MOVE, values).rowcount == 0:
        return False
    if step.last is not None:
        connection.execute(_NOTE_LAST, (step.last.seq, step.last.id, step.last.stored_ms))
    if (aside := step.aside) is not None:
        connection.execute(_PUT_ASIDE, (aside.seq, aside.id, aside.cause.value, aside.reason, now_ms))
    return True


def note_proof(connection: sqlite3.Connection, target: Target, seq: int, id_: bytes, now_ms: int) -> None:
    """Note that the store gave a statement back."""
    connection.execute(_PROVE, (seq, id_, now_ms, target.no))


def note_failure(
    connection: sqlite3.Connection,
    target: Target,
    error: dict[str, Any],
    failures: int,
    next_try_ms: int | None,
    *,
    is_denied: bool = False,
) -> None:
    """Note what went wrong, and when to try again."""
    values = (json.dumps(error), failures, next_try_ms, is_denied, target.no, target.login, target.secret)
    connection.execute(_FAIL, values)


def count_waiting(connection: sqlite3.Connection, target: Target) -> Waiting:
    """Return what the store does not have yet."""
    count, first = connection.execute(_WAITING, (target.seq, int(Kind.STATEMENT), WAITING_MAX)).fetchone()
    row = connection.execute(_STORED_MS, (first,)).fetchone()
    return Waiting(count, None if row is None else row[0])


def list_aside(connection: sqlite3.Connection) -> tuple[int, list[PutAside]]:
    """Return how many statements the store does not take, and the newest SHOWN_MAX of them."""
    count = connection.execute("SELECT count(*) FROM forward_aside").fetchone()[0]
    rows = connection.execute(_ASIDE, (SHOWN_MAX,)).fetchall()
    return count, [PutAside(seq, id_, Cause(cause), reason, at_ms) for seq, id_, cause, reason, at_ms in rows]


def find_done_with(connection: sqlite3.Connection, _now_ms: int) -> int:
    """Return up to which change forwarding needs no statement any more."""
    target = find_target(connection)
    return _EVERYTHING if target is None else target.seq


def begin_again(connection: sqlite3.Connection, *, is_certain: bool) -> None:
    """Send everything once more: a database that was made anew may have other places for its statements.

    Where it is not certain that staff still want it, it waits for them.
    """
    connection.execute("UPDATE forward SET seq = 0, next_try_ms = NULL, last_seq = 0, proof_seq = 0, last_id = NULL")
    connection.execute("DELETE FROM forward_aside")
    if not is_certain:
        connection.execute("UPDATE forward SET is_paused = 1")
