"""Child processes that read what people bring: little memory, little time, no files, no network, no children.

The child gets one open file as its standard input and answers on its standard output. It first loads all it needs, then
calls `give_up_rights`, and only then looks at the file. The parent kills it when time is up, and it dies with the
parent. What it answers is checked like anything else from outside, because the file may have taken it over.
"""

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

NICENESS = 10
_AUTOGROUP = Path("/proc/self/autogroup")
_READ_BYTES = 64 * 1024
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000


def step_back() -> None:
    """Die with the parent, and let everybody else go first; called by a child itself."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(NICENESS)


def step_back_as_group() -> None:
    """Let everybody else go first where the kernel shares time out among sessions; called by a child itself.

    Linux may give every session the same share (sched(7), "The autogroup feature"), and each child has a session of its
    own. Its niceness means nothing to others then, and it takes as much as the server.
    """
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError), _AUTOGROUP.open("r+") as group:
            group.write(str(NICENESS))


def give_up_rights(*, memory_max_bytes: int, cpu_max_seconds: int) -> None:
    """Bound memory and time, and close every way out but the answer; called by the child itself.

    Without a single free descriptor no file and no socket can be opened; the empty network is for a child of root,
    which could raise its limits again.
    """
    step_back()
    if os.geteuid() == 0:
        ctypes.CDLL(None).unshare(_CLONE_NEWNET)
    for limit, most in (
        (resource.RLIMIT_AS, memory_max_bytes),
        (resource.RLIMIT_CPU, cpu_max_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (allowed, allowed))


class LimitedChild:
    """One child: `with` starts it, and leaving the block ends it whatever it does.

    Args:
        arguments: of the Python interpreter.
        source: its standard input.
        seconds: after which it is killed.

    Attributes:
        is_late: it was killed because its time was over.
    """

    def __init__(self, arguments: tuple[str, ...], source: BinaryIO, *, seconds: float) -> None:
        self._arguments = arguments
        self._source = source
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = False
        self._timer = threading.Timer(seconds, self._expire)
        self.is_late = False
        self._timer.daemon = True

    def __enter__(self) -> Self:
        with self._lock:
            if not self._is_over:
                self._process = subprocess.Popen(
                    [sys.executable, *self._arguments],
                    stdin=self._source,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    start_new_session=True,
                )
        self._timer.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self.kill()
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
            self._process.wait()

    @property
    def pid(self) -> int | None:
        """Return the number of the process, None before it was started."""
        return self._process.pid if self._process else None

    def read(self, size_bytes: int) -> bytes:
        """Return so many bytes of the answer, fewer only where it ends. Blocks."""
        if self._process is None or self._process.stdout is None:
            return b""
        return self._process.stdout.read(size_bytes)

    def read_all(self, max_bytes: int) -> bytes | None:
        """Return the whole answer of a child that ended well, None for any other or one over `max_bytes`. Blocks."""
        content = b"".join(self._steps(max_bytes + 1))
        return content if len(content) <= max_bytes and self.ended_well() else None

    def ended_well(self) -> bool:
        """Wait until the child has ended and return whether it says that all went well. Blocks."""
        return self._process is not None and self._process.wait() == 0

    def kill(self) -> None:
        """End the child and what it may have started, now; safe to repeat and from any thread."""
        with self._lock:
            self._is_over = True
            if self._process is not None and self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def _expire(self) -> None:
        self.is_late = True
        self.kill()

    def _steps(self, most_bytes: int) -> Iterator[bytes]:
        while most_bytes > 0 and (part := self.read(min(_READ_BYTES, most_bytes))):
            most_bytes -= len(part)
            yield part
        if most_bytes <= 0:
            self.kill()
