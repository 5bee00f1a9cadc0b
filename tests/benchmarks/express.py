"""How long a lesson that was completed waits while a long bundle of the same box is on a slow line.

The line is the emulator `../shared/tools/badlink`, which needs root and network namespaces: 64 kbit/s each way, 600 ms,
1 % loss. The box is whole, and so is the hub; each time the lesson is completed at another place of the long bundle.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from edgebox.app import open_box
from edgebox.keys import Box
from edgebox.services.uploading import Uploading
from sync.hub.app import open_hub
from sync.hub.settings import HubSettings
from tests.benchmarks.fetching import EMULATOR, ROOT, emulator
from tests.benchmarks.table import show, verdict
from tests.benchmarks.transfer import PORT
from tests.support.box import School, Tablet, make_school, make_tablet

WAIT_MAX_SECONDS = 8.0
RUNS = 5
ANSWERS, ANSWER_BYTES = 50, 2_000  # which cannot be made shorter: 100 kB
FIRST_SECONDS, APART_SECONDS = 2.0, 1.3  # what goes by of the long bundle before the lesson is completed


def main() -> None:
    """Print the table, or why it cannot be made here."""
    if not EMULATOR.is_file() or os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        print("a result beside a long bundle: needs root, network namespaces and the emulator ../shared/tools/badlink")
        return
    with tempfile.TemporaryDirectory() as folder:
        found = _measure(Path(folder), asyncio.run(_invite(Path(folder))))
    rows = []
    for name in ("waits", "acknowledged"):
        longest = max(found[name])
        limit = f"{WAIT_MAX_SECONDS:.0f} s ({verdict(longest <= WAIT_MAX_SECONDS)})" if name == "waits" else ""
        rows.append([_SAID[name], " ".join(f"{seconds:.1f}" for seconds in found[name]), f"{longest:.1f} s", limit])
    title = f"A lesson completed while {max(found['sizes']):,.0f} bytes go up, 64 kbit/s, 600 ms, 1 % loss"
    show(title, ["", f"{RUNS} times, s", "longest", "limit"], rows)


_SAID = {"waits": "until it goes", "acknowledged": "until the hub has said that it has it"}


async def _invite(folder: Path) -> str:
    async with open_hub(HubSettings(folder / "hub")) as hub:
        return await hub.enrolling.make_code("Hill School")


def _measure(folder: Path, code: str) -> dict[str, list[float]]:
    badlink, name, transfer = emulator(), f"x{os.getpid()}", [sys.executable, "-m", "tests.benchmarks.transfer"]
    with badlink.Link(name, loss=1.0) as link:
        link.popen("hub", [*transfer, "serve", str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL)
        subprocess.run(["ip", "netns", "exec", f"{name}-hub", *transfer, "await", link.hub], cwd=ROOT, check=True)
        work = [
            sys.executable,
            "-m",
            "tests.benchmarks.express",
            "work",
            f"http://{link.hub}:{PORT}",
            str(folder),
            code,
        ]
        answer, _ = link.popen("box", work, cwd=ROOT, stdout=subprocess.PIPE).communicate()
        found: dict[str, list[float]] = json.loads(answer)
        return found


async def work(url: str, folder: Path, code: str) -> dict[str, list[float]]:
    """Send a long bundle some times, complete a lesson meanwhile, and return how long that took."""
    school, tablet = await asyncio.to_thread(make_school, folder / "box"), make_tablet()
    went, deliver, sizes = list[tuple[float, float]](), Uploading.deliver, list[float]()

    async def timed(self: Uploading, *arguments: Any, **more: Any) -> Any:
        start_seconds = time.monotonic()
        ack = await deliver(self, *arguments, **more)
        if ack is not None:
            went.append((start_seconds, time.monotonic()))
        sizes.append(arguments[2].size_bytes)
        return ack

    waits, acknowledged = list[float](), list[float]()
    async with open_box(school.settings) as box:
        await box.syncing.enroll(url, code)
        await _answer(box, school, tablet, 1)
        await _send_all(box)
        with mock.patch.object(Uploading, "deliver", timed):
            for run in range(RUNS):
                await _answer(box, school, tablet, ANSWERS)
                sending = asyncio.ensure_future(_send_all(box))
                await asyncio.sleep(FIRST_SECONDS + run * APART_SECONDS)
                start_seconds = time.monotonic()
                event = tablet.event(school.learners[run % 2], verb="completed", result={"completion": True})
                await box.recording.store_outbox(tablet.request(event))
                await sending
                began, ended = next(span for span in went if span[0] >= start_seconds)  # express, or the next bundle
                waits.append(began - start_seconds)
                acknowledged.append(ended - start_seconds)
    return {"waits": waits, "acknowledged": acknowledged, "sizes": sizes}


async def _answer(box: Box, school: School, tablet: Tablet, count: int) -> None:
    events = [
        tablet.event(school.learners[0], item="q1", result={"response": random.randbytes(ANSWER_BYTES).hex()})
        for _ in range(count)
    ]
    await box.recording.store_outbox(tablet.request(*events))


async def _send_all(box: Box) -> None:
    while (await box.syncing.sync_now()).last_error is not None:
        await asyncio.sleep(1.0)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        print(json.dumps(asyncio.run(work(sys.argv[2], Path(sys.argv[3]), sys.argv[4]))))
    else:
        main()
