import json
import sqlite3
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from content_packs.base.ids import format_uuid
from edgebox.store import upgrade as upgrade_module
from edgebox.store.connections import open_reader
from edgebox.store.definitions import find_definitions
from edgebox.store.statement_filters import Filter, Reach
from edgebox.store.statement_queries import list_statements
from edgebox.store.upgrade import SCHEMA_VERSION, SchemaTooNew, upgrade

EARLIER = ("0001_initial.sql", "0002_versions.sql")
BEFORE_FACTS = """
INSERT INTO person (no, pseudonym, role, given_name, created_ms)
VALUES (1, CAST('learner-one-----' AS BLOB), 'learner', 'Amina', 5),
       (2, CAST('teacher-one-----' AS BLOB), 'teacher', 'Omar', 5),
       (3, CAST('learner-two-----' AS BLOB), 'learner', 'Bilal', 5);
INSERT INTO class (no, pseudonym, code, title, created_ms, removed_ms)
VALUES (1, CAST('class-one-------' AS BLOB), 'K7QF', 'Class 4', 1780300800000, NULL),
       (2, CAST('class-two-------' AS BLOB), 'M2XZ', 'Class 5', 1780300800000, 1780300800001);
INSERT INTO enrollment (class_no, person_no, is_active) VALUES (1, 1, 1), (1, 2, 1), (1, 3, 0);
INSERT INTO assignment (no, class_no, pack, lesson, assigned_ms, version)
VALUES (1, 1, 'org.example.sums', 'adding', 1780300800000, 3);
INSERT INTO change (kind, key) VALUES (2, x'01'), (3, x'01'), (4, x'01'), (9, x'01');
"""


def schema(path: Path) -> list[tuple[str, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    finally:
        connection.close()


def set_version(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_upgraded_database_equals_a_fresh_one(tmp_path: Path) -> None:
    fresh, upgraded = tmp_path / "fresh.db", tmp_path / "upgraded.db"
    upgrade(fresh)
    upgrade(upgraded)
    set_version(upgraded, 0)
    upgrade(upgraded)
    assert schema(upgraded) == schema(fresh)


def test_every_table_is_strict(tmp_path: Path) -> None:
    upgrade(tmp_path / "box.db")
    connection = sqlite3.connect(tmp_path / "box.db")
    tables = connection.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main' AND type = 'table'")
    loose = {name for name, is_strict in tables if not is_strict and not name.startswith(("sqlite_", "_sqlite"))}
    connection.close()
    assert loose == set()


def test_upgrade_that_was_stopped_between_steps_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, fresh = tmp_path / "box.db", tmp_path / "fresh.db"
    upgrade(fresh)
    real_run = upgrade_module._run

    def stop(db: object, name: str) -> None:
        real_run(db, name)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as stopped:
        stopped.setattr(upgrade_module, "_run", stop)
        with pytest.raises(KeyboardInterrupt):
            upgrade(path)
    upgrade(path)
    assert schema(path) == schema(fresh)


def test_what_was_there_before_facts_is_told_by_facts(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    steps = [files("edgebox.store").joinpath("schema", name).read_text() for name in EARLIER]
    connection = sqlite3.connect(path)
    for step in steps:
        connection.executescript(step)
    connection.executescript(BEFORE_FACTS)
    connection.execute("CREATE TABLE _sqlite_migrations (migration_set TEXT, name TEXT, applied_at TEXT)")
    for name in ("m0001_initial", "m0002_versions"):
        connection.execute("INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('edgebox.box', ?)", (name,))
    connection.execute("PRAGMA user_version = 2")
    connection.commit()
    connection.close()
    upgrade(path)
    upgrade(path)
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("SELECT value FROM fact ORDER BY entity, id, field").fetchall() == [
            ("K7QF",), ("1",), ("M2XZ",), ("",), (b"class-one-------".hex(),), ("org.example.sums",), ("adding",),
            ("3",), ("1780300800000",), ("1",),
        ]  # fmt: skip
        assert connection.execute("SELECT owner, member, is_removed FROM member").fetchall() == [
            (b"class-one-------", b"learner-one-----", 0)
        ]
        kinds = [row[0] for row in connection.execute("SELECT kind FROM change ORDER BY seq")]
        assert kinds == [2, 11, 11, 11, 11, 12, 11, 11, 11, 11, 11, 11]
    finally:
        connection.close()


def test_older_database_is_copied_before_it_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "box.db"
    upgrade(path)
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO setting (name, value) VALUES ('school', 'x')")
    connection.commit()
    connection.close()
    monkeypatch.setattr(upgrade_module, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    upgrade(path)
    copy = sqlite3.connect(tmp_path / f"box.db.before-{SCHEMA_VERSION + 1}")
    assert copy.execute("SELECT value FROM setting").fetchall() == [("x",)]
    assert copy.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    copy.close()


def test_the_bytes_of_the_last_day_are_taken_over_into_the_meter(tmp_path: Path) -> None:
    path, step = tmp_path / "box.db", files("edgebox.store") / "schema" / "0008_line.sql"
    upgrade(path)
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE line_day")
    connection.execute("INSERT INTO setting (name, value) VALUES ('fetch_spent', '20414 1234567')")
    connection.executescript(step.read_text())
    assert connection.execute("SELECT * FROM line_day").fetchall() == [(20_414, 3, 1_234_567)]
    assert connection.execute("SELECT * FROM setting WHERE name = 'fetch_spent'").fetchall() == []
    connection.close()


def test_newer_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    upgrade(path)
    set_version(path, SCHEMA_VERSION + 1)
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew):
        upgrade(path)
    assert path.read_bytes() == before


AMINA = {"mbox": "mailto:amina@example.org", "name": "Amina"}
EARLIER_BODIES: tuple[dict[str, Any], ...] = (
    {"object": {"id": "http://a"}},
    {"object": {"objectType": "StatementRef", "id": format_uuid(bytes([1] * 16))}},
    {
        "object": {"id": "http://a", "definition": {"name": {"en": "A page"}}},
        "context": {"contextActivities": {"parent": [{"id": "http://parent"}]}},
    },
    {"object": {"objectType": "StatementRef", "id": format_uuid(bytes([9] * 16))}},
)
EARLIER_OWN = """
INSERT INTO person (no, pseudonym, role, given_name, created_ms) VALUES (1, zeroblob(16), 'learner', 'Bilal', 5);
INSERT INTO device (no, id, first_ms) VALUES (1, zeroblob(16), 5);
INSERT INTO statement (id, person_no, verb_no, activity_no, device_no, device_seq, attempt_seq, timestamp_ms, stored_ms,
    digest) VALUES (x'09090909090909090909090909090909', 1, 1, 2, 1, 1, 1, 5, 5, x'02');
INSERT INTO change (kind, key) VALUES (1, x'09090909090909090909090909090909');
INSERT INTO identity (key_id, reason, since_ms) VALUES (zeroblob(16), 'first', 5);
"""


def make_earlier(path: Path) -> None:
    """Make a database of the step before outside clients had credentials, with statements of theirs."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE _sqlite_migrations (migration_set TEXT, name TEXT, applied_at TEXT)")
    for name, _follow_up in upgrade_module._STEPS:
        if name < "0011":
            connection.executescript(files("edgebox.store").joinpath("schema", f"{name}.sql").read_text())
            values = ("edgebox.box", f"m{name}")
            connection.execute("INSERT INTO _sqlite_migrations (migration_set, name) VALUES (?, ?)", values)
    connection.executescript(
        "INSERT INTO verb (no, iri) VALUES (1, 'http://v'); INSERT INTO activity (no, iri) VALUES (1, 'http://a');"
        "INSERT INTO activity (no, iri) VALUES (2, 'http://own');" + EARLIER_OWN
    )
    for number, body in enumerate(EARLIER_BODIES, 1):
        content = json.dumps({"actor": AMINA, "verb": {"id": "http://v"}} | body)
        connection.execute(
            "INSERT INTO statement (id, verb_no, activity_no, timestamp_ms, stored_ms, body, digest)"
            " VALUES (?, 1, 1, 5, 5, ?, x'01')",
            (bytes([number] * 16), content.encode()),
        )
        connection.execute("INSERT INTO change (kind, key) VALUES (1, ?)", (bytes([number] * 16),))
    connection.execute("PRAGMA user_version = 10")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Filter(agent="mbox:mailto:amina@example.org"), [1, 2, 3, 4]),
        (Filter(activity="http://a"), [1, 2, 3]),
        (Filter(activity="http://own"), [4, 9]),
        (Filter(verb="http://v"), [1, 2, 3, 4, 9]),
        (Filter(activity="http://parent", related_activities=True), [3]),
        (Filter(agent="account:http://box-000000000000.internal/ box", related_agents=True), [1, 2, 3, 4]),
    ],
)
def test_statements_of_outside_clients_from_before_are_found_as_new_ones_are(
    wanted: Filter, numbers: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "box.db"
    make_earlier(path)
    upgrade(path)
    with closing(open_reader(path)) as reader:
        found = list_statements(reader, wanted, Reach(), None, 10).statements
        assert sorted(statement.id[0] for statement in found) == numbers
        assert reader.execute("SELECT name FROM agent WHERE name IS NOT NULL").fetchall()[0][0] == "Amina"
        assert find_definitions(reader, [["http://a"]]).by_iri == {"http://a": {"name": {"en": "A page"}}}
