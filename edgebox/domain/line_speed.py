"""How fast the line is, learned from what crosses it, and how much may be on its way to the box at once."""

from collections import deque

SPAN_MS = 2_000
SPANS = 5
# Above 512 kbit/s, what is on its way is out of the way within a second or two.
FAST_BYTES_PER_MS = 64
QUEUE_MS = 2_000
QUEUE_MIN_BYTES = 8 * 1024


class LineSpeed:
    """Measures spans in which bytes came without a pause."""

    def __init__(self) -> None:
        self._rates: deque[float] = deque(maxlen=SPANS)
        self._began_ms = 0
        self._last_ms: int | None = None
        self._bytes = 0

    def note(self, now_ms: int, size_bytes: int) -> None:
        """Take note of bytes that crossed the line; the time is monotonic."""
        if self._last_ms is None or now_ms - self._last_ms >= SPAN_MS:
            self._began_ms, self._bytes = now_ms, 0
        else:
            self._bytes += size_bytes
        self._last_ms = now_ms
        passed_ms = now_ms - self._began_ms
        if passed_ms >= SPAN_MS:
            self._rates.append(self._bytes / passed_ms)
            self._began_ms, self._bytes = now_ms, 0

    @property
    def bytes_per_ms(self) -> float | None:
        """Return the fastest of the last spans, None while there was none."""
        return max(self._rates, default=None)

    def queue_bytes(self, rate_kbit: int | None) -> int | None:
        """Return how much may be on its way to the box so that nothing urgent waits long behind it.

        None on a fast line, and while nobody knows; `rate_kbit` is what the box may take of it.
        """
        rates = [rate for rate in (self.bytes_per_ms, rate_kbit / 8 if rate_kbit else None) if rate is not None]
        if not rates or min(rates) > FAST_BYTES_PER_MS:
            return None
        return max(QUEUE_MIN_BYTES, int(min(rates) * QUEUE_MS))
