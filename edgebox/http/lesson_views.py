"""From packs and progress to what the lists of lessons and resources show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from content_packs.base.language import choose, direction_of
from content_packs.format import layout
from content_packs.format.manifest import Lesson, Manifest, Resource
from edgebox.domain.catalogue import Shelved
from edgebox.domain.durations import whole_minutes
from edgebox.services.own_lessons import Chosen
from edgebox.store.catalogue import ListedLesson
from edgebox.store.learner_view import LearnerView
from edgebox.store.own_lessons import OwnLesson

TONES = 6
_SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "subject-number": ("math", "number", "arithmetic", "geometry", "algebra"),
    "subject-language": ("language", "english", "french", "arabic", "chinese", "reading", "writing", "literacy"),
    "subject-science": ("science", "physics", "chemistry", "technology", "computer"),
    "subject-nature": ("biology", "nature", "plant", "animal", "environment", "agriculture"),
    "subject-world": ("geography", "history", "social", "world", "civic"),
    "subject-art": ("art", "music", "craft", "drawing"),
    "subject-health": ("health", "hygiene", "sport", "body", "nutrition"),
}


@dataclass(frozen=True)
class LessonCard:
    """A lesson in a list. `picture` is a full address, empty when the subject's icon stands in."""

    href: str
    title: str
    language: str
    description: str
    picture: str
    subject_icon: str
    tone: int
    minutes: int
    done: int
    total: int


@dataclass(frozen=True)
class ResourceStep:
    """A resource in its lesson; `state` is `done`, `started` or empty."""

    id: str
    kind: str
    href: str
    title: str
    description: str
    language: str
    direction: str
    minutes: int
    state: str


@dataclass(frozen=True)
class Shelves:
    """What turns the names in a pack into addresses and words: interface language and content address of each pack."""

    language: str
    content_origin: str

    def card(self, pack: Shelved, listed: ListedLesson, view: LearnerView) -> LessonCard:
        """Return a lesson with this learner's progress."""
        lesson = listed.lesson
        title = choose(lesson.title, [self.language])
        states = [view.progress.get((pack.pack, resource_id)) for resource_id in lesson.resource_ids]
        return LessonCard(
            href=f"/learn/{pack.pack}/{lesson.id}",
            title=title.value,
            language=title.language,
            description=choose(lesson.description, [self.language]).value if lesson.description else "",
            picture=self.content(pack, lesson.thumbnail) if lesson.thumbnail else "",
            subject_icon=subject_icon(pack.about),
            tone=listed.place % TONES,
            minutes=whole_minutes(lesson.time_required),
            done=sum(state is True for state in states),
            total=len(states),
        )

    def own_card(self, own: OwnLesson, chosen: Sequence[Chosen], view: LearnerView, place: int) -> LessonCard:
        """Return a lesson that a teacher made, likewise."""
        states = [view.progress.get((each.manifest.pack, each.resource.id)) for each in chosen]
        return LessonCard(
            href=f"/own/{own.id}",
            title=own.title,
            language="",
            description="",
            picture="",
            subject_icon=subject_icon(chosen[0].manifest.about if chosen else ""),
            tone=place % TONES,
            minutes=sum(whole_minutes(each.resource.time_required) for each in chosen),
            done=sum(state is True for state in states),
            total=len(states),
        )

    def content(self, pack: Shelved | Manifest, path: str) -> str:
        """Return the full address of a file on the content origin."""
        return f"{self.content_origin}{content_path(pack, path)}"

    def step(
        self, manifest: Manifest, lesson: Lesson, resource: Resource, view: LearnerView, wanted: str = ""
    ) -> ResourceStep:
        """Return a resource; `wanted` is the content language somebody chose."""
        languages = [wish for wish in (wanted, self.language) if wish]
        title = choose(resource.title, languages)
        state = view.progress.get((manifest.pack, resource.id))
        return ResourceStep(
            id=resource.id,
            kind=resource.kind,
            href=f"/learn/{manifest.pack}/{lesson.id}/{resource.id}",
            title=title.value,
            description=choose(resource.description, languages).value if resource.description else "",
            language=title.language,
            direction=direction_of(title.language),
            minutes=whole_minutes(resource.time_required),
            state="" if state is None else "done" if state else "started",
        )


def content_path(pack: Shelved | Manifest, path: str) -> str:
    """Return the path of a file on the content origin; it names the version, so it never changes its meaning."""
    name, inner = layout.split_qualified(path)
    return f"/c/{name or f'{pack.pack}@{pack.version}'}/{quote(inner)}"


def subject_icon(about: str) -> str:
    """Return the drawing for what a pack is about."""
    folded = about.casefold()
    for icon, words in _SUBJECTS.items():
        if any(word in folded for word in words):
            return icon
    return "subject-any"
