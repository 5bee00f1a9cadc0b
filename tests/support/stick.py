"""A stick that goes away: from the n-th read on, every call on its folder fails as it does on Linux."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class PullableStick:
    """Wraps reads of files under `root`; the stick is pulled at read number `pull_at`, counted from 1.

    With `writes`, writes count as well as reads.
    """

    def __init__(
        self,
        root: Path,
        monkeypatch: pytest.MonkeyPatch,
        pull_at: int | None,
        code: int = errno.EIO,
        *,
        writes: bool = False,
    ) -> None:
        self.reads = 0
        self._root = root.resolve()
        self._pull_at = pull_at
        self._code = code
        self._real: Callable[[int, int], bytes] = os.read
        self._real_at: Callable[[int, int, int], bytes] = os.pread
        monkeypatch.setattr(os, "read", self._read)
        monkeypatch.setattr(os, "pread", self._read_at)
        if writes:
            self._real_write: Callable[[int, Any], int] = os.write
            monkeypatch.setattr(os, "write", self._write)

    def _read(self, descriptor: int, length: int) -> bytes:
        self._count(descriptor)
        return self._real(descriptor, length)

    def _read_at(self, descriptor: int, length: int, offset: int) -> bytes:
        self._count(descriptor)
        return self._real_at(descriptor, length, offset)

    def _write(self, descriptor: int, content: Any) -> int:
        self._count(descriptor)
        return self._real_write(descriptor, content)

    def _count(self, descriptor: int) -> None:
        if self._holds(descriptor):
            self.reads += 1
            if self._pull_at is not None and self.reads >= self._pull_at:
                raise OSError(self._code, os.strerror(self._code))

    def _holds(self, descriptor: Any) -> bool:
        return Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(self._root)


class LyingStick:
    """A stick that keeps `capacity_bytes` and says that it kept everything.

    What is over is there as long as the system remembers it; once it is read past that, it is gone.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, capacity_bytes: int) -> None:
        self._root = root.resolve()
        self._left_bytes = capacity_bytes
        self._lost: set[int] = set()
        self._real_write: Callable[[int, Any], int] = os.write
        self._real_advice: Callable[[int, int, int, int], None] = os.posix_fadvise
        monkeypatch.setattr(os, "write", self._write)
        monkeypatch.setattr(os, "posix_fadvise", self._advise)

    def _write(self, descriptor: int, content: Any) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(self._root):
            self._left_bytes -= len(content)
            if self._left_bytes < 0:
                self._lost.add(os.fstat(descriptor).st_ino)
        return self._real_write(descriptor, content)

    def _advise(self, descriptor: int, offset: int, length: int, advice: int) -> None:
        status = os.fstat(descriptor)
        if advice == os.POSIX_FADV_DONTNEED and status.st_ino in self._lost:
            Path(f"/proc/self/fd/{descriptor}").write_bytes(bytes(status.st_size))
        self._real_advice(descriptor, offset, length, advice)


def fold_names(folder: Path, fold: Callable[[str], str]) -> None:
    """Spell every name below `folder` another way, as systems do that do not keep capitals."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rename(path.with_name(fold(path.name)))
