"""The manifest: what a pack is, which files it has, and what one learns with them (docs/pack-format.md, Manifest).

Owns the map between the bytes that are signed and frozen values, and every rule on them. Who signed is the envelope's
concern; where the bytes of a file lie is the reader's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from content_packs.base import codec, hashing
from content_packs.base.codec import CodecMalformed
from content_packs.format import names, overlay, parts, texts
from content_packs.format.errors import FormatUnsupported, ManifestMalformed, OverlayScript
from content_packs.format.fields import LIST_MAX, Fields, is_pack_id
from content_packs.format.layout import VERSION_MAX
from content_packs.format.overlay import Overlay, overlay_record, read_overlay
from content_packs.format.parts import PARTS_MAX, Part, check_parts, part_record, read_part
from content_packs.format.resource import (
    FILES_MAX,
    KINDS,
    RESOURCES_MAX,
    Lesson,
    Resource,
    Variant,
    lesson_record,
    read_lesson,
    read_resource,
    resource_record,
)
from content_packs.format.terms import (
    NOTHING_SAID,
    Accessibility,
    Credits,
    Prerequisite,
    accessibility_record,
    credits_record,
    prerequisite_record,
    read_accessibility,
    read_age_range,
    read_credits,
    read_prerequisite,
    read_roles,
)

__all__ = [
    "FEATURES", "FILES_MAX", "FILE_MAX_BYTES", "FORMAT", "KINDS", "LESSONS_MAX", "LIST_MAX", "MANIFEST_MAX_BYTES",
    "PARTS_MAX", "RELEASED_MAX_MS", "RESOURCES_MAX", "Accessibility", "Credits", "FileEntry", "Lesson", "Manifest",
    "Overlay", "Part", "Prerequisite", "Resource", "Variant", "decode_canonical", "files_root", "parse", "serialise",
]  # fmt: skip

FORMAT: Final = 1
MANIFEST_MAX_BYTES = 64 * 1024**2
FILE_MAX_BYTES = 64 * 1024**3
LESSONS_MAX = 2_000
RELEASED_MAX_MS = 2**48 - 1
SCRIPT_TYPES = frozenset({"text/html", "text/javascript"})
FEATURES = frozenset({parts.FEATURE, overlay.FEATURE})

_ENTRY_TYPES = ([str, int, bytes, str], [str, int, bytes, str, int])
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,98}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the pack; `part` is 0 when it is always needed, else the number of its part, counted from 1."""

    path: str
    size_bytes: int
    hash: bytes
    media_type: str
    part: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is signed."""

    pack: str
    version: int
    title: Mapping[str, str]
    description: Mapping[str, str]
    languages: tuple[str, ...]
    license: str
    files: tuple[FileEntry, ...]
    lessons: tuple[Lesson, ...]
    resources: tuple[Resource, ...]
    educational_level: str = ""
    about: str = ""
    teaches: tuple[str, ...] = ()
    learning_resource_type: str = ""
    time_required: str = ""
    creator: str = ""
    features: tuple[str, ...] = ()
    released_ms: int | None = None
    accessibility: Accessibility = NOTHING_SAID
    credits: Credits | None = None
    prerequisites: tuple[Prerequisite, ...] = ()
    educational_roles: tuple[str, ...] = ()
    age_range: str = ""
    parts: tuple[Part, ...] = ()
    overlay: Overlay | None = None

    @property
    def root(self) -> bytes:
        """Return the Merkle root over the files."""
        return files_root(self.files)

    @property
    def blobs(self) -> dict[bytes, FileEntry]:
        """Return one entry per distinct content, in the order of paths."""
        first: dict[bytes, FileEntry] = {}
        for entry in self.files:
            first.setdefault(entry.hash, entry)
        return first

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all distinct contents."""
        return sum(entry.size_bytes for entry in self.blobs.values())


def files_root(files: Sequence[FileEntry]) -> bytes:
    """Return the Merkle root over entries in their order."""
    return hashing.merkle_root([hashing.leaf_hash(codec.encode(_entry_record(entry))) for entry in files])


def serialise(manifest: Manifest) -> bytes:
    """Return the canonical bytes that are signed; equal manifests give equal bytes."""
    record: dict[str, Any] = {
        "format": FORMAT,
        "pack": manifest.pack,
        "version": manifest.version,
        "title": dict(manifest.title),
        "description": dict(manifest.description),
        "inLanguage": manifest.languages,
        "educationalLevel": manifest.educational_level,
        "about": manifest.about,
        "teaches": manifest.teaches,
        "learningResourceType": manifest.learning_resource_type,
        "timeRequired": manifest.time_required,
        "license": manifest.license,
        "creator": manifest.creator,
        "features": manifest.features,
        "root": manifest.root,
        "files": [_entry_record(entry) for entry in manifest.files],
        "lessons": [lesson_record(lesson) for lesson in manifest.lessons],
        "resources": [resource_record(resource) for resource in manifest.resources],
    }
    return codec.encode(record | _maybe_record(manifest) | accessibility_record(manifest.accessibility))


def parse(data: bytes, *, max_parts: int = codec.MAX_CONTAINERS) -> Manifest:
    """Return the manifest in `data`, with every rule of the format checked; `max_parts` bounds its lists and maps.

    Raises:
        FormatUnsupported: another format number, an unknown required feature or an unknown kind of resource.
        ManifestMalformed: not canonical, a field is missing or wrong, the root does not fit, or a name leads nowhere.
        OverlayScript: an overlay that brings scripts into what is no app.
        PathRefused: an unsafe path, or two that could be one file.
    """
    fields = Fields(decode_canonical(data, max_parts=max_parts), "")
    _check_supported(fields)
    manifest = _read_manifest(fields)
    check_parts(manifest.parts, manifest.features)
    if (manifest.overlay is not None) != (overlay.FEATURE in manifest.features):
        raise ManifestMalformed(reason=f"features {overlay.FEATURE}")
    _check_files(manifest.files, len(manifest.parts))
    if fields.binary("root", hashing.HASH_BYTES) != manifest.root:
        raise ManifestMalformed(reason="root")
    _check_references(manifest)
    if manifest.overlay is not None:
        _check_without_scripts(manifest)
    return manifest


def decode_canonical(data: bytes, *, max_bytes: int = MANIFEST_MAX_BYTES, max_parts: int = codec.MAX_CONTAINERS) -> Any:
    """Return the value in `data`, if these are the only bytes that stand for it.

    Raises:
        ManifestMalformed: not msgpack, over a limit, or not in canonical form.
    """
    try:
        value = codec.decode(data, max_bytes=max_bytes, max_containers=max_parts)
    except CodecMalformed as error:
        raise ManifestMalformed(reason=error.fields["reason"]) from error
    if codec.encode(value) != data:
        raise ManifestMalformed(reason="not canonical")
    return value


def _entry_record(entry: FileEntry) -> list[Any]:
    return [entry.path, entry.size_bytes, entry.hash, entry.media_type, *([entry.part] if entry.part else [])]


def _maybe_record(manifest: Manifest) -> dict[str, Any]:
    """Return the keys that are left out when they have nothing to say."""
    record: dict[str, Any] = {
        "numberOfCredits": credits_record(manifest.credits) if manifest.credits else None,
        "coursePrerequisites": [prerequisite_record(one) for one in manifest.prerequisites],
        "educationalRole": manifest.educational_roles,
        "typicalAgeRange": manifest.age_range,
        "parts": [part_record(part) for part in manifest.parts],
        "overlay": overlay_record(manifest.overlay) if manifest.overlay else None,
    }
    released = {} if manifest.released_ms is None else {"released_ms": manifest.released_ms}
    return released | {key: value for key, value in record.items() if value}


def _check_supported(fields: Fields) -> None:
    """Refuse first what a later format may have changed, so that the answer is "newer", not "damaged"."""
    number = fields.integer("format", low=0, high=2**31 - 1)
    if number != FORMAT:
        raise FormatUnsupported(feature=f"format {number}")
    for feature in fields.strings("features", most=LIST_MAX):
        if feature not in FEATURES:
            raise FormatUnsupported(feature=feature)


def _read_manifest(fields: Fields) -> Manifest:
    pack = fields.text("pack")
    if not is_pack_id(pack):
        raise fields.fault("pack")
    lying_over = read_overlay(fields.value("overlay")) if fields.has("overlay") else None
    return Manifest(
        pack=pack,
        version=fields.integer("version", low=1, high=VERSION_MAX),
        title=fields.some_by_language("title", longest=texts.TITLE_MAX),
        description=fields.by_language("description", longest=texts.LONG_MAX),
        languages=_languages(fields),
        license=fields.text("license"),
        files=tuple(_read_entry(value) for value in fields.array("files", most=FILES_MAX)),
        lessons=tuple(
            read_lesson(Fields(value, f"lessons.{place}"), in_overlay=lying_over is not None)
            for place, value in enumerate(fields.array("lessons", most=LESSONS_MAX))
        ),
        resources=tuple(
            read_resource(Fields(value, f"resources.{place}"), in_overlay=lying_over is not None)
            for place, value in enumerate(fields.array("resources", most=RESOURCES_MAX))
        ),
        educational_level=fields.text("educationalLevel"),
        about=fields.text("about"),
        teaches=fields.strings("teaches", most=LIST_MAX),
        learning_resource_type=fields.text("learningResourceType"),
        time_required=fields.duration("timeRequired"),
        creator=fields.text("creator"),
        features=fields.strings("features", most=LIST_MAX),
        released_ms=fields.integer("released_ms", low=0, high=RELEASED_MAX_MS) if fields.has("released_ms") else None,
        accessibility=read_accessibility(fields),
        credits=read_credits(fields.value("numberOfCredits")) if fields.has("numberOfCredits") else None,
        prerequisites=tuple(
            read_prerequisite(value, place)
            for place, value in enumerate(fields.maybe_array("coursePrerequisites", most=LIST_MAX))
        ),
        educational_roles=read_roles(fields),
        age_range=read_age_range(fields),
        parts=tuple(read_part(value, place) for place, value in enumerate(fields.maybe_array("parts", most=PARTS_MAX))),
        overlay=lying_over,
    )


def _languages(fields: Fields) -> tuple[str, ...]:
    languages = fields.languages()
    if not languages:
        raise fields.fault("inLanguage")
    return languages


def _read_entry(value: Any) -> FileEntry:
    if not isinstance(value, list) or [type(piece) for piece in value] not in _ENTRY_TYPES:
        raise ManifestMalformed(reason="files")
    entry = FileEntry(*value)
    if not 0 <= entry.size_bytes <= FILE_MAX_BYTES or len(entry.hash) != hashing.HASH_BYTES:
        raise ManifestMalformed(reason="files")
    if _MEDIA_TYPE.fullmatch(entry.media_type) is None or (len(value) == len(_ENTRY_TYPES[1]) and entry.part < 1):
        raise ManifestMalformed(reason="files")
    return entry


def _check_files(files: Sequence[FileEntry], parts_count: int) -> None:
    paths = [names.check_path(entry.path) for entry in files]
    if paths != sorted(paths):
        raise ManifestMalformed(reason="files not sorted")
    names.check_distinct(paths)
    sizes: dict[bytes, int] = {}
    for entry in files:
        if sizes.setdefault(entry.hash, entry.size_bytes) != entry.size_bytes or entry.part > parts_count:
            raise ManifestMalformed(reason="files")


def _check_references(manifest: Manifest) -> None:
    """Every path and id that is used exists; every id is used for one thing; every resource has its lesson."""
    part_of = {entry.path: entry.part for entry in manifest.files}
    for resource in manifest.resources:
        _check_resource(resource, part_of, in_overlay=manifest.overlay is not None)
    for lesson in manifest.lessons:
        if lesson.thumbnail is not None and part_of.get(lesson.thumbnail) != 0:
            raise ManifestMalformed(reason=f"lesson {lesson.id}")
    resource_ids = [resource.id for resource in manifest.resources]
    listed = [resource_id for lesson in manifest.lessons for resource_id in lesson.resource_ids]
    lesson_ids = [lesson.id for lesson in manifest.lessons]
    if len(set(resource_ids)) < len(resource_ids) or len(set(lesson_ids)) < len(lesson_ids):
        raise ManifestMalformed(reason="ids")
    if sorted(listed) != ([] if manifest.overlay else sorted(resource_ids)):
        raise ManifestMalformed(reason="lessons")


def _check_resource(resource: Resource, part_of: Mapping[str, int], *, in_overlay: bool) -> None:
    """Its paths exist; a poster is always there; what it needs beside is there whenever one of its main files is."""
    used = {*resource.opened, *resource.files, *([resource.poster] if resource.poster is not None else [])}
    if not (resource.paths or in_overlay) or not used <= part_of.keys():
        raise ManifestMalformed(reason=f"resource {resource.id}")
    if resource.poster is not None and part_of[resource.poster] != 0:
        raise ManifestMalformed(reason=f"resource {resource.id} poster")
    if not {part_of[path] for path in resource.files} <= {0, *(part_of[path] for path in resource.opened)}:
        raise ManifestMalformed(reason=f"resource {resource.id} files")


def _check_without_scripts(manifest: Manifest) -> None:
    """The page of a text is HTML, but nothing else in an overlay that is no app may run."""
    media_types = {entry.path: entry.media_type for entry in manifest.files}
    for resource in manifest.resources:
        pages = set(resource.paths.values()) if resource.kind == "text" else set()
        for path in sorted((resource.opened | set(resource.files)) - pages) if resource.kind != "app" else []:
            if media_types[path] in SCRIPT_TYPES:
                raise OverlayScript(resource=resource.id, file=path)
