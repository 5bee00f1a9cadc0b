"""The real programs, run as processes on loopback and ended by whoever started them."""

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LINE_SECONDS = 40.0
STOP_SECONDS = 20.0


@dataclass
class Program:
    """A running program and the lines it prints."""

    process: subprocess.Popen[str]
    lines: "queue.Queue[str | None]"

    def next_line(self, containing: str) -> str:
        """Return the next printed line that contains a text; fail when the program ends or stays silent."""
        while True:
            line = self.lines.get(timeout=LINE_SECONDS)
            if line is None:
                raise AssertionError(f"the program ended with {self.process.wait()} before it said {containing!r}")
            if containing in line:
                return line.strip()


@contextmanager
def running(*arguments: str) -> Iterator[Program]:
    """Run `edgebox` with the arguments until the context ends, then stop it as a person would."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edgebox", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    program = Program(process, queue.Queue())
    reader = threading.Thread(target=_read, args=(program,))
    reader.start()
    try:
        yield program
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        finally:
            process.kill()
            reader.join()
            if process.stdout is not None:
                process.stdout.close()


def _read(program: Program) -> None:
    assert program.process.stdout is not None
    for line in program.process.stdout:
        program.lines.put(line)
    program.lines.put(None)


def run(*arguments: str) -> str:
    """Run `edgebox` to its end and return what it printed; fail on any exit code but 0."""
    done = subprocess.run([sys.executable, "-m", "edgebox", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def command_with_ports(data: Path) -> list[str]:
    """Return options that keep a program in a folder and let the system pick its ports."""
    return ["--data", str(data), "--port", "0"]
