"""Parts: sets of files of a pack that a box, or a stick, may do without (docs/pack-format.md, Parts)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from content_packs.format import texts
from content_packs.format.errors import ManifestMalformed
from content_packs.format.fields import Fields, is_id

PARTS_MAX = 100
FEATURE = "parts"


@dataclass(frozen=True, slots=True)
class Part:
    """Files that come together, and for whom they are. What is empty says nothing.

    Attributes:
        languages: `inLanguage` of what is in it.
        quality: a word for how fine its films or sounds are, such as `720p`; an id.
        educational_level: in the words of the pack.
    """

    id: str
    title: Mapping[str, str]
    languages: tuple[str, ...] = ()
    quality: str = ""
    educational_level: str = ""


def part_record(part: Part) -> dict[str, Any]:
    """Return the record of one part."""
    record = {"inLanguage": part.languages, "quality": part.quality, "educationalLevel": part.educational_level}
    return {"id": part.id, "title": dict(part.title)} | {key: value for key, value in record.items() if value}


def read_part(value: Any, place: int) -> Part:
    """Return the part in a record; `place` is its number counted from 0, for errors.

    Raises:
        ManifestMalformed: a field is missing or wrong.
    """
    fields = Fields(value, f"parts.{place}")
    return Part(
        id=fields.identifier("id"),
        title=fields.some_by_language("title", longest=texts.TITLE_MAX),
        languages=fields.languages(),
        quality=read_quality(fields, required=False),
        educational_level=fields.maybe_text("educationalLevel"),
    )


def read_quality(fields: Fields, *, required: bool) -> str:
    """Return `quality`, a word in the form of an id.

    Raises:
        ManifestMalformed: it is none, or is missing.
    """
    found = fields.maybe_text("quality")
    if (found or required) and not is_id(found):
        raise fields.fault("quality")
    return found


def check_parts(parts: Sequence[Part], features: Sequence[str]) -> None:
    """Return if ids are distinct and the manifest says that it has parts exactly when it has some.

    Raises:
        ManifestMalformed: it is not so.
    """
    if len({part.id for part in parts}) < len(parts):
        raise ManifestMalformed(reason="parts")
    if bool(parts) != (FEATURE in features):
        raise ManifestMalformed(reason=f"features {FEATURE}")
