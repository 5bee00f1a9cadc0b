"""Which parts of a pack are taken: choosing them, and the small file that says so (docs/pack-format.md, Parts)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from content_packs.base import codec
from content_packs.format.errors import ManifestMalformed, PartUnknown
from content_packs.format.fields import Fields, is_id
from content_packs.format.manifest import FileEntry, Manifest, Part, Resource, decode_canonical
from content_packs.format.parts import PARTS_MAX

FORMAT = 1
SELECTION_MAX_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Selection:
    """The ids of the parts that are taken; None stands for all of them, also of those a later version adds."""

    parts: frozenset[str] | None = None

    def takes(self, part: Part) -> bool:
        """Return whether the part is taken."""
        return self.takes_id(part.id)

    def takes_id(self, part: str) -> bool:
        """Return whether the part with this id is taken."""
        return self.parts is None or part in self.parts

    def united(self, other: "Selection") -> "Selection":
        """Return what takes a part when one of the two does."""
        return EVERYTHING if self.parts is None or other.parts is None else Selection(self.parts | other.parts)


EVERYTHING = Selection()


def choose_parts(
    manifest: Manifest,
    *,
    languages: Sequence[str] | None = None,
    levels: Sequence[str] | None = None,
    qualities: Sequence[str] | None = None,
    max_bytes: int | None = None,
) -> Selection:
    """Return the parts that fit every wish; a wish that is None is none, and a part that says nothing fits it.

    Of those, as many as fit into `max_bytes` together with what is always needed are taken, in the order of the pack.
    What is always needed may itself be more than `max_bytes`: see `selected_size_bytes`.
    """
    taken: frozenset[str] = frozenset()
    for part in manifest.parts:
        if _is_wanted(part, languages, levels, qualities):
            more = Selection(taken | {part.id})
            if max_bytes is None or selected_size_bytes(manifest, more) <= max_bytes:
                taken |= {part.id}
    return Selection(taken)


def name_parts(manifest: Manifest, ids: Iterable[str]) -> Selection:
    """Return the selection of these parts and no others.

    Raises:
        PartUnknown: the pack has no such part.
    """
    wanted, known = frozenset(ids), {part.id for part in manifest.parts}
    for part in sorted(wanted - known):
        raise PartUnknown(pack=manifest.pack, part=part, known=", ".join(sorted(known)))
    return Selection(wanted)


def selected_files(manifest: Manifest, selection: Selection) -> tuple[FileEntry, ...]:
    """Return the files that are there under this selection, in the order of the manifest."""
    taken = [True, *(selection.takes(part) for part in manifest.parts)]
    return tuple(entry for entry in manifest.files if taken[entry.part])


def selected_blobs(manifest: Manifest, selection: Selection) -> dict[bytes, FileEntry]:
    """Return one entry per distinct content that is there, in the order of paths."""
    return replace(manifest, files=selected_files(manifest, selection)).blobs


def selected_size_bytes(manifest: Manifest, selection: Selection) -> int:
    """Return the bytes of all distinct contents that are there."""
    return sum(entry.size_bytes for entry in selected_blobs(manifest, selection).values())


def without_left_out(resource: Resource, there: frozenset[str]) -> Resource:
    """Return the resource with what can be opened of it: for each language the best of its files that is `there`.

    A resource none of whose files are there has no `paths`.
    """
    paths: dict[str, str] = {}
    for choice in (resource.paths, *(variant.paths for variant in resource.variants)):
        for language, path in choice.items():
            if path in there:
                paths.setdefault(language, path)
    return replace(
        resource,
        paths=paths,
        captions={language: path for language, path in resource.captions.items() if path in there},
        narration={language: path for language, path in resource.narration.items() if path in there},
    )


def serialise_selection(selection: Selection) -> bytes:
    """Return the content of the file that stands beside a manifest; there is none for `EVERYTHING`."""
    return codec.encode({"format": FORMAT, "parts": sorted(selection.parts or ())})


def parse_selection(data: bytes) -> Selection:
    """Return the selection in such a file.

    Raises:
        ManifestMalformed: it is none.
    """
    fields = Fields(decode_canonical(data, max_bytes=SELECTION_MAX_BYTES), "selection")
    fields.integer("format", low=FORMAT, high=FORMAT)
    ids = fields.strings("parts", most=PARTS_MAX)
    if not all(map(is_id, ids)) or list(ids) != sorted(set(ids)):
        raise ManifestMalformed(reason="selection.parts")
    return Selection(frozenset(ids))


def _is_wanted(
    part: Part, languages: Sequence[str] | None, levels: Sequence[str] | None, qualities: Sequence[str] | None
) -> bool:
    if languages is not None and part.languages and not any(_speaks(part, language) for language in languages):
        return False
    if levels is not None and part.educational_level and part.educational_level not in levels:
        return False
    return qualities is None or not part.quality or part.quality in qualities


def _speaks(part: Part, language: str) -> bool:
    """Return whether the part is in the language, in a variety of it, or in the language that this is a variety of."""
    return any(
        f"{language}-".lower().startswith(f"{own}-".lower()) or f"{own}-".lower().startswith(f"{language}-".lower())
        for own in part.languages
    )
