"""A hub that has everything, and the removal of what may go, at the store."""

import sqlite3
from collections.abc import Mapping

from content_packs.base.signing import SigningKey
from edgebox.store import changes, listing, retention
from edgebox.store.changes import Made
from edgebox.store.retention import Wanted
from sync.enrolment import Hub

FAR_MS = 4_000_000_000_000
HUB = Hub(SigningKey(b"a hub that has everything".ljust(32, b".")).verify_key, bytes(32), 1)


def confirm_all(connection: sqlite3.Connection, *, acked_ms: int = 1) -> int:
    """Let the hub have confirmed the log as it is now; return the last change of it."""
    if changes.find_hub(connection) is None:
        changes.put_hub(connection, "http://127.0.0.1:9", HUB, 1)
    cursor, last = changes.find_cursor(connection), changes.find_last_change(connection)
    if cursor.from_change <= last:
        made = Made(cursor.epoch, cursor.seq, cursor.from_change, last, b"h" * 32, 1, 1)
        changes.insert_bundle(connection, made)
        connection.execute("UPDATE bundle_out SET acked_ms = ? WHERE acked_ms IS NULL", (acked_ms,))
    return last


def list_blocks(connection: sqlite3.Connection) -> None:
    """List all blocks of the log that are full."""
    while (block := listing.find_due_block(connection)) is not None:
        listing.store_lists(connection, block, listing.read_lists(connection, block))


def wanted(before_ms: int = FAR_MS, kept: Mapping[int, frozenset[int]] | None = None) -> Wanted:
    """Return what is to go: everything from before a time that is not kept, as of a far day."""
    return Wanted(before_ms, FAR_MS, kept or {})


def remove_all(connection: sqlite3.Connection, what: Wanted) -> int:
    """Remove slice by slice until nothing is left that may go; return how many went."""
    gone, after = 0, 0
    while True:
        due = retention.find_due(connection, what, after)
        for start in range(0, len(due.seqs), retention.SLICE):
            gone += retention.remove(connection, what, due.seqs[start : start + retention.SLICE])
        if due.next_seq is None:
            return gone
        after = due.next_seq
