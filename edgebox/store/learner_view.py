"""What a learner's own pages show: how far the learner is, what was assigned."""

import sqlite3
from dataclasses import dataclass

_PROGRESS = """
SELECT activity.pack, activity.resource, progress.is_complete
FROM progress JOIN activity ON activity.no = progress.activity_no
WHERE progress.person_no = ? AND activity.pack IS NOT NULL
"""
_ASSIGNED = """
SELECT DISTINCT assignment.pack, assignment.lesson FROM assignment
JOIN enrollment ON enrollment.class_no = assignment.class_no AND enrollment.is_active = 1
WHERE enrollment.person_no = ? AND assignment.is_active = 1
ORDER BY assignment.assigned_ms DESC, assignment.no DESC
"""


@dataclass(frozen=True)
class LearnerView:
    """Progress by (pack, resource): true when complete, false when only begun; and what was assigned, newest first."""

    progress: dict[tuple[str, str], bool]
    assigned: list[tuple[str, str]]


def learner_view(connection: sqlite3.Connection, person_no: int) -> LearnerView:
    """Return everything the list of lessons says about a learner."""
    rows = connection.execute(_PROGRESS, (person_no,)).fetchall()
    progress = {(row["pack"], row["resource"]): bool(row["is_complete"]) for row in rows}
    assigned = [(row["pack"], row["lesson"]) for row in connection.execute(_ASSIGNED, (person_no,))]
    return LearnerView(progress, assigned)
