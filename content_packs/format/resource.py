"""Lessons and resources: the part of a manifest that says what one learns with (docs/pack-format.md, Manifest).

Owns their records and the rules that need nothing but the record itself; whether a path is in the pack and an id in a
lesson is checked by the manifest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from content_packs.format import names, texts
from content_packs.format.errors import FormatUnsupported
from content_packs.format.fields import LIST_MAX, Fields
from content_packs.format.parts import read_quality
from content_packs.format.terms import NOTHING_SAID, Accessibility, accessibility_record, read_accessibility

FILES_MAX = 200_000
RESOURCES_MAX = 20_000
VARIANTS_MAX = 10
# Kinds whose one file may speak several languages: a quiz has its words in it, a film its captions beside it.
SPOKEN_KINDS = frozenset({"app", "quiz", "video"})
KINDS = frozenset({"text", "image", "audio", "video", "pdf", "app", "quiz", "cmi5"})
# Kinds that run programs.
PROGRAM_KINDS = frozenset({"app", "cmi5"})


@dataclass(frozen=True, slots=True)
class Lesson:
    """A row of resources to be taken in order."""

    id: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    resource_ids: tuple[str, ...]
    teaches: tuple[str, ...] = ()
    time_required: str = ""
    thumbnail: str | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """Files to open instead of a resource's own, by language: the same in another quality, such as `360p`."""

    quality: str
    paths: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing to learn with.

    Attributes:
        paths: the file to open, by language, or under `und` when it has no language.
        variants: the same in other qualities, the best first; each is worse than `paths`.
        captions: WebVTT files by language.
        narration: sound files that read it aloud, by language.
        files: further files it needs, such as pictures.
        text: what can be searched, by language, up to 64 kB each.
        languages: `inLanguage`, where the keys of `paths` do not tell.
    """

    id: str
    kind: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    paths: Mapping[str, str]
    captions: Mapping[str, str] = field(default_factory=dict)
    poster: str | None = None
    files: tuple[str, ...] = ()
    time_required: str = ""
    learning_resource_type: str = ""
    text: Mapping[str, str] = field(default_factory=dict)
    variants: tuple[Variant, ...] = ()
    narration: Mapping[str, str] = field(default_factory=dict)
    accessibility: Accessibility = NOTHING_SAID
    educational_level: str = ""
    languages: tuple[str, ...] = ()

    @property
    def opened(self) -> frozenset[str]:
        """Return every path that is opened by itself: the main files in all qualities, captions and narration."""
        variants = {path for variant in self.variants for path in variant.paths.values()}
        return frozenset({*self.paths.values(), *self.captions.values(), *self.narration.values()} | variants)


def lesson_record(lesson: Lesson) -> dict[str, Any]:
    """Return the record of one lesson."""
    record: dict[str, Any] = {
        "id": lesson.id,
        "title": dict(lesson.title),
        "description": dict(lesson.description),
        "resources": lesson.resource_ids,
        "teaches": lesson.teaches,
        "timeRequired": lesson.time_required,
    }
    if lesson.thumbnail is not None:
        record["thumbnail"] = lesson.thumbnail
    return record


def resource_record(resource: Resource) -> dict[str, Any]:
    """Return the record of one resource."""
    record: dict[str, Any] = {
        "id": resource.id,
        "kind": resource.kind,
        "title": dict(resource.title),
        "description": dict(resource.description),
        "paths": dict(resource.paths),
        "captions": dict(resource.captions),
        "files": resource.files,
        "timeRequired": resource.time_required,
        "learningResourceType": resource.learning_resource_type,
        "text": dict(resource.text),
    }
    maybe: dict[str, Any] = {
        "poster": resource.poster,
        "variants": [{"quality": one.quality, "paths": dict(one.paths)} for one in resource.variants],
        "narration": dict(resource.narration),
        "educationalLevel": resource.educational_level,
        "inLanguage": resource.languages,
    }
    return record | {key: value for key, value in maybe.items() if value} | accessibility_record(resource.accessibility)


def read_lesson(fields: Fields, *, in_overlay: bool = False) -> Lesson:
    """Return the lesson in a record; in an overlay it may say as little as its id.

    Raises:
        ManifestMalformed: a field is missing or wrong.
    """
    return Lesson(
        id=fields.identifier("id"),
        title=_read_title(fields, in_overlay),
        description=fields.by_language("description", longest=texts.LONG_MAX),
        resource_ids=fields.strings("resources", most=RESOURCES_MAX),
        teaches=fields.strings("teaches", most=LIST_MAX),
        time_required=fields.duration("timeRequired"),
        thumbnail=fields.text("thumbnail") if fields.has("thumbnail") else None,
    )


def read_resource(fields: Fields, *, in_overlay: bool = False) -> Resource:
    """Return the resource in a record; in an overlay it may say as little as its id and kind.

    Raises:
        FormatUnsupported: an unknown kind.
        ManifestMalformed: a field is missing or wrong.
    """
    kind = fields.text("kind")
    if kind not in KINDS:
        raise FormatUnsupported(feature=f"resource {kind}")
    return Resource(
        id=fields.identifier("id"),
        kind=kind,
        title=_read_title(fields, in_overlay),
        description=fields.by_language("description", longest=texts.LONG_MAX),
        paths=fields.by_language("paths", longest=names.PATH_MAX_BYTES),
        captions=fields.by_language("captions", longest=names.PATH_MAX_BYTES),
        poster=fields.text("poster") if fields.has("poster") else None,
        files=fields.strings("files", most=FILES_MAX),
        time_required=fields.duration("timeRequired"),
        learning_resource_type=fields.text("learningResourceType"),
        text=_read_search_text(fields),
        variants=_read_variants(fields),
        narration=fields.maybe_by_language("narration", longest=names.PATH_MAX_BYTES),
        accessibility=read_accessibility(fields),
        educational_level=fields.maybe_text("educationalLevel"),
        languages=fields.languages(),
    )


def _read_title(fields: Fields, in_overlay: bool) -> dict[str, str]:
    if in_overlay:
        return fields.by_language("title", longest=texts.TITLE_MAX)
    return fields.some_by_language("title", longest=texts.TITLE_MAX)


def _read_search_text(fields: Fields) -> dict[str, str]:
    text = fields.by_language("text", longest=texts.SEARCH_MAX_BYTES)
    if any(len(value.encode()) > texts.SEARCH_MAX_BYTES for value in text.values()):
        raise fields.fault("text")
    return text


def _read_variants(fields: Fields) -> tuple[Variant, ...]:
    inner = [Fields(value, "variants") for value in fields.maybe_array("variants", most=VARIANTS_MAX)]
    variants = tuple(
        Variant(read_quality(one, required=True), one.some_by_language("paths", longest=names.PATH_MAX_BYTES))
        for one in inner
    )
    if len({variant.quality for variant in variants}) < len(variants):
        raise fields.fault("variants")
    return variants
