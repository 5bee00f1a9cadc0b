"""A box with a million statements: what each takes, how long readers and writers wait, and how old ones leave."""

import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

from content_packs.base import ids
from edgebox.store import listing
from edgebox.store.connections import open_reader
from sync.records.moments import format_timestamp
from tests.benchmarks import million_box, million_removal, processes
from tests.benchmarks.load import Load, run_load
from tests.benchmarks.million_box import MillionBox
from tests.benchmarks.statements import make_client
from tests.benchmarks.table import show, verdict
from tests.support.school_day import ADL

OWN = 950_000
OUTSIDE = 50_000
WRITERS = 40
WRITING_SECONDS = 8.0
RUNS = 3
STATEMENT_MAX_BYTES = 400.0
FILTER_MAX_MS = 300.0
CLASS_MAX_MS = 150.0
POST_MAX_MS = 50.0
_XAPI = "/xapi/statements"

Choices = Mapping[str, list[str]]


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        measure(asyncio.run(million_box.make(Path(folder) / "box", OWN, OUTSIDE)))


def measure(box: MillionBox) -> None:
    """Print what a box that was made comes to."""
    own, outside = _choices(box, is_own=True), _choices(box, is_own=False)
    with _served(box) as (port, pid):
        reader = _Reader(port, box.login)
        filters = _measure_filters(reader, [own, outside])
        pages = _measure_pages(port, box)
        reading = _measure_filters(reader, [own, outside], pairs=False)
        rows = [*_size_rows(box), *pages, *_writing_rows(port, box, f"{OWN + OUTSIDE:,}")]
        rows.append(["memory of the server, MB", f"{processes.peak_kib(pid) / 1024:.0f}", ""])
    with tempfile.TemporaryDirectory() as folder:
        empty = asyncio.run(million_box.make_empty(Path(folder) / "box"))
        with _served(empty) as (port, _pid):
            rows += _writing_rows(port, empty, "none")
    rows += million_removal.remove_half(box)
    load = f"load average {os.getloadavg()[0]:.1f}"
    show(f"A box with {OWN:,} statements of its own and {OUTSIDE:,} of other apps; {load}", ["what", "", "goal"], rows)
    header = ["filters", "found at most", "worst ms", "goal"]
    show("First page of statements, by one filter", header, [each.row(name) for name, each in reading.items()])
    pairs = {name: each for name, each in filters.items() if name not in reading}
    show("... by two filters", header, [each.row(name) for name, each in pairs.items()])


@contextmanager
def _served(box: MillionBox) -> Iterator[tuple[int, int]]:
    """Serve a box, and return its port and the number of its process."""
    port, content_port = processes.free_port(), processes.free_port()
    command = [sys.executable, "-m", "edgebox", "serve", "--data", str(box.school.settings.data)]
    command += ["--port", str(port), "--content-port", str(content_port)]
    with processes.server(command, port) as process:
        yield port, process.pid


class _Reader:
    """A credential that reads everything, over one connection."""

    def __init__(self, port: int, login: tuple[str, str]) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        token = b64encode(":".join(login).encode()).decode()
        self._headers = {"Authorization": f"Basic {token}", "X-Experience-API-Version": "1.0.3"}

    def read(self, query: Mapping[str, str]) -> tuple[int, float]:
        """Return how many statements the first page has, and how long it took in milliseconds."""
        start = time.perf_counter()
        self._connection.request("GET", f"{_XAPI}?{urlencode(query)}", headers=self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        took_ms = (time.perf_counter() - start) * 1000
        if answer.status not in (200, 404):
            raise RuntimeError(f"{answer.status} for {query}: {content[:200]!r}")
        found = json.loads(content) if answer.status == 200 else {"statements": []}
        return len(found["statements"]) if "statements" in found else 1, took_ms


@dataclass
class _Worst:
    """The slowest of the questions with the same filters."""

    took_ms: float = 0.0
    query: Mapping[str, str] = field(default_factory=dict)
    found: int = 0

    def add(self, found: int, took_ms: float, query: Mapping[str, str]) -> None:
        self.found = max(self.found, found)
        if took_ms > self.took_ms:
            self.took_ms, self.query = took_ms, query

    def row(self, name: str) -> list[str]:
        return [name, str(self.found), *_timed(self.took_ms, FILTER_MAX_MS)]


def _measure_filters(reader: _Reader, choices: list[Choices], *, pairs: bool = True) -> dict[str, _Worst]:
    worst: dict[str, _Worst] = {}
    for of_kind in choices:
        for names in [(name,) for name in of_kind] + (list(itertools.combinations(of_kind, 2)) if pairs else []):
            for query in _queries(of_kind, names):
                # The quickest of some tries: the machine may be busy with something else in one of them.
                tries = [reader.read(query) for _ in range(RUNS)]
                worst.setdefault(" + ".join(names), _Worst()).add(tries[0][0], min(each[1] for each in tries), query)
    return worst


def _queries(choices: Choices, names: tuple[str, ...]) -> Iterator[dict[str, str]]:
    for values in itertools.product(*(choices[name] for name in names)):
        query = dict(zip(names, values, strict=True))
        # These two say how another filter is meant.
        if "related_agents" in query:
            query.setdefault("agent", choices["agent"][-1])
        if "related_activities" in query:
            query.setdefault("activity", choices["activity"][-1])
        if "statementId" not in query or len(query) == 1 or set(query) == {"statementId", "format"}:
            yield query


def _choices(box: MillionBox, *, is_own: bool) -> Choices:
    """Return values of every filter that match nothing, few and many statements."""
    with closing(open_reader(box.school.settings.data / "box.db")) as connection:
        if is_own:
            row = connection.execute(
                "SELECT device.id, attempt_seq, pseudonym, activity.iri, statement.id FROM statement"
                " JOIN device ON device.no = device_no JOIN person ON person.no = person_no"
                " JOIN activity ON activity.no = activity_no LIMIT 1 OFFSET 400000"
            ).fetchone()
            agent = {"account": {"homePage": box.school.home_page, "name": ids.format_uuid(row[2])}}
            registration, verb, iri = ids.derive_registration(row[0], row[1]), f"{ADL}answered", row[3]
        else:
            row = connection.execute(
                "SELECT registration, id FROM statement WHERE client_no = 1 AND registration IS NOT NULL LIMIT 1"
            ).fetchone()
            agent, iri = {"mbox": "mailto:a7@example.org"}, "http://example.org/page/7"
            registration, verb = row[0], million_box.VERB_OF_OTHERS
        first_ms, last_ms = connection.execute("SELECT min(stored_ms), max(stored_ms) FROM statement").fetchone()
    rare = "http://example.org/rare"
    moments = [format_timestamp(moment) for moment in (first_ms - 1, (first_ms + last_ms) // 2, last_ms + 1)]
    around = {"mbox": "mailto:b3@example.org"}
    return {
        "agent": [json.dumps(each) for each in ({"mbox": "mailto:nobody@example.org"}, agent, around)],
        "verb": [f"{ADL}nobody-used-it", f"{ADL}rare", f"{ADL}launched", verb],
        "activity": ["http://example.org/nothing", rare, iri, "http://example.org/course/3"],
        "registration": [ids.format_uuid(bytes(15) + b"\1"), ids.format_uuid(registration)],
        "related_agents": ["true"],
        "related_activities": ["true"],
        "since": moments,
        "until": moments,
        "ascending": ["true"],
        "limit": ["1", "100"],
        "format": ["ids", "exact", "canonical"],
        "statementId": [ids.format_uuid(bytes(15) + b"\1"), ids.format_uuid(row[-1])],
    }


def _measure_pages(port: int, box: MillionBox) -> list[list[str]]:
    teacher, learner = box.school.teacher.session, box.school.learners[0].session
    pages = [
        ("page of a class of 40", f"/staff/classes/{box.class_no}", teacher, CLASS_MAX_MS),
        ("its table alone", f"/staff/classes/{box.class_no}/table", teacher, CLASS_MAX_MS),
        ("all classes", "/staff/classes", teacher, CLASS_MAX_MS),
        ("the hub", "/staff/sync", teacher, CLASS_MAX_MS),
        ("lessons of a learner", "/learn", learner, CLASS_MAX_MS),
    ]
    return [_page_row(port, *each) for each in pages]


def _page_row(port: int, name: str, path: str, session: str, max_ms: float) -> list[str]:
    """Return how long a page takes at first, when its template is compiled, and after that."""
    connection, took = HTTPConnection("127.0.0.1", port, timeout=60), []
    for _ in range(RUNS + 3):
        start = time.perf_counter()
        connection.request("GET", path, headers={"Cookie": f"edgebox_session={session}"})
        answer = connection.getresponse()
        answer.read()
        took.append((time.perf_counter() - start) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"{answer.status} for {path}")
    first_ms, *later_ms = took
    label = f"{name}: first {first_ms:.0f}, then worst of {len(later_ms)}, ms"
    return [label, *_timed(max(later_ms), max_ms)]


def _writing_rows(port: int, box: MillionBox, there: str) -> Iterator[list[str]]:
    """Return how long writers wait for their answers, with so many statements there."""
    tablets = [make_client(port, learner, 1) for learner in box.school.learners[:WRITERS]]
    apps = [_app_client(port, box, number) for number in range(WRITERS)]
    for name, clients in ((f"tablets, {there} there", tablets), (f"apps, {there} there", apps)):
        asyncio.run(run_load(port, clients, 1.0))
        load = asyncio.run(run_load(port, clients, WRITING_SECONDS))
        yield _writing_row(name, load)


def _writing_row(name: str, load: Load) -> list[str]:
    if set(load.statuses) != {200}:
        raise RuntimeError(f"answers other than 200: {load.statuses}")
    label = f"{WRITERS} {name}: {load.requests / load.seconds:.0f}/s, p50 {load.percentile_ms(50):.1f}, p99, ms"
    return [label, *_timed(load.percentile_ms(99), POST_MAX_MS)]


def _app_client(port: int, box: MillionBox, number: int) -> Callable[[], bytes]:
    token = b64encode(":".join(box.login).encode()).decode()
    head = (
        f"POST {_XAPI} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {token}\r\n"
        "X-Experience-API-Version: 1.0.3\r\nContent-Type: application/json\r\nContent-Length: "
    )
    statement = {
        "actor": {"mbox": f"mailto:w{number}@example.org"},
        "verb": {"id": million_box.VERB_OF_OTHERS},
        "object": {"id": f"http://example.org/page/{number}"},
    }

    def request() -> bytes:
        body = json.dumps({"id": ids.format_uuid(os.urandom(16)), **statement}).encode()
        return f"{head}{len(body)}\r\n\r\n".encode() + body

    return request


def _size_rows(box: MillionBox) -> Iterator[list[str]]:
    total = (box.own_bytes * OWN + box.outside_bytes * OUTSIDE) / (OWN + OUTSIDE)
    for name, size_bytes in (
        ("bytes of box.db per statement, all together", total),
        ("... of our own pages", box.own_bytes),
    ):
        yield [
            name,
            f"{size_bytes:.0f}",
            f"<= {STATEMENT_MAX_BYTES:.0f} ({verdict(size_bytes <= STATEMENT_MAX_BYTES)})",
        ]
    yield ["... of other apps", f"{box.outside_bytes:.0f}", ""]
    yield [f"ms to list a block of {listing.BLOCK:,}, beside the writer", f"{box.block_ms:.0f}", ""]


def _timed(took_ms: float, max_ms: float) -> tuple[str, str]:
    return f"{took_ms:.1f}", f"<= {max_ms:.0f} ({verdict(took_ms <= max_ms)})"


if __name__ == "__main__":
    main()
