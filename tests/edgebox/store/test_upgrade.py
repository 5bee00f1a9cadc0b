import sqlite3
from pathlib import Path

import pytest

from edgebox.store import upgrade as upgrade_module
from edgebox.store.upgrade import SCHEMA_VERSION, SchemaTooNew, upgrade


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


def test_newer_database_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "box.db"
    upgrade(path)
    set_version(path, SCHEMA_VERSION + 1)
    before = path.read_bytes()
    with pytest.raises(SchemaTooNew):
        upgrade(path)
    assert path.read_bytes() == before
