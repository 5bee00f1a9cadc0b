"""How much longer a good box takes while another enrolled box sends the worst it may.

The hub, the good box and the bad one are processes of their own. The bad box begins well before the good one, so that
what every box has free at first is spent. Everything goes over loopback, where a delay at the hub shows most.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp

from sync.bundle import codec1
from sync.bundle.limits import RECORDS_MAX
from sync.hub.app import open_hub
from sync.hub.commands import serve
from sync.hub.settings import HubSettings
from sync.records.rows import Statement
from sync.transport.http import BUNDLE_TYPE
from sync.transport.tus import TUS_RESUMABLE, TUS_VERSION, UPLOAD_LENGTH, UPLOAD_TYPE
from tests.benchmarks.fetching import ROOT
from tests.benchmarks.table import show, verdict
from tests.benchmarks.transfer import enrolled
from tests.support.school_day import make_day, make_school
from tests.sync.makers import NOW_MS, Maker, answered, registries

BUNDLES = 40
EVENTS_PER_BUNDLE = 100
ROUNDS = 3
TINY = 2_000
WARM_UP_SECONDS = 12.0
LIMIT_PERCENT = 5.0
WAYS = ("maximal", "absurd", "tiny", "drips", "left open")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(_measure(Path(folder)))
    show(f"{BUNDLES} bundles of {EVENTS_PER_BUNDLE} events of a good box, beside a bad one", ["", *HEADER], rows)


HEADER = ["time", "longer than alone", f"limit {LIMIT_PERCENT:.0f} %"]


async def _measure(folder: Path) -> list[list[str]]:
    await _prepare(folder)
    with _running("serve", folder) as hub:
        assert hub.stdout is not None
        url = (await asyncio.to_thread(hub.stdout.readline)).split()[-1].rstrip("/")
        alone, rows, turn = [], [], iter(range(100))
        for name in (*WAYS, "all of it at once"):
            alone += [await _deliver(url, folder, next(turn)) for _ in range(ROUNDS)]
            with _running("attack", folder, url, *(WAYS if name not in WAYS else (name,))):
                await asyncio.sleep(WARM_UP_SECONDS)
                beside = [await _deliver(url, folder, next(turn)) for _ in range(ROUNDS)]
            percent = 100 * (_middle(beside) / _middle(alone[-ROUNDS:]) - 1)
            print(
                name, [round(x, 2) for x in alone[-ROUNDS:]], [round(x, 2) for x in beside], file=sys.stderr, flush=True
            )
            rows.append([name, f"{_middle(beside):.2f} s", f"{percent:+.1f} %", verdict(percent <= LIMIT_PERCENT)])
    return [["alone", f"{_middle(alone):.2f} s", f"{min(alone):.2f} to {max(alone):.2f} s", ""], *rows]


def _middle(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]


async def _prepare(folder: Path) -> None:
    """Enrol two boxes with a hub in the folder, and make all that they will send."""
    async with open_hub(HubSettings(folder / "hub")) as hub:
        bad, school = await enrolled(hub), make_school()
        await hub.receiving.receive(bad.next(registries()))
        day = make_day(school)
        for turn in range(ROUNDS * 2 * (len(WAYS) + 1)):
            # Another box each time, as none delivers forty bundles every few seconds.
            good = await enrolled(hub, f"School {turn}")
            await hub.receiving.receive(good.next(school.records()))
            await asyncio.to_thread(_write_good, folder / f"good-{turn}", good, day, turn)
    await asyncio.to_thread(_write_bad, folder, bad)


def _write_good(folder: Path, good: Maker, day: list[Statement], turn: int) -> None:
    folder.mkdir()
    for number in range(BUNDLES):
        events = [_later(event, turn) for event in day[number * EVENTS_PER_BUNDLE : (number + 1) * EVENTS_PER_BUNDLE]]
        (folder / f"{number:04}.eb").write_bytes(good.next(list(events)))


def _later(event: Statement, days: int) -> Statement:
    fields = {name: getattr(event, name) for name in Statement.__slots__}
    return Statement(**fields | {"timestamp_ms": event.timestamp_ms + days * 86_400_000})


def _write_bad(folder: Path, bad: Maker) -> None:
    noise = [Statement(1, 1, NOW_MS + seq, device_no=1, device_seq=seq, response=os.urandom(150).hex())
             for seq in range(RECORDS_MAX)]  # fmt: skip
    bad.codec_no = 0
    with mock.patch("sync.bundle.limits.COMPRESSION_LEVEL", 1), mock.patch("sync.bundle.codec0.COMPRESSION_LEVEL", 1):
        _write(folder, "maximal", [bad.next(list(noise))])
    bad.codec_no = 1
    _write(folder, "tiny", (bad.next([answered(seq)]) for seq in range(1_000_000, 1_000_000 + TINY)))
    wrong = [answered(seq) for seq in range(20_000)]
    wrong[-1] = Statement(1, 1, NOW_MS, learner_no=1, device_no=1, device_seq=1, progress=7.0)
    with mock.patch.object(codec1, "check", lambda records: None):
        _write(folder, "absurd", [bad.next(list(wrong))])


def _write(folder: Path, name: str, bundles: Any) -> None:
    (folder / name).mkdir()
    for number, content in enumerate(bundles):
        (folder / name / f"{number:05}.eb").write_bytes(content)


@contextmanager
def _running(*words: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.benchmarks.fairness", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


async def _deliver(url: str, folder: Path, turn: int) -> float:
    """Return how long the good box takes, one bundle after the other on one connection."""
    contents = [path.read_bytes() for path in sorted((folder / f"good-{turn}").iterdir())]
    async with aiohttp.ClientSession() as session:
        start_seconds = time.perf_counter()
        for content in contents:
            async with session.post(url + "/api/bundles", data=content, headers=TYPE) as response:
                assert response.status == 200, await response.text()
                await response.read()
        return time.perf_counter() - start_seconds


TYPE = {"Content-Type": BUNDLE_TYPE}


async def attack(folder: Path, url: str, ways: list[str]) -> None:
    """Do all of `ways` until the end comes from outside."""
    os.nice(19)  # it stands for another machine
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(_ATTACKS[way](folder, url, session) for way in ways))


def _again(name: str) -> Callable[[Path, str, aiohttp.ClientSession], Awaitable[None]]:
    async def send(folder: Path, url: str, session: aiohttp.ClientSession) -> None:
        contents = [path.read_bytes() for path in sorted((folder / name).iterdir())]
        while True:
            for content in contents:
                with suppress(aiohttp.ClientError):
                    async with session.post(url + "/api/bundles", data=content, headers=TYPE) as response:
                        await response.read()

    return send


async def _drip(folder: Path, url: str, _session: aiohttp.ClientSession) -> None:
    [path] = (folder / "maximal").iterdir()
    content = path.read_bytes()
    host, port = url.removeprefix("http://").split(":")
    head = (
        f"POST /api/bundles HTTP/1.1\r\nHost: {host}\r\nContent-Type: {BUNDLE_TYPE}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )

    async def one() -> None:
        _reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(head.encode() + content[:4096])
        for place in range(4096, len(content)):
            writer.write(content[place : place + 1])
            await asyncio.sleep(0.1)

    await asyncio.gather(*(one() for _ in range(50)), return_exceptions=True)


async def _leave_open(folder: Path, url: str, session: aiohttp.ClientSession) -> None:
    """Begin uploads again and again, each with a megabyte of a bundle that is never finished."""
    [path] = (folder / "maximal").iterdir()
    content = path.read_bytes()
    while True:
        name = b64encode(time.monotonic_ns().to_bytes(9, "big")).decode()
        headers = {
            TUS_RESUMABLE: TUS_VERSION, UPLOAD_LENGTH: str(len(content)), "Content-Type": UPLOAD_TYPE,
            "Upload-Metadata": f"filename {name}",
        }  # fmt: skip
        with suppress(aiohttp.ClientError):
            async with session.post(url + "/api/uploads", data=content[: 1 << 20], headers=headers) as response:
                assert response.status == 201, await response.text()


_ATTACKS: dict[str, Callable[[Path, str, aiohttp.ClientSession], Awaitable[None]]] = {
    "maximal": _again("maximal"),
    "absurd": _again("absurd"),
    "tiny": _again("tiny"),
    "drips": _drip,
    "left open": _leave_open,
}


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(serve(HubSettings(Path(sys.argv[2]) / "hub", port=0)))
    elif sys.argv[1:2] == ["attack"]:
        asyncio.run(attack(Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
    else:
        main()
