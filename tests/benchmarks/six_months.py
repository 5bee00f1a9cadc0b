"""A box that was away for half a year: 2.6 million events over 256 kbit/s with 100 cuts, while a class uses its pages.

`python -m tests.benchmarks.six_months 0.05` does the same with a twentieth of the events and of the cuts. The days are
those of `tests.support.backlog`.

The hub stands for another machine and the class for many, so where there are cores the box with all it starts has one
for itself, and everything else another, the hub behind the class. The line is up for a while and down for a while
in turn, so that whatever else this machine does meets the page with and without sending alike; what a page takes while
the line is up is compared with what it takes in the window after it.
"""

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from content_packs.base.errors import EdgeboxError
from content_packs.base.signing import SigningKey
from content_packs.builder import build
from edgebox.control.socket import ask
from edgebox.services.spool import KEEP_ACKNOWLEDGED_BYTES
from tests.benchmarks import processes
from tests.benchmarks.pages import COURSE, LESSON, _install
from tests.benchmarks.table import show, verdict
from tests.support.backlog import fill
from tests.support.box import School, make_school
from tests.support.cut_proxy import CutProxy, cut_proxy
from tests.support.programs import run

EVENTS = 2_600_000
CUTS = 100
LINE_BYTES_PER_SECOND = 256_000 / 8
UPLOAD_MAX_BYTES = 15_000_000
UPLOAD_LEAST_BYTES_PER_EVENT = 3  # so that the last cut comes before the end
HUB_NICENESS = 10
FIRST_CUT_BYTES = 5_000  # the box is enrolled by then
RESENT_MAX_BYTES = 16_000
MEMORY_MAX_MB = 200
LONGER_MAX_PERCENT = 10.0
OUTBOX_MAX = 2
UP_SECONDS = 10.0
DOWN_SECONDS = 10.0
SETTLE_SECONDS = 1.0  # at the beginning of a window; what is measured there belongs to neither
ASK_EVERY_SECONDS = 0.05  # a class that turns pages, not a storm
_SAMPLE_SECONDS = 0.5
_RETRY_SECONDS = 0.2
_PERCENTS = (50, 95, 99)


@dataclass
class Window:
    """A time in which the line was up or down, by the monotonic clock."""

    is_up: bool
    start_seconds: float
    end_seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)


@dataclass
class Watched:
    """What was seen while the box was sending."""

    box_kib: list[int] = field(default_factory=list)
    hub_kib: list[int] = field(default_factory=list)
    waiting_bytes: list[int] = field(default_factory=list)
    outbox_bytes: list[int] = field(default_factory=list)
    load: list[float] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    hang_ups: int = 0


def main() -> None:
    """Print the table; `ask PORT SESSION` is what the class does, in a process of its own."""
    if sys.argv[1:2] == ["ask"]:
        _ask_on(int(sys.argv[2]), sys.argv[3])
    scale = float(sys.argv[-1]) if sys.argv[-1].replace(".", "", 1).isdigit() else 1.0
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measure(Path(folder), round(EVENTS * scale), max(round(CUTS * scale), 3)))
    show(f"{EVENTS * scale:,.0f} events over 256 kbit/s; {_places()}", ["", "measured", "limit"], rows)


def _places() -> str:
    if len(os.sched_getaffinity(0)) == 1:
        return "box and hub on the only core, the hub behind the class"
    return "the box on a core of its own, hub (niced), line and class on another"


def _pinned(*, is_box: bool) -> list[str]:
    """Return what a command is to begin with to run where it belongs."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[0] if is_box else cores[-1])] if len(cores) > 1 else []


def _apart(*, is_box: bool) -> list[str]:
    """Return the same for a session of its own, as a service has, that of the hub behind the class."""
    line = "" if is_box else f"echo {HUB_NICENESS} > /proc/self/autogroup; renice -n {HUB_NICENESS} $$ > /dev/null;"
    return ["setsid", "sh", "-c", f'{line} exec "$@"', "sh", *_pinned(is_box=is_box)]


async def _measure(folder: Path, events: int, cuts: int) -> list[list[str]]:
    school = await asyncio.to_thread(_prepare, folder, events)
    box_port, hub_port = processes.free_port(), processes.free_port()
    box = ["serve", "--data", str(school.settings.data), "--port", str(box_port)]
    box += ["--content-port", str(processes.free_port())]
    hub = ["hub", "serve", "--data", str(folder / "hub"), "--port", str(hub_port)]
    program = [sys.executable, "-m", "edgebox"]
    with (
        processes.server([*_apart(is_box=False), *program, *hub], hub_port) as hub_process,
        processes.server([*_apart(is_box=True), *program, *box], box_port) as box_process,
        _asking(folder / "asked", box_port, school),
    ):
        enroll = ("hub", "enroll", "--data", str(folder / "hub"), "--school", "Hill School", "--json")
        code = json.loads(await asyncio.to_thread(run, *enroll))["code"]
        async with cut_proxy(hub_port) as proxy:
            proxy.up_bytes_per_second = LINE_BYTES_PER_SECOND
            watched = Watched()
            watching = asyncio.ensure_future(_watch(watched, school, box_process.pid, hub_process.pid))
            turning = asyncio.ensure_future(_take_turns(watched, proxy))
            await _send_all(school, proxy, code, cuts, events)
            watched.windows[-1].end_seconds = time.monotonic()
            for task in (watching, turning):
                task.cancel()
                await asyncio.wait({task})
    _share_out(folder / "asked", watched.windows)
    return [*_sent_rows(folder, proxy, watched, events, cuts), *_page_rows(watched)]


def _prepare(folder: Path, events: int) -> School:
    school = make_school(folder / "box", learners=8)
    key = SigningKey.generate()
    _install(school, build(COURSE, folder / "stick", key).folder, key)
    fill(school.settings.data / "box.db", events)
    return school


async def _send_all(school: School, proxy: CutProxy, code: str, cuts: int, events: int) -> None:
    dice, last = random.Random(17), UPLOAD_LEAST_BYTES_PER_EVENT * events
    proxy.up_cuts = deque(sorted(dice.sample(range(FIRST_CUT_BYTES, last), cuts)))
    arguments: dict[str, str | None] = {"hub": proxy.url, "code": code}
    left = 1
    while left:
        try:
            left = (await ask(school.settings.data, "sync.now", arguments, _ignore))["waiting_changes"]
        except EdgeboxError:
            await asyncio.sleep(_RETRY_SECONDS)  # the line is down
        arguments = {"hub": None, "code": None}


def _ignore(_value: Any) -> None:
    return None


async def _take_turns(watched: Watched, proxy: CutProxy) -> None:
    """Let the line be up, and down, in turn."""
    while True:
        for is_up, seconds in ((True, UP_SECONDS), (False, DOWN_SECONDS)):
            if is_up:
                proxy.is_down = False
            else:
                watched.hang_ups += 1
                proxy.go_down()
            watched.windows.append(Window(is_up, time.monotonic()))
            await asyncio.sleep(seconds)
            watched.windows[-1].end_seconds = time.monotonic()


async def _watch(watched: Watched, school: School, box_pid: int, hub_pid: int) -> None:
    while True:
        watched.box_kib.append(processes.memory_with_children_kib(box_pid))
        watched.hub_kib.append(processes.memory_with_children_kib(hub_pid))
        watched.load.append(os.getloadavg()[0])
        waiting_bytes, outbox_bytes = await asyncio.to_thread(_outbox, school)
        watched.waiting_bytes.append(waiting_bytes)
        watched.outbox_bytes.append(outbox_bytes)
        await asyncio.sleep(_SAMPLE_SECONDS)


def _outbox(school: School) -> tuple[int, int]:
    """Return the bytes of bundles that wait, and of all that are on the card."""
    with closing(sqlite3.connect(f"{(school.settings.data / 'box.db').as_uri()}?mode=ro", uri=True)) as db:
        query = "SELECT coalesce(sum(size_bytes), 0) FROM bundle_out WHERE acked_ms IS NULL"
        waiting_bytes = int(db.execute(query).fetchone()[0])
    with os.scandir(school.settings.spool / "out") as found:
        return waiting_bytes, sum(entry.stat().st_size for entry in found)


@contextmanager
def _asking(asked: Path, port: int, school: School) -> Iterator[None]:
    """Let a class ask for the lesson page while the context is open."""
    command = [*_pinned(is_box=False), sys.executable, "-m", "tests.benchmarks.six_months", "ask", str(port)]
    with asked.open("wb") as output:
        process = subprocess.Popen([*command, str(school.learners[0].session)], stdout=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def _ask_on(port: int, session: str) -> None:
    """Ask for the lesson page again and again at an easy pace, and print when and how long each took."""

    async def ask_on() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET {LESSON} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: edgebox_session={session}\r\n\r\n"
        while True:
            start = time.monotonic()
            writer.write(request.encode())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert b" 200 " in head[:20], head
            await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
            print(f"{start} {1000 * (time.monotonic() - start)}", flush=True)
            await asyncio.sleep(ASK_EVERY_SECONDS)

    asyncio.run(ask_on())


def _share_out(asked: Path, windows: list[Window]) -> None:
    for line in asked.read_text().splitlines():
        start, latency_ms = (float(word) for word in line.split()[:2])
        for window in windows:
            if window.start_seconds + SETTLE_SECONDS <= start < window.end_seconds:
                window.latencies_ms.append(latency_ms)


def _percentile(found: list[float], percent: float) -> float:
    ordered = sorted(found)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def _sent_rows(folder: Path, proxy: CutProxy, watched: Watched, events: int, cuts: int) -> list[list[str]]:
    with closing(sqlite3.connect(folder / "hub" / "hub.db")) as db:
        rows, ids = db.execute("SELECT count(*), count(DISTINCT id) FROM statement").fetchone()
        bundles, all_bytes = db.execute("SELECT count(*), sum(size_bytes) FROM bundle").fetchone()
    limit_bytes = UPLOAD_MAX_BYTES * events / EVENTS
    resent_bytes = (proxy.up_bytes - all_bytes) / (proxy.cuts_made + watched.hang_ups)
    outbox_max_bytes = OUTBOX_MAX * max(watched.waiting_bytes) + KEEP_ACKNOWLEDGED_BYTES
    up_seconds = sum(window.end_seconds - window.start_seconds for window in watched.windows if window.is_up)
    return [
        ["statements lost, and doubled", f"{events - ids}, {rows - ids}", f"0, 0 ({verdict(events == ids == rows)})"],
        ["carried up", f"{proxy.up_bytes:,} B", f"{limit_bytes:,.0f} B ({verdict(proxy.up_bytes <= limit_bytes)})"],
        ["in bundles, per event", f"{all_bytes:,} B in {bundles}, {all_bytes / events:.2f} B", ""],
        [
            "cuts, and times the line went down",
            f"{proxy.cuts_made}, {watched.hang_ups}",
            f"{cuts} cuts ({verdict(proxy.cuts_made == cuts)})",
        ],
        [
            "sent again for each, with all heads",
            f"{resent_bytes:,.0f} B",
            f"{RESENT_MAX_BYTES:,} B ({verdict(resent_bytes <= RESENT_MAX_BYTES)})",
        ],
        [
            "time the line was up, and would need",
            f"{up_seconds:.0f} s, {proxy.up_bytes / LINE_BYTES_PER_SECOND:.0f} s",
            "",
        ],
        _memory_row("box", watched.box_kib),
        _memory_row("hub", watched.hub_kib),
        [
            "waiting on the card, and all there, at most",
            f"{max(watched.waiting_bytes):,} B, {max(watched.outbox_bytes):,} B",
            f"{outbox_max_bytes:,.0f} B ({verdict(max(watched.outbox_bytes) <= outbox_max_bytes)})",
        ],
    ]


def _memory_row(name: str, found_kib: list[int]) -> list[str]:
    """Return the most of the first and of the last half, which is the same if the memory is flat."""
    half = len(found_kib) // 2
    first_mb, last_mb = max(found_kib[:half]) / 1024, max(found_kib[half:]) / 1024
    is_met = max(first_mb, last_mb) <= MEMORY_MAX_MB
    return [
        f"memory of the {name} with what it started, first half, second",
        f"{first_mb:.0f} MB, {last_mb:.0f} MB",
        f"{MEMORY_MAX_MB} MB ({verdict(is_met)})",
    ]


def _page_rows(watched: Watched) -> list[list[str]]:
    """Return what the lesson page took with the line up and down, and the difference in the windows side by side."""
    windows = [window for window in watched.windows if window.latencies_ms]
    up = [ms for window in windows if window.is_up for ms in window.latencies_ms]
    down = [ms for window in windows if not window.is_up for ms in window.latencies_ms]
    pairs = [(one, other) for one, other in pairwise(windows) if one.is_up and not other.is_up]
    longer = [
        100 * (_percentile(one.latencies_ms, 95) / _percentile(other.latencies_ms, 95) - 1) for one, other in pairs
    ]
    names = " ".join(f"p{percent}" for percent in _PERCENTS)
    pooled = [_percentile(up, percent) / _percentile(down, percent) - 1 for percent in _PERCENTS]
    return [
        [f"lesson page while nothing is sent, {names}", _shown(down), f"{len(down)} requests"],
        [f"lesson page while sending, {names}", _shown(up), f"{len(up)} requests"],
        ["... longer", " ".join(f"{100 * share:+.1f} %" for share in pooled), ""],
        [
            f"... p95, median of {len(pairs)} pairs of windows",
            f"{median(longer):+.1f} %",
            f"+{LONGER_MAX_PERCENT:.0f} % ({verdict(median(longer) <= LONGER_MAX_PERCENT)})",
        ],
        ["load of this machine, median", f"{median(watched.load):.1f} on {os.cpu_count()} cores", ""],
    ]


def _shown(found: list[float]) -> str:
    return " ".join(f"{_percentile(found, percent):.2f}" for percent in _PERCENTS) + " ms"


if __name__ == "__main__":
    main()
