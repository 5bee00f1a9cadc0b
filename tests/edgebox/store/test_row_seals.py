"""Whatever statements need fits its seal, and is put right when a bit of it turns."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from edgebox.store import row_seals, scrubbing
from edgebox.store.connections import open_writer
from edgebox.store.upgrade import upgrade
from tests.support.filled import PAGE_SIZE, make_filled_school

_TABLE_LEAF = 13  # fileformat2.html, section 1.6; an index has another


def turn_bit(path: Path, content: bytes, *, bit: int = 1) -> None:
    """Turn a bit of the last byte of a content in a table, and not in an index. Blocks."""
    whole, at = bytearray(path.read_bytes()), -1
    while (at := whole.index(content, at + 1)) >= 0 and whole[at // PAGE_SIZE * PAGE_SIZE] != _TABLE_LEAF:
        pass
    whole[at + len(content) - 1] ^= bit
    path.write_bytes(whole)


@pytest.mark.parametrize(
    ("table", "query"),
    [
        ("verb", "SELECT iri FROM verb LIMIT 1"),
        ("activity", "SELECT iri FROM activity WHERE item = 'q5' LIMIT 1"),
        ("device", "SELECT id FROM device LIMIT 1"),
        ("person", "SELECT pseudonym FROM person WHERE role = 'learner' LIMIT 1"),
    ],
)
@pytest.mark.parametrize("bits", [1, 3])
def test_bits_that_turned_are_turned_back(table: str, query: str, bits: int, tmp_path: Path) -> None:
    school, _ids = make_filled_school(tmp_path / "box", 50)
    path = school.settings.data / "box.db"
    with closing(sqlite3.connect(path)) as connection:
        content = connection.execute(query).fetchone()[0]
        before = connection.execute(f"SELECT * FROM {table}").fetchall()
    turn_bit(path, content.encode() if isinstance(content, str) else content, bit=bits)
    found = scrubbing.read_on(path, "", lambda: False)
    assert [each.table for each in found.unfit] == [table]
    with closing(open_writer(path)) as connection:
        noted = scrubbing.note(connection, found, 1)
        assert noted.fault == ""
        assert list(map(tuple, connection.execute(f"SELECT * FROM {table}"))) == before
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert scrubbing.read_on(path, "", lambda: False).unfit == ()


def test_reading_goes_on_within_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_seals, "_CHUNK", 2)
    school, _ids = make_filled_school(tmp_path / "box", 50)
    path, place, places = school.settings.data / "box.db", "table activity", list[str]()
    while place:
        stops = iter([False])
        place = scrubbing.read_on(path, place, partial(next, stops, True)).place
        places.append(place)
    assert places[:2] == ["table activity 2", "table activity 4"]


def test_rows_from_before_there_were_seals_are_sealed(tmp_path: Path) -> None:
    upgrade(tmp_path / "box.db", 15)
    with closing(sqlite3.connect(tmp_path / "box.db")) as connection:
        connection.execute("INSERT INTO verb (iri) VALUES ('http://v')")
        connection.execute("INSERT INTO outside (id, seq, voids, terms) VALUES (zeroblob(16), 1, 0, x'')")
        connection.commit()
    upgrade(tmp_path / "box.db")
    with closing(sqlite3.connect(tmp_path / "box.db")) as connection:
        for table in ("verb", "outside"):
            assert [type(seal) for (seal,) in connection.execute(f"SELECT seal FROM {table}")] == [int]
