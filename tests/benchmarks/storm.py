"""The power comes back, and 200 tablets hand in 500 answers each at once."""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks import processes
from tests.benchmarks.statements import make_event
from tests.benchmarks.table import show, verdict
from tests.support.box import Person, make_school, make_tablet

TABLETS = 200
QUEUED = 500
PER_REQUEST = 50
DRAIN_GOAL_SECONDS = 60.0
FIRST_ACK_GOAL_SECONDS = 2.0
MEMORY_GOAL_MB = 300.0
_HEAD_END = b"\r\n\r\n"


@dataclass
class Storm:
    """What the tablets saw."""

    first_ack_seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    acked: int = 0
    seconds: float = 0.0
    memory_kib: int = 0


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        school = make_school(Path(folder) / "box", learners=TABLETS)
        queues = [make_queue(learner) for learner in school.learners]
        port, content_port = processes.free_port(), processes.free_port()
        command = [sys.executable, "-m", "edgebox", "serve", "--data", str(school.settings.data)]
        command += ["--port", str(port), "--content-port", str(content_port)]
        with processes.server(command, port) as process:
            used = processes.cpu_seconds(process.pid)
            storm = asyncio.run(run_storm(port, queues, process.pid))
            used = processes.cpu_seconds(process.pid) - used
    first = sorted(storm.first_ack_seconds)[int(len(storm.first_ack_seconds) * 0.99) - 1]
    memory_mb = storm.memory_kib / 1024
    odd = {status for status in storm.statuses if status not in (200, 503)}
    rows = [
        ["drained", f"{storm.seconds:.1f} s", _goal(storm.seconds, DRAIN_GOAL_SECONDS)],
        ["answers a second", f"{storm.acked / storm.seconds:.0f}", ""],
        ["CPU each", f"{used / storm.acked * 1000:.3f} ms", ""],
        ["first ack, p99", f"{first:.2f} s", _goal(first, FIRST_ACK_GOAL_SECONDS)],
        ["memory at most", f"{memory_mb:.0f} MB", _goal(memory_mb, MEMORY_GOAL_MB)],
        ["answers by status", str(dict(storm.statuses)), f"200 or 503 ({verdict(not odd)})"],
        ["acknowledged", str(storm.acked), f"= {TABLETS * QUEUED} ({verdict(storm.acked == TABLETS * QUEUED)})"],
    ]
    show(f"Storm: {TABLETS} tablets with {QUEUED} answers each, at once", ["what", "figure", "goal"], rows)


def _goal(value: float, goal: float) -> str:
    return f"<= {goal:g} ({verdict(value <= goal)})"


def make_queue(learner: Person) -> list[bytes]:
    """Return the bodies of the requests a tablet has waiting."""
    tablet = make_tablet(int.from_bytes(learner.pseudonym, "big"))
    events = [make_event(tablet.event, learner, number) for number in range(QUEUED)]
    starts = range(0, QUEUED, PER_REQUEST)
    return [json.dumps(tablet.request(*events[start : start + PER_REQUEST])).encode() for start in starts]


async def run_storm(
    port: int, queues: list[list[bytes]], pid: int | None = None, *, storm: Storm | None = None
) -> Storm:
    """Send all queues at once, one connection each, and again what was refused, when the box says so."""
    storm, start = storm or Storm(), time.perf_counter()
    watching = asyncio.create_task(_watch(storm, pid)) if pid is not None else None
    await asyncio.gather(*(_drain(port, queue, storm, start) for queue in queues))
    storm.seconds = time.perf_counter() - start
    if watching is not None:
        watching.cancel()
    return storm


async def _drain(port: int, queue: list[bytes], storm: Storm, start: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    is_first = True
    for body in queue:
        while True:
            head = "POST /api/outbox HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            status, headers, content = await _answer(reader)
            storm.statuses[status] += 1
            if status != 503:
                break
            await asyncio.sleep(float(headers["retry-after"]))
        if status == 200:
            storm.acked += len(json.loads(content)["acked"])
        if is_first:
            storm.first_ack_seconds.append(time.perf_counter() - start)
            is_first = False
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    lines = (await reader.readuntil(_HEAD_END)).decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:] if line)
    return int(lines[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def _watch(storm: Storm, pid: int) -> None:
    while True:
        storm.memory_kib = max(storm.memory_kib, processes.memory_with_children_kib(pid))
        await asyncio.sleep(0.1)


if __name__ == "__main__":
    main()
