"""One bit of the learner database turns: every statement it damages is found, and none is served as a good one."""

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgebox.store import recovery, scrubbing, seals
from edgebox.store.connections import open_writer
from tests.support.filled import flip, make_filled_school, rows_of, statement_pages

STATEMENTS = 200
FLIPS = 400
SOAK_FLIPS = 20_000
SEED = 20261125


@dataclass
class Tally:
    """What became of the flips."""

    harmless: int = 0
    seen_by_sqlite: int = 0
    seen_by_seals: int = 0
    mended: int = 0


def read(path: Path) -> list[tuple[Any, ...]] | None:
    """Return the statements as SQLite gives them, None when it will not."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
            return connection.execute("SELECT * FROM statement").fetchall()
    except (sqlite3.DatabaseError, MemoryError):
        return None


def served(path: Path, ids: list[bytes]) -> list[tuple[Any, ...]]:
    """Return what readers are given of statements with these ids."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            whole = seals.find_whole(connection, ids)
        except sqlite3.DatabaseError:
            return []  # readers are refused, and the box repairs itself
        names, rows = seals.select(connection, "SELECT * FROM statement")
        return [tuple(row) for row in rows if row[names.index("id")] in whole]


def check_flip(path: Path, original: list[tuple[Any, ...]], tally: Tally) -> None:
    known, rows = set(original), read(path)
    found = scrubbing.read_on(path, "", lambda: False)
    if rows is None:
        assert found.fault, "SQLite sees it, and the scrubber does not"
        tally.seen_by_sqlite += 1
        return
    assert set(served(path, [row[0] for row in rows if isinstance(row[0], bytes)])) <= known, (
        "served, and not what was stored"
    )
    if len(rows) == len(original) and set(rows) == known:
        tally.harmless += not found.fault
        tally.seen_by_sqlite += bool(found.fault)
        return
    changed = {row[0] for row in rows if row not in known}
    assert changed <= set(found.damaged) or found.fault, "damaged, and not found"
    assert found.damaged or found.fault or found.is_missing
    tally.seen_by_seals += bool(found.damaged or found.is_missing)
    tally.seen_by_sqlite += bool(found.fault)
    with closing(open_writer(path)) as connection:
        noted = scrubbing.note(connection, found, 1) if not found.fault else None
    if noted is None or noted.fault:
        recovery.suspect(path, scrubbing.suspicion(noted.fault if noted is not None else found.fault))
        recovery.recover(path, 1, lambda: None)
    left = read(path) or []
    assert set(left) <= known, "put right, and not what was stored"
    assert len(left) >= len(original) - 1 or noted is None
    tally.mended += len(left) == len(original)


def flip_often(folder: Path, flips: int) -> Tally:
    school, ids = make_filled_school(folder / "box", STATEMENTS)
    path, copy = school.settings.data / "box.db", folder / "copy.db"
    original, places, tally = rows_of(path, "statement"), statement_pages(path, ids), Tally()
    for number in range(flips):
        rng = random.Random(SEED * 1_000_003 + number)
        shutil.copyfile(path, copy)
        flip(copy, rng.choice(places), rng)
        check_flip(copy, original, tally)
        for beside in folder.glob("copy.db-*"):
            beside.unlink()
    return tally


def expect_found(tally: Tally, flips: int) -> None:
    """Fail if the flips hardly reached any statement, or none was turned back: then nothing was shown."""
    print(tally)
    assert tally.seen_by_seals > flips // 10
    assert tally.mended > 0


def test_every_damaged_statement_is_found_and_none_is_served(tmp_path: Path) -> None:
    expect_found(flip_often(tmp_path, FLIPS), FLIPS)


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
def test_many_more_flips_are_all_found(tmp_path: Path) -> None:
    expect_found(flip_often(tmp_path, SOAK_FLIPS), SOAK_FLIPS)
