"""Lessons that teachers make of resources of the packs on the box, and give like any other."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from content_packs.base.clock import Clock
from content_packs.base.language import NEUTRAL
from content_packs.format.errors import PackNotFound
from content_packs.format.manifest import Lesson, Manifest, Resource
from edgebox.services.library import Library
from edgebox.services.shelf import ResourceGone
from edgebox.store import own_lessons
from edgebox.store.catalogue import ListedLesson, ListedResource
from edgebox.store.database import Database
from edgebox.store.own_lessons import OwnLesson
from sync.records.lessons import OWN_PACK, Named, fits


@dataclass(frozen=True)
class Chosen:
    """A resource of such a lesson that is on the box, with where it comes from."""

    manifest: Manifest
    lesson: Lesson
    resource: Resource


class OwnLessons:
    """Makes, finds and ends them."""

    def __init__(self, database: Database, clock: Clock, library: Library) -> None:
        self._database = database
        self._clock = clock
        self._library = library

    async def list_all(self) -> list[OwnLesson]:
        """Return all lessons by title."""
        return await self._database.read(own_lessons.list_lessons)

    async def find(self, lesson: str, *, is_ended_too: bool = False) -> OwnLesson:
        """Return one lesson.

        Raises:
            ResourceGone: there is none, or not any more.
        """
        found = await self._database.read(
            lambda connection: own_lessons.find_lesson(connection, lesson, is_ended_too=is_ended_too)
        )
        if found is None:
            raise ResourceGone(pack="", name=lesson)
        return found

    async def listed(self, lesson: str, *, is_ended_too: bool = False) -> ListedLesson:
        """Return one as a lesson of a pack is listed; it has no versions. Raises like `find`."""
        own = await self.find(lesson, is_ended_too=is_ended_too)
        return ListedLesson(OWN_PACK, 0, 0, Lesson(own.id, {NEUTRAL: own.title}, {}, ()))

    async def listed_resources(self, lesson: str, *, is_ended_too: bool = False) -> list[ListedResource]:
        """Return the resources that are on the box, in order, each with its pack. Raises like `find`."""
        return [
            ListedResource(each.resource.id, lesson, each.resource.kind, dict(each.resource.title), each.manifest.pack)
            for each in await self.chosen(await self.find(lesson, is_ended_too=is_ended_too))
        ]

    async def chosen(self, own: OwnLesson) -> list[Chosen]:
        """Return what of a lesson is on the box, in order, in the newest versions."""
        found = []
        for pack, resource in own.resources:
            with suppress(PackNotFound, ResourceGone):
                manifest = await self._library.pack(pack)
                lesson = await self._library.lesson_of(pack, resource)
                found.append(Chosen(manifest, lesson, await self._library.resource(pack, resource)))
        return found

    async def make(self, title: str, resources: Sequence[Named]) -> str | None:
        """Make a lesson of resources that are on the box, in this order, and return its id.

        None when there are none of them, or more than a lesson can have. The title is to be a checked name.
        """
        given = OwnLesson("", title, tuple(resources))
        named = [(each.manifest.pack, each.resource.id) for each in await self.chosen(given)]
        if not named or not fits(named):
            return None
        insert = partial(own_lessons.insert_lesson, title=title, resources=named, now_ms=self._clock.now_ms())
        return await self._database.write(insert)

    async def end(self, lesson: str) -> None:
        """Take a lesson away; what was learned stays. Safe to repeat."""
        now_ms = self._clock.now_ms()
        await self._database.write(lambda connection: own_lessons.end_lesson(connection, lesson, now_ms))
