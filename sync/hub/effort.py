"""What the work for one box costs."""

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Effort:
    """What was done for a box cost so far, on the threads that others wait for."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, work: Callable[P, T]) -> Callable[P, T]:
        """Return the same work, which adds what it takes."""

        def run(*arguments: P.args, **more: P.kwargs) -> T:
            start_seconds = time.perf_counter()
            try:
                return work(*arguments, **more)
            finally:
                self.seconds += time.perf_counter() - start_seconds

        return run
