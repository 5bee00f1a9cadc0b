"""Verdicts on the hostile archives in the child process: the slowest and the largest, and a large app that is fine."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.table import show, verdict
from tests.support.hostile_archives import INDEX, Case, cases
from tests.support.raw_zip import Raw, make_zip

SECONDS_MAX = 5.0
MEMORY_MAX_MB = 256
APP_FILES, APP_FILE_BYTES = 40, 5_000_000


@dataclass(frozen=True)
class Run:
    """One archive and what its child took."""

    name: str
    seconds: float
    peak_mb: float


# A process that was split off from a large one counts the memory of that one as its own, so a small one starts it.
STARTER = """
import resource, subprocess, sys, time
begin = time.monotonic()
with open(sys.argv[1], "rb") as file:
    subprocess.run([sys.executable, "-I", "-m", "content_packs.importers.child"], stdin=file, stdout=subprocess.DEVNULL)
print(time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def measure(name: str, content: bytes, folder: Path) -> Run:
    """Let the child read an archive to its end."""
    path = folder / "archive"
    path.write_bytes(content)
    done = subprocess.run([sys.executable, "-c", STARTER, str(path)], capture_output=True, check=True, text=True)
    seconds, peak_kb = map(float, done.stdout.split())
    return Run(name, seconds, peak_kb / 1024)


def one_per_code() -> list[Case]:
    """Return the last archive of every rule, and the ones with many entries."""
    corpus = cases()
    chosen = {case.code: case for case in corpus}.values()
    return [*chosen, *(case for case in corpus if case.code == "archive.too_many" and case not in chosen)]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        runs = [measure(case.name, case.make(), Path(temporary)) for case in one_per_code()]
        media = [Raw(f"{number}.png", os.urandom(APP_FILE_BYTES), method=0) for number in range(APP_FILES)]
        large = measure("200 MB app", make_zip([INDEX, *media]), Path(temporary))
    slowest, largest = max(runs, key=lambda run: run.seconds), max(runs, key=lambda run: run.peak_mb)
    rows = [
        [
            "slowest verdict, s",
            f"{slowest.seconds:.2f}",
            f"<= {SECONDS_MAX:.0f}",
            verdict(slowest.seconds <= SECONDS_MAX),
        ],
        [
            "most memory, MiB",
            f"{largest.peak_mb:.0f}",
            f"<= {MEMORY_MAX_MB}",
            verdict(largest.peak_mb <= MEMORY_MAX_MB),
        ],
        ["200 MB app read, MB/s", f"{APP_FILES * APP_FILE_BYTES / 1e6 / large.seconds:.0f}", "", ""],
        ["200 MB app, MiB", f"{large.peak_mb:.0f}", f"<= {MEMORY_MAX_MB}", verdict(large.peak_mb <= MEMORY_MAX_MB)],
    ]
    show(f"Archives people bring, one per rule ({len(runs)})", ["figure", "measured", "goal", ""], rows)
    print(f"\nslowest: {slowest.name}; largest: {largest.name}")
