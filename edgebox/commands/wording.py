"""How the command line words errors and sizes; in English, as technicians exchange what they see."""

from datetime import UTC, datetime

from content_packs.base.errors import EdgeboxError


def words_of(error: EdgeboxError) -> tuple[str, str]:
    """Return what is wrong and what to do."""
    return _filled(error.sentence, error), _filled(error.remedy, error)


def size_text(size_bytes: int) -> str:
    """Return a size as people read it, with decimal units as sticks are sold by."""
    size, places = float(size_bytes), 0
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.{places}f} {unit}"
        size, places = size / 1000, 1
    return f"{size:.1f} GB"


def day_of(time_ms: int) -> str:
    """Return the day of a time, UTC, as ISO 8601 has it."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).date().isoformat()


def time_of(time_ms: int) -> str:
    """Return a time to the minute, by the clock of the place, as ISO 8601 has it."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).astimezone().isoformat(timespec="minutes")


def _filled(template: str, error: EdgeboxError) -> str:
    try:
        return template.format(**error.fields)
    except (KeyError, IndexError):
        return template
