"""From `pack.toml` and the files it names to a manifest and the content of every file of the pack.

Everything an author can get wrong is found here, before anything is written.
"""

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from content_packs.base.errors import N_
from content_packs.builder.files import PackFiles
from content_packs.builder.overlay import read_overlay
from content_packs.builder.parts import check_together, read_parts
from content_packs.builder.resources import read_resource
from content_packs.builder.source import PACK_FILE, SourceTree
from content_packs.builder.tables import Table, read_table
from content_packs.builder.terms import (
    read_accessibility,
    read_age_range,
    read_credits,
    read_prerequisites,
    read_roles,
)
from content_packs.format import manifest as manifests
from content_packs.format import names, texts
from content_packs.format.errors import FileTooLarge
from content_packs.format.layout import MANIFEST_NAME, VERSION_MAX
from content_packs.format.manifest import LESSONS_MAX, MANIFEST_MAX_BYTES, RESOURCES_MAX, Lesson, Manifest, Resource

_DAY_REASON = N_("a day is written like 2026-11-01, without quotation marks")


def read_course(source: Path) -> tuple[Manifest, PackFiles]:
    """Return the manifest and the files of the course in `source`; reads every file once.

    Raises:
        SourceInvalid, PathRefused, FileTooLarge: what the author has to correct, with file and place.
        PackNotFound, SourceInvalid: no such folder, or no `pack.toml` there.
    """
    tree = SourceTree(source)
    top = read_table(PACK_FILE, tree.read_text(PACK_FILE, wanted_by=PACK_FILE))
    files = PackFiles(tree)
    languages = _languages(top)
    head = _read_head(top, languages)
    lessons, resources = _read_lessons(top, files, languages, in_overlay=head.overlay is not None)
    parts = read_parts(top, files, languages)
    top.finish()
    features = ["overlay"] * (head.overlay is not None) + ["parts"] * bool(parts)
    manifest = replace(
        head, lessons=lessons, resources=resources, files=files.entries(), parts=parts, features=tuple(features)
    )
    check_together(manifest, PACK_FILE)
    _check_readable(manifest)
    return manifest, files


def _check_readable(manifest: Manifest) -> None:
    """Read the manifest as a box will, so that what a box refuses is refused here."""
    data = manifests.serialise(manifest)
    if len(data) > MANIFEST_MAX_BYTES:
        raise FileTooLarge(file=MANIFEST_NAME, size_bytes=len(data), limit_bytes=MANIFEST_MAX_BYTES)
    manifests.parse(data)


def _read_head(top: Table, languages: tuple[str, ...]) -> Manifest:
    """Return the manifest without its lessons and files."""
    return Manifest(
        pack=names.check_path(top.pack_id("id")),
        version=_version(top),
        title=top.title(languages),
        description=top.description(languages),
        languages=languages,
        license=top.word("license"),
        educational_level=top.word("educationalLevel", default=""),
        about=top.word("about", default=""),
        teaches=top.words("teaches"),
        learning_resource_type=top.word("learningResourceType", default=""),
        time_required=top.duration("timeRequired"),
        creator=top.word("creator", default=""),
        released_ms=_released_ms(top),
        accessibility=read_accessibility(top),
        credits=read_credits(top),
        prerequisites=read_prerequisites(top, languages),
        educational_roles=read_roles(top),
        age_range=read_age_range(top),
        overlay=read_overlay(top, languages),
        lessons=(),
        resources=(),
        files=(),
    )


def _read_lessons(
    top: Table, files: PackFiles, languages: Sequence[str], *, in_overlay: bool
) -> tuple[tuple[Lesson, ...], tuple[Resource, ...]]:
    lessons: list[Lesson] = []
    resources: list[Resource] = []
    seen: set[str] = set()
    for table in top.tables("lesson", most=LESSONS_MAX):
        inner = [
            read_resource(one, files, languages, in_overlay=in_overlay)
            for one in table.tables("resource", most=RESOURCES_MAX)
        ]
        lessons.append(_read_lesson(table, files, languages, inner, in_overlay=in_overlay))
        resources += inner
        for used in [f"lesson {lessons[-1].id}", *(f"resource {resource.id}" for resource in inner)]:
            if used in seen:
                raise table.refuse(used, N_("this id is used twice"))
            seen.add(used)
    if not 1 <= len(resources) <= RESOURCES_MAX:
        raise top.refuse("lesson", N_("a pack has at least one lesson with one resource, and at most 20,000"))
    return tuple(lessons), tuple(resources)


def _read_lesson(
    table: Table, files: PackFiles, languages: Sequence[str], inner: list[Resource], *, in_overlay: bool
) -> Lesson:
    """Return the lesson; one of an overlay has no resources of its own, they are in the lessons of the pack below."""
    lesson = Lesson(
        id=table.identifier(),
        title=table.title(languages, required=not in_overlay),
        description=table.description(languages),
        resource_ids=() if in_overlay else tuple(resource.id for resource in inner),
        teaches=table.words("teaches"),
        time_required=table.duration("timeRequired"),
        thumbnail=files.take(table.word("thumbnail"), table, "image/") if table.has("thumbnail") else None,
    )
    table.finish()
    return lesson


def _languages(top: Table) -> tuple[str, ...]:
    languages = top.words("inLanguage")
    if not 1 <= len(languages) <= texts.LANGUAGES_MAX or len(set(languages)) < len(languages):
        raise top.refuse("inLanguage", N_("a pack names its languages here, each once"))
    if not all(map(texts.is_language, languages)):
        raise top.refuse("inLanguage", N_('a language is written like "en", "ar" or "zh-Hans"'))
    return languages


def _version(top: Table) -> int:
    reason = N_("a version is a whole number from 1 that only grows")
    version: int = top.value("version", int, reason)
    if not 1 <= version <= VERSION_MAX:
        raise top.refuse("version", reason)
    return version


def _released_ms(top: Table) -> int | None:
    """Return the day of release as the start of that day in UTC; the build's own time is never used."""
    day = top.value("released", datetime.date, _DAY_REASON, None)
    if day is None:
        return None
    if isinstance(day, datetime.datetime) or day.year < 1970:
        raise top.refuse("released", _DAY_REASON)
    since: datetime.timedelta = day - datetime.date(1970, 1, 1)
    return since // datetime.timedelta(milliseconds=1)
