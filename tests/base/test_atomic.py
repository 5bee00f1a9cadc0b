"""A file is old or new, never half."""

import os
from pathlib import Path

import pytest

from content_packs.base import atomic


def test_content_is_flushed_before_the_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        steps.append("fsync")
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> Path:
        steps.append("rename")
        return real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    atomic.write_file(tmp_path / "file", b"new")
    assert steps == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "file"
    atomic.write_file(path, b"old")

    def fail(*_arguments: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os if failing == "fsync" else Path, failing, fail)
    with pytest.raises(OSError, match="no space"):
        atomic.write_file(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"


def test_a_secret_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "box.key"
    assert atomic.read_or_create(path, b"first") == b"first"
    assert atomic.read_or_create(path, b"second") == b"first"
    assert path.stat().st_mode & 0o777 == 0o600
