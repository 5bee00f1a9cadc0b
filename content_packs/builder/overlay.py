"""The table `[overlay]`: which pack a course lies over, and the texts it has for that pack as a whole."""

from collections.abc import Sequence

from content_packs.base.errors import N_
from content_packs.builder.tables import Table
from content_packs.format.layout import VERSION_MAX
from content_packs.format.manifest import Overlay
from content_packs.format.overlay import PRIORITY_MAX


def read_overlay(top: Table, languages: Sequence[str]) -> Overlay | None:
    """Return what the course lies over, or nothing when it stands by itself.

    Raises:
        SourceInvalid: what the author has to correct.
    """
    if (table := top.table("overlay")) is None:
        return None
    low, high = _read_versions(table)
    overlay = Overlay(
        of=table.pack_id("of"),
        low=low,
        high=high,
        priority=_read_priority(table),
        title=table.title(languages, required=False),
        description=table.description(languages),
    )
    table.finish()
    return overlay


def _read_versions(table: Table) -> tuple[int, int]:
    reason = N_("the lowest and the highest version of the pack below are written like [1, 3]")
    versions = table.value("versions", list, reason)
    if [type(version) for version in versions] != [int, int] or not 1 <= versions[0] <= versions[1] <= VERSION_MAX:
        raise table.refuse("versions", reason)
    return versions[0], versions[1]


def _read_priority(table: Table) -> int:
    reason = N_("a priority is a whole number from 0 to 1000")
    priority: int = table.value("priority", int, reason, 0)
    if not 0 <= priority <= PRIORITY_MAX:
        raise table.refuse("priority", reason)
    return priority
