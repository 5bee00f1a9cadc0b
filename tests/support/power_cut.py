"""A disk whose power can be cut at any call: what was not flushed is then lost, as on a real one.

Counts the calls that change files under one folder. At the chosen call nothing happens any more, and every later call
fails too, so that no clean-up code can run that a machine without power would not run. `settle` then takes back what
was never flushed: contents of files without fsync, names without fsync of their folder.
"""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from content_packs.base import atomic


class PowerCut(BaseException):
    """The machine stopped here; not an Exception, so that no handler takes it for an error."""


class CuttableDisk:
    """Wraps the file calls of `os` for paths under `root`; `cut_at` is the number of the call that fails, from 1."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, cut_at: int | None = None) -> None:
        self.calls = 0
        self._root = root.resolve()
        self._cut_at = cut_at
        self._unflushed_inodes: set[int] = set()
        self._unflushed_names: list[tuple[Path, Callable[[], None]]] = []
        self._kept = self._root.parent / f"{self._root.name}.kept"
        self._kept.mkdir(exist_ok=True)
        self._patch = monkeypatch
        self._real = {
            name: getattr(os, name) for name in ("open", "write", "fsync", "replace", "unlink", "mkdir", "rmdir")
        }
        for name in self._real:
            monkeypatch.setattr(os, name, getattr(self, f"_{name}"))
        monkeypatch.setattr(atomic, "sync_file_system", self._sync_file_system)

    def settle(self, *, lose_contents: bool, lose_names: bool) -> None:
        """Give the power back, with what was not flushed lost."""
        for name, function in self._real.items():
            self._patch.setattr(os, name, function)
        if lose_contents:
            for path in self._root.rglob("*"):
                if path.is_file() and path.stat().st_ino in self._unflushed_inodes:
                    os.truncate(path, path.stat().st_size // 2)
        if lose_names:
            for _, undo in reversed(self._unflushed_names):
                undo()

    def _step(self) -> None:
        self.calls += 1
        if self._cut_at is not None and self.calls >= self._cut_at:
            raise PowerCut(self.calls)

    def _holds(self, path: Any, dir_fd: int | None = None) -> bool:
        return dir_fd is None and Path(path).resolve().is_relative_to(self._root)

    def _changed(self, path: Path, undo: Callable[[], None]) -> None:
        self._unflushed_names.append((path.resolve().parent, undo))

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if not flags & (os.O_WRONLY | os.O_RDWR) or not self._holds(path, dir_fd):
            return int(self._real["open"](path, flags, mode, dir_fd=dir_fd))
        self._step()
        place = Path(path)
        if not place.exists():
            self._changed(place, lambda: place.unlink(missing_ok=True))
        descriptor = int(self._real["open"](path, flags, mode))
        self._unflushed_inodes.add(os.fstat(descriptor).st_ino)
        return descriptor

    def _write(self, descriptor: int, content: Any) -> int:
        if not self._holds(_path_of(descriptor)):
            return int(self._real["write"](descriptor, content))
        try:
            self._step()
        except PowerCut:
            self._real["write"](descriptor, bytes(content)[: len(content) // 2])
            raise
        return int(self._real["write"](descriptor, content))

    def _fsync(self, descriptor: int) -> None:
        place = _path_of(descriptor)
        if self._holds(place):
            self._step()
            self._unflushed_inodes.discard(os.fstat(descriptor).st_ino)
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                self._unflushed_names = [one for one in self._unflushed_names if one[0] != place]
        self._real["fsync"](descriptor)

    def _sync_file_system(self, path: Path) -> None:
        if self._holds(path):
            self._step()
            self._unflushed_inodes.clear()
            self._unflushed_names.clear()

    def _replace(self, source: Any, target: Any) -> None:
        if self._holds(target):
            self._step()
            old, new = Path(source), Path(target)
            saved = self._save(new)

            def undo() -> None:
                if new.exists():
                    new.rename(old)
                self._bring_back(saved, new)

            self._changed(new, undo)
        self._real["replace"](source, target)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        if self._holds(path, dir_fd):
            self._step()
            place = Path(path)
            saved = self._save(place)
            self._changed(place, lambda: self._bring_back(saved, place))
        self._real["unlink"](path, dir_fd=dir_fd)

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        if self._holds(path, dir_fd):
            self._step()
            place = Path(path)
            self._changed(place, lambda: shutil.rmtree(place, ignore_errors=True))
        self._real["mkdir"](path, mode, dir_fd=dir_fd)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        if self._holds(path, dir_fd):
            self._step()
        self._real["rmdir"](path, dir_fd=dir_fd)

    def _save(self, path: Path) -> Path | None:
        if not path.exists():
            return None
        saved = self._kept / str(len(list(self._kept.iterdir())))
        shutil.copyfile(path, saved)
        return saved

    def _bring_back(self, saved: Path | None, path: Path) -> None:
        if saved and path.parent.is_dir():
            shutil.copyfile(saved, path)


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()
