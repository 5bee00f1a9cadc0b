"""The parts of a course: which files a school may do without."""

from collections.abc import Sequence

from content_packs.base.errors import N_
from content_packs.builder.files import PackFiles
from content_packs.builder.tables import Table
from content_packs.builder.terms import read_languages
from content_packs.format.errors import SourceInvalid
from content_packs.format.fields import is_id
from content_packs.format.manifest import PARTS_MAX, Manifest, Part

_PATTERNS_MAX = 1_000


def read_parts(top: Table, files: PackFiles, languages: Sequence[str]) -> tuple[Part, ...]:
    """Return the parts in their order, and mark their files in `files`, which has all files of the course by now.

    Raises:
        SourceInvalid: what the author has to correct.
    """
    parts: list[Part] = []
    for number, table in enumerate(top.tables("part", most=PARTS_MAX), start=1):
        part = _read_part(table, languages)
        if part.id in {one.id for one in parts}:
            raise table.refuse("id", N_("this id is used twice"))
        patterns = table.words("files", most=_PATTERNS_MAX)
        if not patterns:
            raise table.refuse("files", N_("this is missing"))
        for pattern in patterns:
            files.put_into_part(number, pattern, table)
        table.finish()
        parts.append(part)
    return tuple(parts)


def read_quality(table: Table) -> str:
    """Return a word for a quality, such as `720p`, empty when left out.

    Raises:
        SourceInvalid: it does not have the form of an id.
    """
    quality = table.word("quality", default="")
    if quality and not is_id(quality):
        raise table.refuse("quality", N_("an id has only the letters a to z, digits and hyphens"))
    return quality


def check_together(manifest: Manifest, where: str) -> None:
    """Return if no part takes away what is needed without it; `where` is the file the author wrote.

    Raises:
        SourceInvalid: a poster or thumbnail in a part, or a file that its resource could be shown without.
    """
    part_of = {entry.path: entry.part for entry in manifest.files}
    posters = [resource.poster for resource in manifest.resources] + [lesson.thumbnail for lesson in manifest.lessons]
    for path in posters:
        if path is not None and part_of[path]:
            raise SourceInvalid(file=path, where=where, reason=N_("posters and thumbnails cannot be in a part"))
    for resource in manifest.resources:
        opened = {0, *(part_of[path] for path in resource.opened)}
        for path in resource.files:
            if part_of[path] not in opened:
                reason = N_("a resource needs this file, but nothing it opens is in the same part")
                raise SourceInvalid(file=path, where=f"{where} {resource.id}", reason=reason)


def _read_part(table: Table, languages: Sequence[str]) -> Part:
    return Part(
        id=table.identifier(),
        title=table.title(languages),
        languages=read_languages(table),
        quality=read_quality(table),
        educational_level=table.word("educationalLevel", default=""),
    )
