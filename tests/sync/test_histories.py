"""Whatever two boxes and the hub change, in whatever order they talk and whatever their clocks say: they end alike."""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from content_packs.format.manifest import Lesson
from edgebox.store import documents, hand_ins, merged, own_lessons, roster, switches, teaching, writing
from edgebox.store.catalogue import ListedLesson
from sync.hub.store import files
from sync.hub.store.writing import SchoolWriter
from sync.records.facts import CLASS_MEMBERS, ClassField, Entity, LearnerField, assignment_id
from sync.records.kinds import KINDS, Kind
from sync.records.merging import open_marks, tag_of
from tests.support.replicas import NOW_MS, BoxReplica, HubReplica

STEPS = 60
SEEDS = 8
TRAVELLING = (Kind.FACT, Kind.MEMBER, Kind.MARK, Kind.STATE, Kind.HAND_IN)
PROJECTED = (
    "SELECT pseudonym, code, removed_ms IS NULL FROM class",
    """SELECT class.pseudonym, person.pseudonym FROM enrollment JOIN class ON class.no = class_no
    JOIN person ON person.no = person_no WHERE is_active""",
    """SELECT pseudonym, pack, lesson, version, assigned_ms, is_active
    FROM assignment JOIN class ON class.no = class_no""",
    """SELECT pseudonym, activity_iri, state_id, content
    FROM activity_state JOIN person ON person.no = person_no""",
    "SELECT id, title, resources, is_active FROM own_lesson",
    "SELECT name, value FROM setting WHERE name = 'local_scripts'",
)


class History:
    """One run: a hub, two boxes with clocks that disagree, and a dice."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.hub = HubReplica(folder)
        self.boxes = [BoxReplica(folder / name, self.hub) for name in ("one", "two")]
        # One clock is right, one is wrong by hours or years, as that of a box without a battery is.
        self.ahead_ms = [0, self.dice.choice((-40 * 365 * 86_400_000, -3_600_000, 3_600_000, 10 * 365 * 86_400_000))]
        self.now_ms = NOW_MS

    def close(self) -> None:
        for part in (*self.boxes, self.hub):
            part.close()

    def run(self) -> None:
        changes: list[Callable[[BoxReplica, int], None]] = [
            self.add_class, self.add_learner, self.move, self.give_lesson, self.change_lesson, self.turn, self.mark,
            self.save_place, self.hand_in, self.make_lesson,
        ]  # fmt: skip
        for _step in range(STEPS):
            self.now_ms += self.dice.randrange(1, 100_000)
            place = self.dice.randrange(2)
            box, now_ms = self.boxes[place], max(self.now_ms + self.ahead_ms[place], 0)
            what = self.dice.random()
            if what < 0.15:
                box.send(self.now_ms)
            elif what < 0.3:
                box.fetch(now_ms, max_records=self.dice.choice((1, 3, 1000)))
            elif what < 0.32:
                digest = bytes([self.dice.randrange(4)]) * 32
                self.hub.read(
                    partial(files.add_file, box=box.enrolled, digest=digest, size_bytes=9, now_ms=self.now_ms)
                )
            elif what < 0.4:
                self.hub.write(box.enrolled.school_no, self.enter, self.now_ms)
            else:
                self.dice.choice(changes)(box, now_ms)

    def settle(self) -> None:
        for _round in range(2):
            for box in self.boxes:
                box.send(self.now_ms)
            for place, box in enumerate(self.boxes):
                box.fetch(max(self.now_ms + self.ahead_ms[place], 0))

    def enter(self, writer: SchoolWriter) -> None:
        class_id, learner_id = bytes([self.dice.randrange(3)]) * 16, bytes([9 + self.dice.randrange(3)]) * 16
        change = self.dice.choice((writer.add_member, writer.remove_member))
        change(CLASS_MEMBERS, class_id, learner_id)
        writer.write_fact(Entity.CLASS, class_id, ClassField.TITLE, self.dice.choice("abc"))
        writer.write_fact(Entity.LEARNER, learner_id, LearnerField.GIVEN_NAME, self.dice.choice("xyz"))

    def add_class(self, box: BoxReplica, now_ms: int) -> None:
        roster.insert_class(box.db, now_ms, "Class")

    def add_learner(self, box: BoxReplica, now_ms: int) -> None:
        roster.insert_learner(box.db, now_ms, "Learner")

    def move(self, box: BoxReplica, now_ms: int) -> None:
        if (class_no := self.pick(box, "class")) and (person_no := self.pick(box, "person")):
            roster.set_enrollment(box.db, now_ms, class_no, person_no, is_active=self.dice.random() < 0.6)

    def give_lesson(self, box: BoxReplica, now_ms: int) -> None:
        if class_no := self.pick(box, "class"):
            lesson = Lesson(self.dice.choice(("adding", "taking")), {"en": "x"}, {}, ())
            listed = ListedLesson("org.example.sums", self.dice.randrange(1, 4), 0, lesson)
            teaching.insert_assignment(box.db, class_no, listed, person_no=None, now_ms=now_ms)

    def change_lesson(self, box: BoxReplica, now_ms: int) -> None:
        if no := self.pick(box, "assignment"):
            class_no = box.ask("SELECT class_no FROM assignment WHERE no = ?", no)[0][0]
            if self.dice.random() < 0.5:
                teaching.end_assignment(box.db, class_no, no, now_ms)
            else:
                teaching.set_version(box.db, class_no, no, self.dice.randrange(1, 9), now_ms)

    def turn(self, box: BoxReplica, now_ms: int) -> None:
        switches.turn(box.db, switches.LOCAL_SCRIPTS, on=self.dice.random() < 0.5, now_ms=now_ms)

    def mark(self, box: BoxReplica, now_ms: int) -> None:
        if person_no := self.pick(box, "person"):
            learner = box.ask("SELECT pseudonym FROM person WHERE no = ?", person_no)[0][0]
            key = assignment_id(bytes(16), "org.example.sums", "adding")
            shown = open_marks(merged.list_where(box.db, Kind.MARK, assignment=key, learner=learner))
            value, seen = str(self.dice.randrange(10)), [tag_of(mark) for mark in shown]
            writing.write_mark(box.db, key, learner, value, "", replaces=seen, now_ms=now_ms)

    def save_place(self, box: BoxReplica, now_ms: int) -> None:
        if person_no := self.pick(box, "person"):
            place, is_kept = (
                documents.Place(documents.Subject.STATE, person_no=person_no, activity_iri="http://a"),
                self.dice.random() < 0.7,
            )
            document = documents.Document("text/plain", self.dice.randbytes(3), now_ms) if is_kept else None
            documents.change_document(box.db, place, "place", lambda _before, _count: document, now_ms)

    def hand_in(self, box: BoxReplica, now_ms: int) -> None:
        if person_no := self.pick(box, "person"):
            learner = box.ask("SELECT pseudonym FROM person WHERE no = ?", person_no)[0][0]
            key = assignment_id(bytes(16), "org.example.sums", "adding")
            assigned = hand_ins.Assigned(1, key, "org.example.sums", "adding", learner)
            digest, text = bytes([self.dice.randrange(4)]) * 32, self.dice.choice(("", "see the photo"))
            hand_ins.insert_hand_in(
                box.db,
                assigned,
                media_type="image/png",
                size_bytes=9,
                digest=digest,
                text=text,
                now_ms=now_ms,
                at_most=1_000,
            )

    def make_lesson(self, box: BoxReplica, now_ms: int) -> None:
        known, title = own_lessons.list_lessons(box.db), self.dice.choice("abc")
        if not known or self.dice.random() < 0.4:
            own_lessons.insert_lesson(box.db, title, [("org.example.sums", title)], now_ms)
        elif self.dice.random() < 0.5:
            own_lessons.end_lesson(box.db, self.dice.choice(sorted(own.id for own in known)), now_ms)

    def pick(self, box: BoxReplica, table: str) -> int | None:
        found = box.ask(f"SELECT no FROM {table} ORDER BY random()")
        return self.dice.choice(sorted(found))[0] if found else None

    def held_by_box(self, box: BoxReplica) -> list[object]:
        return [sorted(box.ask(f"SELECT {columns(kind)} FROM {kind.name.lower()}")) for kind in TRAVELLING]

    def held_by_hub(self) -> list[object]:
        def read(kind: Kind) -> list[tuple[object, ...]]:
            query = text(f"SELECT {columns(kind)} FROM {kind.name.lower()}")
            return self.hub.read(lambda connection: sorted(tuple(row) for row in connection.execute(query)))  # type: ignore[no-any-return]

        return [read(kind) for kind in TRAVELLING]


def columns(kind: Kind) -> str:
    return ", ".join(field.name for field in KINDS[kind].fields)


@pytest.fixture(params=range(SEEDS))
def history(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[History]:
    made = History(tmp_path, request.param)
    yield made
    made.close()


def test_all_replicas_hold_and_show_the_same(history: History) -> None:
    history.run()
    history.settle()
    one, two = history.boxes
    assert history.held_by_box(one) == history.held_by_box(two) == history.held_by_hub()
    for query in PROJECTED:
        assert sorted(one.ask(query)) == sorted(two.ask(query)), query
    assert one.fetch() == two.fetch() == []
