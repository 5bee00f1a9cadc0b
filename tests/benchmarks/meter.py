"""The meter beside a proxy that counts, and how long finished work waits behind a large pack on a slow line.

The slow line is the emulator `../shared/tools/badlink`, which needs root and network namespaces: 64 kbit/s each way,
600 ms, 1 % loss. A pack of 2 MB comes down; now and then finished work of 2 kB goes up, on a connection of its own.
"""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from content_packs.base import sockets
from content_packs.base.clock import SystemClock
from content_packs.base.hashing import blake2b_256
from content_packs.fetch import BlockMap, HttpSource, Target, Transfer
from edgebox.services.allowance import FetchAllowance
from edgebox.services.line import Line, Wire
from edgebox.settings import Settings
from edgebox.store.database import Database
from sync.engine.lanes import Lane
from tests.benchmarks.fetching import EMULATOR, PORT, ROOT, emulator
from tests.benchmarks.table import show, verdict
from tests.support import tls
from tests.support.counting_proxy import counting_proxy

ERROR_GOAL = 0.02
WAIT_GOAL_SECONDS = 8.0
LENGTH_BYTES = 2_000_000
BLOCK_BYTES = 16 * 1024
URGENT_BYTES = 2_000
URGENT_COUNT = 4
APART_SECONDS = 18.0
# Requests: bytes up, bytes down.
TRAFFIC = {
    "a bundle of 70 kB": [(70_000, 200)],
    "200 bundles of 300 B": [(300, 200)] * 200,
    "a pack of 20 MB": [(0, 20_000_000)],
    "both ways, 40 times": [(50_000, 50_000)] * 40,
}


async def _answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=bytes(int(request.query.get("bytes", "0"))))


@asynccontextmanager
async def _server(*, is_tls: bool) -> AsyncIterator[int]:
    app = web.Application(client_max_size=10**9)
    app.router.add_route("*", "/", _answer)
    runner = web.AppRunner(app)
    await runner.setup()
    listener = sockets.listen("127.0.0.1", 0)
    await web.SockSite(runner, listener, ssl_context=tls.server_context() if is_tls else None).start()
    try:
        yield listener.getsockname()[1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _line() -> AsyncIterator[Line]:
    """Give a line with a database of its own."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "box.db")
        line = await Line.open(database, SystemClock(), Settings(data=Path(folder), line_is_metered=False))
        yield line
        await line.close()
        await asyncio.to_thread(database.close)


def _session(wire: Wire, context: ssl.SSLContext | bool = True) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=wire.make_socket, ssl=context))


async def _count(requests: list[tuple[int, int]], *, is_tls: bool) -> tuple[int, int]:
    """Return what the proxy counted, and what the meter did."""
    scheme, context = ("https", tls.client_context()) if is_tls else ("http", True)
    async with _line() as line, _server(is_tls=is_tls) as port, counting_proxy(port) as proxy:
        async with _session(line.wire(Lane.PROGRESS), context) as session:
            for up_bytes, down_bytes in requests:
                address = f"{scheme}://localhost:{proxy.port}/?bytes={down_bytes}"
                async with session.post(address, data=bytes(up_bytes)) as response:
                    await response.read()
        return proxy.crossed_bytes, sum(line.rules.ledger.days.values())


async def _compare() -> list[list[str]]:
    rows = []
    for name, requests in TRAFFIC.items():
        for is_tls in (False, True):
            proxy_bytes, meter_bytes = await _count(requests, is_tls=is_tls)
            error = abs(meter_bytes - proxy_bytes) / proxy_bytes
            kind = "https" if is_tls else "http"
            figures = [f"{proxy_bytes:,}", f"{meter_bytes:,}", f"{100 * error:.3f} %", verdict(error <= ERROR_GOAL)]
            rows.append([name, kind, *figures])
    return rows


def serve(folder: str) -> None:
    """Serve a folder, and take finished work."""
    app = web.Application()
    app.router.add_post("/", _answer)
    app.router.add_static("/", folder)
    web.run_app(app, host="0.0.0.0", port=PORT, print=lambda _: None)


async def work(address: str, hashes: list[str], *, takes_turns: bool) -> dict[str, Any]:
    """Fetch the pack, send finished work now and then, and return how long each piece took."""
    blocks = BlockMap(LENGTH_BYTES, BLOCK_BYTES, tuple(bytes.fromhex(text) for text in hashes))
    async with _line() as line:
        source = HttpSource(address, wire=line.wire(Lane.SMALL) if takes_turns else None)
        with tempfile.TemporaryDirectory() as folder:
            transfer = Transfer(
                Target("f.bin", LENGTH_BYTES, blocks), [source], Path(folder), budget=FetchAllowance(line)
            )
            fetching = asyncio.ensure_future(transfer.run())
            waits = [await _send_urgent(line, address, number) for number in range(URGENT_COUNT)]
            fetching.cancel()
            await asyncio.wait({fetching})
            await source.close()
        return {"waits": waits, "fetched": transfer.received_bytes, "metered": sum(line.rules.ledger.days.values())}


async def _send_urgent(line: Line, address: str, number: int) -> float:
    # Not at the same point of a slice each time.
    await asyncio.sleep(APART_SECONDS + number)
    clock = SystemClock()
    started_ms = clock.monotonic_ms()
    async with (
        line.turn(Lane.CLOSING, URGENT_BYTES),
        _session(line.wire(Lane.CLOSING)) as session,
        session.post(address + "/", data=os.urandom(URGENT_BYTES)) as response,
    ):
        await response.read()
    return (clock.monotonic_ms() - started_ms) / 1000


def _measure(badlink: Any, *, takes_turns: bool) -> tuple[dict[str, Any], dict[str, int]]:
    content = os.urandom(LENGTH_BYTES)
    hashes = [blake2b_256(content[at : at + BLOCK_BYTES]).hex() for at in range(0, LENGTH_BYTES, BLOCK_BYTES)]
    command = [sys.executable, "-m", "tests.benchmarks.meter"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "f.bin").write_bytes(content)
        name = f"m{os.getpid()}"
        with badlink.Link(name, loss=1.0) as link:
            link.popen("hub", [*command, "serve", folder], cwd=ROOT)
            waiting = [sys.executable, "-m", "tests.benchmarks.fetching", "await", link.hub]
            subprocess.run(["ip", "netns", "exec", f"{name}-hub", *waiting], cwd=ROOT, check=True)
            client = link.popen(
                "box",
                [*command, "work", f"http://{link.hub}:{PORT}", "turns" if takes_turns else "none"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            answer, _ = client.communicate(json.dumps(hashes).encode())
            return json.loads(answer), dict(link.st)


def main() -> None:
    """Print both tables, or why the second cannot be made here."""
    header = ["traffic", "", "proxy, bytes", "meter, bytes", "error", "goal 2 %"]
    show("The meter beside a counting proxy: headers, bodies and TLS, both ways", header, asyncio.run(_compare()))
    if not EMULATOR.is_file() or os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        print("finished work on a slow line: needs root, network namespaces and the emulator ../shared/tools/badlink")
        return
    rows = []
    for takes_turns in (False, True):
        found, line = _measure(emulator(), takes_turns=takes_turns)
        longest = max(found["waits"])
        rows.append(
            [
                "with the line's lanes" if takes_turns else "without",
                " ".join(f"{wait:.1f}" for wait in found["waits"]),
                f"{longest:.1f}",
                verdict(longest <= WAIT_GOAL_SECONDS) if takes_turns else "",
                f"{found['fetched']:,}",
                f"{found['metered']:,}",
                f"{line['hub_bytes'] + line['box_bytes']:,}",
            ]
        )
    header = ["", "waits, s", "longest", "goal 8 s", "pack, bytes", "meter, bytes", "packets with heads, bytes"]
    show("Finished work of 2 kB while a pack comes down, 64 kbit/s, 600 ms, 1 % loss", header, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        with contextlib.suppress(KeyboardInterrupt):
            serve(sys.argv[2])
    elif sys.argv[1:2] == ["work"]:
        print(json.dumps(asyncio.run(work(sys.argv[2], json.load(sys.stdin), takes_turns=sys.argv[3] == "turns"))))
    else:
        main()
