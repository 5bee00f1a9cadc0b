"""Finding resources by what somebody types."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from content_packs.format.manifest import Lesson, Manifest, Resource
from edgebox.domain.language import NEUTRAL, choose, normalise
from edgebox.domain.search_text import fold, match_expression
from edgebox.services.shelf import Installed
from edgebox.store.search import Entry, Hit, SearchIndex

T = TypeVar("T")


class Searching:
    """The search index on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="search")
        self._index: SearchIndex | None = None

    async def refresh(self, packs: Mapping[str, Installed]) -> None:
        """Make the index hold exactly these packs; only what differs is touched."""
        await self._run(lambda index: _refresh(index, packs))

    async def find(self, query: str, language: str, limit: int) -> list[Hit]:
        """Return what fits all words of the query or, when nothing does, any of them."""
        return await self._run(lambda index: _find(index, query, normalise(language), limit))

    async def close(self) -> None:
        """Close the index; safe to repeat."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._index is not None:
            self._index.close()

    async def _run(self, work: Callable[[SearchIndex], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._open()))

    def _open(self) -> SearchIndex:
        if self._index is None:
            self._index = SearchIndex(self._path)
        return self._index


def _refresh(index: SearchIndex, packs: Mapping[str, Installed]) -> None:
    wanted = {(name, installed.manifest.version) for name, installed in packs.items()}
    indexed = index.indexed()
    for name, version in indexed - wanted:
        index.remove(name, version)
    for name, version in sorted(wanted - indexed):
        index.add(name, version, entries(packs[name].manifest))


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
