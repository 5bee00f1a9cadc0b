"""The power goes while the box writes: nothing acknowledged is lost, nothing is there twice, nothing is damaged.

The writer's own settings and transactions run on a disk that forgets what was not flushed. The same cuts with weaker
settings lose acknowledged work, which shows that they would be seen.
"""

import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgebox.domain.events import parse_event
from edgebox.domain.statement_in import from_event
from edgebox.store import registry, repairs, seals
from edgebox.store.connections import open_writer
from edgebox.store.database import _commit_group
from edgebox.store.statements import Batch, insert_batch
from tests.support.box import Person, School, make_school, make_tablet
from tests.support.lazy_disk import DATABASE, LazyDisk, PowerCut, Trouble, open_lazy

CUTS = 1_000
SOAK_CUTS = 100_000
SEED = 20261125
CALLS = (1, 500)
CHECKPOINT_PAGES = 16  # often, because that is where the database itself is written
TABLETS = 3


@dataclass
class Waiting:
    """What the writer keeps of a job."""

    job: Any
    ids: list[bytes]
    result: Any = None
    error: BaseException | None = None
    is_settled: bool = False


@dataclass
class Tally:
    """What many cuts came to."""

    acked: int = 0
    lost: int = 0
    losing_cuts: int = 0
    faults: list[str] = field(default_factory=list)


def make_disk(folder: Path) -> tuple[School, bytes]:
    """Return a school and its database, as it is on the disk of a box that was switched off in order."""
    school = make_school(folder / "box", learners=TABLETS)
    path = school.settings.data / "box.db"
    connection = open_writer(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return school, path.read_bytes()


def make_jobs(school: School) -> Iterator[Waiting]:
    """Return one request after another, of one tablet after another; now and then one comes twice."""
    tablets = [(make_tablet(no), learner) for no, learner in enumerate(school.learners, 1)]
    numbers = registry.Registry({}, {})
    for number in itertools.count():
        tablet, learner = tablets[number % len(tablets)]
        made = [_statement(tablet, learner, number, item) for item in range(1 + number % 4)]
        batch = Batch(bytes.fromhex(tablet.device), None, made, {learner.no: learner.pseudonym}, [])
        for _ in range(1 + (number % 7 == 0)):
            yield Waiting(
                lambda connection, batch=batch: insert_batch(connection, numbers, batch, 1), [s.id for s in made]
            )


def _statement(tablet: Any, learner: Person, number: int, item: int) -> Any:
    result = {"success": number % 3 > 0, "score": number % 2, "max": 1, "response": "b" * (number % 40)}
    event = tablet.event(learner, resource=f"r{number % 5}", item=f"q{item}", result=result)
    kept = {name: value for name, value in event.items() if name != "token"}
    return from_event(parse_event(event), bytes.fromhex(tablet.device), learner.no, kept)


def write_until_cut(disk: LazyDisk, school: School, rng: random.Random, synchronous: str) -> set[bytes]:
    """Return the ids of what was acknowledged before the power went."""
    acked: set[bytes] = set()
    jobs = make_jobs(school)
    connection = None
    try:
        connection = open_lazy(disk, synchronous=synchronous, checkpoint_pages=CHECKPOINT_PAGES)
        while not disk.is_off:
            group = list(itertools.islice(jobs, rng.randint(1, 5)))
            while group:
                done = _commit_group(connection, group)
                if disk.is_off:
                    break
                acked.update(each for waiting in group[:done] for each in waiting.ids)
                group = group[done:]
    except PowerCut:
        pass
    finally:
        if connection is not None:
            connection.close()
    return acked


def look(files: dict[str, bytes], acked: set[bytes], tally: Tally) -> None:
    """Open what the disk has and count what is wrong with it."""
    connection = open_lazy(LazyDisk(files))
    fault = connection.execute("PRAGMA integrity_check").fetchone()[0]
    if fault != "ok":
        tally.faults.append(fault)
        return
    rows = connection.execute("SELECT * FROM statement").fetchall()
    names = [row[1] for row in connection.execute("PRAGMA table_info(statement)")]
    stored = [row[0] for row in rows]
    logged = [row[0] for row in connection.execute("SELECT key FROM change WHERE kind = 1")]
    chains = {row[0]: row[1:] for row in connection.execute("SELECT device_no, statements, joined FROM chain")}
    if sorted(logged) != sorted(stored) or len(set(stored)) != len(stored):
        tally.faults.append("not stored and logged exactly once")
    if not all(seals.is_whole(names, row) for row in rows) or repairs.read_chains(connection) != chains:
        tally.faults.append("seals or chains do not fit")
    connection.close()
    lost = len(acked - set(stored))
    tally.acked += len(acked)
    tally.lost += lost
    tally.losing_cuts += lost > 0


def cut_often(folder: Path, cuts: int, *, synchronous: str = "FULL", seed: int = SEED) -> Tally:
    school, image = make_disk(folder)
    tally = Tally()
    for number in range(cuts):
        rng = random.Random(seed * 1_000_003 + number)
        disk = LazyDisk({DATABASE: image}, Trouble(rng.randint(*CALLS)))
        acked = write_until_cut(disk, school, rng, synchronous)
        faults = len(tally.faults)
        look(disk.left_after_cut(rng), acked, tally)
        if len(tally.faults) > faults:
            tally.faults[-1] += f" (cut {number} of seed {seed})"
    return tally


def test_power_cuts_lose_double_and_damage_nothing(tmp_path: Path) -> None:
    tally = cut_often(tmp_path, CUTS)
    print(f"{CUTS} cuts, {tally.acked} acknowledged, {tally.lost} lost")
    assert tally.faults == []
    assert tally.lost == 0
    assert tally.acked > CUTS


def test_the_same_cuts_without_a_flush_for_each_commit_lose_work(tmp_path: Path) -> None:
    tally = cut_often(tmp_path, CUTS // 10, synchronous="NORMAL")
    print(f"{tally.losing_cuts} of {CUTS // 10} cuts lost {tally.lost} of {tally.acked} acknowledged")
    assert tally.faults == []
    assert tally.losing_cuts > 0


@pytest.mark.soak
@pytest.mark.timeout(6 * 3600)
def test_many_more_power_cuts_lose_double_and_damage_nothing(tmp_path: Path) -> None:
    tally = cut_often(tmp_path, SOAK_CUTS, seed=int(os.environ.get("EDGEBOX_SEED", SEED + 1)))
    print(f"{SOAK_CUTS} cuts, {tally.acked} acknowledged, {tally.lost} lost")
    assert tally.faults == []
    assert tally.lost == 0
