"""The catalogue: what lists say of the packs on a box, and the part of it that somebody wants to see."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from content_packs.base.language import choose


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A part of a pack, and whether it was taken when the pack was loaded."""

    id: str
    title: Mapping[str, str]
    is_taken: bool


@dataclass(frozen=True, slots=True)
class Shelved:
    """One version of a pack on the box, as lists show it; its manifest is opened only for a lesson of it.

    Attributes:
        signer: key id of the publisher whose signature was found right.
        lessons: how many there are; likewise `resources`.
        stamp: differs as soon as the manifest file is another one.
        installed_ms: when the manifest file was put there.
        overlay_of: the pack it lies over, empty when it stands by itself.
        overlays: the packs that lie over it, the lowest first; lists show what they say.
        localised: the share in percent that is there in each language.
    """

    pack: str
    version: int
    signer: bytes
    title: Mapping[str, str]
    languages: tuple[str, ...]
    educational_level: str
    about: str
    lessons: int
    resources: int
    size_bytes: int
    stamp: str
    installed_ms: int
    overlay_of: str = ""
    overlays: tuple[str, ...] = ()
    localised: Mapping[str, int] = field(default_factory=dict)
    parts: tuple[ListedPart, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which packs of the catalogue are wanted; an empty text does not restrict.

    Attributes:
        words: each of them is in the title, in any language.
    """

    subject: str = ""
    level: str = ""
    language: str = ""
    words: str = ""

    def admits(self, pack: Shelved) -> bool:
        """Return whether the pack is wanted."""
        return (
            self.subject in ("", pack.about)
            and self.level in ("", pack.educational_level)
            and (not self.language or self.language in pack.languages)
            and (not self.words or _has_words(pack, self.words))
        )


@dataclass(frozen=True, slots=True)
class Offered:
    """What there is to choose from: subjects, levels and content languages of the catalogue, each once, in order."""

    subjects: tuple[str, ...]
    levels: tuple[str, ...]
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CataloguePage:
    """Some packs in the order of their titles.

    Attributes:
        after: id of the last pack, to go on from, when more follow; else empty.
        total: how many are wanted on all pages.
    """

    packs: tuple[Shelved, ...]
    after: str
    total: int


def offered(packs: Iterable[Shelved]) -> Offered:
    """Return what the packs differ in."""
    listed = list(packs)
    return Offered(
        subjects=_distinct(pack.about for pack in listed),
        levels=_distinct(pack.educational_level for pack in listed),
        languages=_distinct(language for pack in listed for language in pack.languages),
    )


def page_of(
    packs: Iterable[Shelved], wanted: Wanted, languages: Sequence[str], *, after: str = "", limit: int
) -> CataloguePage:
    """Return the wanted packs that follow the pack `after`, by title in the first of `languages` there is.

    When that pack has gone, the page is the first one.
    """
    admitted = [pack for pack in packs if wanted.admits(pack)]
    ordered = sorted(admitted, key=lambda pack: (choose(pack.title, languages).value.casefold(), pack.pack))
    start = next((place + 1 for place, pack in enumerate(ordered) if pack.pack == after), 0) if after else 0
    shown = tuple(ordered[start : start + limit])
    return CataloguePage(shown, shown[-1].pack if start + limit < len(ordered) else "", len(ordered))


def _distinct(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({text for text in texts if text}))


def _has_words(pack: Shelved, words: str) -> bool:
    titles = " ".join(pack.title.values()).casefold()
    return all(word in titles for word in words.casefold().split())
