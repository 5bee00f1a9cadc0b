"""The library of a box: what can be learned with, and finding it. Loading packs is the business of `loading`."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from content_packs.base.clock import SystemClock
from content_packs.format import layout
from content_packs.format.manifest import Lesson, Manifest, Resource
from edgebox.domain.language import choose
from edgebox.services.searching import Searching
from edgebox.services.shelf import (
    EMPTY_SHELF,
    Installed,
    ResourceGone,
    Shelf,
    Stamp,
    read_shelf,
)
from edgebox.services.trust import Trust
from edgebox.settings import Settings

READ_MAX_BYTES = 16 * 1024**2
SEARCH_LIMIT = 30


@dataclass(frozen=True)
class Found:
    """One search hit, with titles in the language that was asked for where there are such."""

    pack: str
    lesson: Lesson
    resource: Resource
    title: str
    lesson_title: str
    language: str


class Library:
    """Everything about installed packs that the rest of the box asks for. All lookups are in memory.

    Attributes:
        trust: by whose keys packs are taken and read.
        shelf: the packs as they are now.
    """

    def __init__(self, settings: Settings, trust: Trust | None = None) -> None:
        self._settings = settings
        self._searching = Searching(settings.data / "cache.db")
        self.trust = trust or Trust(settings, SystemClock())
        self.shelf: Shelf = EMPTY_SHELF
        self._publishers_stamp: Stamp = frozenset()

    @classmethod
    async def open(cls, settings: Settings, trust: Trust | None = None) -> Self:
        """Read the manifests and bring the search index up to date."""
        library = cls(settings, trust)
        await library.reload()
        return library

    async def close(self) -> None:
        """Close the search index; safe to repeat."""
        await self._searching.close()

    async def reload(self) -> None:
        """Read publishers and manifests again, and index what is new."""
        # Before the files are read: what is copied here meanwhile is noticed next.
        self._publishers_stamp = await asyncio.to_thread(self.trust.stamp)
        await asyncio.to_thread(self.trust.reload)
        readers = self.trust.readers()
        self.shelf = await asyncio.to_thread(read_shelf, self._settings.packs, readers)
        signers = {installed.signer for installed in self.shelf.kept.values()}
        await asyncio.to_thread(self.trust.keep, [readers[signer] for signer in signers])
        await self._searching.refresh(self.shelf.current)

    async def notice_publishers(self) -> None:
        """Read everything again if somebody put a key file into the folder of publishers or took one away."""
        if await asyncio.to_thread(self.trust.stamp) != self._publishers_stamp:
            await self.reload()

    def packs(self) -> list[Manifest]:
        """Return the current version of every pack that stands by itself, by id: overlays show in what is below."""
        manifests = [installed.manifest for installed in self.shelf.current.values()]
        return [manifest for manifest in manifests if manifest.overlay is None]

    def pack(self, pack: str, version: int | None = None) -> Manifest:
        """Return a pack, the current version unless another one is named.

        Raises:
            PackNotFound: the box does not have it.
        """
        return self.shelf.find(pack, version).manifest

    def installed(self, pack: str, version: int | None = None) -> Installed:
        """Return a pack with its parts by name.

        Raises:
            PackNotFound: the box does not have it.
        """
        return self.shelf.find(pack, version)

    def lesson(self, pack: str, lesson: str) -> Lesson:
        """Return a lesson of the current version.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        if (found := self.shelf.find(pack).lessons.get(lesson)) is None:
            raise ResourceGone(pack=pack, name=lesson)
        return found

    def resource(self, pack: str, resource: str) -> Resource:
        """Return a resource of the current version.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        if (found := self.shelf.find(pack).resources.get(resource)) is None:
            raise ResourceGone(pack=pack, name=resource)
        return found

    def resources_of(self, pack: str, lesson: str) -> list[Resource]:
        """Return the resources of a lesson in order.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        resources = self.shelf.find(pack).resources
        return [resources[resource_id] for resource_id in self.lesson(pack, lesson).resource_ids]

    def lesson_of(self, pack: str, resource: str) -> Lesson:
        """Return the lesson a resource belongs to.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        self.resource(pack, resource)
        return self.shelf.find(pack).lesson_of[resource]

    def blob_path(self, pack: str, path: str, version: int | None = None) -> Path:
        """Return where the bytes of a file are.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        if (entry := self.shelf.find(pack, version).files.get(path)) is None:
            raise ResourceGone(pack=pack, name=path)
        return self._settings.data / layout.blob_name(entry.hash)

    async def read_file(self, pack: str, path: str, version: int | None = None) -> bytes:
        """Return a file of at most 16 MiB, for pages that are made on the box.

        Raises:
            PackNotFound, ResourceGone: the box does not have it, or it is too large for this.
        """
        blob = self.blob_path(pack, path, version)
        if self.shelf.find(pack, version).files[path].size_bytes > READ_MAX_BYTES:
            raise ResourceGone(pack=pack, name=path)
        try:
            return await asyncio.to_thread(blob.read_bytes)
        except FileNotFoundError as error:
            raise ResourceGone(pack=pack, name=path) from error

    def content_href(self, pack: str, path: str) -> str:
        """Return the path of a file on the content origin; it names the version, so it never changes its meaning.

        Raises:
            PackNotFound: the box does not have the pack.
        """
        name, inner = layout.split_qualified(path)
        return f"/c/{name or f'{pack}@{self.shelf.find(pack).manifest.version}'}/{quote(inner)}"

    async def search(self, query: str, language: str, limit: int = SEARCH_LIMIT) -> list[Found]:
        """Return the best resources for what somebody typed, at most `limit`; nothing for an empty query."""
        hits = await self._searching.find(query, language, limit)
        shelf = self.shelf.current
        # What was found in an overlay opens the resource it lies over; found in both, it is one hit.
        places = dict.fromkeys((_shown_in(shelf, hit.pack), hit.resource) for hit in hits)
        return [
            _found(shelf[pack], resource, language)
            for pack, resource in places
            if pack in shelf and resource in shelf[pack].resources
        ]


def _shown_in(shelf: Mapping[str, Installed], pack: str) -> str:
    """Return the pack that shows what `pack` has: the one below if it is an overlay that lies over it."""
    overlay = shelf[pack].manifest.overlay if pack in shelf else None
    if overlay is None:
        return pack
    return overlay.of if overlay.of in shelf and pack in shelf[overlay.of].overlays else ""


def _found(installed: Installed, resource_id: str, language: str) -> Found:
    resource, lesson = installed.resources[resource_id], installed.lesson_of[resource_id]
    title = choose(resource.title, [language])
    return Found(
        pack=installed.manifest.pack,
        lesson=lesson,
        resource=resource,
        title=title.value,
        lesson_title=choose(lesson.title, [language]).value,
        language=title.language,
    )
