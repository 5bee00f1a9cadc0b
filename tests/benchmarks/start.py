"""Cold start to the first answer, and memory at rest."""

import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from tests.benchmarks import processes
from tests.benchmarks.table import show, verdict
from tests.support.box import make_school

ROUNDS = 5
START_GOAL_SECONDS = 1.0
MEMORY_GOAL_MB = 60.0
SETTLE_SECONDS = 3


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "box"
        make_school(data)
        starts, memories = zip(*(_start(data) for _ in range(ROUNDS)), strict=True)
    rows = [
        _row(
            "start to first 200", f"{median(starts):.2f} s ({min(starts):.2f}-{max(starts):.2f})", median(starts), 1.0
        ),
        _row("RSS at rest", f"{median(memories):.1f} MB", median(memories), MEMORY_GOAL_MB),
    ]
    show(f"Start, median of {ROUNDS}", ["what", "measured", "goal"], rows)


def _row(what: str, measured: str, value: float, goal: float) -> list[str]:
    return [what, measured, f"<= {goal:g} ({verdict(value <= goal)})"]


def _start(data: Path) -> tuple[float, float]:
    port, content_port = processes.free_port(), processes.free_port()
    command = [sys.executable, "-m", "edgebox", "serve", "--data", str(data)]
    begin = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--port", str(port), "--content-port", str(content_port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        processes.wait_for_port(port, process)
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).read()
        seconds = time.perf_counter() - begin
        time.sleep(SETTLE_SECONDS)
        return seconds, processes.memory_kib(process.pid) / 1024
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    main()
