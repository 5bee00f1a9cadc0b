"""A row fits its seal as the table gives it back, whatever was stored."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from edgebox.store import seals
from edgebox.store.connections import open_writer
from edgebox.store.copying import list_columns
from edgebox.store.upgrade import upgrade

EDGES: dict[str, list[Any]] = {
    "score_raw": [-0.0, 0, True, -1, 2**53, 0.1, 1e300, 5e-324, float("inf"), -float("inf")],
    "score_scaled": [-0.0, -1.0, 1],
    "progress": [-0.0, 0.0, 1],
    "duration_ms": [0, -1, 2**63 - 1, -(2**63)],
    "success": [True, False, None],
    "response": ["", "\0", "\N{CJK UNIFIED IDEOGRAPH-4E2D}", "\N{GRINNING FACE}", "-0.0"],
    "body": [b"", b"\0\xff"],
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    upgrade(tmp_path / "box.db")
    with closing(open_writer(tmp_path / "box.db")) as connection:
        yield connection


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in EDGES.items() for value in values])
def test_statement_is_whole_when_it_comes_back_from_the_table(name: str, value: Any, store: sqlite3.Connection) -> None:
    row = {"id": bytes(16), "verb_no": 1, "activity_no": 1, "timestamp_ms": 1, "stored_ms": 1, "digest": bytes(8)}
    row = {each: (row | {name: value}).get(each) for each in list_columns(store, "statement") if each != seals.SEAL}
    row[seals.SEAL] = seals.seal_of(row.keys(), row.values())
    store.execute(f"INSERT INTO statement ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))
    assert seals.find_whole(store, [bytes(16)]) == {bytes(16)}
