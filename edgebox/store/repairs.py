"""What was found wrong with the records, and what teachers are told of it."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from edgebox.domain.sequence import advance
from edgebox.store import removed, seals

_SEQS = """
SELECT device_no, device_seq FROM statement
WHERE device_seq IS NOT NULL AND device_no IN (SELECT value FROM json_each(?))
"""
_ADD = "INSERT INTO repair (kind, at_ms, statements, is_settled) VALUES (?, ?, ?, ?)"
_ASIDE = "INSERT INTO damaged_statement (id, found_ms, content) VALUES (?, ?, ?)"


class RepairKind(Enum):
    """What happened.

    Attributes:
        REBUILT: the database was damaged, and made anew from what could be read.
        DAMAGED: statements were found changed, and put aside.
        MISSING: statements were found to be gone.
    """

    REBUILT = "rebuilt"
    DAMAGED = "damaged"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Repair:
    """One entry; `statements` are not there any more."""

    kind: RepairKind
    at_ms: int
    statements: int


def add(connection: sqlite3.Connection, repair: Repair) -> None:
    """Note what was found; after a rebuilding and a loss the hub has yet to be asked for what it has."""
    is_settled = repair.kind != RepairKind.REBUILT and not repair.statements
    connection.execute(_ADD, (repair.kind.value, repair.at_ms, repair.statements, is_settled))


def list_all(connection: sqlite3.Connection) -> list[Repair]:
    """Return all entries, the oldest first."""
    found = connection.execute("SELECT kind, at_ms, statements FROM repair ORDER BY no")
    return [Repair(RepairKind(kind), at_ms, statements) for kind, at_ms, statements in found]


def was_rebuilt(connection: sqlite3.Connection) -> bool:
    """Return whether the database was ever made anew out of a damaged one."""
    return connection.execute("SELECT 1 FROM repair WHERE kind = ?", (RepairKind.REBUILT.value,)).fetchone() is not None


def has_unsettled(connection: sqlite3.Connection) -> bool:
    """Return whether the hub has yet to be asked for what it has."""
    return connection.execute("SELECT 1 FROM repair WHERE is_settled = 0").fetchone() is not None


def settle(connection: sqlite3.Connection) -> None:
    """Note that the hub will be asked. Safe to repeat."""
    connection.execute("UPDATE repair SET is_settled = 1 WHERE is_settled = 0")


def put_aside(connection: sqlite3.Connection, names: Sequence[str], row: Sequence[Any], now_ms: int) -> None:
    """Keep a damaged statement as it was found, where nobody takes it for a good one."""
    content = ascii(dict(zip(names, row, strict=True)))
    connection.execute(_ASIDE, (row[0] if isinstance(row[0], bytes) else b"", now_ms, content))


def read_chains(connection: sqlite3.Connection) -> dict[int, tuple[int, int]]:
    """Return what the statements of each device come to now: how many there are, and their seals joined."""
    chains: dict[int, tuple[int, int]] = {}
    for device_no, seal in connection.execute("SELECT coalesce(device_no, 0), seal FROM statement"):
        count, joined = chains.get(device_no, (0, 0))
        chains[device_no] = count + 1, joined ^ seal
    return chains


def settle_missing(connection: sqlite3.Connection, noted: Mapping[int, int] | None = None) -> int:
    """Let the chains be those of the statements there are, and return how many statements are missing.

    The devices they came from send again what they still keep. Reads all statements.

    Args:
        noted: how many each device had, if not by the chains that are noted.
    """
    if noted is None:
        noted = dict(connection.execute("SELECT device_no, statements FROM chain").fetchall())
    chains = read_chains(connection)
    connection.execute("DELETE FROM chain")
    for device_no, (count, joined) in chains.items():
        seals.join(connection, device_no, joined, statements=count)
    gone = {no: count - chains.get(no, (0, 0))[0] for no, count in noted.items()}
    short = [no for no, count in gone.items() if count > 0]
    ask_again(connection, short)
    return sum(gone[no] for no in short)


def ask_again(connection: sqlite3.Connection, device_nos: Iterable[int]) -> None:
    """Note of devices only what is or was here of them.

    A tablet that meets a box which has less sends what it still keeps.
    """
    seqs: dict[int, list[int]] = {no: [] for no in device_nos}
    if seqs:
        # All statements are read for it, so once for all devices.
        for no, seq in connection.execute(_SEQS, (json.dumps([*seqs]),)):
            seqs[no].append(seq)
    for no, here in seqs.items():
        found = here + removed.list_seqs(connection, no)
        connection.execute("UPDATE device SET box_seq = ?, ahead = ? WHERE no = ?", (*advance(0, "", found, 1), no))
