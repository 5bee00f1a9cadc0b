"""How much longer a good box takes while another enrolled box sends the worst it may; what that makes the hub hold.

The hub has one processor to itself. The good boxes have another one, and so has the bad one, at the lowest rank there,
so that what it takes of the machine delays no good box and the difference is the hub's doing. Rounds with the bad box
and without it alternate; each with it is set beside the mean of the two around it. The bad box begins well before the
good one, so that what every box has free at first is spent. Everything goes over loopback, where a delay at the hub
shows most. `python -m tests.benchmarks.fairness drips tiny` does some of it.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from math import comb
from pathlib import Path
from statistics import median
from unittest import mock

import aiohttp

from content_packs.base.limited import step_back_as_group
from content_packs.base.signing import PairKey
from sync.bundle import codec1
from sync.bundle.layout import AckHead, Notice, Vector
from sync.bundle.limits import PLAIN_MAX_BYTES, RATIO_MAX, RECORDS_MAX
from sync.bundle.paired import write_paired
from sync.bundle.read import verify_bundle
from sync.bundle.write import Range, write_ack
from sync.hub.app import open_hub
from sync.hub.commands import serve
from sync.hub.settings import HubSettings
from sync.records.rows import Record, Statement
from sync.transport.http import ACKS_PATH, BUNDLE_TYPE, BUNDLES_PATH
from sync.transport.tus import ACK_TYPE, TUS_RESUMABLE, TUS_VERSION, UPLOAD_LENGTH, UPLOAD_TYPE, UPLOADS_PATH
from tests.benchmarks import processes
from tests.benchmarks.fetching import ROOT
from tests.benchmarks.table import show, verdict
from tests.benchmarks.transfer import enrolled
from tests.support.school_day import make_day, make_school
from tests.sync.makers import NOW_MS, Maker, answered, crowd, registries

BUNDLES = 30
EVENTS_PER_BUNDLE = 100
ROUNDS = 9
TINY = 2_000
LARGE = 2  # of each kind, and then the same again
FIRST_WARM_UP_SECONDS = 12.0
HOLES, HELD, HELD_RECORDS = 6, 12, 10_000  # bundles behind each hole, and records in each
REST_SECONDS = 1.0  # in which the hub sees that the bad box is gone
HUB_CPU, OTHERS_CPU = 0, 1
WARM_UP_SECONDS = 3.0
LIMIT_PERCENT = 5.0
MEMORY_MAX_MB = 200
DRIPS, DRIP_SECONDS = 50, 0.02
NOISE_BYTES = 1_240  # of each of so many records, which make some 31 MB that nothing makes smaller
WAYS = ("maximal", "bomb", "absurd", "crowded", "held", "tiny", "drips", "left open", "asking")
TYPE = {"Content-Type": BUNDLE_TYPE}


@dataclass(frozen=True)
class Delivery:
    """What it took a good box to deliver, and the hub's processor time meanwhile, for whomever."""

    seconds: float
    cpu_seconds: float
    longest_seconds: float


def main() -> None:
    """Print the tables."""
    ways = [way for way in WAYS if way in sys.argv[1:]] or [*WAYS, "all of it at once"]
    with tempfile.TemporaryDirectory() as folder:
        rows, memory = asyncio.run(_measure(Path(folder), ways))
    title = f"{BUNDLES} bundles of {EVENTS_PER_BUNDLE} events of a good box, beside a bad one; {ROUNDS} rounds each"
    header = ["", "without it", "longer with it: median, 95 % interval", "longest bundle, without and with",
              "hub's CPU per bundle", "of a processor, for it", f"limit {LIMIT_PERCENT:.0f} %"]  # fmt: skip
    show(title, header, rows)
    show("Memory at its peak, one hostile bundle", ["", "sealed, plain", "hub", "child", "limit of each"], memory)
    print(f"load of the machine, with this: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


async def _measure(folder: Path, ways: list[str]) -> tuple[list[list[str]], list[list[str]]]:
    await _prepare(folder, 1 + (2 * ROUNDS + 2) * len(ways))
    os.sched_setaffinity(0, {OTHERS_CPU})
    with _running("serve", folder) as hub:
        url = await _url(hub)
        memory = [await _hold(url, folder, hub.pid, way) for way in ("maximal", "bomb")]
        scene = Scene(folder, hub.pid, url, iter(range(1_000_000)))
        await scene.deliver()  # what is only slow the first time
        rows = [await _beside(scene, way) for way in ways]
    return rows, memory


async def _url(hub: subprocess.Popen[str]) -> str:
    assert hub.stdout is not None
    return (await asyncio.to_thread(hub.stdout.readline)).split()[-1].rstrip("/")


@dataclass(frozen=True)
class Scene:
    """The hub, and how many good boxes have delivered."""

    folder: Path
    hub_pid: int
    url: str
    turns: Iterator[int]

    async def deliver(self) -> Delivery:
        """Let the next good box deliver."""
        return await _deliver(self.url, self.folder, next(self.turns), self.hub_pid)

    async def deliver_beside(self, way: str, warm_up_seconds: float) -> Delivery:
        """Let the next good box deliver while a bad one is at work."""
        with _running("attack", self.folder, self.url, *(WAYS if way not in WAYS else (way,))):
            await asyncio.sleep(warm_up_seconds)
            return await self.deliver()


async def _beside(scene: Scene, way: str) -> list[str]:
    await scene.deliver_beside(way, FIRST_WARM_UP_SECONDS)
    without, beside = [await scene.deliver()], []
    for _ in range(ROUNDS):
        beside.append(await scene.deliver_beside(way, WARM_UP_SECONDS))
        await asyncio.sleep(REST_SECONDS)
        without.append(await scene.deliver())
    pairs = [(each, (one, other)) for each, (one, other) in zip(beside, pairwise(without), strict=True)]
    longer = sorted(200 * each.seconds / (one.seconds + other.seconds) - 100 for each, (one, other) in pairs)
    took = [
        100 * (each.cpu_seconds - (one.cpu_seconds + other.cpu_seconds) / 2) / each.seconds
        for each, (one, other) in pairs
    ]
    print(f"{way}: {' '.join(f'{percent:+.1f} %' for percent in longer)}", file=sys.stderr, flush=True)
    (low, high), middle, both = median_interval(longer), median(longer), (without, beside)
    return [
        way,
        f"{median(each.seconds for each in without):.2f} s",
        f"{middle:+.1f} %, {low:+.1f} to {high:+.1f} %",
        ", ".join(f"{1000 * max(each.longest_seconds for each in each_way):.0f} ms" for each_way in both),
        ", ".join(
            f"{1000 * median(each.cpu_seconds for each in found) / BUNDLES:.1f} ms" for found in (without, beside)
        ),
        f"{median(took):+.1f} %",
        verdict(middle <= LIMIT_PERCENT),
    ]


def median_interval(ordered: list[float], sure: float = 0.95) -> tuple[float, float]:
    """Return between which two of the values the median of all there could be lies, whatever their distribution."""
    count, rank = len(ordered), 0
    while 1 - 2 * sum(comb(count, k) for k in range(rank + 2)) / 2**count >= sure:
        rank += 1
    return ordered[rank], ordered[-1 - rank]


async def _hold(url: str, folder: Path, hub_pid: int, way: str) -> list[str]:
    """Return what one hostile bundle of a box makes the hub and its child hold."""
    [path] = (folder / f"{way} alone").iterdir()
    plain_bytes = int((folder / f"{way} plain").read_text())
    processes.forget_peak(hub_pid)
    children: dict[int, int] = {}
    posting = asyncio.ensure_future(_post(url, path.read_bytes()))
    while not posting.done():
        for child in processes.children(hub_pid):
            children[child] = max(children.get(child, 0), processes.peak_kib(child))
        await asyncio.wait({posting}, timeout=0.01)
    await posting
    hub_mb, child_mb = processes.peak_kib(hub_pid) / 1024, max(children.values(), default=0) / 1024
    sizes = f"{path.stat().st_size / 1e6:.1f} MB, {plain_bytes / 1e6:.0f} MB"
    is_met = max(hub_mb, child_mb) <= MEMORY_MAX_MB
    return [way, sizes, f"{hub_mb:.0f} MB", f"{child_mb:.0f} MB", f"{MEMORY_MAX_MB} MB ({verdict(is_met)})"]


async def _post(url: str, content: bytes) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url + BUNDLES_PATH, data=content, headers=TYPE) as response,
    ):
        assert response.status == 200, await response.text()


async def _prepare(folder: Path, deliveries: int) -> None:
    """Enrol the boxes with a hub in the folder, and make all that they will send."""
    async with open_hub(HubSettings(folder / "hub")) as hub:
        school = make_school()
        day = make_day(school)
        bad, alone = await enrolled(hub), {way: await enrolled(hub, way) for way in ("maximal", "bomb")}
        for box in (bad, *alone.values()):
            await hub.receiving.receive(box.next(registries()))
        for turn in range(deliveries):
            # Another box each time, as none delivers so much every few seconds.
            good = await enrolled(hub, f"School {turn}")
            await hub.receiving.receive(good.next(school.records()))
            await asyncio.to_thread(_write_good, folder / f"good-{turn}", good, day, turn)
        hub_id = hub.keys.signing.verify_key.key_id
    word = AckHead(bad.key.verify_key.key_id, Vector(hub_id, 1, 0, 0), NOW_MS, Notice.NONE)
    _write(folder, "asking", [write_ack(word, bad.key)])
    await asyncio.to_thread(_write_bad, folder, bad, alone)


def _write_good(folder: Path, good: Maker, day: list[Statement], turn: int) -> None:
    folder.mkdir()
    for number in range(BUNDLES):
        events = [_later(event, turn) for event in day[number * EVENTS_PER_BUNDLE : (number + 1) * EVENTS_PER_BUNDLE]]
        (folder / f"{number:04}.eb").write_bytes(good.next(list(events)))


def _later(event: Statement, days: int) -> Statement:
    fields = {name: getattr(event, name) for name in Statement.__slots__}
    return Statement(**fields | {"timestamp_ms": event.timestamp_ms + days * 86_400_000})


def _write_bad(folder: Path, bad: Maker, alone: dict[str, Maker]) -> None:
    wrong: list[Record] = [*map(answered, range(20_000)), Statement(1, 1, NOW_MS, id=bytes(16), progress=7.0)]
    with mock.patch.object(codec1, "check", lambda records: None):  # neither moves the chain, as both are refused
        _write(folder, "absurd", [replace(bad).next(wrong)])
        _write(folder, "crowded", [_short(bad, [*crowd(RECORDS_MAX - 1), wrong[-1]])])
    with mock.patch("sync.bundle.codec0.COMPRESSION_LEVEL", 1):
        for way, make in (("maximal", _noise), ("bomb", _expanding)):
            for box, name, count in ((bad, way, LARGE), (alone[way], f"{way} alone", 1)):
                box.codec_no = 0
                _write(folder, name, (box.next(make(turn)) for turn in range(count)))
            [path] = (folder / f"{way} alone").iterdir()
            head = verify_bundle(path.read_bytes(), alone[way].trusted).head
            (folder / f"{way} plain").write_text(str(head.plain_bytes))
    bad.codec_no = 1
    _write(folder, "tiny", (bad.next([answered(seq)]) for seq in range(10_000_000, 10_000_000 + TINY)))
    _write(folder, "held", _behind_holes(replace(bad, epoch=2, seq=0, through=0, previous=None)))


def _short(bad: Maker, records: list[Record]) -> bytes:
    """Return the next bundle of the bad box, the first of its hub, in the short form."""
    span = Range(bad.epoch, bad.seq + 1, bad.through + 1, bad.through + len(records), bad.previous)
    pair = PairKey(bad.key.sealing_key, bad.receiver.public)
    return write_paired(records, span, pair=pair, box_no=1, created_ms=NOW_MS)


def _behind_holes(bad: Maker) -> Iterator[bytes]:
    """Yield bundles of few bytes and very many records, of which each first one comes after those that follow it."""
    for hole in range(HOLES):
        first, seq = (
            bad.next(registries() if hole == 0 else [answered(30_000_000 + hole)]),
            40_000_000 + hole * 1_000_000,
        )
        for number in range(HELD):
            yield bad.next([*crowd(HELD_RECORDS, seq + number * HELD_RECORDS)])
        yield first


def _noise(turn: int) -> list[Record]:
    """Return as many records as a bundle may have, which make it as large as it may be."""
    return [_filled(turn, seq, "a" * 100, os.urandom(NOISE_BYTES)) for seq in range(RECORDS_MAX)]


def _expanding(turn: int) -> list[Record]:
    """Return as many, which become as large as they may when they are read: the ratio is the largest allowed."""
    each_bytes = PLAIN_MAX_BYTES // RECORDS_MAX - 10
    noise_bytes = each_bytes // RATIO_MAX
    long = "a" * (each_bytes - 2 * noise_bytes)
    return [_filled(turn, seq, os.urandom(noise_bytes).hex() + long, None) for seq in range(RECORDS_MAX)]


def _filled(turn: int, seq: int, response: str, body: bytes | None) -> Statement:
    device_seq = turn * RECORDS_MAX + seq + 1
    return Statement(1, 1, NOW_MS + seq, device_no=1, device_seq=device_seq, response=response, body=body)


def _write(folder: Path, name: str, bundles: Iterable[bytes]) -> None:
    (folder / name).mkdir()
    for number, content in enumerate(bundles):
        (folder / name / f"{number:05}.eb").write_bytes(content)


@contextmanager
def _running(*words: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.benchmarks.fairness", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.terminate()


async def _deliver(url: str, folder: Path, turn: int, hub_pid: int) -> Delivery:
    """Return how long a good box takes, one bundle after the other on one connection."""
    contents = [path.read_bytes() for path in sorted((folder / f"good-{turn}").iterdir())]
    took: list[float] = []
    async with aiohttp.ClientSession() as session:
        cpu_seconds = processes.cpu_seconds_exactly(hub_pid)
        for content in contents:
            start_seconds = time.perf_counter()
            async with session.post(url + BUNDLES_PATH, data=content, headers=TYPE) as response:
                assert response.status == 200, await response.text()
                await response.read()
            took.append(time.perf_counter() - start_seconds)
        cpu_seconds = processes.cpu_seconds_exactly(hub_pid) - cpu_seconds
    return Delivery(sum(took), cpu_seconds, max(took))


async def attack(folder: Path, url: str, ways: list[str]) -> None:
    """Do all of `ways` until the end comes from outside."""
    os.nice(19)
    step_back_as_group()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(_ATTACKS[way](folder, url, session) for way in ways))


def _again(
    name: str, path: str = BUNDLES_PATH, content_type: str = BUNDLE_TYPE
) -> Callable[[Path, str, aiohttp.ClientSession], Awaitable[None]]:
    async def send(folder: Path, url: str, session: aiohttp.ClientSession) -> None:
        contents = [path.read_bytes() for path in sorted((folder / name).iterdir())]
        headers = {"Content-Type": content_type}
        while True:
            for content in contents:
                with suppress(aiohttp.ClientError):
                    async with session.post(url + path, data=content, headers=headers) as response:
                        await response.read()

    return send


async def _drip(folder: Path, url: str, _session: aiohttp.ClientSession) -> None:
    """Send a bundle on each of fifty connections, fifty bytes a second, each byte in a segment of its own."""
    content = _largest(folder)
    host, port = url.removeprefix("http://").split(":")
    head = (
        f"POST {BUNDLES_PATH} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {BUNDLE_TYPE}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )

    async def one() -> None:
        while True:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(head.encode() + content[:4096])
            refused = asyncio.ensure_future(reader.read(1))
            for place in range(4096, len(content)):
                writer.write(content[place : place + 1])
                await asyncio.sleep(DRIP_SECONDS)
                if refused.done():
                    break
            writer.close()
            await asyncio.sleep(DRIP_SECONDS)

    await asyncio.gather(*(one() for _ in range(DRIPS)))


async def _leave_open(folder: Path, url: str, session: aiohttp.ClientSession) -> None:
    """Begin uploads again and again, each with a megabyte of a bundle that is never finished."""
    content = _largest(folder)
    while True:
        name = b64encode(time.monotonic_ns().to_bytes(9, "big")).decode()
        headers = {
            TUS_RESUMABLE: TUS_VERSION, UPLOAD_LENGTH: str(len(content)), "Content-Type": UPLOAD_TYPE,
            "Upload-Metadata": f"filename {name}",
        }  # fmt: skip
        with suppress(aiohttp.ClientError):
            async with session.post(url + UPLOADS_PATH, data=content[: 1 << 20], headers=headers) as response:
                assert response.status == 201, await response.text()


def _largest(folder: Path) -> bytes:
    return min((folder / "maximal").iterdir()).read_bytes()


_ATTACKS: dict[str, Callable[[Path, str, aiohttp.ClientSession], Awaitable[None]]] = {
    "maximal": _again("maximal"),
    "bomb": _again("bomb"),
    "absurd": _again("absurd"),
    "crowded": _again("crowded"),
    "held": _again("held"),
    "tiny": _again("tiny"),
    "drips": _drip,
    "left open": _leave_open,
    "asking": _again("asking", ACKS_PATH, ACK_TYPE),
}


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        os.sched_setaffinity(0, {HUB_CPU})
        asyncio.run(serve(HubSettings(Path(sys.argv[2]) / "hub", port=0)))
    elif sys.argv[1:2] == ["attack"]:
        asyncio.run(attack(Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
    else:
        main()
