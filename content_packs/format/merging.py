"""Laying overlays over a pack: what is shown of it then (docs/pack-format.md, Overlays).

A file of an overlay is named by a qualified path, `<pack>@<version>:<path>`; no path of a pack has a colon. Ids,
kinds, the order of lessons and everything that is recorded stay those of the pack below.

Who signed an overlay decides what it may do. The publisher of the pack below may add and replace. Anybody else who is
trusted may add languages: a stranger's subtitles are welcome, a stranger's correction of the publisher's page is not,
and neither is a stranger's app. The publisher's own overlays always lie above those of others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from content_packs.format import layout
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Resource
from content_packs.format.resource import SPOKEN_KINDS
from content_packs.format.selection import without_left_out
from content_packs.format.texts import NEUTRAL

Texts = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Layer:
    """An overlay that may be laid over a pack.

    Attributes:
        signer: key id of who signed it.
        there: those of its paths whose files are on the box; the rest of the overlay works without the others.
    """

    manifest: Manifest
    signer: bytes
    there: frozenset[str]


def fitting(base: Manifest, signer: bytes, layers: Iterable[Layer]) -> list[Layer]:
    """Return the layers that lie over this version of the pack, the lowest first; of an overlay only its newest."""
    newest: dict[str, Layer] = {}
    for layer in layers:
        overlay = layer.manifest.overlay
        if overlay is not None and base.overlay is None and overlay.fits(base.pack, base.version):
            known = newest.setdefault(layer.manifest.pack, layer)
            if known.manifest.version < layer.manifest.version:
                newest[layer.manifest.pack] = layer
    return sorted(newest.values(), key=lambda layer: _height(layer, signer))


def merge(base: Manifest, signer: bytes, there: frozenset[str], layers: Iterable[Layer]) -> Manifest:
    """Return what is shown of the pack `base`, signed by `signer`, under those of the layers that fit it.

    Only files in `there` are opened; a resource of which none is there has no `paths`. The result has the root,
    version and ids of the pack, and is for showing: its list of files is not what was signed.
    """
    lowest_first = fitting(base, signer, layers)
    resources = {resource.id: without_left_out(resource, there) for resource in base.resources}
    if lowest_first:
        resources = {key: _speaking(resource, base.languages) for key, resource in resources.items()}
    lessons = {lesson.id: lesson for lesson in base.lessons}
    title, description = base.title, base.description
    for layer in lowest_first:
        is_own = layer.signer == signer
        if (overlay := layer.manifest.overlay) is not None:
            title = _laid(title, overlay.title, {} if is_own else base.title)
            description = _laid(description, overlay.description, {} if is_own else base.description)
        _lay_lessons(lessons, layer, {} if is_own else {lesson.id: lesson for lesson in base.lessons})
        _lay_resources(resources, layer, {} if is_own else {resource.id: resource for resource in base.resources})
    return replace(
        base,
        title=title,
        description=description,
        languages=_united(base.languages, (layer.manifest.languages for layer in lowest_first)),
        lessons=tuple(lessons[lesson.id] for lesson in base.lessons),
        resources=tuple(resources[resource.id] for resource in base.resources),
        files=(*(entry for entry in base.files if entry.path in there), *_files(lowest_first)),
    )


def _height(layer: Layer, signer: bytes) -> tuple[bool, int, str]:
    overlay = layer.manifest.overlay
    return layer.signer == signer, overlay.priority if overlay else 0, layer.manifest.pack


def _lay_lessons(lessons: dict[str, Lesson], layer: Layer, fixed: Mapping[str, Lesson]) -> None:
    """Lay a layer over lessons; what `fixed` lessons say in a language stays."""
    for over in layer.manifest.lessons:
        if (below := lessons.get(over.id)) is None:
            continue
        stays = fixed.get(over.id)
        lessons[over.id] = replace(
            below,
            title=_laid(below.title, over.title, stays.title if stays else {}),
            description=_laid(below.description, over.description, stays.description if stays else {}),
        )


def _lay_resources(resources: dict[str, Resource], layer: Layer, fixed: Mapping[str, Resource]) -> None:
    """Lay a layer over resources of the same id and kind; what `fixed` resources have in a language stays."""
    for over in layer.manifest.resources:
        below = resources.get(over.id)
        if below is not None and below.kind == over.kind:
            resources[over.id] = _lay_resource(below, _qualified(over, layer), fixed.get(over.id))


def _lay_resource(below: Resource, over: Resource, stays: Resource | None) -> Resource:
    """Lay one resource over another one; `stays` is what may only be added to, None when all may be replaced."""
    paths = _added_paths(over, stays)
    languages = (*over.title, *over.captions, *over.narration, *paths)
    return replace(
        below,
        title=_laid(below.title, over.title, stays.title if stays else {}),
        description=_laid(below.description, over.description, stays.description if stays else {}),
        text=_laid(below.text, over.text, stays.text if stays else {}),
        paths={**below.paths, **paths},
        captions=_laid(below.captions, over.captions, stays.captions if stays else {}),
        narration=_laid(below.narration, over.narration, stays.narration if stays else {}),
        poster=over.poster if over.poster is not None and stays is None else below.poster,
        files=below.files if stays and below.kind == "app" else (*below.files, *over.files),
        languages=_united(below.languages, [[language for language in languages if language != NEUTRAL]]),
    )


def _added_paths(over: Resource, stays: Resource | None) -> Texts:
    if stays is None:
        return over.paths
    if over.kind == "app":
        return {}
    return {
        language: path for language, path in over.paths.items() if language not in stays.paths and language != NEUTRAL
    }


def _laid(below: Texts, over: Texts, stays: Texts) -> dict[str, str]:
    return {**below, **{language: text for language, text in over.items() if language not in stays}}


def _speaking(resource: Resource, languages: Sequence[str]) -> Resource:
    """Say which languages the resource has by itself, before overlays add some to the pack as a whole."""
    if resource.languages or NEUTRAL not in resource.paths or resource.kind not in SPOKEN_KINDS:
        return resource
    return replace(resource, languages=tuple(languages))


def _qualified(resource: Resource, layer: Layer) -> Resource:
    """Return the resource with what is there of it, under paths that name the overlay."""
    shown = without_left_out(resource, layer.there)
    return replace(
        shown,
        paths={language: _name(layer, path) for language, path in shown.paths.items()},
        captions={language: _name(layer, path) for language, path in shown.captions.items()},
        narration={language: _name(layer, path) for language, path in shown.narration.items()},
        poster=_name(layer, shown.poster) if shown.poster in layer.there and shown.poster is not None else None,
        files=tuple(_name(layer, path) for path in shown.files if path in layer.there),
    )


def _files(layers: Iterable[Layer]) -> Iterable[FileEntry]:
    for layer in layers:
        for entry in layer.manifest.files:
            if entry.path in layer.there:
                yield replace(entry, path=_name(layer, entry.path))


def _name(layer: Layer, path: str) -> str:
    return layout.qualify(layer.manifest.pack, layer.manifest.version, path)


def _united(first: Iterable[str], more: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *(one for each in more for one in each)]))
