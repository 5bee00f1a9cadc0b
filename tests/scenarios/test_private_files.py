"""What box and hub keep is for their own user, however generous the system is with rights."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import programs

# The content process may run as another user: what it serves says nothing about anybody.
PUBLIC = ("blobs", "packs")


@pytest.fixture
def generous_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """Return the files that others may read once they are in the folder, and folders they may look into."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.stat().st_mode & 0o077]
    return sorted(str(path.relative_to(folder)) for path in found if path.relative_to(folder).parts[0] not in PUBLIC)


def test_a_new_box_is_for_its_own_user(generous_umask: None, tmp_path: Path) -> None:
    data = tmp_path / "box"
    with programs.running("serve", *programs.command_with_ports(data), "--content-port", "0") as box:
        box.next_line("ready")
        programs.run("users", "add", "--class", "Class 4", "Amina", "--data", str(data))
        assert data.stat().st_mode & 0o777 == 0o700
        assert {"box.db", "box.db-wal", "box.db-shm", "cache.db"} <= {path.name for path in data.iterdir()}
        assert [name for name in open_to_others(data) if name != "box.lock"] == []


def test_a_new_hub_is_for_its_own_user(generous_umask: None, tmp_path: Path) -> None:
    data = tmp_path / "hub"
    with programs.running("hub", "serve", *programs.command_with_ports(data)) as hub:
        hub.next_line("ready")
        assert data.stat().st_mode & 0o777 == 0o700
        assert {"hub.db", "hub.db-wal"} <= {path.name for path in data.iterdir()}
        assert [name for name in open_to_others(data) if name != "hub.lock"] == []
