"""ISO 8601 durations, as courses give them."""

import re

_DURATION = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,6})M)?(?:(\d{1,6})(?:\.\d+)?S)?)?")


def whole_minutes(duration: str) -> int:
    """Return the minutes of a duration such as `PT1H30M`, rounded up; 0 when it says nothing or is not one."""
    if not (found := _DURATION.fullmatch(duration)):
        return 0
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return -(-(days * 86400 + hours * 3600 + minutes * 60 + seconds) // 60)
