"""Work done a little ahead of who needs it: one thread makes, the other uses, and only a few megabytes lie between."""

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

GROUP_WEIGHT = 1024 * 1024
GROUP_ITEMS = 256
GROUPS_WAITING = 4
_LOOK_SECONDS = 0.2

Item = TypeVar("Item")


class _End:
    """Stands after the last item, with what stopped it if something did."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


def ahead(items: Iterator[Item], weigh: Callable[[Item], int]) -> Generator[Item, None, None]:
    """Yield `items` in their order while a thread of their own makes the next ones.

    What `items` raises is raised here, after all that was made before it. When who uses them stops early, the thread
    stops at its next item; `items` is closed in that thread.

    Args:
        weigh: the bytes of an item; the thread is at most five groups of 1 MiB or 256 items ahead.
    """
    groups: queue.Queue[list[Item] | _End] = queue.Queue(GROUPS_WAITING)
    is_over = threading.Event()
    thread = threading.Thread(target=_make, args=(items, weigh, groups, is_over), name="ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(group := groups.get(), _End):
            yield from group
        if group.error is not None:
            raise group.error
    finally:
        is_over.set()
        thread.join()


def _make(
    items: Iterator[Item],
    weigh: Callable[[Item], int],
    groups: "queue.Queue[list[Item] | _End]",
    is_over: threading.Event,
) -> None:
    error: BaseException | None = None
    group: list[Item] = []
    weight = 0
    try:
        for item in items:
            group.append(item)
            weight += weigh(item)
            if weight >= GROUP_WEIGHT or len(group) >= GROUP_ITEMS:
                _hand_over(group, groups, is_over)
                group, weight = [], 0
            if is_over.is_set():
                break
    except BaseException as caught:
        error = caught
    if group:
        _hand_over(group, groups, is_over)
    _hand_over(_End(error), groups, is_over)


def _hand_over(group: list[Item] | _End, groups: "queue.Queue[list[Item] | _End]", is_over: threading.Event) -> None:
    """Wait for room, but not for somebody who has gone."""
    while not is_over.is_set():
        try:
            groups.put(group, timeout=_LOOK_SECONDS)
        except queue.Full:
            continue
        return
