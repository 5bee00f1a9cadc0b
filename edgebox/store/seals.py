"""The seal of a statement: 8 bytes of BLAKE2b over its stored columns, by which damage to them is seen.

SQLite checks the structure of its pages and not what is in them: of single flipped bits it finds about one in seven.
The seal finds all of them. The seals of one device are joined by exclusive-or into its chain, so that a statement that
is gone is missed although nothing refers to it; tablets deliver out of order, and this sum does not depend on it.

`digest` could not serve: it is taken of what was sent, which the columns do not hold any more, and two of them differ
only in when the box stored them.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from struct import pack, unpack
from typing import Any

SEAL = "seal"
_PERSON = b"edgebox stmt"
_SEAL_BYTES = 8
_REALS = frozenset({"score_raw", "score_max", "score_scaled", "progress"})
_CHUNK = 500
_MENDED_MAX_BYTES = 4096
# An exclusive-or, which SQLite has no sign for.
_JOIN = """
INSERT INTO chain (device_no, statements, joined) VALUES (?1, ?2, ?3) ON CONFLICT (device_no) DO UPDATE SET
    statements = statements + ?2, joined = (joined | ?3) & ~(joined & ?3)
"""

Row = tuple[Any, ...]


def seal_of(names: Iterable[str], values: Iterable[Any]) -> int:
    """Return the seal of a row whose columns have these names; null columns do not count, nor does an old seal.

    So a column that a later schema adds leaves the seals of older rows as they are. Values count as the table keeps
    them, where there is no boolean, and in a column of reals no integer and no negative zero.
    """
    # ascii() and not repr(): what counts as printable changes with the version of Python.
    found = blake2b(ascii(_kept(names, values)).encode(), digest_size=_SEAL_BYTES, person=_PERSON).digest()
    return int.from_bytes(found, "big", signed=True)


def _kept(names: Iterable[str], values: Iterable[Any]) -> list[tuple[str, Any]]:
    return [
        (name, _real(value) if name in _REALS else int(value) if isinstance(value, int) else value)
        for name, value in zip(names, values, strict=True)
        if value is not None and name != SEAL
    ]


def _real(value: Any) -> Any:
    return float(value) + 0.0 if isinstance(value, int | float) else value


def is_whole(names: Sequence[str], row: Row) -> bool:
    """Return whether a row has the seal that its columns call for."""
    try:
        return bool(row[names.index(SEAL)] == seal_of(names, row))
    except (TypeError, ValueError, OverflowError):
        return False


def mended(names: Sequence[str], row: Row) -> Row | None:
    """Return a damaged row with the one bit turned back that makes it fit its seal; None when there is no such bit.

    That another bit than the flipped one does has a chance of one in 10^16.
    """
    seal_at = names.index(SEAL)
    wanted = row[seal_at]
    if type(wanted) is not int:
        return None
    for at, value in enumerate(row):
        if at == seal_at or value is None:
            continue
        seal_with = _sealer(names, row, at)
        for other in _turned(value):
            if seal_with(other) == wanted:
                return (*row[:at], other, *row[at + 1 :])
    right = seal_of(names, row)
    return (*row[:seal_at], right, *row[seal_at + 1 :]) if (right ^ wanted).bit_count() == 1 else None


def _sealer(names: Sequence[str], row: Row, at: int) -> Callable[[Any], int]:
    """Return what gives the seal of a row with another value in one place; what is before that is hashed once."""
    before, after = (
        [ascii(each) for each in _kept(names[part], row[part])] for part in (slice(at), slice(at + 1, None))
    )
    begun = blake2b("".join(["[", *(f"{each}, " for each in before)]).encode(), digest_size=_SEAL_BYTES, person=_PERSON)
    end = "".join([*(f", {each}" for each in after), "]"])

    def seal_with(value: Any) -> int:
        hashed = begun.copy()
        hashed.update(f"{_kept(names[at : at + 1], (value,))[0]!a}{end}".encode())
        return int.from_bytes(hashed.digest(), "big", signed=True)

    return seal_with


def _turned(value: Any) -> Iterator[Any]:
    """Return a value with each of its bits turned, as SQLite keeps it; not of long ones, where that takes too long."""
    content = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if isinstance(value, int):
        yield from (value ^ (1 << bit) for bit in range(63))
        yield value ^ -(1 << 63)
    elif isinstance(value, float):
        packed = pack(">d", value)
        yield from (unpack(">d", each)[0] for each in _flipped(packed))
        if value.is_integer():  # such a one is kept as an integer
            yield from (float(int(value) ^ (1 << bit)) for bit in range(16))
    elif isinstance(content, bytes) and len(content) <= _MENDED_MAX_BYTES:
        for each in _flipped(content):
            yield each.decode("utf-8", "surrogateescape") if isinstance(value, str) else each


def _flipped(content: bytes) -> Iterator[bytes]:
    number = int.from_bytes(content, "big")
    return ((number ^ (1 << bit)).to_bytes(len(content), "big") for bit in range(8 * len(content)))


def join(connection: sqlite3.Connection, device_no: int | None, seal: int, *, statements: int = 1) -> None:
    """Add a statement to the chain of its device, or take one out again; outside clients have one chain together."""
    connection.execute(_JOIN, (device_no or 0, statements, seal))


def find_whole(connection: sqlite3.Connection, ids: Sequence[bytes]) -> set[bytes]:
    """Return those of the ids under which there is a statement that is whole."""
    whole: set[bytes] = set()
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        marks = ",".join("?" * len(chunk))
        query = f"SELECT * FROM statement WHERE id IN ({marks})"  # noqa: S608 - question marks
        names, rows = select(connection, query, chunk)
        whole.update(row[0] for row in rows if is_whole(names, row))
    return whole


def select(connection: sqlite3.Connection, query: str, values: Sequence[Any] = ()) -> tuple[list[str], list[Row]]:
    """Return the names of the columns and the rows, texts that are none any more included."""
    cursor = connection.cursor()
    cursor.row_factory = None
    before, connection.text_factory = connection.text_factory, _text
    try:
        rows = cursor.execute(query, values).fetchall()
    finally:
        connection.text_factory = before
    return [column[0] for column in cursor.description], rows


def seal_all(connection: sqlite3.Connection) -> None:
    """Seal every statement as it is now, and begin the chains; for a database from before there were seals."""
    after = b""
    connection.execute("DELETE FROM chain")
    while True:
        names, rows = select(connection, "SELECT * FROM statement WHERE id > ? ORDER BY id LIMIT 2000", (after,))
        if not rows:
            return
        device = names.index("device_no")
        for row in rows:
            seal = seal_of(names, row)
            connection.execute("UPDATE statement SET seal = ? WHERE id = ?", (seal, row[0]))
            join(connection, row[device], seal)
        after = rows[-1][0]


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
