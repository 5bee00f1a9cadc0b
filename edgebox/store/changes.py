"""The change log as records, the bundles made of it, and how far the hub has them."""

import sqlite3
from dataclasses import dataclass
from itertools import pairwise

from content_packs.base.signing import VerifyKey
from edgebox.store import switches
from edgebox.store.boots import find_timeline
from sync.bundle import codec0, codec1
from sync.bundle.layout import Vector
from sync.bundle.limits import RANGES_MAX
from sync.enrolment import Hub
from sync.introduction import LastBundle
from sync.records.kinds import Kind

_FIRST_EPOCH = 1
# Whether a device's work is at the hub is seen from all that is unsent. After a long absence tablets keep their copies
# until little is left, instead of months of work being read again for every bundle.
_SETTLED_WITHIN_CHANGES = 20_000

_SETTLE_DEVICES = """
WITH unsent AS (
    SELECT statement.device_no AS device_no, min(statement.device_seq) AS first_seq
    FROM change JOIN statement ON statement.id = change.key
    WHERE change.seq > ? AND change.kind = ? AND statement.device_no IS NOT NULL
    GROUP BY statement.device_no
)
UPDATE device SET hub_seq = max(hub_seq, min(box_seq, coalesce(
    (SELECT first_seq - 1 FROM unsent WHERE unsent.device_no = device.no), box_seq)))
"""

_KEPT = """
WITH confirmed AS (
    SELECT epoch, seq, sum(size_bytes) OVER (ORDER BY epoch DESC, seq DESC) AS size_bytes
    FROM bundle_out WHERE acked_ms IS NOT NULL
), waiting AS (SELECT epoch, seq, size_bytes FROM bundle_out WHERE acked_ms IS NULL)
SELECT epoch, seq FROM waiting
UNION ALL
SELECT epoch, seq FROM confirmed WHERE size_bytes <= ? + (SELECT coalesce(sum(size_bytes), 0) FROM waiting)
"""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next bundle goes."""

    epoch: int
    seq: int
    from_change: int
    previous_hash: bytes | None


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle that was made and not yet acknowledged; its file is in the spool."""

    epoch: int
    seq: int
    from_change: int
    through_change: int
    hash: bytes
    size_bytes: int
    created_ms: int
    is_express: bool = False
    is_file: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be sent."""

    changes: int
    bundles: int
    size_bytes: int
    last_success_ms: int | None


@dataclass(frozen=True, slots=True)
class Form:
    """How bundles are to be written.

    Attributes:
        is_short_read: the hub has said that it reads codec 1 and paired bundles.
        is_coarse: times go out in whole seconds, to save bytes; the exact ones stay here.
    """

    is_short_read: bool
    is_coarse: bool

    @property
    def codec_no(self) -> int:
        """Return the best codec that the hub is known to read."""
        return codec1.CODEC if self.is_short_read else codec0.CODEC


def find_form(connection: sqlite3.Connection) -> Form:
    """Return how bundles are to be written now."""
    return Form(
        is_short_read=switches.is_on(connection, switches.HUB_READS_SHORT),
        is_coarse=switches.is_on(connection, switches.COARSE_TIMES),
    )


def find_cursor(connection: sqlite3.Connection) -> Cursor:
    """Return where the next bundle goes."""
    epoch = find_epoch(connection)
    row = connection.execute(
        "SELECT seq, through_change, hash FROM bundle_out WHERE epoch = ? ORDER BY seq DESC LIMIT 1", (epoch,)
    ).fetchone()
    return Cursor(epoch, 1, 1, None) if row is None else Cursor(epoch, row[0] + 1, row[1] + 1, row[2])


def find_epoch(connection: sqlite3.Connection) -> int:
    """Return the number of this life of the database."""
    row = connection.execute("SELECT value FROM setting WHERE name = 'epoch'").fetchone()
    return _FIRST_EPOCH if row is None else int(row[0])


def last_bundle(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return epoch and number of the last bundle that was made, or of none in a new epoch."""
    epoch = find_epoch(connection)
    row = connection.execute("SELECT max(seq) FROM bundle_out WHERE epoch = ?", (epoch,)).fetchone()
    return epoch, row[0] or 0


def find_last_confirmed(connection: sqlite3.Connection) -> LastBundle | None:
    """Return the last bundle of this epoch that the hub has confirmed."""
    row = connection.execute(
        "SELECT epoch, seq, hash FROM bundle_out WHERE epoch = ? AND acked_ms IS NOT NULL ORDER BY seq DESC LIMIT 1",
        (find_epoch(connection),),
    ).fetchone()
    return None if row is None else LastBundle(*row)


def is_of_a_copy(connection: sqlite3.Connection, vector: Vector, tail: bytes = b"") -> bool:
    """Return whether a vector of this box and epoch speaks of bundles that this database did not make.

    That is so after a restore from a backup: what the box did after the backup was taken is at the hub, under numbers
    that it gives out once more. `tail` is the start of the hash of the last bundle the hub applied, empty when the hub
    does not say.
    """
    epoch, last_seq = last_bundle(connection)
    if vector.epoch != epoch:
        return False
    row = connection.execute(
        "SELECT through_change, hash FROM bundle_out WHERE epoch = ? AND seq = ?", (epoch, vector.through_seq)
    ).fetchone()
    is_other = row is not None and (row[0] != vector.through_change or not row[1].startswith(tail))
    return is_other or max([vector.through_seq, *(last for _first, last in vector.ranges)]) > last_seq


def begin_epoch(connection: sqlite3.Connection, epoch: int) -> None:
    """Start a new epoch: the whole log is sent again in it, and the hub tells what it has already by the ids.

    For a restored or copied database, and for a spool that lost a file.
    """
    if epoch <= find_epoch(connection):
        return
    connection.execute(
        "INSERT INTO setting (name, value) VALUES ('epoch', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (str(epoch),),
    )
    connection.execute("DELETE FROM bundle_out WHERE acked_ms IS NULL")
    connection.execute("DELETE FROM setting WHERE name = 'hub_said_ms'")


def insert_bundle(connection: sqlite3.Connection, made: Made) -> None:
    """Note a bundle whose file is on the disk."""
    connection.execute(
        "INSERT INTO bundle_out (epoch, seq, from_change, through_change, hash, size_bytes, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (made.epoch, made.seq, made.from_change, made.through_change, made.hash, made.size_bytes, made.created_ms),
    )


def list_unacknowledged(connection: sqlite3.Connection) -> list[Made]:
    """Return the bundles of this epoch that the hub has not confirmed, in order."""
    found = connection.execute(
        "SELECT epoch, seq, from_change, through_change, hash, size_bytes, created_ms FROM bundle_out"
        " WHERE epoch = ? AND acked_ms IS NULL ORDER BY seq",
        (find_epoch(connection),),
    )
    return [Made(*row) for row in found]


def find_bundle_hash(connection: sqlite3.Connection, epoch: int, seq: int) -> bytes | None:
    """Return the hash of a bundle that was made here and is not forgotten."""
    row = connection.execute("SELECT hash FROM bundle_out WHERE epoch = ? AND seq = ?", (epoch, seq)).fetchone()
    return None if row is None else bytes(row[0])


def settle(
    connection: sqlite3.Connection, vector: Vector, now_ms: int, *, said_ms: int = 0, is_carried: bool = False
) -> bool:
    """Take over what a signed ack says; one of another epoch changes nothing.

    A hub that was restored from a backup lacks bundles it once confirmed, below others it has. They wait again. An ack
    that was carried here may be old, and somebody may bring it again and again: what it covers counts, what it lacks
    counts only when the hub said so (`said_ms`, by the hub's clock) after everything it said before. What the hub lacks
    beyond all that it has counts only in an answer, given after everything it said before: an old answer may come late.

    Returns:
        Whether every bundle that the hub lacks is still here; if not, only a new epoch brings it everything.
    """
    if vector.epoch != find_epoch(connection):
        return True
    before_ms = _find_said_ms(connection)
    is_later = before_ms is None or said_ms > before_ms
    is_news = is_later or not is_carried  # what the hub answers to a bundle is new whatever its clock says
    if is_news:
        _note_said(connection, said_ms)
    covered = sorted([(0, vector.through_seq), *vector.ranges])
    for first, last in covered:
        connection.execute(
            "UPDATE bundle_out SET acked_ms = ? WHERE epoch = ? AND seq BETWEEN ? AND ? AND acked_ms IS NULL",
            (now_ms, vector.epoch, first, last),
        )
    gaps = [(low[1] + 1, high[0] - 1) for low, high in pairwise(covered) if is_news and low[1] + 1 < high[0]]
    last_seq = last_bundle(connection)[1]
    is_all_told = len(vector.ranges) < RANGES_MAX
    if is_later and not is_carried and is_all_told and covered[-1][1] < last_seq:
        gaps.append((covered[-1][1] + 1, last_seq))
    is_whole = all(_wait_again(connection, vector.epoch, first, last) for first, last in gaps)
    settled = find_settled_change(connection)
    if find_last_change(connection) - settled <= _SETTLED_WITHIN_CHANGES:
        connection.execute(_SETTLE_DEVICES, (settled, int(Kind.STATEMENT)))
    return is_whole


def _find_said_ms(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT value FROM setting WHERE name = 'hub_said_ms'").fetchone()
    return None if row is None else int(row[0])


def _note_said(connection: sqlite3.Connection, said_ms: int) -> None:
    connection.execute(
        "INSERT INTO setting (name, value) VALUES ('hub_said_ms', ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (str(said_ms),),
    )


def _wait_again(connection: sqlite3.Connection, epoch: int, first: int, last: int) -> bool:
    """Let bundles wait whether or not they were confirmed, and return whether all of them are here."""
    found = connection.execute(
        "UPDATE bundle_out SET acked_ms = NULL WHERE epoch = ? AND seq BETWEEN ? AND ?", (epoch, first, last)
    )
    return found.rowcount == last - first + 1


def find_settled_change(connection: sqlite3.Connection) -> int:
    """Return the last change up to which the hub has everything, in this epoch."""
    epoch = find_epoch(connection)
    waiting = connection.execute(
        "SELECT min(from_change) FROM bundle_out WHERE epoch = ? AND acked_ms IS NULL", (epoch,)
    ).fetchone()[0]
    if waiting is not None:
        return int(waiting) - 1
    through = connection.execute("SELECT max(through_change) FROM bundle_out WHERE epoch = ?", (epoch,)).fetchone()[0]
    return int(through or 0)


def find_long_settled_change(connection: sqlite3.Connection, before_ms: int) -> int:
    """Return the last change up to which the hub has had everything since before a time, in this epoch."""
    timeline, through = find_timeline(connection), find_settled_change(connection)
    found = connection.execute(
        "SELECT from_change, acked_ms FROM bundle_out WHERE epoch = ? AND acked_ms IS NOT NULL",
        (find_epoch(connection),),
    )
    late = (int(first) for first, acked_ms in found if acked_ms + timeline.offset_at(acked_ms) >= before_ms)
    return min([through, *(first - 1 for first in late)])


def forget_bundles(connection: sqlite3.Connection, before_ms: int) -> None:
    """Drop the rows of bundles acknowledged before a time, the latest excepted."""
    connection.execute(
        "DELETE FROM bundle_out WHERE acked_ms < ? AND (epoch, seq) NOT IN"
        " (SELECT epoch, max(seq) FROM bundle_out GROUP BY epoch)",
        (before_ms,),
    )


def list_kept(connection: sqlite3.Connection, more_bytes: int) -> list[tuple[int, int]]:
    """Return (epoch, seq) of every bundle that has a right to its file: what waits, and the latest of the confirmed.

    The confirmed ones are for a hub that is restored from a backup. They take no more than what waits and `more_bytes`
    together, so the files take no more than twice what waits and that.
    """
    return [(row[0], row[1]) for row in connection.execute(_KEPT, (more_bytes,))]


def find_backlog(connection: sqlite3.Connection) -> Backlog:
    """Return what waits to be sent."""
    settled = find_settled_change(connection)
    changes = max(find_last_change(connection) - settled, 0)
    waiting = list_unacknowledged(connection)
    success_ms = connection.execute("SELECT max(acked_ms) FROM bundle_out").fetchone()[0]
    return Backlog(changes, len(waiting), sum(made.size_bytes for made in waiting), success_ms)


def find_last_change(connection: sqlite3.Connection) -> int:
    """Return the number of the last change; numbers have gaps where an old kind, or a statement, left the log."""
    return int(connection.execute("SELECT coalesce(max(seq), 0) FROM change").fetchone()[0])


def find_hub(connection: sqlite3.Connection) -> tuple[str, Hub] | None:
    """Return the address, to which paths are added, and the keys of the hub this box is enrolled with."""
    row = connection.execute("SELECT url, verify_key, sealing_key, box_no FROM hub").fetchone()
    return None if row is None else (row[0].rstrip("/"), Hub(VerifyKey(row[1]), row[2], row[3]))


def put_hub(connection: sqlite3.Connection, url: str, hub: Hub, now_ms: int) -> None:
    """Keep the hub this box is enrolled with; another hub than before gets everything from the start."""
    known = find_hub(connection)
    if known is not None and known[1].verify_key != hub.verify_key:
        begin_epoch(connection, find_epoch(connection) + 1)
        switches.set_switch(connection, switches.HUB_READS_SHORT, on=False)
    connection.execute("DELETE FROM hub")
    connection.execute(
        "INSERT INTO hub (no, url, verify_key, sealing_key, box_no, enrolled_ms) VALUES (1, ?, ?, ?, ?, ?)",
        (url, hub.verify_key.raw, hub.sealing_key, hub.box_no, now_ms),
    )
