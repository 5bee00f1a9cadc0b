"""What was stored between two times is found wherever in the log it is, and only there is it looked for."""

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgebox.domain.clock_rules import Saved
from edgebox.domain.events import parse_event
from edgebox.domain.statement_in import Sender, from_event, from_statement
from edgebox.domain.statements import NewStatement, StoredStatement
from edgebox.domain.xapi.version import Version
from edgebox.store import (
    boots,
    listing,
    registry,
    roster,
    scrubbing,
    seals,
    statement_filters,
    statement_queries,
    statements,
    stretches,
)
from edgebox.store.connections import open_writer
from edgebox.store.rebuilding import rebuild
from edgebox.store.statement_filters import Filter, Reach
from edgebox.store.statements import Batch
from edgebox.store.upgrade import upgrade
from sync.bundle.layout import ClockQuality
from sync.records.kinds import Kind
from tests.support.box import Person, make_tablet
from tests.support.records import make_statement

START_MS = 1_763_780_000_000
HOME = "http://box.internal/"
SENDER = Sender(HOME, f"account:{HOME} client-1", 1, Version.ONE)
FOLDERS = itertools.count()
LONG_MS = 30_000
AT = st.none() | st.floats(0, 1, exclude_max=True)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("store"), st.integers(1, 5), st.integers(0, LONG_MS)),
        st.tuples(st.just("work"), st.integers(1, 5), st.integers(0, LONG_MS)),
        st.tuples(st.just("store"), st.integers(1, 5), st.integers(-LONG_MS, 0)),
        st.tuples(st.just("boot"), st.integers(0, 3), st.integers(0, LONG_MS)),
        st.tuples(st.just("learn"), st.just(0), st.integers(-2 * LONG_MS, 2 * LONG_MS)),
        st.tuples(st.just("hub"), st.integers(1, 3), st.integers(-LONG_MS, LONG_MS)),
        st.tuples(st.sampled_from(["mend", "damage", "lose", "remove"]), st.integers(0, 99), st.just(0)),
        st.tuples(st.just("rebuild"), st.integers(0, 99), st.just(0)),
    ),
    min_size=3,
    max_size=25,
)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (listing, statement_queries):
        monkeypatch.setattr(module, "BLOCK", 4)
    monkeypatch.setattr(statement_queries, "LOOKED_AT_MAX", 7)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "box.db"
    upgrade(path)
    return path


class History:
    """A database in which things happen, one after the other, under a clock that may be set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now_ms = START_MS
        self._numbers = itertools.count(1)
        self._from_hub: list[NewStatement] = []
        self._tablet = make_tablet(1)
        self.db = self._open()
        no = roster.insert_learner(self.db, 1, "L")
        self.db.execute("UPDATE person SET pseudonym = ? WHERE no = ?", (bytes(16), no))
        self._person = Person(no, bytes(16), "t", "", {})

    def _open(self) -> sqlite3.Connection:
        db = open_writer(self.path)
        db.execute("PRAGMA synchronous = OFF")  # no power is cut here
        return db

    def run(self, what: str, number: int, by_ms: int) -> None:
        getattr(self, f"_{what}")(number, by_ms)

    def _store(self, count: int, by_ms: int) -> None:
        self.now_ms += by_ms
        self._send([*self._made(count), *(self._from_hub.pop() for _ in self._from_hub[2:])])

    def _made(self, count: int) -> list[NewStatement]:
        made = [make_statement(next(self._numbers)) for _ in range(count)]
        return [from_statement(each, None, self.now_ms, SENDER) for each in made]

    def _send(self, sent: list[NewStatement]) -> None:
        assert statements.insert_statements(self.db, registry.Registry({}, {}), sent, self.now_ms)[0] == []

    def _work(self, count: int, by_ms: int) -> None:
        self.now_ms += by_ms
        device, person = bytes.fromhex(self._tablet.device), self._person
        events = [self._tablet.event(person) for _ in range(count)]
        made = [from_event(parse_event(event), device, person.no, event) for event in events]
        batch = Batch(device, None, made, {person.no: person.pseudonym}, [])
        statements.insert_batch(self.db, registry.Registry({}, {}), batch, self.now_ms)

    def _boot(self, number: int, by_ms: int) -> None:
        self.now_ms += by_ms
        boots.begin(self.db, Saved(self.now_ms, 0, f"run {number}", ClockQuality.UNKNOWN))

    def _learn(self, _number: int, by_ms: int) -> None:
        row = self.db.execute("SELECT run_id FROM boot ORDER BY no DESC LIMIT 1").fetchone()
        self.now_ms += by_ms
        run_id = "none" if row is None else row[0]
        boots.learn(self.db, self.now_ms - by_ms, Saved(self.now_ms, 0, run_id, ClockQuality.HUB))

    def _hub(self, count: int, by_ms: int) -> None:
        numbers = registry.Numbers(self.db, registry.Registry({}, {}))
        for statement in self._made(count):
            statements.insert_from_hub(self.db, numbers, replace(statement, digest=b""), None, self.now_ms + by_ms)
            self._from_hub.append(statement)

    def _pick(self, number: int) -> bytes | None:
        rows = self.db.execute("SELECT key FROM change WHERE kind = ? ORDER BY seq", (int(Kind.STATEMENT),)).fetchall()
        picked = rows[number % len(rows)][0] if rows else None
        whole = picked is not None and seals.find_whole(self.db, [picked])
        return picked if whole else None

    def _spoil(self, number: int, times: str) -> bytes | None:
        picked = self._pick(number)
        if picked is not None:
            self.db.execute(f"UPDATE statement SET stored_ms = {times} WHERE id = ?", (picked,))
        return picked

    def _damage(self, number: int, _by_ms: int) -> None:
        self._spoil(number, "stored_ms + 65536")

    def _mend(self, number: int, _by_ms: int) -> None:
        self._put_right(self._spoil(number, "stored_ms & ~(1 << 13) | (~stored_ms & (1 << 13))"))

    def _lose(self, number: int, _by_ms: int) -> None:
        self._put_right(self._spoil(number, "stored_ms + 5555"))

    def _put_right(self, picked: bytes | None) -> None:
        if picked is not None:
            _looked_at, mends = scrubbing.find_mends(self.db, [picked], lambda: False)
            scrubbing.put_right(self.db, [picked], mends, self.now_ms + 10 * LONG_MS)

    def _remove(self, number: int, _by_ms: int) -> None:
        if (picked := self._pick(number)) is not None:
            self.db.execute("DELETE FROM statement WHERE id = ?", (picked,))
            self.db.execute("DELETE FROM change WHERE key = ?", (picked,))

    def _rebuild(self, number: int, _by_ms: int) -> None:
        """Make the database anew, after part of the log was lost."""
        places = (number, number + 6)
        self.db.execute("DELETE FROM change WHERE kind = 1 AND seq BETWEEN ? AND ?", places)
        self.db.execute("DELETE FROM outside WHERE seq BETWEEN ? AND ?", places)
        self.db.execute("INSERT OR REPLACE INTO chain (device_no, statements, joined) VALUES (77, 1000, 1)")
        self.db.close()
        made = self.path.with_name("made.db")
        rebuild(self.path, made, self.path.with_name("none"), self.now_ms)
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        made.rename(self.path)
        self.db = self._open()

    def listed(self, limit: int = 100, **conditions: Any) -> list[StoredStatement]:
        found, start = [], None
        while True:
            page = statement_queries.list_statements(self.db, Filter(**conditions), Reach(), start, limit)
            found += page.statements
            if (start := page.next_seq) is None:
                return found


def _pick(moments: list[int], at: float | None) -> int | None:
    return None if at is None or not moments else moments[int(at * len(moments))]


@given(steps=STEPS, limit=st.integers(1, 5), asked=st.lists(st.tuples(AT, AT), min_size=2, max_size=6))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_between_two_times_are_a_filter_over_all(
    empty: Path, steps: list[tuple[str, int, int]], limit: int, asked: list[tuple[float | None, float | None]]
) -> None:
    folder = empty.parent / str(next(FOLDERS))
    folder.mkdir()
    history = History(Path(shutil.copy(empty, folder)))
    for step in steps:
        history.run(*step)
    everything = history.listed(is_ascending=True)
    moments = sorted({each.stored_ms + near for each in everything for near in (-1, 0, 1)})
    for since, until in [(_pick(moments, one), _pick(moments, other)) for one, other in asked]:
        expected = [
            each.id
            for each in everything
            if (since is None or each.stored_ms > since) and (until is None or each.stored_ms <= until)
        ]
        for is_ascending in (True, False):
            found = history.listed(limit, since_ms=since, until_ms=until, is_ascending=is_ascending)
            assert [each.id for each in found] == (expected if is_ascending else expected[::-1])
    history.db.close()


@pytest.fixture
def history(empty: Path, tmp_path: Path) -> Iterator[History]:
    made = History(Path(shutil.copy(empty, tmp_path)))
    with closing(made.db):
        yield made


def test_asking_for_what_is_new_looks_at_nothing_else(history: History) -> None:
    for _ in range(5):
        history.run("store", 5, 10)
        history.run("boot", 1, 10)
    seen_ms = history.listed()[0].stored_ms
    history.run("boot", 1, 10)
    history.run("store", 2, 10)
    for is_ascending in (True, False):
        wanted = Filter(since_ms=seen_ms, is_ascending=is_ascending)
        page = statement_queries.list_statements(history.db, wanted, Reach(), None, 100)
        assert (len(page.statements), page.next_seq) == (2, None)
    assert history.listed(since_ms=history.now_ms) == []
    assert statement_filters.find_ranges(history.db, Filter(since_ms=history.now_ms), 999) == []


def test_more_boots_are_no_more_to_look_through(history: History) -> None:
    asked: list[str] = []
    history.run("boot", 1, 10)
    history.run("store", 5, 10)
    history.run("learn", 0, 5)
    middle_ms = history.now_ms + 20
    counts = []
    for more in (3, 300):
        for _ in range(more):
            history.run("boot", 1, 10)
            history.run("store", 1, 0)
        history.db.set_trace_callback(asked.append)
        statement_filters.find_ranges(history.db, Filter(since_ms=middle_ms, until_ms=history.now_ms - 1), 9999)
        history.db.set_trace_callback(None)
        counts.append(len(asked))
        asked.clear()
    assert counts[1] <= counts[0] + 4


def test_a_page_goes_on_where_it_stopped_though_the_other_stream_is_further(history: History) -> None:
    for _ in range(9):
        history.run("store", 5, 10)
    for is_ascending in (True, False):
        assert len(history.listed(is_ascending=is_ascending)) == 45


def test_a_damaged_stretch_hides_nothing(history: History) -> None:
    history.run("store", 3, 10)
    history.run("store", 3, 10)
    found = history.listed(since_ms=START_MS + 10)
    history.db.execute("UPDATE stretch SET last_ms = 5")
    assert history.listed(since_ms=START_MS + 10) == found
    assert len(found) == 3


def test_stretches_made_anew_are_as_they_were(history: History) -> None:
    steps = ("store", 3, 10), ("boot", 1, 10), ("store", 3, 10), ("store", 2, -15), ("work", 2, 5), ("mend", 0, 0)
    for step in steps:
        history.run(*step)
    query = "SELECT first_change, first_ms FROM stretch ORDER BY first_change"
    before = history.db.execute(query).fetchall()
    stretches.make_all(history.db)
    assert history.db.execute(query).fetchall() == before
    assert len(before) == 4
