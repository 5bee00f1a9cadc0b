"""What makes a pack an overlay: the pack it lies over (docs/pack-format.md, Overlays)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from content_packs.format import texts
from content_packs.format.fields import Fields, is_pack_id
from content_packs.format.layout import VERSION_MAX

FEATURE = "overlay"
PRIORITY_MAX = 1000


@dataclass(frozen=True, slots=True)
class Overlay:
    """Where a pack lies over another one.

    Attributes:
        of: id of the pack below.
        low, high: the versions of it that this fits, both included.
        priority: what lies higher wins; of two with the same, the one whose id is later in the alphabet.
        title, description: texts for the pack below, by language.
    """

    of: str
    low: int
    high: int
    priority: int
    title: Mapping[str, str]
    description: Mapping[str, str]

    def fits(self, pack: str, version: int) -> bool:
        """Return whether it lies over this version of this pack."""
        return self.of == pack and self.low <= version <= self.high


def overlay_record(overlay: Overlay) -> dict[str, Any]:
    """Return the record of `overlay`."""
    return {
        "of": overlay.of,
        "versions": [overlay.low, overlay.high],
        "priority": overlay.priority,
        "title": dict(overlay.title),
        "description": dict(overlay.description),
    }


def read_overlay(value: Any) -> Overlay:
    """Return the overlay in a record.

    Raises:
        ManifestMalformed: a field is missing or wrong.
    """
    fields = Fields(value, "overlay")
    of = fields.text("of")
    if not is_pack_id(of):
        raise fields.fault("of")
    low, high = _read_versions(fields)
    return Overlay(
        of=of,
        low=low,
        high=high,
        priority=fields.integer("priority", low=0, high=PRIORITY_MAX),
        title=fields.by_language("title", longest=texts.TITLE_MAX),
        description=fields.by_language("description", longest=texts.LONG_MAX),
    )


def _read_versions(fields: Fields) -> tuple[int, int]:
    values = fields.array("versions", most=2)
    if [type(value) for value in values] != [int, int] or not 1 <= values[0] <= values[1] <= VERSION_MAX:
        raise fields.fault("versions")
    return values[0], values[1]
