"""Servers under measurement: started, waited for, read through /proc, and ended by whoever started them."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def server(
    command: list[str], port: int, *, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the context ends; enter when its port answers."""
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(environ or {})}
    )
    try:
        wait_for_port(port, process)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 120) -> None:
    """Return when something listens on the port; raise if the process ended or time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        time.sleep(0.005)
    raise TimeoutError(f"nothing answers on port {port}")


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def cpu_seconds_exactly(pid: int) -> float:
    """Return user and system time of a process so far, to the nanosecond; see clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_kib(pid: int) -> int:
    """Return the resident set of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def peak_kib(pid: int) -> int:
    """Return the largest resident set that a process has had, 0 if it has ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


def forget_peak(pid: int) -> None:
    """Let `peak_kib` begin anew from what the process holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started, from whichever of its threads."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # the thread has just ended
            found += map(int, path.read_text().split())
    return found


def memory_with_children_kib(pid: int) -> int:
    """Return the resident set of a process and of those it has started."""
    total_kib = memory_kib(pid)
    for child in children(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            total_kib += memory_kib(child)
    return total_kib


def written_bytes_here() -> int:
    """Return what this process has sent towards the disk."""
    return written_bytes(os.getpid())


def written_bytes(pid: int) -> int:
    """Return what a process has sent towards the disk."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0
