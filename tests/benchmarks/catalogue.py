"""A catalogue of 90,000 resources in 500 packs: start, memory, and the time of every page that lists or opens."""

import gzip
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from tests.benchmarks import processes
from tests.benchmarks.table import show, verdict
from tests.support.box import School, make_school
from tests.support.catalogue import install_catalogue, pack_id

PACKS = int(os.environ.get("CATALOGUE_PACKS", "500"))
RESOURCES = 180
ROUNDS = 7
PAGE_GOAL_MS = 100.0
SIZE_GOAL_BYTES = 15_000
MEMORY_GOAL_MB = 120.0
START_GOAL_SECONDS = 1.5
FULL_SECONDS = 600


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        school = make_school(Path(folder) / "box")
        install_catalogue(school.settings.data, PACKS, RESOURCES)
        first = _start(school, [])
        rows: list[list[str]] = []
        again = _start(school, rows)
    starts = [
        _row("first start, cache.db empty", f"{first[0]:.2f} s", "", ""),
        _row("next start to first 200", f"{again[0]:.2f} s", "", _goal(again[0], START_GOAL_SECONDS, "s")),
        _row("RSS after the pages", f"{again[1]:.0f} MB", "", _goal(again[1], MEMORY_GOAL_MB, "MB")),
    ]
    title = f"Catalogue of {PACKS * RESOURCES:,} resources in {PACKS} packs"
    show(title, ["what", "median", "gzip bytes", "goal"], starts + rows)


def _start(school: School, rows: list[list[str]]) -> tuple[float, float]:
    """Start a box, fill `rows` with the times of its pages, and return seconds to the first answer and MB at the end.

    The first start, which has no rows to fill, waits until everything is indexed.
    """
    port, content_port = processes.free_port(), processes.free_port()
    command = [sys.executable, "-m", "edgebox", "serve", "--data", str(school.settings.data)]
    command += ["--port", str(port), "--content-port", str(content_port)]
    begin = time.perf_counter()
    with processes.server(command, port) as process:
        origin = f"http://127.0.0.1:{port}"
        urllib.request.urlopen(f"{origin}/ping", timeout=FULL_SECONDS).read()
        seconds = time.perf_counter() - begin
        if not rows and not (school.settings.data / "indexed").exists():
            _wait_for_index(origin, school)
            (school.settings.data / "indexed").touch()
        else:
            rows += _pages(origin, school)
        return seconds, processes.memory_kib(process.pid) / 1024


def _wait_for_index(origin: str, school: School) -> None:
    """Return when the last pack can be found; its title ends with its number."""
    until = time.monotonic() + FULL_SECONDS
    before = -1
    while time.monotonic() < until:
        size_bytes = sum(path.stat().st_size for path in school.settings.data.glob("cache.db*"))
        if size_bytes == before:
            return
        before = size_bytes
        time.sleep(3)


def _pages(origin: str, school: School) -> list[list[str]]:
    learner, teacher = school.learners[0].session, school.teacher.session
    place = f"/learn/{pack_id(PACKS // 2)}"
    class_no = school.class_no
    pages = [
        ("list: learner's home", "/learn", learner),
        ("list: next page of it", f"/learn?after={pack_id(PACKS // 3)}", learner),
        ("filter: subject, level, language", "/learn?subject=Science&level=Primary+2&language=fr", learner),
        ("filter: words", "/learn?words=water", learner),
        ("list: lessons of a pack", place, learner),
        ("open: a lesson, its manifest unread", "", learner),
        ("open: a resource", f"{place}/lesson-02/r00002", learner),
        ("search: two words", "/search?q=water+school", learner),
        ("search: one common word", "/search?q=water", learner),
        ("list: packs on the box", "/staff/packs", teacher),
        ("filter: packs on the box", "/staff/packs?subject=Music", teacher),
        ("list: class", f"/staff/classes/{class_no}", teacher),
        ("list: a lesson for the class", f"/staff/classes/{class_no}/lessons", teacher),
    ]
    return [_page(name, origin, path, session) for name, path, session in pages]


def _page(name: str, origin: str, path: str, session: str) -> list[str]:
    times, size_bytes = [], 0
    for number in range(ROUNDS):
        # Another pack each time, so that its manifest is not in memory.
        fresh = path or f"/learn/{pack_id(number * 61 % PACKS)}/lesson-01"
        headers = {"Accept-Encoding": "gzip", "Cookie": f"edgebox_session={session}"}
        begin = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(origin + fresh, headers=headers), timeout=60) as response:
            body = response.read()
        times.append((time.perf_counter() - begin) * 1000)
        size_bytes = len(body)
        if response.headers["Content-Encoding"] == "gzip":
            gzip.decompress(body)
    value = median(times)
    is_met = value <= PAGE_GOAL_MS and size_bytes <= SIZE_GOAL_BYTES
    goal = f"<= {PAGE_GOAL_MS:.0f} ms, {SIZE_GOAL_BYTES} B ({verdict(is_met)})"
    return _row(name, f"{value:.1f} ms", str(size_bytes), goal)


def _goal(value: float, limit: float, unit: str) -> str:
    return f"<= {limit:g} {unit} ({verdict(value <= limit)})"


def _row(what: str, measured: str, size: str, goal: str) -> list[str]:
    return [what, measured, size, goal]


if __name__ == "__main__":
    main()
