"""What a learner's own pages show: how far the learner is, what was assigned, and in which versions."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgebox.domain.versions import OPEN_MS, version_to_show

_PROGRESS = """
SELECT activity.pack, activity.resource, progress.is_complete
FROM progress JOIN activity ON activity.no = progress.activity_no
WHERE progress.person_no = ? AND activity.pack IS NOT NULL
"""
_ASSIGNED = """
SELECT assignment.pack, assignment.lesson, assignment.version FROM assignment
JOIN enrollment ON enrollment.class_no = assignment.class_no AND enrollment.is_active = 1
WHERE enrollment.person_no = ? AND assignment.is_active = 1
ORDER BY assignment.assigned_ms DESC, assignment.no DESC
"""
_OPENED = """
SELECT activity.pack, progress.version
FROM progress JOIN activity ON activity.no = progress.activity_no
WHERE progress.person_no = ? AND progress.version IS NOT NULL AND progress.stored_ms BETWEEN ? AND ?
ORDER BY progress.stored_ms
"""


@dataclass(frozen=True)
class LearnerView:
    """What is shown of a learner.

    Attributes:
        progress: by (pack, resource): true when complete, false when only begun.
        assigned: (pack, lesson), newest first.
        given: the versions of what was assigned, where they are known.
        opened: the version of each pack in which the learner is at work.
    """

    progress: Mapping[tuple[str, str], bool]
    assigned: Sequence[tuple[str, str]]
    given: Mapping[tuple[str, str], int] = field(default_factory=dict)
    opened: Mapping[str, int] = field(default_factory=dict)

    def version_of(self, pack: str, lesson: str, versions: Sequence[int]) -> int | None:
        """Return which of the versions on the box, in order, the learner is shown; None when there is none."""
        if not versions:
            return None
        return version_to_show(
            versions[-1], versions, opened=self.opened.get(pack), given=self.given.get((pack, lesson))
        )


def learner_view(connection: sqlite3.Connection, person_no: int, now_ms: int) -> LearnerView:
    """Return everything the list of lessons says about a learner."""
    rows = connection.execute(_PROGRESS, (person_no,)).fetchall()
    progress = {(row["pack"], row["resource"]): bool(row["is_complete"]) for row in rows}
    rows = connection.execute(_ASSIGNED, (person_no,)).fetchall()
    given: dict[tuple[str, str], int] = {}
    for pack, lesson, version in rows:
        if version is not None:
            given[pack, lesson] = max(version, given.get((pack, lesson), 0))
    opened = {row[0]: row[1] for row in connection.execute(_OPENED, (person_no, now_ms - OPEN_MS, now_ms + OPEN_MS))}
    assigned = list(dict.fromkeys((pack, lesson) for pack, lesson, _version in rows))
    return LearnerView(progress, assigned, given, opened)
