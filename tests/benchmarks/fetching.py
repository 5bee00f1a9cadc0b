"""2,000,000 random bytes over a bad line, beside the floor and what curl and rsync take.

64 kbit/s, 600 ms round trip, 5 % loss each way, cut for 5 s in every 60 s, and after each cut every older connection
stays silent for ever. The line is the emulator `../shared/tools/badlink`, which needs root and network namespaces.
"""

import asyncio
import importlib.util
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from aiohttp import web

from content_packs.base.clock import SystemClock
from content_packs.base.hashing import blake2b_256
from content_packs.fetch import BlockMap, HttpSource, Target, Transfer
from tests.benchmarks.table import show

ROOT = Path(__file__).parents[2]
EMULATOR = ROOT.parent / "shared" / "tools" / "badlink" / "badlink.py"
LENGTH_BYTES = 2_000_000
BLOCK_BYTES = 16 * 1024
PORT = 8080
NAME = "f.bin"
PEERS = [
    ["floor: payload, headers and losses", "273 s", ""],
    ["goal", "330 s", "3.0 %"],
    ["curl, resumed with ranges", "531 s", ""],
    ["resumable PATCH by curl", "469 s", ""],
    ["rsync --partial --append", "not done in 1,200 s", ""],
]


def serve(folder: str) -> None:
    """Serve a folder like any server of static files."""
    app = web.Application()
    app.router.add_static("/", folder)
    web.run_app(app, host="0.0.0.0", port=PORT, print=lambda _: None)


async def fetch(address: str, blocks: BlockMap) -> dict[str, Any]:
    """Fetch the file once and return the figures."""
    clock, source = SystemClock(), HttpSource(address)
    started_ms = clock.monotonic_ms()
    with tempfile.TemporaryDirectory() as folder:
        transfer = Transfer(Target(NAME, LENGTH_BYTES, blocks), [source], Path(folder))
        partial = await transfer.run()
        partial.close()
        await source.close()
    counts = transfer.counts
    return {
        "seconds": (clock.monotonic_ms() - started_ms) / 1000,
        "requests": transfer.requests,
        "got_bytes": counts.got_bytes,
        "resent_bytes": counts.resent_bytes,
    }


def main() -> None:
    """Print the table, or why it cannot be made here."""
    if not EMULATOR.is_file() or os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        print("2 MB over a bad line: needs root, network namespaces and the emulator ../shared/tools/badlink")
        return
    found, line = _measure(emulator())
    share = 100 * found["resent_bytes"] / LENGTH_BYTES
    ours = [f"Edgebox, {found['requests']} requests", f"{found['seconds']:.0f} s", f"{share:.1f} %"]
    show(
        "2 MB over 64 kbit/s, 600 ms, 5 % loss, cut 5 s of 60 s, old connections dead",
        ["", "time", "resent"],
        [ours, *PEERS],
    )
    print(f"on the line: {line['hub_bytes']:,} bytes to the box, {line['loss']} packets lost, {line['cuts']} cuts")


def emulator() -> ModuleType:
    """Return the emulator as a module."""
    spec = importlib.util.spec_from_file_location("badlink", EMULATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _measure(badlink: ModuleType) -> tuple[dict[str, Any], dict[str, int]]:
    content = os.urandom(LENGTH_BYTES)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / NAME).write_bytes(content)
        name = f"f{os.getpid()}"
        with badlink.Link(name, loss=5.0, cut_every=60.0, cut_for=5.0, cut_kill="blackhole") as link:
            command = [sys.executable, "-m", "tests.benchmarks.fetching"]
            link.popen("hub", [*command, "serve", folder], cwd=ROOT)
            _wait_for_server(name, link.hub)
            link.t0 = badlink.time.monotonic()
            hashes = [blake2b_256(content[at : at + BLOCK_BYTES]).hex() for at in range(0, LENGTH_BYTES, BLOCK_BYTES)]
            client = link.popen(
                "box",
                [*command, "fetch", f"http://{link.hub}:{PORT}"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            answer, _ = client.communicate(json.dumps(hashes).encode())
            return json.loads(answer), {**link.st, "cuts": link.cuts}


def _wait_for_server(name: str, address: str) -> None:
    """Return when it answers on its own side of the line."""
    command = [sys.executable, "-m", "tests.benchmarks.fetching", "await", address]
    subprocess.run(["ip", "netns", "exec", f"{name}-hub", *command], cwd=ROOT, check=True)


def await_server(address: str) -> None:
    """Try to connect until somebody is there."""
    for _ in range(200):
        try:
            socket.create_connection((address, PORT)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2])
    elif sys.argv[1:2] == ["await"]:
        await_server(sys.argv[2])
    elif sys.argv[1:2] == ["fetch"]:
        hashes = tuple(bytes.fromhex(text) for text in json.load(sys.stdin))
        print(json.dumps(asyncio.run(fetch(sys.argv[2], BlockMap(LENGTH_BYTES, BLOCK_BYTES, hashes)))))
    else:
        main()
