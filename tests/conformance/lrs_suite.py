"""ADL's conformance suite for record stores (adlnet/lrs-conformance-test-suite), run against a box on loopback.

The suite is not part of the project. Fetch it, run `npm install` in it, and name its folder:

    EDGEBOX_LRS_SUITE=/path/to/lrs-conformance-test-suite python -m tests.conformance.lrs_suite [1.0.3] [2.0.0]
"""

import asyncio
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, run
from typing import Any

from edgebox.app import running_box
from edgebox.domain.caller import Reach
from tests.support.box import make_school

FOLDER = os.environ.get("EDGEBOX_LRS_SUITE", "")
VERSIONS = ("1.0.3", "2.0.0")
TIMEOUT_SECONDS = 900


@dataclass(frozen=True)
class Outcome:
    """How many cases there were, and those that failed, with their reasons."""

    total: int
    passed: int
    failures: list[str]


def run_suite(version: str, folder: Path, *, only: str = "") -> Outcome:
    """Run the cases of a version against a new box with a new credential. Blocks."""
    with tempfile.TemporaryDirectory() as data, serving_box(Path(data)) as (address, login, secret):
        before = set((folder / "logs").glob("*.log"))
        command = ["node", "bin/console_runner.js", "-e", f"{address}/xapi", "-a", "-u", login, "-p", secret]
        command += ["-x", version, *(["-g", only] if only else [])]
        run(command, cwd=folder, check=False, timeout=TIMEOUT_SECONDS, stdout=DEVNULL, stderr=DEVNULL)
        (log,) = set((folder / "logs").glob("*.log")) - before
        report = json.loads(log.read_text())
    summary = report["summary"]
    return Outcome(summary["total"], summary["passed"], list(_failures(report["log"], "")))


@contextmanager
def serving_box(data: Path, *, may_launch: bool = False) -> Iterator[tuple[str, str, str]]:
    """Serve a box in a thread; give its address and a credential that reads everything, and writes or launches."""
    school = make_school(data / "box", learners=2)
    ready, loop = threading.Event(), asyncio.new_event_loop()
    found: list[tuple[str, str, str]] = []
    stop = asyncio.Event()

    async def serve() -> None:
        async with running_box(school.settings) as running:
            assert running.box is not None
            await running.box.local_packs.allow_scripts(on=may_launch)
            login, secret = await running.box.clients.make(
                "suite",
                may_write=not may_launch,
                reach=Reach.ALL,
                class_no=None,
                person_no=school.teacher.no,
                may_launch=may_launch,
            )
            found.append((running.address.rstrip("/"), login, secret))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        if not ready.wait(60):
            raise RuntimeError("the box did not start")
        yield found[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def _failures(node: dict[str, Any], above: str) -> Iterator[str]:
    title = f"{above} / {node['title']}" if above else node["title"]
    if node.get("status") == "failed" and not node.get("tests"):
        yield f"{title}: {node.get('error', '')}"
    for below in node.get("tests", ()):
        yield from _failures(below, title)


def main() -> None:
    """Print the figures for the versions that are named, or for both."""
    only = os.environ.get("EDGEBOX_LRS_ONLY", "")
    for version in sys.argv[1:] or VERSIONS:
        outcome = run_suite(version, Path(FOLDER), only=only)
        print(f"xAPI {version}: {outcome.passed} of {outcome.total}")
        for failure in outcome.failures:
            print(f"  {failure[-600:]}")


if __name__ == "__main__":
    main()
