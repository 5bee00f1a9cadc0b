"""How much of a pack speaks a language: its resources whose title and content both do, out of all."""

from collections.abc import Mapping

from content_packs.base.language import NEUTRAL, normalise
from content_packs.format.manifest import Manifest, Resource

_PERCENT = 100


def localised_percent(manifest: Manifest) -> Mapping[str, int]:
    """Return the share in percent for each language of the pack, in its order; 100 only when nothing is missing.

    `manifest` is what is shown, with overlays laid over it.
    """
    total = len(manifest.resources)
    return {
        language: _PERCENT * sum(_speaks(manifest, resource, language) for resource in manifest.resources) // total
        for language in (manifest.languages if total else ())
    }


def _speaks(manifest: Manifest, resource: Resource, language: str) -> bool:
    return _has(resource.title, language) and _content_speaks(manifest, resource, language)


def _content_speaks(manifest: Manifest, resource: Resource, language: str) -> bool:
    """A picture without a language is for all; another file without one is in the languages it is said to have."""
    if _has(resource.paths, language) or _has(resource.captions, language):
        return bool(resource.paths)
    if NEUTRAL not in resource.paths:
        return False
    spoken = resource.languages or manifest.languages
    return resource.kind == "image" or _has(dict.fromkeys(spoken, ""), language)


def _has(by_language: Mapping[str, str], language: str) -> bool:
    return normalise(language) in {normalise(one) for one in by_language}
