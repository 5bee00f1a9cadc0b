"""The power goes while old statements leave: each is there as it was, or has left with all that is kept of it."""

import random
from pathlib import Path
from typing import Any

from edgebox.store import repairs, retention
from edgebox.store.connections import open_writer
from edgebox.store.database import _commit_group
from edgebox.store.outside import ALL
from tests.damage.test_power_cuts import Waiting, make_jobs
from tests.support.box import make_school
from tests.support.lazy_disk import DATABASE, LazyDisk, PowerCut, Trouble, open_lazy
from tests.support.retained import confirm_all, list_blocks, wanted

CUTS = 60
SEED = 20261125
CALLS = (1, 260)
JOBS = 40
SLICE = 4


def make_image(folder: Path) -> bytes:
    """Return a database in which everything but the last block is listed, old and at the hub."""
    school = make_school(folder / "box", learners=3)
    path = school.settings.data / "box.db"
    connection = open_writer(path)
    jobs = make_jobs(school)
    for _ in range(JOBS):
        next(jobs).job(connection)
    list_blocks(connection)
    confirm_all(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return path.read_bytes()


def remove_until_cut(disk: LazyDisk) -> set[int]:
    """Remove slice by slice, and return the places of what left for certain."""
    gone: set[int] = set()
    connection = None
    try:
        connection = open_lazy(disk, checkpoint_pages=16)
        while not disk.is_off:
            due = retention.find_due(connection, wanted(), 0)
            if not due.seqs:
                break
            seqs = due.seqs[:SLICE]
            group: list[Any] = [Waiting(lambda db, seqs=seqs: retention.remove(db, wanted(), seqs), [])]
            _commit_group(connection, group)
            if not disk.is_off:
                gone.update(seqs)
    except PowerCut:
        pass
    finally:
        if connection is not None:
            connection.close()
    return gone


def look(files: dict[str, bytes], gone: set[int], whole: dict[Any, Any]) -> dict[Any, Any]:
    """Return what is there, after all that must hold was seen to hold."""
    connection = open_lazy(LazyDisk(files))
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    found = summarise(connection)
    chains = {row[0]: row[1:] for row in connection.execute("SELECT * FROM chain") if row[1]}
    assert repairs.read_chains(connection) == chains
    assert found["progress"] == whole["progress"]
    assert found["here"] + found["removed"] == whole["here"] + whole["removed"]
    assert found["marks"] == found["removed"]
    assert found["listed"] == found["logged"]
    assert not gone & found["seqs"]
    connection.close()
    return found


def summarise(connection: Any) -> dict[Any, Any]:
    """Return how many statements are here and how many left, by each of the places that know, and the progress."""
    counts = retention.count(connection)
    rows = connection.execute("SELECT seq FROM change JOIN statement ON id = key WHERE kind = 1").fetchall()
    marks = [row[0] for row in connection.execute("SELECT marks FROM removed_own")]
    listed = connection.execute("SELECT sum(length(places)) / 2 FROM listing WHERE term = ?", (ALL,)).fetchone()[0]
    last_listed = connection.execute("SELECT (max(block) + 1) * 4 FROM listing WHERE term = ?", (ALL,)).fetchone()[0]
    return {
        "here": counts.statements,
        "removed": counts.removed,
        "marks": sum(
            mark != b"\0\0" for each in marks for mark in (each[at : at + 2] for at in range(0, len(each), 4))
        ),
        "seqs": {row[0] for row in rows},
        "logged": sum(row[0] < last_listed for row in rows),
        "listed": listed,
        "progress": connection.execute("SELECT * FROM progress ORDER BY person_no, activity_no").fetchall(),
    }


def test_power_cuts_while_statements_leave_lose_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("edgebox.store.listing.BLOCK", 4)
    image = make_image(tmp_path)
    whole = summarise(open_lazy(LazyDisk({DATABASE: image})))
    cut_short = 0
    for number in range(CUTS):
        rng = random.Random(SEED * 1_000_003 + number)
        disk = LazyDisk({DATABASE: image}, Trouble(rng.randint(*CALLS)))
        gone = remove_until_cut(disk)
        left = disk.left_after_cut(rng)
        found = look(left, gone, whole)
        cut_short += 0 < found["removed"] < whole["here"] - 4
        again = LazyDisk(left)
        remove_until_cut(again)
        assert len(look(again.left_after_cut(rng), set(), whole)["seqs"]) <= 8
    assert cut_short > CUTS // 3
