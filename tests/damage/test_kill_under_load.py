"""`kill -9` of the box under load, fifty times: no acknowledged statement is lost, none is there twice."""

import asyncio
import json
import random
import signal
import socket
import sqlite3
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from content_packs.base import ids
from tests.support.box import Person, School, Tablet, make_school, make_tablet

KILLS = 50
SOAK_KILLS = 2_000
CLIENTS = 20
SEED = 20261122
DELAYS_MS = (5, 800)
RESTART_MAX_SECONDS = 3.0


@dataclass
class Client:
    """A tablet or an outside client that keeps what was not acknowledged and sends it again after the box is back.

    Attributes:
        sent: every id that was ever on its way.
        acked: those the box called durable.
        waiting: bodies by id, of what was sent and not acknowledged.
    """

    learner: Person
    tablet: Tablet
    is_xapi: bool
    rng: random.Random
    sent: set[bytes] = field(default_factory=set)
    acked: set[bytes] = field(default_factory=set)
    waiting: dict[bytes, dict[str, Any]] = field(default_factory=dict)

    def _new(self) -> tuple[bytes, dict[str, Any]]:
        if not self.is_xapi:
            event = self.tablet.event(self.learner, item=f"q{self.rng.randrange(20)}", result={"success": True})
            return ids.derive_statement_id(bytes.fromhex(self.tablet.device), event["seq"], event["t"]), event
        statement_id = self.rng.randbytes(16)
        return statement_id, {
            "id": ids.format_uuid(statement_id),
            "actor": self.learner.actor,
            "verb": {"id": "http://adlnet.gov/expapi/verbs/experienced"},
            "object": {"id": f"http://example.org/{self.rng.randrange(50)}"},
        }

    def next_request(self) -> tuple[list[bytes], bytes]:
        """Return the ids and bytes of the next request: first what is still waiting, then something new."""
        while len(self.waiting) < self.rng.randint(1, 4):
            statement_id, content = self._new()
            self.waiting[statement_id] = content
        chosen = list(self.waiting)[:50]
        self.sent.update(chosen)
        contents = [self.waiting[statement_id] for statement_id in chosen]
        path, body = "/api/outbox", json.dumps(self.tablet.request(*contents)).encode()
        if self.is_xapi:
            path, body = "/xapi/statements", json.dumps(contents).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self.learner.token}\r\n"
            f"X-Experience-API-Version: 1.0.3\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return chosen, head.encode() + body

    def settle(self, chosen: list[bytes], answer: Any) -> None:
        """Note what the box acknowledged."""
        acked = chosen
        if not self.is_xapi:
            assert answer["rejected"] == []
            seqs = set(answer["acked"])
            acked = [statement_id for statement_id in chosen if self.waiting[statement_id]["seq"] in seqs]
        for statement_id in acked:
            del self.waiting[statement_id]
        self.acked.update(acked)

    async def run(self, port: int) -> None:
        """Send until the box is gone."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while True:
                chosen, request = self.next_request()
                writer.write(request)
                status, answer = await _answer(reader)
                assert status == 200, answer
                self.settle(chosen, answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, Any]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    body = await reader.readexactly(length)
    return int(head[9:12]), json.loads(body)


class Server:
    """The real program on a data folder, as a child process."""

    def __init__(self, data: Path, log: Path) -> None:
        self.port, self.content_port = _free_ports()
        self._data, self._log = data, log

    async def start(self) -> tuple[Process, float]:
        """Return the process, and the seconds until it answered `/ping`."""
        started = time.monotonic()
        ports = ("--port", str(self.port), "--content-port", str(self.content_port))
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edgebox", "serve", "--data", str(self._data), *ports, stdout=DEVNULL, stderr=log
            )
        while not await self._answers():
            assert process.returncode is None, self._log.read_text()
            await asyncio.sleep(0.01)
        return process, time.monotonic() - started

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except ConnectionError:
            return False
        try:
            writer.write(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return (await reader.read()).startswith(b"HTTP/1.1 204")
        except ConnectionError:
            return False
        finally:
            writer.close()


def _free_ports() -> Iterator[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return iter(ports)


def _clients(school: School, rng: random.Random) -> list[Client]:
    return [
        Client(learner, make_tablet(number), number % 4 == 0, random.Random(rng.randrange(1 << 32)))
        for number, learner in enumerate(school.learners, 1)
    ]


async def _round(server: Server, clients: list[Client], delay_seconds: float) -> float:
    process, restart_seconds = await server.start()
    try:
        tasks = [asyncio.create_task(client.run(server.port)) for client in clients]
        await asyncio.sleep(delay_seconds)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await asyncio.gather(*tasks)
    return restart_seconds


def _assert_whole(database: Path, clients: list[Client]) -> None:
    connection = sqlite3.connect(database)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stored = [row[0] for row in connection.execute("SELECT id FROM statement")]
        logged = [row[0] for row in connection.execute("SELECT key FROM change WHERE kind = 1")]
        twice = "SELECT 1 FROM statement WHERE device_no > 0 GROUP BY device_no, device_seq HAVING count(*) > 1"
        assert connection.execute(twice).fetchall() == []
        assert connection.execute("SELECT count(*) FROM statement_conflict").fetchone() == (0,)
        beyond = (
            "SELECT d.box_seq FROM device d WHERE box_seq > (SELECT count(*) FROM statement WHERE device_no = d.no)"
        )
        assert connection.execute(beyond).fetchall() == []
    finally:
        connection.close()
    acked = set().union(*(client.acked for client in clients))
    sent = set().union(*(client.sent for client in clients))
    assert acked - set(stored) == set(), "acknowledged and lost"
    assert set(stored) - sent == set(), "stored and never sent"
    assert sorted(logged) == sorted(stored), "stored and logged exactly once"


@pytest.mark.timeout(300)  # a minute and a half on two free cores
async def test_kill_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    await _assert_kills_lose_nothing(tmp_path, KILLS)


@pytest.mark.soak
@pytest.mark.timeout(3 * 3600)
async def test_many_more_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    await _assert_kills_lose_nothing(tmp_path, SOAK_KILLS)


async def _assert_kills_lose_nothing(tmp_path: Path, kills: int) -> None:
    rng = random.Random(SEED)
    school = await asyncio.to_thread(make_school, tmp_path / "box", CLIENTS)
    clients = _clients(school, rng)
    server = Server(tmp_path / "box", tmp_path / "log")
    restarts = [await _round(server, clients, rng.randint(*DELAYS_MS) / 1000) for _ in range(kills)]
    await asyncio.to_thread(_assert_whole, tmp_path / "box" / "box.db", clients)
    acked = sum(len(client.acked) for client in clients)
    unknown = sum(len(client.waiting) for client in clients)
    print(f"{kills} kills, {acked} acknowledged, {unknown} unknown, slowest restart {max(restarts):.2f} s")
    assert acked > kills * CLIENTS
    assert max(restarts) < RESTART_MAX_SECONDS
