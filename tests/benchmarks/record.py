"""What a statement costs on the disk, and how long it takes to look through a million of them or to rebuild them."""

import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from edgebox.store import copying, recovery, scrubbing
from edgebox.store.connections import find_fault, open_reader
from tests.benchmarks.table import show, verdict
from tests.support.filled import PAGE_SIZE, make_filled_school, overwrite, statement_pages

STATEMENTS = 200_000
MILLION = 1_000_000
BYTES_GOAL = 400
CHECK_GOAL_SECONDS = 1.0


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        school, ids = make_filled_school(Path(folder) / "box", STATEMENTS, learners=100)
        path = school.settings.data / "box.db"
        each_bytes = path.stat().st_size / len(ids)
        with closing(open_reader(path)) as connection:
            check = _timed(lambda: find_fault(connection))
        scrub = _timed(lambda: scrubbing.read_on(path, "", lambda: False))
        copy = _timed(lambda: copying.copy_small(path))
        overwrite(path, statement_pages(path, set(list(ids)[:50]))[0], bytes(PAGE_SIZE))
        rebuild = _timed(lambda: recovery.recover(path, 1, lambda: None))
    per_million = MILLION / STATEMENTS
    rows = [
        [
            "bytes on disk for a statement",
            f"{each_bytes:.0f}",
            f"<= {BYTES_GOAL} ({verdict(each_bytes <= BYTES_GOAL)})",
        ],
        ["check of the pages at a start, s", _pair(check, per_million), f"<= {CHECK_GOAL_SECONDS:g} of wall time"],
        ["reading all against their seals, s", _pair(scrub, per_million), ""],
        ["rebuilding a damaged database, s", _pair(rebuild, per_million), ""],
        ["nightly copy, s, once", _pair(copy, 1), ""],
    ]
    header = ["a million statements", "wall / CPU", "goal"]
    show(f"Records, measured with {STATEMENTS} statements", header, rows)


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def _pair(seconds: tuple[float, float], times: float) -> str:
    return " / ".join(f"{each * times:.1f}" for each in seconds)


if __name__ == "__main__":
    main()
