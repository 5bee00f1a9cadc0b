"""The library of a box: what can be learned with, and finding it. Loading packs is the business of `loading`."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import quote

from content_packs.base.clock import SystemClock
from content_packs.base.hashing import blake2b_256
from content_packs.base.language import choose
from content_packs.format import layout
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Resource
from edgebox.domain.catalogue import Shelved
from edgebox.services.cache_thread import CacheThread
from edgebox.services.opened import OpenedManifests
from edgebox.services.searching import Searching
from edgebox.services.shelf import (
    EMPTY_SHELF,
    FileDamaged,
    Installed,
    ResourceGone,
    Shelf,
    Stamp,
    open_manifest,
    read_manifest,
    read_shelf,
)
from edgebox.services.trust import Trust
from edgebox.settings import Settings
from edgebox.store.cache import Cache, CacheRemade
from edgebox.store.catalogue import ListedLesson, ListedResource

T = TypeVar("T")

READ_MAX_BYTES = 16 * 1024**2
SEARCH_LIMIT = 30


@dataclass(frozen=True)
class Found:
    """One search hit, with titles in the language that was asked for where there are such."""

    pack: str
    lesson: str
    resource: str
    kind: str
    title: str
    lesson_title: str
    language: str


class Library:
    """Everything about installed packs that the rest of the box asks for.

    Attributes:
        trust: by whose keys packs are taken and read.
        shelf: the packs as they are now.
    """

    def __init__(self, settings: Settings, trust: Trust | None = None) -> None:
        self._settings = settings
        self._cache = CacheThread(settings.data / "cache.db")
        self._searching = Searching(self._cache)
        self._opened = OpenedManifests(self._open)
        self._reloading = asyncio.Lock()
        self.trust = trust or Trust(settings, SystemClock())
        self.shelf: Shelf = EMPTY_SHELF
        self._publishers_stamp: Stamp = frozenset()

    @classmethod
    async def open(cls, settings: Settings, trust: Trust | None = None) -> Self:
        """Read what is new and bring catalogue and search index up to date."""
        library = cls(settings, trust)
        await library.reload()
        return library

    async def close(self) -> None:
        """Close the cache; safe to repeat."""
        await self._searching.close()
        await self._cache.close()

    async def reload(self) -> None:
        """Read publishers and new manifests, and index what is new."""
        async with self._reloading:
            # Before the files are read: what is copied here meanwhile is noticed next.
            self._publishers_stamp = await asyncio.to_thread(self.trust.stamp)
            self._opened.forget()
            await asyncio.to_thread(self.trust.reload)
            try:
                await self._refresh()
            except CacheRemade:
                await self._refresh()

    async def _refresh(self) -> None:
        folder, readers = self._settings.packs, self.trust.readers()
        self.shelf = await self._cache.run(lambda cache: read_shelf(folder, readers, cache.catalogue))
        signers = {shelved.signer for shelved in self.shelf.kept.values()}
        await asyncio.to_thread(self.trust.keep, [readers[signer] for signer in signers])
        current = {pack: shelved.version for pack, shelved in self.shelf.current.items()}
        await self._searching.refresh(current, lambda pack, version: read_manifest(folder, readers, pack, version))

    def _open(self, pack: str, version: int) -> Installed:
        return open_manifest(self._settings.packs, self.trust.readers(), self.shelf, pack, version)

    async def _ask(self, work: Callable[[Cache], T]) -> T:
        try:
            return await self._cache.run(work)
        except CacheRemade:
            await self.reload()
            return await self._cache.run(work)

    async def notice_publishers(self) -> None:
        """Read everything again if somebody put a key file into the folder of publishers or took one away."""
        if await asyncio.to_thread(self.trust.stamp) != self._publishers_stamp:
            await self.reload()

    def packs(self) -> list[Shelved]:
        """Return the current version of every pack that stands by itself, by id: overlays show in what is below."""
        return [shelved for shelved in self.shelf.current.values() if not shelved.overlay_of]

    async def pack(self, pack: str, version: int | None = None) -> Manifest:
        """Return a pack, the current version unless another one is named.

        Raises:
            PackNotFound: the box does not have it.
        """
        return (await self.installed(pack, version)).manifest

    async def installed(self, pack: str, version: int | None = None) -> Installed:
        """Return a pack with its parts by name.

        Raises:
            PackNotFound: the box does not have it.
        """
        return await self._opened.get(self.shelf.find(pack, version))

    async def lessons(self, pack: str, version: int | None = None, *, start: int = 0, limit: int) -> list[ListedLesson]:
        """Return some lessons of a pack from the place `start` on, without opening its manifest.

        Raises:
            PackNotFound: the box does not have it.
        """
        found = self.shelf.find(pack, version)
        return await self._ask(
            lambda cache: cache.catalogue.list_lessons(pack, found.version, start=start, limit=limit)
        )

    async def listed_lesson(self, pack: str, lesson: str, version: int | None = None) -> ListedLesson:
        """Return a lesson, without opening the manifest of its pack.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        found = self.shelf.find(pack, version)
        listed = await self._ask(lambda cache: cache.catalogue.find_lesson(pack, found.version, lesson))
        if listed is None:
            raise ResourceGone(pack=pack, name=lesson)
        return listed

    async def listed_resources(self, pack: str, lesson: str, version: int | None = None) -> list[ListedResource]:
        """Return the resources of a lesson in order, without opening the manifest of its pack.

        Raises:
            PackNotFound: the box does not have it.
        """
        found = self.shelf.find(pack, version)
        return await self._ask(lambda cache: cache.catalogue.list_resources(pack, found.version, lesson))

    async def dropped(self, pack: str, version: int) -> list[ListedResource]:
        """Return the resources of an older version that the current one does not have any more.

        Raises:
            PackNotFound: the box does not have it.
        """
        current = self.shelf.find(pack).version
        return await self._ask(lambda cache: cache.catalogue.list_dropped(pack, version, current))

    async def lesson(self, pack: str, lesson: str, version: int | None = None) -> Lesson:
        """Return a lesson, of the current version unless another one is named.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        if (found := (await self.installed(pack, version)).lessons.get(lesson)) is None:
            raise ResourceGone(pack=pack, name=lesson)
        return found

    async def resource(self, pack: str, resource: str, version: int | None = None) -> Resource:
        """Return a resource, of the current version unless another one is named.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        if (found := (await self.installed(pack, version)).resources.get(resource)) is None:
            raise ResourceGone(pack=pack, name=resource)
        return found

    async def resources_of(self, pack: str, lesson: str, version: int | None = None) -> list[Resource]:
        """Return the resources of a lesson in order.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        resources = (await self.installed(pack, version)).resources
        return [resources[resource_id] for resource_id in (await self.lesson(pack, lesson, version)).resource_ids]

    async def lesson_of(self, pack: str, resource: str, version: int | None = None) -> Lesson:
        """Return the lesson a resource belongs to.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        await self.resource(pack, resource, version)
        return (await self.installed(pack, version)).lesson_of[resource]

    async def blob_path(self, pack: str, path: str, version: int | None = None) -> Path:
        """Return where the bytes of a file are.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
        """
        return self._place(await self._entry(pack, path, version))

    async def read_file(self, pack: str, path: str, version: int | None = None) -> bytes:
        """Return a file of at most 16 MiB, for pages that are made on the box.

        Raises:
            PackNotFound, ResourceGone: the box does not have it, or it is too large for this.
            FileDamaged: what is on the disk is not what was installed.
        """
        entry = await self._entry(pack, path, version)
        if entry.size_bytes > READ_MAX_BYTES:
            raise ResourceGone(pack=pack, name=path)
        try:
            content = await asyncio.to_thread(self._place(entry).read_bytes)
        except OSError as error:
            raise FileDamaged(pack=pack, file=path) from error
        if blake2b_256(content) != entry.hash:
            raise FileDamaged(pack=pack, file=path)
        return content

    async def check_there(self, pack: str, path: str, version: int | None = None) -> None:
        """Return if a file is on the disk in its full size, so that a page may point to it; its content is not read.

        Raises:
            PackNotFound, ResourceGone: the box does not have it.
            FileDamaged: it was found damaged, and put aside until it is repaired.
        """
        entry = await self._entry(pack, path, version)
        place = self._place(entry)
        try:
            is_there = (await asyncio.to_thread(place.stat)).st_size == entry.size_bytes
        except OSError:
            is_there = False
        if not is_there:
            raise FileDamaged(pack=pack, file=path)

    async def _entry(self, pack: str, path: str, version: int | None) -> FileEntry:
        if (entry := (await self.installed(pack, version)).files.get(path)) is None:
            raise ResourceGone(pack=pack, name=path)
        return entry

    def _place(self, entry: FileEntry) -> Path:
        return self._settings.data / layout.blob_name(entry.hash)

    def content_href(self, pack: str, path: str) -> str:
        """Return the path of a file on the content origin; it names the version, so it never changes its meaning.

        Raises:
            PackNotFound: the box does not have the pack.
        """
        name, inner = layout.split_qualified(path)
        return f"/c/{name or f'{pack}@{self.shelf.find(pack).version}'}/{quote(inner)}"

    async def search(self, query: str, language: str, limit: int = SEARCH_LIMIT) -> list[Found]:
        """Return the best resources for what somebody typed, at most `limit`; nothing for an empty query."""
        try:
            hits = await self._searching.find(query, language, limit)
        except CacheRemade:
            await self.reload()
            hits = await self._searching.find(query, language, limit)
        shelf = self.shelf.current
        # What was found in an overlay opens the resource it lies over; found in both, it is one hit.
        places = dict.fromkeys((_shown_in(shelf, hit.pack), hit.resource) for hit in hits)
        return await self._ask(
            lambda cache: [
                found
                for pack, resource in places
                if pack in shelf and (found := _found(cache, shelf[pack], resource, language)) is not None
            ]
        )


def _shown_in(shelf: Mapping[str, Shelved], pack: str) -> str:
    """Return the pack that shows what `pack` has: the one below if it is an overlay that lies over it."""
    of = shelf[pack].overlay_of if pack in shelf else ""
    if not of:
        return pack
    return of if of in shelf and pack in shelf[of].overlays else ""


def _found(cache: Cache, shelved: Shelved, resource_id: str, language: str) -> Found | None:
    named = (shelved.pack, shelved.version)
    resource = cache.catalogue.find_resource(*named, resource_id)
    listed = cache.catalogue.find_lesson(*named, resource.lesson) if resource else None
    if resource is None or listed is None:
        return None
    title = choose(resource.title, [language])
    return Found(
        pack=shelved.pack,
        lesson=resource.lesson,
        resource=resource.id,
        kind=resource.kind,
        title=title.value,
        lesson_title=choose(listed.lesson.title, [language]).value,
        language=title.language,
    )
