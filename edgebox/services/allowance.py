"""What one fetch may take of the line of the box."""

from edgebox.services.line import Line
from sync.engine.lanes import SMALL_MAX_BYTES, Lane, lane_of


class FetchAllowance:
    """Small files come at any hour, large ones when the tariff says. Until its length is known, a file may be small.

    What is spent is counted on the sockets; here only what came before the length was known matters.

    Attributes:
        length_bytes: of the file, 0 while unknown.
        is_asked: somebody waits for it, so the hours do not matter.
    """

    def __init__(self, line: Line, *, length_bytes: int = 0, is_asked: bool = False) -> None:
        self.length_bytes = length_bytes
        self.is_asked = is_asked
        self._line = line
        self._came_bytes = 0

    def left_bytes(self, _now_ms: int) -> int | None:
        """Return what may still be fetched now, None for no limit."""
        if self.length_bytes:
            return self._line.left_bytes(lane_of(self.length_bytes), is_asked=self.is_asked)
        large, small = (self._line.left_bytes(lane, is_asked=self.is_asked) for lane in (Lane.LARGE, Lane.SMALL))
        if large != 0:
            return large
        untold_bytes = max(SMALL_MAX_BYTES - self._came_bytes, 0)
        return untold_bytes if small is None else min(small, untold_bytes)

    def spend(self, _now_ms: int, size_bytes: int) -> None:
        """Take note of bytes that came."""
        self._came_bytes += size_bytes
