"""The manifest: what a pack is, which files it has, and what one learns with them (docs/pack-format.md, Manifest).

Owns the map between the bytes that are signed and frozen values, and every rule on them. Who signed is the envelope's
concern; where the bytes of a file lie is the reader's.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from content_packs.base import codec, hashing
from content_packs.base.codec import CodecMalformed
from content_packs.format import names, texts
from content_packs.format.errors import FormatUnsupported, ManifestMalformed
from content_packs.format.fields import Fields, is_pack_id
from content_packs.format.layout import VERSION_MAX

FORMAT: Final = 1
MANIFEST_MAX_BYTES = 64 * 1024**2
FILES_MAX = 200_000
FILE_MAX_BYTES = 64 * 1024**3
LESSONS_MAX = 2_000
RESOURCES_MAX = 20_000
LIST_MAX = 100
RELEASED_MAX_MS = 2**48 - 1
KINDS = frozenset({"text", "image", "audio", "video", "pdf", "app", "quiz"})
FEATURES: frozenset[str] = frozenset()

_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9][a-z0-9.+-]{0,98}")


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the pack."""

    path: str
    size_bytes: int
    hash: bytes
    media_type: str


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
class Resource:
    """One thing to learn with.

    Attributes:
        paths: the file to open, by language, or under `und` when it has no language.
        captions: WebVTT files by language.
        files: further files it needs, such as pictures.
        text: what can be searched, by language, up to 64 kB each.
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
        "lessons": [_lesson_record(lesson) for lesson in manifest.lessons],
        "resources": [_resource_record(resource) for resource in manifest.resources],
    }
    if manifest.released_ms is not None:
        record["released_ms"] = manifest.released_ms
    return codec.encode(record)


def parse(data: bytes, *, max_parts: int = codec.MAX_CONTAINERS) -> Manifest:
    """Return the manifest in `data`, with every rule of the format checked; `max_parts` bounds its lists and maps.

    Raises:
        FormatUnsupported: another format number, an unknown required feature or an unknown kind of resource.
        ManifestMalformed: not canonical, a field is missing or wrong, the root does not fit, or a name leads nowhere.
        PathRefused: an unsafe path, or two that could be one file.
    """
    fields = Fields(decode_canonical(data, max_parts=max_parts), "")
    _check_supported(fields)
    manifest = _read_manifest(fields)
    _check_files(manifest.files)
    if fields.binary("root", hashing.HASH_BYTES) != manifest.root:
        raise ManifestMalformed(reason="root")
    _check_references(manifest)
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
    return [entry.path, entry.size_bytes, entry.hash, entry.media_type]


def _lesson_record(lesson: Lesson) -> dict[str, Any]:
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


def _resource_record(resource: Resource) -> dict[str, Any]:
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
    if resource.poster is not None:
        record["poster"] = resource.poster
    return record


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
    return Manifest(
        pack=pack,
        version=fields.integer("version", low=1, high=VERSION_MAX),
        title=_required(fields, "title"),
        description=fields.by_language("description", longest=texts.LONG_MAX),
        languages=_languages(fields),
        license=fields.text("license"),
        files=tuple(_read_entry(value) for value in fields.array("files", most=FILES_MAX)),
        lessons=tuple(
            _read_lesson(Fields(value, f"lessons.{place}"))
            for place, value in enumerate(fields.array("lessons", most=LESSONS_MAX))
        ),
        resources=tuple(
            _read_resource(Fields(value, f"resources.{place}"))
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
    )


def _required(fields: Fields, key: str) -> dict[str, str]:
    value = fields.by_language(key, longest=texts.TITLE_MAX)
    if not value or not all(value.values()):
        raise fields.fault(key)
    return value


def _languages(fields: Fields) -> tuple[str, ...]:
    languages = fields.strings("inLanguage", most=texts.LANGUAGES_MAX)
    if not languages or len(set(languages)) < len(languages) or not all(map(texts.is_language, languages)):
        raise fields.fault("inLanguage")
    return languages


def _read_entry(value: Any) -> FileEntry:
    if not isinstance(value, list) or [type(part) for part in value] != [str, int, bytes, str]:
        raise ManifestMalformed(reason="files")
    entry = FileEntry(*value)
    if not 0 <= entry.size_bytes <= FILE_MAX_BYTES or len(entry.hash) != hashing.HASH_BYTES:
        raise ManifestMalformed(reason="files")
    if _MEDIA_TYPE.fullmatch(entry.media_type) is None:
        raise ManifestMalformed(reason="files")
    return entry


def _read_lesson(fields: Fields) -> Lesson:
    return Lesson(
        id=fields.identifier("id"),
        title=_required(fields, "title"),
        description=fields.by_language("description", longest=texts.LONG_MAX),
        resource_ids=fields.strings("resources", most=RESOURCES_MAX),
        teaches=fields.strings("teaches", most=LIST_MAX),
        time_required=fields.duration("timeRequired"),
        thumbnail=fields.text("thumbnail") if fields.has("thumbnail") else None,
    )


def _read_resource(fields: Fields) -> Resource:
    kind = fields.text("kind")
    if kind not in KINDS:
        raise FormatUnsupported(feature=f"resource {kind}")
    text = fields.by_language("text", longest=texts.SEARCH_MAX_BYTES)
    if any(len(value.encode()) > texts.SEARCH_MAX_BYTES for value in text.values()):
        raise fields.fault("text")
    return Resource(
        id=fields.identifier("id"),
        kind=kind,
        title=_required(fields, "title"),
        description=fields.by_language("description", longest=texts.LONG_MAX),
        paths=fields.by_language("paths", longest=names.PATH_MAX_BYTES),
        captions=fields.by_language("captions", longest=names.PATH_MAX_BYTES),
        poster=fields.text("poster") if fields.has("poster") else None,
        files=fields.strings("files", most=FILES_MAX),
        time_required=fields.duration("timeRequired"),
        learning_resource_type=fields.text("learningResourceType"),
        text=text,
    )


def _check_files(files: Sequence[FileEntry]) -> None:
    paths = [names.check_path(entry.path) for entry in files]
    if paths != sorted(paths):
        raise ManifestMalformed(reason="files not sorted")
    names.check_distinct(paths)
    sizes: dict[bytes, int] = {}
    for entry in files:
        if sizes.setdefault(entry.hash, entry.size_bytes) != entry.size_bytes:
            raise ManifestMalformed(reason="files")


def _check_references(manifest: Manifest) -> None:
    """Every path and id that is used exists; every id is used for one thing; every resource has its lesson."""
    paths = {entry.path for entry in manifest.files}
    for resource in manifest.resources:
        used = {*resource.paths.values(), *resource.captions.values(), *resource.files, resource.poster} - {None}
        if not resource.paths or not used <= paths:
            raise ManifestMalformed(reason=f"resource {resource.id}")
    for lesson in manifest.lessons:
        if lesson.thumbnail is not None and lesson.thumbnail not in paths:
            raise ManifestMalformed(reason=f"lesson {lesson.id}")
    resource_ids = [resource.id for resource in manifest.resources]
    listed = [resource_id for lesson in manifest.lessons for resource_id in lesson.resource_ids]
    lesson_ids = [lesson.id for lesson in manifest.lessons]
    if len(set(resource_ids)) < len(resource_ids) or len(set(lesson_ids)) < len(lesson_ids):
        raise ManifestMalformed(reason="ids")
    if sorted(listed) != sorted(resource_ids):
        raise ManifestMalformed(reason="lessons")
