"""What merges both ways: bytes of a school's roster and of a day's changes, and how fast hub and boxes take a day."""

import gzip
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from content_packs.base.signing import SealingKey, SigningKey
from content_packs.format.manifest import Lesson
from edgebox.store import roster, teaching, writing
from edgebox.store.catalogue import ListedLesson
from sync.bundle.write import Range, write_bundle
from sync.records.facts import assignment_id
from sync.records.rows import Record
from tests.benchmarks.table import show
from tests.support.replicas import NOW_MS, BoxReplica, HubReplica
from tests.support.school_day import make_day, make_school

CLASSES, LEARNERS, LESSONS = 10, 300, 120
STATEMENTS = 18_000
_ALL = 100_000


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as folder:
        hub = HubReplica(Path(folder))
        one, two = BoxReplica(Path(folder) / "one", hub), BoxReplica(Path(folder) / "two", hub)
        try:
            _print_sizes(one, two)
            _print_speeds(one, two)
        finally:
            for part in (one, two, hub):
                part.close()


def _print_sizes(one: BoxReplica, two: BoxReplica) -> None:
    _fill(one)
    term = one.send()
    two.fetch()
    _change(one)
    day = one.send()
    lines = [_line(f"roster: {CLASSES} classes, {LEARNERS} learners, {LESSONS} lessons", term)]
    lines.append(_line("a day: 2 lessons, 3 learners moved, 30 marks", day))
    header = ["what", "records", "bundle, bytes", "bytes each", "JSON + gzip, bytes", "fewer"]
    show("What merges, as whole bundle files: head, signature and seal included", header, lines)


def _fill(box: BoxReplica) -> None:
    box.db.execute("BEGIN")
    nos = [roster.insert_class(box.db, NOW_MS, f"Class {number}") for number in range(CLASSES)]
    for number in range(LEARNERS):
        person_no = roster.insert_learner(box.db, NOW_MS, f"Learner {number}")
        roster.set_enrollment(box.db, NOW_MS + number * 20_000, nos[number % CLASSES], person_no)
    for number in range(LESSONS):
        _give(box, nos[number % CLASSES], number // CLASSES)
    box.db.execute("COMMIT")


def _give(box: BoxReplica, class_no: int, number: int) -> None:
    lesson = ListedLesson("org.example.sums", 3, 0, Lesson(f"lesson-{number}", {"en": "Lesson"}, {}, ()))
    teaching.insert_assignment(box.db, class_no, lesson, person_no=None, now_ms=NOW_MS + number * 60_000)


def _change(box: BoxReplica) -> None:
    box.db.execute("BEGIN")
    for class_no in (1, 2):
        _give(box, class_no, 99)
    for person_no in (1, 11, 21):
        roster.set_enrollment(box.db, NOW_MS, 1, person_no, is_active=False)
        roster.set_enrollment(box.db, NOW_MS, 2, person_no)
    class_id = box.ask("SELECT pseudonym FROM class WHERE no = 1")[0][0]
    key = assignment_id(class_id, "org.example.sums", "lesson-0")
    for place, (learner,) in enumerate(box.ask("SELECT pseudonym FROM person ORDER BY no LIMIT 30")):
        writing.write_mark(box.db, key, learner, str(place % 10), "", replaces=[], now_ms=NOW_MS + place * 9_000)
    box.db.execute("COMMIT")


def _line(name: str, records: list[Record]) -> list[str]:
    key, receiver = SigningKey.generate(), SealingKey.generate().public
    span = Range(1, 1, 1, len(records))
    ours = len(write_bundle(records, span, key=key, receiver_public=receiver, created_ms=NOW_MS))
    theirs = len(gzip.compress(json.dumps([_plain(record) for record in records]).encode(), 6))
    return [name, str(len(records)), str(ours), f"{ours / len(records):.1f}", str(theirs), f"{theirs / ours:.1f} x"]


def _plain(record: Any) -> dict[str, Any]:
    values = {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(record).items()}
    return {"kind": type(record).__name__} | values


def _print_speeds(one: BoxReplica, two: BoxReplica) -> None:
    school = make_school()
    day = make_day(school, count=STATEMENTS)
    records: list[Record] = [*school.records(), *day]
    took = {}
    took["the hub applies"] = _seconds(lambda: one.hub.take(one.enrolled, 2, 1, records, NOW_MS))
    found: list[Record] = []
    took["the hub reads what is due"] = _seconds(lambda: found.extend(two.read_due(_ALL)))
    took["another box applies"] = _seconds(lambda: two.take(found))
    rows = [[name, f"{seconds:.1f}", f"{STATEMENTS / seconds:,.0f}"] for name, seconds in took.items()]
    show(
        f"A school day of {STATEMENTS:,} statements on its way down",
        ["step", "seconds", "statements each second"],
        rows,
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
