"""Run an operation in the box that is running, or in one opened for the purpose when none is."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from content_packs.base.starting import folder_errors
from edgebox.app import open_box
from edgebox.control import socket
from edgebox.control.operations import OPERATIONS, Progress
from edgebox.settings import Settings

_BAR_WIDTH = 30


def run_operation(settings: Settings, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the operation's result, showing a progress bar on a terminal."""
    with progress_bar() as bar:
        return asyncio.run(_run(settings, name, arguments, bar))


@contextmanager
def progress_bar() -> Iterator["Bar"]:
    """Give a bar that is drawn on a terminal and nowhere else; leave its line afterwards."""
    bar = Bar(is_drawn=sys.stderr.isatty())
    try:
        yield bar
    finally:
        bar.close()


async def _run(settings: Settings, name: str, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    try:
        with folder_errors(settings.data):
            return await socket.ask(settings.data, name, arguments, progress)
    except socket.BoxNotRunning:
        async with open_box(settings) as box:
            return await OPERATIONS[name](box, arguments, progress)


def print_result(result: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    """Print a result for machines or for people."""
    print(json.dumps(result, default=str) if as_json else "\n".join(lines))


class Bar:
    """A progress bar on the line of the cursor; nothing is drawn for what reports no progress."""

    def __init__(self, *, is_drawn: bool) -> None:
        self._is_drawn = is_drawn
        self._drawn = ""

    def __call__(self, value: dict[str, Any]) -> None:
        self.show(value.get("done_bytes", 0), value.get("total_bytes", 0))

    def show(self, done_bytes: int, total_bytes: int) -> None:
        """Draw how far it is."""
        if not self._is_drawn:
            return
        done, total = done_bytes, max(total_bytes, 1)
        filled = _BAR_WIDTH * done // total
        drawn = f"[{'#' * filled}{' ' * (_BAR_WIDTH - filled)}] {done * 100 // total:3d} %"
        if drawn != self._drawn:
            print(f"\r{drawn}", end="", file=sys.stderr, flush=True)
        self._drawn = drawn

    def close(self) -> None:
        """Leave the line, so that what is printed next begins on one of its own."""
        if self._drawn:
            print(file=sys.stderr)
