"""A learner database with statements in it, and ways to damage it."""

import itertools
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from edgebox.domain.events import parse_event
from edgebox.domain.statement_in import from_event
from edgebox.store import registry
from edgebox.store.connections import open_writer
from edgebox.store.statements import Batch, insert_batch
from tests.support.box import Person, School, Tablet, make_school, make_tablet

PAGE_SIZE = 4096
_INDEX_PAGES = (2, 10)  # tables without rowid are in such


def fill(school: School, statements: int) -> set[bytes]:
    """Store so many statements of the school's learners, as tablets send them, and return their ids. Blocks."""
    with closing(open_writer(school.settings.data / "box.db")) as connection:
        numbers = registry.load(connection)
        made = list(itertools.islice(_batches(school), -(-statements // 10)))
        connection.execute("BEGIN IMMEDIATE")
        for batch in made:
            numbers.learn(insert_batch(connection, numbers, batch, 1_763_800_000_000).numbers)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return {statement.id for batch in made for statement in batch.statements}


def make_filled_school(folder: Path, statements: int, learners: int = 3) -> tuple[School, set[bytes]]:
    """Return a school with statements in its database, and their ids. Blocks."""
    school = make_school(folder, learners=learners)
    return school, fill(school, statements)


def _batches(school: School) -> Any:
    tablets = [(make_tablet(no), learner) for no, learner in enumerate(school.learners, 1)]
    for number in itertools.count():
        tablet, learner = tablets[number % len(tablets)]
        made = [_statement(tablet, learner, number * 10 + item) for item in range(10)]
        yield Batch(bytes.fromhex(tablet.device), None, made, {learner.no: learner.pseudonym}, [])


def _statement(tablet: Tablet, learner: Person, number: int) -> Any:
    result = {
        "success": number % 3 > 0,
        "score": number % 5,
        "max": 5,
        "response": f"answer {number}",
        "duration_ms": 9,
    }
    event = tablet.event(learner, resource=f"r{number // 10 % 7}", item=f"q{number % 10}", result=result)
    kept = {name: value for name, value in event.items() if name != "token"}
    return from_event(parse_event(event), bytes.fromhex(tablet.device), learner.no, kept)


def rows_of(path: Path, table: str) -> list[tuple[Any, ...]]:
    """Return all rows of a table. Blocks."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def pages_with(path: Path, contents: set[bytes]) -> list[int]:
    """Return the places of the pages that hold any of these contents. Blocks."""
    whole = path.read_bytes()
    starts = range(0, len(whole), PAGE_SIZE)
    return [start for start in starts if any(each in whole[start : start + PAGE_SIZE] for each in contents)]


def statement_pages(path: Path, ids: set[bytes]) -> list[int]:
    """Return the places of the pages in which statements are, and not only their ids in the log. Blocks."""
    whole = path.read_bytes()
    return [start for start in pages_with(path, ids) if whole[start] in _INDEX_PAGES]


def flip(path: Path, start: int, rng: random.Random) -> None:
    """Turn one bit of the page at a place. Blocks."""
    with path.open("rb+") as file:
        at = start + rng.randrange(PAGE_SIZE)
        file.seek(at)
        byte = file.read(1)[0] ^ (1 << rng.randrange(8))
        file.seek(at)
        file.write(bytes([byte]))


def overwrite(path: Path, start: int, content: bytes) -> None:
    """Put something else at a place. Blocks."""
    with path.open("rb+") as file:
        file.seek(start)
        file.write(content)
