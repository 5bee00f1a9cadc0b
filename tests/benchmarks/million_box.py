"""A box with a million statements: a year of a school's own pages, and what other apps recorded besides."""

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from content_packs.base import ids
from content_packs.base.clock import SystemClock
from content_packs.base.hashing import blake2b_256
from content_packs.format import envelope, keyfile, layout
from content_packs.format.manifest import FileEntry, Lesson, Resource
from edgebox.domain.caller import Reach
from edgebox.domain.statement_in import Sender, from_statement
from edgebox.domain.xapi.version import Version
from edgebox.services.clients import Clients
from edgebox.store import listing, registry, roster, statements, uncounted
from edgebox.store.connections import open_reader, open_writer
from edgebox.store.database import Database
from tests.support import backlog
from tests.support.box import School, make_school
from tests.support.catalogue import KEY
from tests.support.packs import small_manifest
from tests.support.school_day import ADL

CLASS_SIZE = 40
LESSONS_GIVEN = 6
VERB_OF_OTHERS = f"{ADL}experienced"
_TEXT = b"<p>Water boils at a hundred degrees.</p>"
_RARE = 1_000_003  # of an outside statement: it alone has an agent, a verb and an activity


@dataclass(frozen=True)
class MillionBox:
    """What was made.

    Attributes:
        class_no: of 40 learners with statements, who were given lessons.
        login: name and secret of a credential that reads everything.
        own_bytes: what a statement of our own pages takes, lists included.
        outside_bytes: what one of another app takes.
        block_ms: how long it takes to list a block of the log.
    """

    school: School
    class_no: int
    login: tuple[str, str]
    own_bytes: float
    outside_bytes: float
    block_ms: float


async def make(folder: Path, own: int, outside: int) -> MillionBox:
    """Fill a data folder with so many statements of both kinds. Blocks for minutes."""
    school = make_school(folder, learners=CLASS_SIZE)
    path = school.settings.data / "box.db"
    before_bytes = _size_bytes(path)
    backlog.fill(path, own)
    _install_lessons(school.settings.data, path)
    class_no = _make_class(path)
    block_ms = _list_blocks(path)
    own_bytes = _size_bytes(path) - before_bytes
    login = await _make_login(path)
    _add_outside(path, school.home_page, outside)
    _list_blocks(path)
    outside_bytes = _size_bytes(path) - before_bytes - own_bytes
    return MillionBox(school, class_no, login, own_bytes / own, outside_bytes / max(outside, 1), block_ms)


async def make_empty(folder: Path) -> MillionBox:
    """Make a box as good as empty, for comparison."""
    school = make_school(folder, learners=CLASS_SIZE)
    return MillionBox(school, school.class_no, await _make_login(school.settings.data / "box.db"), 0, 0, 0)


def _size_bytes(path: Path) -> int:
    with closing(open_writer(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.stat().st_size


def _install_lessons(data: Path, path: Path) -> None:
    """Install packs that have the lessons of the school's activities."""
    with closing(open_reader(path)) as connection:
        rows = connection.execute("SELECT pack, resource FROM activity WHERE pack IS NOT NULL ORDER BY no").fetchall()
    lessons: dict[str, dict[str, list[str]]] = {}
    for pack, resource in rows:
        lesson = "-".join(resource.split("-")[:2])
        lessons.setdefault(pack, {}).setdefault(lesson, []).append(resource)
    content_hash = blake2b_256(_TEXT)
    blob = data / layout.blob_name(content_hash)
    publishers = data / "keys" / "publishers"
    for place in (blob.parent, data / "packs", publishers):
        place.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(_TEXT)
    (publishers / "many.pub").write_text(keyfile.format_public(KEY.verify_key, "Many Packs Press"))
    for pack, found in lessons.items():
        manifest = small_manifest(
            pack=pack,
            files=(FileEntry("a.html", len(_TEXT), content_hash, "text/html"),),
            lessons=tuple(Lesson(lesson, {"en": lesson}, {}, tuple(each)) for lesson, each in found.items()),
            resources=tuple(
                Resource(resource, "text", {"en": resource}, {}, {"en": "a.html"})
                for each in found.values()
                for resource in each
            ),
        )
        place = data / "packs" / layout.installed_name(manifest.pack, manifest.version)
        place.write_bytes(envelope.seal_envelope(manifest, [KEY]))


def _make_class(path: Path) -> int:
    """Count everybody's progress, and put learners who have some into a class that was given lessons."""
    now_ms = SystemClock().now_ms()
    with closing(open_writer(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        uncounted.count(connection)
        class_no = roster.insert_class(connection, now_ms, "Class 5")
        found = connection.execute("SELECT DISTINCT person_no FROM statement LIMIT ?", (CLASS_SIZE,)).fetchall()
        for (person_no,) in found:
            roster.set_enrollment(connection, now_ms, class_no, person_no)
        insert = "INSERT INTO assignment (class_no, pack, lesson, version, assigned_ms) VALUES (?, ?, ?, 3, ?)"
        for lesson in range(LESSONS_GIVEN):
            pack = f"org.example.course-{lesson % 5}"
            connection.execute(insert, (class_no, pack, f"lesson-{lesson}", now_ms))
        connection.execute("COMMIT")
    return class_no


def _list_blocks(path: Path) -> float:
    """List all that is full and return how long a block takes in milliseconds."""
    clock, blocks = SystemClock(), 0
    start_ms = clock.monotonic_ms()
    with closing(open_writer(path)) as writer, closing(open_reader(path)) as reader:
        while (block := listing.find_due_block(reader)) is not None:
            lists = listing.read_lists(reader, block)
            writer.execute("BEGIN IMMEDIATE")
            listing.store_lists(writer, block, lists)
            writer.execute("COMMIT")
            blocks += 1
    return (clock.monotonic_ms() - start_ms) / max(blocks, 1)


async def _make_login(path: Path) -> tuple[str, str]:
    database = Database(path)
    try:
        clients = Clients(database, SystemClock())
        return await clients.make("Reads all", may_write=True, reach=Reach.ALL, class_no=None, person_no=None)
    finally:
        database.close()


def _add_outside(path: Path, home_page: str, count: int) -> None:
    with closing(open_writer(path)) as connection:
        numbers, now_ms = registry.load(connection), SystemClock().now_ms()
        people = connection.execute("SELECT no, pseudonym FROM person WHERE role = 'learner' LIMIT 200").fetchall()
        sender = Sender(home_page, f"account:{home_page} client-1", 1, Version.ONE)
        made = _statements(home_page, people, count)
        connection.execute("BEGIN IMMEDIATE")
        new = [from_statement(statement, no, now_ms, sender) for statement, no in made]
        for start in range(0, len(new), 50):
            _taken, found = statements.insert_statements(connection, numbers, new[start : start + 50], now_ms)
            numbers.learn(found)
        connection.execute("COMMIT")


def _statements(home_page: str, people: list[sqlite3.Row], count: int) -> Iterator[tuple[dict[str, Any], int | None]]:
    """Return what an app sends: half of it about learners of the box, half about people it alone knows."""
    dice = random.Random(5)
    for number in range(count):
        person = people[dice.randrange(len(people))] if number % 2 else None
        actor: dict[str, Any] = {"mbox": f"mailto:a{dice.randrange(300)}@example.org"}
        if person is not None:
            actor = {"account": {"homePage": home_page, "name": ids.format_uuid(person[1])}}
        statement = _statement(dice, actor, _RARE if number == count // 2 else number)
        yield json.loads(json.dumps(statement)), None if person is None else person[0]


def _statement(dice: random.Random, actor: dict[str, Any], number: int) -> dict[str, Any]:
    rare = number == _RARE
    score = dice.randrange(11)
    return {
        "id": ids.format_uuid(dice.randbytes(16)),
        "actor": {"mbox": "mailto:rare@example.org"} if rare else actor,
        "verb": {"id": f"{ADL}rare" if rare else VERB_OF_OTHERS},
        "object": {"id": "http://example.org/rare" if rare else f"http://example.org/page/{dice.randrange(1000)}"},
        "result": {"score": {"scaled": score / 10, "raw": score, "max": 10}, "success": score > 5},
        "context": {
            "registration": ids.format_uuid(random.Random(number // 20).randbytes(16)),
            "instructor": {"mbox": f"mailto:b{dice.randrange(10)}@example.org"},
            "contextActivities": {"grouping": [{"id": f"http://example.org/course/{dice.randrange(20)}"}]},
        },
    }
