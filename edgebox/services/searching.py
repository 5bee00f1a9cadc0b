"""Finding resources by what somebody types."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping

from content_packs.base.errors import EdgeboxError
from content_packs.base.language import NEUTRAL, choose, normalise
from content_packs.format.manifest import Lesson, Manifest, Resource
from edgebox.domain.search_text import fold, match_expression
from edgebox.services.cache_thread import CacheThread
from edgebox.store.search import Entry, Hit, SearchIndex

ADDED_AT_ONCE = 8
ReadManifest = Callable[[str, int], Manifest]

log = logging.getLogger(__name__)


class Searching:
    """The search index, filled pack by pack, so that nobody who searches waits for more than one."""

    def __init__(self, cache: CacheThread) -> None:
        self._cache = cache
        self._wanted: Mapping[str, int] = {}
        self._filling: asyncio.Task[None] | None = None

    async def refresh(self, packs: Mapping[str, int], read: ReadManifest) -> None:
        """Make the index hold exactly these packs, by id and version; only what differs is touched.

        The first packs are in the index after return, the others follow by themselves.
        """
        self._wanted = packs
        await self._cache.run(lambda cache: _remove_others(cache.search, packs))
        for _ in range(ADDED_AT_ONCE):
            if not await self._add_next(read):
                return
        if self._filling is None or self._filling.done():
            self._filling = asyncio.create_task(self._fill(read))

    async def find(self, query: str, language: str, limit: int) -> list[Hit]:
        """Return what fits all words of the query or, when nothing does, any of them."""
        return await self._cache.run(lambda cache: _find(cache.search, query, normalise(language), limit))

    async def close(self) -> None:
        """Stop filling; it goes on at the next start. Safe to repeat."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait({self._filling})

    async def _fill(self, read: ReadManifest) -> None:
        while await self._add_next(read):
            pass

    async def _add_next(self, read: ReadManifest) -> bool:
        """Add one pack that is missing, and return whether there was one."""
        wanted = set(self._wanted.items())
        missing = wanted - await self._cache.run(lambda cache: cache.search.indexed())
        if not missing:
            return False
        pack, version = min(missing)
        await self._cache.run(lambda cache: _add(cache.search, pack, version, read))
        return True


def _remove_others(index: SearchIndex, packs: Mapping[str, int]) -> None:
    for pack, version in index.indexed() - set(packs.items()):
        index.remove(pack, version)


def _add(index: SearchIndex, pack: str, version: int, read: ReadManifest) -> None:
    """Add a pack; one whose manifest cannot be read any more is taken for one without texts."""
    try:
        texts: Iterable[Entry] = entries(read(pack, version))
    except (EdgeboxError, OSError) as error:
        log.warning("search.manifest_unreadable pack=%s version=%d error=%s", pack, version, error)
        texts = ()
    index.add(pack, version, texts)


def _find(index: SearchIndex, query: str, language: str, limit: int) -> list[Hit]:
    for every_word in (True, False):
        expression = match_expression(query, every_word=every_word)
        if expression and (hits := index.find(expression, language, limit)):
            return hits
    return []


def entries(manifest: Manifest) -> Iterator[Entry]:
    """Return what the index keeps of a pack: each resource once per language it has anything in.

    An overlay keeps what it adds under its own name, so that it comes and goes without the pack below.
    """
    if manifest.overlay is not None:
        nowhere = Lesson("", {NEUTRAL: ""}, {}, ())
        for resource in manifest.resources:
            for language in sorted({*resource.title, *resource.text, *resource.description}):
                yield _entry(manifest, nowhere, resource, language)
        return
    resources = {resource.id: resource for resource in manifest.resources}
    for lesson in manifest.lessons:
        for resource_id in lesson.resource_ids:
            resource = resources[resource_id]
            for language in sorted({*resource.title, *resource.text, *resource.description}):
                yield _entry(manifest, lesson, resource, language)


def _entry(manifest: Manifest, lesson: Lesson, resource: Resource, language: str) -> Entry:
    return Entry(
        pack=manifest.pack,
        version=manifest.version,
        lesson=lesson.id,
        resource=resource.id,
        language=normalise(language),
        title=fold(choose(resource.title, [language]).value) if resource.title else "",
        lesson_title=fold(choose(lesson.title, [language]).value),
        description=fold(resource.description.get(language, "")),
        body=fold(resource.text.get(language, "")),
    )
