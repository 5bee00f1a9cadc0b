"""The way down: what asking, a message and a roster with names cost, and how long each keeps the hub busy."""

import asyncio
import gzip
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.table import show
from tests.sync.school_scene import SchoolScene, message, school_scene

CLASSES, LEARNERS = 10, 300


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> None:
    async with school_scene(folder) as scene:
        ack = await scene.box.receiving.make_ack()
        sizes = [["asking what waits: a box's ack, signed", str(len(ack or b"")), "", ""]]
        times = []
        roster = [{"kind": "class", "id": f"C{number}", "title": f"Class {number}"} for number in range(CLASSES)]
        roster += [_learner(number) for number in range(LEARNERS)]
        for title, lines in (("one message", [message("Exams begin on Monday.")]), ("a roster", roster)):
            row, took = await _send(scene, title, lines)
            sizes.append(row)
            times.append(took)
    header = ["what", "bytes", "per line", "the letter as JSON + gzip"]
    show(
        f"Down to a box, sealed and signed; a roster is {CLASSES} classes, {LEARNERS} learners with names",
        header,
        sizes,
    )
    show("Time for it", ["what", "hub writes, s", "longest turn, ms", "hub makes, s", "box applies, s"], times)


def _learner(number: int) -> dict[str, Any]:
    names = {"given_name": f"Awa{number * 7_919 % 1_000}", "family_name": f"Diop{number * 104_729 % 1_000}"}
    return {"kind": "learner", "id": f"N-{number}", "classes": [f"C{number % CLASSES}"], **names}


async def _send(scene: SchoolScene, title: str, lines: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Send a letter all the way; return its sizes and times."""
    turns: list[float] = []
    store = scene.hub.listening.hub.store
    run_now = store.run_now

    def timed(job: Any) -> Any:
        start = time.perf_counter()
        found = run_now(job)
        turns.append(time.perf_counter() - start)
        return found

    store.run_now = timed  # type: ignore[method-assign]
    start = time.perf_counter()
    await scene.send(*lines)
    sent = time.perf_counter()
    longest = max(turns)
    content = (await scene.prepared())[-1]
    made = time.perf_counter()
    await scene.box.receiving.receive(content)
    applied = time.perf_counter()
    store.run_now = run_now  # type: ignore[method-assign]
    peer = len(gzip.compress("\n".join(map(json.dumps, lines)).encode(), 9))
    sizes = [title, str(len(content)), f"{len(content) / len(lines):.1f}", str(peer)]
    spans = [sent - start, made - sent, applied - made]
    return sizes, [title, f"{spans[0]:.2f}", f"{longest * 1000:.0f}", *(f"{span:.2f}" for span in spans[1:])]
