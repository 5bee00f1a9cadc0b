"""A stick that goes away: from the n-th read on, every call on its folder fails as it does on Linux."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class PullableStick:
    """Wraps `os.read` for files under `root`; the stick is pulled at read number `pull_at`, counted from 1."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, pull_at: int | None, code: int = errno.EIO) -> None:
        self.reads = 0
        self._root = root.resolve()
        self._pull_at = pull_at
        self._code = code
        self._real: Callable[[int, int], bytes] = os.read
        monkeypatch.setattr(os, "read", self._read)

    def _read(self, descriptor: int, length: int) -> bytes:
        if self._holds(descriptor):
            self.reads += 1
            if self._pull_at is not None and self.reads >= self._pull_at:
                raise OSError(self._code, os.strerror(self._code))
        return self._real(descriptor, length)

    def _holds(self, descriptor: Any) -> bool:
        return Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(self._root)
