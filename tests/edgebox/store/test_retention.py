"""Statements leave when they are old, at the hub, and needed by nobody; everything else is as if they were there."""

import copy
import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from content_packs.base import ids
from edgebox.domain.events import parse_event
from edgebox.domain.statement_in import Sender, from_event, from_record, from_statement
from edgebox.domain.xapi.version import Version
from edgebox.store import (
    changes,
    learner_view,
    listing,
    registry,
    removed,
    repairs,
    retention,
    roster,
    row_seals,
    scrubbing,
    spans,
    statement_queries,
    statements,
    teaching,
    uncounted,
)
from edgebox.store.attachments import Attachment, insert_attachments
from edgebox.store.connections import open_reader, open_writer
from edgebox.store.listing import BLOCK
from edgebox.store.rebuilding import rebuild
from edgebox.store.statement_filters import Filter, Reach
from edgebox.store.statements import Accepted, Batch
from edgebox.store.upgrade import upgrade
from sync.records.kinds import Kind
from sync.records.lessons import OWN_PACK
from sync.records.rows import Statement
from tests.support.box import Person, Tablet, make_tablet
from tests.support.records import ADL, VOIDED, make_id, make_statement, reference
from tests.support.retained import FAR_MS, confirm_all, list_blocks, remove_all, wanted

LEARNERS = 3
START_MS = 1_763_780_000_000
DAY_MS = 86_400_000
HOME = "http://box.internal/"
BIG_BLOCK = BLOCK


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (listing, statement_queries):
        monkeypatch.setattr(module, "BLOCK", 4)


@dataclass
class Store:
    """A database with a class, and what tablets and an app bring into it."""

    path: Path
    db: sqlite3.Connection
    people: list[Person]
    class_no: int

    def take(self, tablet: Tablet, *events: dict[str, Any]) -> Accepted:
        made = [_from_event(tablet, self.people[event["who"]], event) for event in events]
        people = {person.no: person.pseudonym for person in self.people}
        batch = Batch(bytes.fromhex(tablet.device), None, made, people, [])
        return statements.insert_batch(self.db, registry.Registry({}, {}), batch, events[0]["t"] + 1)

    def send(self, *sent: dict[str, Any], at_ms: int = START_MS, who: int | None = 0) -> list[bytes]:
        """Store statements of an app, of a learner or of somebody else; return the ids that are taken."""
        sender = Sender(HOME, f"account:{HOME} client-1", 1, Version.ONE)
        person_no = None if who is None else self.people[who].no
        new = [from_statement(copy.deepcopy(each), person_no, at_ms, sender) for each in sent]
        return statements.insert_statements(self.db, registry.Registry({}, {}), new, at_ms)[0]

    def ids(self) -> set[bytes]:
        return {row[0] for row in self.db.execute("SELECT id FROM statement")}

    def places(self) -> list[int]:
        """Return where in the log statements are."""
        return [row[0] for row in self.db.execute("SELECT seq FROM change WHERE kind = 1 ORDER BY seq")]

    def listed(self, **conditions: Any) -> list[bytes]:
        found, start = [], None
        while True:
            page = statement_queries.list_statements(self.db, Filter(**conditions), Reach(), start, 3)
            found += [statement.id for statement in page.statements]
            if (start := page.next_seq) is None:
                return found

    def progress(self) -> list[Any]:
        return sorted(map(tuple, self.db.execute("SELECT * FROM progress").fetchall()))

    def pages(self) -> Any:
        """Return what the pages of the class and of its learners are made of."""
        begun = teaching.list_begun(self.db, self.class_no)
        rows = sorted(teaching.list_progress(self.db, self.class_no, begun), key=repr)
        return (
            rows,
            teaching.list_worked(self.db, self.class_no),
            [learner_view.learner_view(self.db, person.no, FAR_MS) for person in self.people],
        )


def _from_event(tablet: Tablet, person: Person, event: dict[str, Any]) -> Any:
    kept = {name: value for name, value in event.items() if name not in ("token", "who")}
    parsed = parse_event({**kept, "token": person.token})
    return from_event(parsed, bytes.fromhex(tablet.device), person.no, kept)


def open_store(path: Path) -> Store:
    upgrade(path)
    db = open_writer(path)
    db.execute("PRAGMA synchronous = OFF")  # no power is cut here
    db.row_factory = sqlite3.Row
    class_no = roster.insert_class(db, 1, "Class 4")
    people = []
    for number in range(LEARNERS):
        no = roster.insert_learner(db, 1, f"L{number}")
        roster.set_enrollment(db, 1, class_no, no)
        pseudonym = bytes([number + 1]) * 16
        db.execute("UPDATE person SET pseudonym = ? WHERE no = ?", (pseudonym, no))
        row_seals.seal(db, "person", no)
        people.append(Person(no, pseudonym, "t", "", {}))
    return Store(path, db, people, class_no)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "box.db")
    with closing(opened.db):
        yield opened


def work(tablet: Tablet, who: int = 0, count: int = 12, **changes: Any) -> list[dict[str, Any]]:
    """Return an attempt of a learner: opened, answered, passed."""
    person = Person(0, b"", "t", "", {})
    first = tablet.event(person, "initialized", who=who, **changes)
    opened = {**first, "attempt": first["seq"]}
    rest = [
        tablet.event(
            person, "answered", who=who, attempt=first["seq"], item=f"q{item}",
            result={"score": item % 2, "max": 1, "duration_ms": 900}, **changes,
        )
        for item in range(count - 2)
    ]  # fmt: skip
    passed = tablet.event(
        person,
        "passed",
        who=who,
        attempt=first["seq"],
        result={"score": 7, "max": 10, "duration_ms": 60_000},
        **changes,
    )
    return [opened, *rest, passed]


def settle(store: Store) -> None:
    """Let the hub have everything, all blocks be listed, and something come last that stays."""
    store.send(make_statement(9_999), at_ms=START_MS + 10**9, who=None)
    store.send(make_statement(9_998), at_ms=START_MS + 10**9, who=None)
    for number in range(9_000, 9_004):
        store.send(make_statement(number), at_ms=START_MS + 10**9, who=None)
    list_blocks(store.db)
    confirm_all(store.db)


def test_what_is_old_and_at_the_hub_leaves_and_pages_show_the_same(store: Store) -> None:
    tablet = make_tablet(1)
    for who in range(LEARNERS):
        store.take(tablet, *work(tablet, who))
    settle(store)
    before = store.pages()
    assert remove_all(store.db, wanted()) == 12 * LEARNERS
    assert store.pages() == before
    assert retention.count(store.db) == retention.Counts(6, 12 * LEARNERS)
    assert store.listed() == store.listed(verb=f"{ADL}experienced")
    assert store.listed(verb=f"{ADL}answered") == []


def test_nothing_leaves_that_the_hub_has_not_had_for_a_week(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    list_blocks(store.db)
    assert remove_all(store.db, wanted()) == 0
    first = confirm_all(store.db, acked_ms=FAR_MS - 1)
    store.take(tablet, *work(tablet))
    settle(store)
    assert remove_all(store.db, wanted()) == 0
    store.db.execute("UPDATE bundle_out SET acked_ms = 1 WHERE through_change <= ?", (first,))
    store.db.execute("UPDATE bundle_out SET acked_ms = NULL WHERE through_change > ?", (first,))
    assert 0 < remove_all(store.db, wanted()) <= 12
    changes.begin_epoch(store.db, 7)
    assert remove_all(store.db, wanted()) == 0


@pytest.mark.parametrize(("more_ms", "removed_count"), [(-1, 12), (0, 0), (1, 0)])
def test_what_the_hub_has_had_for_seven_days_and_a_millisecond_leaves(
    store: Store, more_ms: int, removed_count: int
) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    settle(store)
    store.db.execute("UPDATE bundle_out SET acked_ms = ?", (FAR_MS - 7 * DAY_MS + more_ms,))
    assert remove_all(store.db, wanted()) == removed_count


@pytest.mark.parametrize(("blocks", "removed_count"), [(0, 0), (4, 2), (7, 8)])
def test_what_is_in_no_list_yet_stays(store: Store, blocks: int, removed_count: int) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    settle(store)
    before = store.places()
    listing.drop(store.db)
    list_through(store.db, blocks)
    assert remove_all(store.db, wanted()) == removed_count
    assert store.places() == [seq for seq in before if seq >= blocks * listing.BLOCK]


def test_the_last_change_of_the_log_stays_though_it_may_leave_otherwise(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    confirm_all(store.db)
    last = changes.find_last_change(store.db)
    list_through(store.db, last // listing.BLOCK + 1)
    assert remove_all(store.db, wanted()) == 11
    assert (store.places(), changes.find_last_change(store.db)) == ([last], last)


def list_through(connection: sqlite3.Connection, blocks: int) -> None:
    """List so many blocks, full or not."""
    for block in range(blocks):
        listing.store_lists(connection, block, listing.read_lists(connection, block))


def test_what_was_stored_since_stays(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    middle_ms = tablet.t + 10
    tablet.t += 1_000_000
    later = work(tablet)
    store.take(tablet, *later)
    settle(store)
    assert remove_all(store.db, wanted(middle_ms)) == 12
    assert len(store.listed(person_no=store.people[0].no, agent="x")) == 12


def test_what_only_the_box_has_or_needs_stays(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    store.send(make_statement(1), who=None)
    store.send(make_statement(2), make_statement(3))
    insert_attachments(store.db, [Attachment(ids.parse_uuid(make_id(2)), "a" * 64, "text/plain")])
    store.take(tablet, *work(tablet, 1, resource="thirds"))
    settle(store)
    thirds = store.db.execute("SELECT no FROM activity WHERE resource = 'thirds' AND item IS NULL").fetchone()[0]
    what = wanted(kept={store.people[1].no: frozenset({thirds})})
    assert remove_all(store.db, what) == 13
    left = {ids.parse_uuid(make_id(number)) for number in (1, 2)}
    assert left < store.ids()
    assert len(store.listed(person_no=store.people[1].no, agent="x")) == 12


def test_work_that_a_learner_is_in_now_stays(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    settle(store)
    store.db.execute("UPDATE progress SET stored_ms = ?", (FAR_MS - 1000,))
    assert remove_all(store.db, wanted()) == 0


def test_open_work_is_found_by_resource_and_by_pack(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet), *work(tablet, resource="thirds"))
    numbers = dict(store.db.execute("SELECT resource, no FROM activity WHERE item IS NULL").fetchall())
    people = frozenset({1, 2})
    of_one = [retention.Open(people, frozenset({("org.edgebox.fractions", "halves"), ("org.other", None)}))]
    of_all = [retention.Open(people, frozenset({("org.edgebox.fractions", None)}))]
    unknown = [retention.Open(people, frozenset({(OWN_PACK, None)}))]
    assert retention.find_kept(store.db, of_one) == dict.fromkeys((1, 2), frozenset({numbers["halves"]}))
    for opened in (of_all, unknown):
        assert retention.find_kept(store.db, opened) == dict.fromkeys((1, 2), frozenset(numbers.values()))


def test_damaged_statements_and_those_put_right_stay(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    settle(store)
    first, second = sorted(store.ids() - set(store.listed(verb=f"{ADL}experienced")))[:2]
    store.db.execute("UPDATE statement SET timestamp_ms = timestamp_ms + 3333, success = 1 WHERE id = ?", (first,))
    store.db.execute("INSERT INTO damaged_statement (id, found_ms, content) VALUES (?, 1, '')", (second,))
    assert remove_all(store.db, wanted()) == 10
    assert {first, second} < store.ids()


def test_what_takes_back_a_statement_leaves_after_it(store: Store) -> None:
    store.send(make_statement(1), make_statement(2, verb=VOIDED, object=reference(1)))
    store.send(make_statement(3, verb=VOIDED, object=reference(4)))
    for number in range(10, 14):
        store.send(make_statement(number))
    settle(store)
    void, taken_back, waiting = (ids.parse_uuid(make_id(number)) for number in (2, 1, 3))
    remove_all(store.db, wanted())
    assert taken_back not in store.ids()
    remove_all(store.db, wanted())
    assert void not in store.ids()
    assert waiting in store.ids()
    store.send(make_statement(4))
    assert store.db.execute("SELECT is_void FROM outside WHERE id = ?", (ids.parse_uuid(make_id(4)),)).fetchone()[0]
    store.send(make_statement(1))
    assert taken_back not in store.ids()


def test_what_comes_again_after_it_left_is_known_and_counts_once(store: Store) -> None:
    tablet, other = make_tablet(1), make_tablet(2)
    events = work(tablet)
    store.take(tablet, *events)
    store.send(make_statement(1))
    settle(store)
    before, left = store.progress(), None
    remove_all(store.db, wanted())
    left = store.ids()
    accepted = store.take(tablet, *events)
    assert accepted.device is not None
    assert accepted.device.box_seq == 12
    assert store.send(make_statement(1), at_ms=START_MS + 10**10) == []
    assert store.send(make_statement(1, verb={"id": f"{ADL}experienced"})) == []
    assert (store.progress(), store.ids()) == (before, left)
    store.take(other, *work(other))
    assert len(store.ids()) == len(left) + 12


def test_what_the_hub_brings_back_after_it_left_is_known(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    store.send(make_statement(1))
    keys = [row[0] for row in store.db.execute("SELECT key FROM change WHERE kind = 1 ORDER BY seq")]
    records = [each for each in spans.read_records(store.db, {Kind.STATEMENT: keys}) if isinstance(each, Statement)]
    settle(store)
    remove_all(store.db, wanted())
    before, there = store.progress(), store.ids()
    for record in records:
        row = store.db.execute(
            "SELECT verb.iri, activity.iri FROM verb, activity WHERE verb.no = ? AND activity.no = ?",
            (record.verb_no, record.activity_no),
        ).fetchone()
        device_id = None if record.device_no is None else bytes.fromhex(tablet.device)
        statement = from_record(record, record.learner_no or 0, row[0], row[1], device_id)
        assert statement is not None
        numbers = registry.Numbers(store.db, registry.Registry({}, {}))
        statements.insert_from_hub(store.db, numbers, statement, record.device_no, record.timestamp_ms)
    assert len(records) == 13
    assert (store.progress(), store.ids()) == (before, there)


def test_another_content_under_the_id_of_what_left_is_a_conflict(store: Store) -> None:
    tablet = make_tablet(1)
    events = work(tablet)
    store.take(tablet, *events)
    store.send(make_statement(1))
    settle(store)
    remove_all(store.db, wanted())
    before = store.ids()
    changed = {**events[-1], "result": {"score": 9, "max": 10}}
    store.take(tablet, changed)
    assert store.send(make_statement(1, object={"id": "http://example.org/other"})) == [ids.parse_uuid(make_id(1))]
    assert store.db.execute("SELECT count(*) FROM statement_conflict").fetchone()[0] == 2
    assert store.ids() == before


def test_number_that_a_tablet_gives_twice_is_two_statements(store: Store) -> None:
    tablet = make_tablet(1)
    events = work(tablet)
    store.take(tablet, *events)
    settle(store)
    remove_all(store.db, wanted())
    again = [{**event, "t": event["t"] + 90_000_000} for event in events]
    store.take(tablet, *again)
    assert len(store.ids()) == 12 + 6
    settle_more(store)
    assert remove_all(store.db, wanted()) == 12
    before = store.ids()
    store.take(tablet, *again)
    store.take(tablet, *events)
    assert store.ids() == before


def settle_more(store: Store) -> None:
    """Let the hub have everything once more, with other statements behind."""
    for number in range(8_000, 8_006):
        store.send(make_statement(number), at_ms=START_MS + 10**9 + 1, who=None)
    list_blocks(store.db)
    confirm_all(store.db)


def test_a_tablet_is_not_asked_again_for_what_left(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    settle(store)
    remove_all(store.db, wanted())
    device = statements.find_device(store.db, bytes.fromhex(tablet.device))
    assert device is not None
    repairs.ask_again(store.db, [device.no])
    assert statements.find_device(store.db, bytes.fromhex(tablet.device)) == device
    assert removed.list_seqs(store.db, device.no) == list(range(1, 13))


def test_reading_for_damage_misses_nothing_after_removal(store: Store) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    store.send(make_statement(1))
    settle(store)
    remove_all(store.db, wanted())
    found = scrubbing.read_on(store.path, "", lambda: False)
    assert (found.damaged, found.is_missing, found.fault) == ((), False, "")


def test_rebuilt_database_has_the_progress_of_what_left_and_not_the_statements(store: Store, tmp_path: Path) -> None:
    tablet = make_tablet(1)
    store.take(tablet, *work(tablet))
    settle(store)
    gone = store.db.execute("SELECT * FROM statement WHERE device_no IS NOT NULL").fetchall()
    remove_all(store.db, wanted())
    before = store.pages()
    # As if pages that were given up had come back, and the summaries were unreadable.
    marks = ", ".join("?" * len(gone[0]))
    store.db.execute(f"INSERT INTO statement VALUES ({marks})", tuple(gone[0]))
    store.db.execute("DROP TABLE progress")
    store.db.execute("DROP TABLE mention")
    target = tmp_path / "new.db"
    rebuild(store.path, target, tmp_path / "none", 1)
    with closing(open_reader(target)) as made:
        made.row_factory = sqlite3.Row
        after = Store(target, made, store.people, store.class_no)
        assert after.pages()[:2] == before[:2]
        assert after.ids() == store.ids() - {gone[0][0]}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("work"), st.integers(0, 2), st.integers(0, LEARNERS - 1), st.integers(2, 6)),
        st.tuples(st.just("again"), st.integers(0, 20), st.just(0), st.just(0)),
        st.tuples(st.just("app"), st.integers(0, 30), st.integers(0, LEARNERS - 1), st.integers(0, 3)),
        st.tuples(st.just("void"), st.integers(0, 30), st.integers(0, LEARNERS - 1), st.integers(0, 30)),
        st.tuples(st.just("remove"), st.integers(0, 40), st.just(0), st.just(0)),
    ),
    min_size=4,
    max_size=24,
)
FOLDERS = itertools.count()


class Twins:
    """The same history with and without removal."""

    def __init__(self, folder: Path) -> None:
        self.retained, self.whole = (open_store(folder / name) for name in ("retained.db", "whole.db"))
        self.tablets = [make_tablet(number) for number in range(1, 4)]
        self.brought: list[tuple[Tablet, list[dict[str, Any]]]] = []
        self.now_ms = START_MS

    def run(self, kind: str, *numbers: int) -> None:
        self.now_ms += 5_000_000
        getattr(self, f"_{kind}")(*numbers)

    def _work(self, tablet_no: int, who: int, count: int) -> None:
        tablet = self.tablets[tablet_no]
        tablet.t = self.now_ms
        self._bring(tablet, work(tablet, who, count, resource=f"r{count % 2}"))

    def _again(self, number: int, *_: int) -> None:
        if self.brought:
            self._bring(*self.brought[number % len(self.brought)])

    def _bring(self, tablet: Tablet, events: list[dict[str, Any]]) -> None:
        self.brought.append((tablet, events))
        assert self.retained.take(tablet, *events).device == self.whole.take(tablet, *events).device

    def _app(self, number: int, who: int, content: int) -> None:
        page = {"id": f"http://example.org/{content}"}
        result = {"score": {"scaled": number / 30}, "completion": bool(number % 2), "duration": "PT9S"}
        sent = make_statement(number, object=page, result=result, timestamp="2025-01-01T00:00:00Z")
        self._send(sent, who)

    def _void(self, number: int, who: int, target: int) -> None:
        self._send(make_statement(1_000 + number, verb=VOIDED, object=reference(target)), who)

    def _send(self, sent: dict[str, Any], who: int) -> None:
        first = self.retained.send(sent, at_ms=self.now_ms, who=who)
        assert self.whole.send(sent, at_ms=self.now_ms, who=who) == first

    def _remove(self, ago: int, *_: int) -> None:
        list_blocks(self.retained.db)
        confirm_all(self.retained.db)
        remove_all(self.retained.db, wanted(self.now_ms - ago * 1_000_000))

    def close(self) -> None:
        self.retained.db.close()
        self.whole.db.close()


@given(steps=STEPS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_histories_show_the_same_as_without_removal(tmp_path: Path, steps: list[tuple[Any, ...]]) -> None:
    folder = tmp_path / str(next(FOLDERS))
    folder.mkdir()
    twins = Twins(folder)
    retained, whole = twins.retained, twins.whole
    for step in [*steps, ("remove", 0, 0, 0)]:
        twins.run(*step)
    assert retained.pages() == whole.pages()
    assert retained.progress() == whole.progress()
    left = retained.ids()
    assert left <= whole.ids()
    for conditions in ({}, {"verb": f"{ADL}answered"}, {"activity": "http://example.org/1"}, {"is_ascending": True}):
        assert retained.listed(**conditions) == [each for each in whole.listed(**conditions) if each in left]
    noted = {row[0]: (row[1], row[2]) for row in retained.db.execute("SELECT * FROM chain") if row[1]}
    assert repairs.read_chains(retained.db) == noted
    for store in (retained, whole):
        store.db.execute("DELETE FROM progress")
        uncounted.count(store.db)
    assert [row[:9] for row in retained.progress()] == [row[:9] for row in whole.progress()]
    twins.close()
