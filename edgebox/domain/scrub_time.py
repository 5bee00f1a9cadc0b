"""When files are read for damage: at night; or a little in every hour, on boxes that are switched off at night."""

NIGHT_HOURS = range(1, 5)
NIGHT_MS = 30 * 60_000
DAY_MS = 2 * 60_000
REST_MS = 20 * 3_600_000
MISSED_MS = 44 * 3_600_000


def scrub_budget_ms(hour: int, since_last_ms: int | None) -> int:
    """Return how long to read now, 0 for not at all.

    Args:
        hour: of the day, in the school's time.
        since_last_ms: since the last long run; None when there was none since the box was started.
    """
    if hour in NIGHT_HOURS:
        return NIGHT_MS if since_last_ms is None or since_last_ms >= REST_MS else 0
    return DAY_MS if since_last_ms is None or since_last_ms >= MISSED_MS else 0
