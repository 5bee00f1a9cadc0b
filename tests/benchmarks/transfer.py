"""Bundles up a bad line, beside the floor and what others take; and a hundred random cuts through a proxy.

64 kbit/s, 600 ms round trip, 5 % loss each way, cut for 5 s in every 60 s, and after each cut every older connection
stays silent for ever. The line is the emulator `../shared/tools/badlink`, which needs root and network namespaces.
"""

import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

from content_packs.base.clock import SystemClock
from sync import enrolment
from sync.engine.sender import wait_ms
from sync.hub.app import open_hub, running_hub
from sync.hub.commands import serve
from sync.hub.partials import Partial
from sync.hub.running import Hub
from sync.hub.settings import HubSettings
from sync.records.rows import Statement
from sync.transport.errors import LinkDown
from sync.transport.http import HttpTransport
from tests.benchmarks.fetching import EMULATOR, ROOT, emulator
from tests.benchmarks.table import show
from tests.support.cut_proxy import cut_proxy
from tests.support.school_day import make_day, make_school
from tests.sync.makers import NOW_MS, Maker

PORT = 8090
LONG_BYTES = 2_000_000
HEADER_BYTES = 52  # of each packet: IPv4, and TCP with its time stamps
STATEMENT_BYTES = 2_054  # what a statement with 2 kB of noise takes in a bundle
CUTS = 100
DAY_PEERS = [
    ["floor: payload, headers and losses", "about 10 s", ""],
    ["goal", "15 s", ""],
    ["chunked POSTs like Kolibri's", "not done in 1,000 s", ""],
]
LONG_PEERS = [
    ["floor: payload, headers and losses", "273 s", ""],
    ["goal", "330 s", "3.0 %"],
    ["resumable PATCH by curl, offset by HEAD", "469 s", ""],
    ["HTTP POST, all or nothing", "never", ""],
]


def main() -> None:
    """Print the tables, or why one cannot be made here."""
    _show_cuts()
    if not EMULATOR.is_file() or os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        print("bundles up a bad line: needs root, network namespaces and the emulator ../shared/tools/badlink")
        return
    _show("a school day up a bad line (64 kbit/s, 600 ms, 5 % loss, cuts)", "day", DAY_PEERS)
    _show("2 MB up the same line", "long", LONG_PEERS)


def _show(title: str, name: str, peers: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        size_bytes = asyncio.run(_prepare(Path(folder)))[name]
        found, line = _measure(Path(folder), name)
    beyond_bytes = line["box_bytes"] - HEADER_BYTES * line["box_pkts"] - size_bytes
    ours = [f"Edgebox, {size_bytes:,} bytes", f"{found['seconds']:.1f} s", f"{100 * beyond_bytes / size_bytes:.1f} %"]
    show(title, ["", "time", "arrived twice, and requests"], [ours, *peers])
    print(
        f"all is stored after {found['stored_seconds']:.1f} s; on the line: {line['box_bytes']:,} bytes up, "
        f"{line['loss']} packets lost, {line['cuts']} cuts; given to sockets: {found['sent_bytes']:,} bytes"
    )


async def _prepare(folder: Path) -> dict[str, int]:
    """Enrol a box with a hub in the folder, tell it what is in the school, and make what the box has to send."""
    async with open_hub(HubSettings(folder / "hub")) as hub:
        box, school = await enrolled(hub), make_school()
        await hub.receiving.receive(box.next(school.records()))
        twin = replace(box)
        for name, records in (("day", make_day(school)), ("long", _noise())):
            # Each is sent to a copy of this hub, so that both come next.
            box = replace(twin)
            (folder / f"{name}.eb").write_bytes(box.next(list(records)))
    return {name: (folder / f"{name}.eb").stat().st_size for name in ("day", "long")}


async def enrolled(hub: Hub, school: str = "Hill School") -> Maker:
    """Return a maker of bundles of a box that the hub knows."""
    maker = Maker(receiver=hub.keys.sealing)
    code = await hub.enrolling.make_code(school)
    await hub.enrolling.enroll(enrolment.make_request(code, maker.key), "here")
    return maker


def _noise() -> Iterator[Statement]:
    """Yield statements that take 2 MB compressed: their answers are noise."""
    for seq in range(1, LONG_BYTES // STATEMENT_BYTES + 1):
        response = os.urandom(2_048).hex()
        yield Statement(3, 1, NOW_MS + seq, learner_no=1, device_no=1, device_seq=seq, response=response)


def _measure(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, int]]:
    badlink, link_name = emulator(), f"t{os.getpid()}"
    with badlink.Link(link_name, loss=5.0, cut_every=60.0, cut_for=5.0, cut_kill="blackhole") as link:
        command = [sys.executable, "-m", "tests.benchmarks.transfer"]
        link.popen("hub", [*command, "serve", str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL)
        within = ["ip", "netns", "exec", f"{link_name}-hub", *command, "await", link.hub]
        subprocess.run(within, cwd=ROOT, check=True)
        link.t0 = time.monotonic()
        send = [*command, "send", f"http://{link.hub}:{PORT}", str(folder), name]
        box = link.popen("box", send, cwd=ROOT, stdout=subprocess.PIPE)
        answer, _ = box.communicate()
        return json.loads(answer), {**link.st, "cuts": link.cuts}


async def send(url: str, folder: Path, name: str) -> dict[str, Any]:
    """Deliver a bundle as a box does, with the waits of its sender, and return the figures."""
    bundle, clock, dice = (folder / f"{name}.eb").read_bytes(), SystemClock(), random.Random()
    transport, failures, stored = HttpTransport(url), 0, [(0, 0)]
    started_ms = clock.monotonic_ms()
    while True:
        try:
            await transport.deliver(
                bundle,
                is_begun=failures > 0,
                on_stored=lambda stored_bytes: stored.append((stored_bytes, clock.monotonic_ms())),
            )
            break
        except LinkDown:
            await asyncio.sleep(wait_ms(failures, dice.random()) / 1000)
            failures += 1
    assert transport.way is not None
    seconds = (clock.monotonic_ms() - started_ms) / 1000
    await transport.close()
    stored_ms = min(at_ms for stored_bytes, at_ms in stored if stored_bytes == len(bundle))
    return {
        "seconds": seconds,
        "stored_seconds": (stored_ms - started_ms) / 1000,
        "sent_bytes": transport.way.sent_bytes,
    }


def await_hub(address: str) -> None:
    """Try to connect until somebody is there."""
    for _ in range(300):
        with contextlib.suppress(OSError):
            socket.create_connection((address, PORT)).close()
            return
        time.sleep(0.1)


def _show_cuts() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(_cut(Path(folder)))
    show(
        f"{LONG_BYTES // 1_000_000} MB through a proxy that cuts {CUTS} times at random",
        ["", "measured", "limit"],
        [
            ["statements lost", f"{found['lost']}", "0"],
            ["statements doubled", f"{found['doubled']}", "0"],
            ["written twice at the hub, per cut", f"{found['rewritten_bytes'] / CUTS:,.0f} B", "16,384 B"],
            ["carried to the hub beyond the bundle, per connection", f"{found['beyond_bytes']:,.0f} B", "16,384 B"],
            ["flushes of the hub's disk", f"{found['flushes']:,}", ""],
        ],
    )


async def _cut(folder: Path) -> dict[str, float]:
    counts: Counter[str] = Counter()
    append = Partial.append

    def counting(self: Partial, content: bytes, now_ms: int) -> None:
        counts["bytes"] += len(content)
        counts["flushes"] += 1
        append(self, content, now_ms)

    dice, settings = random.Random(100), HubSettings(folder, port=0)
    with mock.patch.object(Partial, "append", counting):
        async with running_hub(settings) as listening, cut_proxy(listening.port) as proxy:
            hub = listening.hub
            box, noise = await enrolled(hub), list(_noise())
            await hub.receiving.receive(box.next(make_school().records()))
            bundle = box.next(list(noise))
            proxy.cuts = iter([("up", dice.randrange(500, 2 * LONG_BYTES // CUTS - 1_000)) for _ in range(CUTS)])
            transport, is_begun = HttpTransport(proxy.url), False
            while True:
                with contextlib.suppress(LinkDown):
                    await transport.deliver(bundle, is_begun=is_begun)
                    break
                is_begun = True
            rows, ids = await hub.store.run(
                lambda connection: connection.exec_driver_sql(
                    "SELECT count(*), count(DISTINCT id) FROM statement"
                ).one()
            )
            return {
                "lost": len(noise) - ids,
                "doubled": rows - ids,
                "rewritten_bytes": counts["bytes"] - len(bundle),
                "beyond_bytes": (proxy.up_bytes - len(bundle)) / proxy.connections,
                "flushes": counts["flushes"],
            }


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(HubSettings(Path(sys.argv[2]) / "hub", host="0.0.0.0", port=PORT)))
    elif sys.argv[1:2] == ["await"]:
        await_hub(sys.argv[2])
    elif sys.argv[1:2] == ["send"]:
        print(json.dumps(asyncio.run(send(sys.argv[2], Path(sys.argv[3]), sys.argv[4]))))
    else:
        main()
