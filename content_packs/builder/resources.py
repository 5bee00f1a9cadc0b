"""One resource of a course: its main files by language, what else it needs, and what can be searched in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from content_packs.base.errors import N_
from content_packs.builder.apps import check_page
from content_packs.builder.captions import caption_words
from content_packs.builder.files import PackFiles
from content_packs.builder.markdown import render_markdown
from content_packs.builder.parts import read_quality
from content_packs.builder.quiz import compile_quiz
from content_packs.builder.source import SourceTree, join_path
from content_packs.builder.tables import Table
from content_packs.builder.terms import read_accessibility, read_languages
from content_packs.format import cmi5, texts
from content_packs.format.errors import SourceInvalid
from content_packs.format.manifest import KINDS, Resource, Variant
from content_packs.format.resource import VARIANTS_MAX

_NARRATED = frozenset({"text", "image", "pdf"})
_VARIED = frozenset({"image", "audio", "video", "pdf"})
_GLOB_MARKS = ("*", "?", "[")
_LISTED_MAX = 1_000


@dataclass
class _Draft:
    """What is known of a resource while its files are read."""

    table: Table
    files: PackFiles
    languages: Sequence[str]
    used: set[str] = field(default_factory=set)
    plain: dict[str, list[str]] = field(default_factory=dict)

    def say(self, language: str, words: str) -> None:
        """Add words that can be found, in one language, or in all of the course when they have none."""
        for one in self.languages if language == texts.NEUTRAL else [language]:
            self.plain.setdefault(one, []).append(words)


def read_resource(table: Table, files: PackFiles, languages: Sequence[str], *, in_overlay: bool = False) -> Resource:
    """Return the resource in `table`; its files are taken into `files`. In an overlay it needs no title and no file.

    Raises:
        SourceInvalid, PathRefused, FileTooLarge: what the author has to correct.
    """
    draft = _Draft(table, files, languages)
    kind = table.choice("kind", sorted(KINDS))
    paths = {language: _READERS[kind](draft, language, path) for language, path in _paths(table, "path", languages)}
    if not paths and not in_overlay:
        raise table.refuse("path", N_("this is missing"))
    captions = _captions(draft, kind)
    narration = _narration(draft, kind)
    variants = _variants(draft, kind)
    poster = files.take(table.word("poster"), table, "image/") if table.has("poster") else None
    more = {files.take(path, table) for path in _listed(draft) + sorted(draft.used)}
    resource = Resource(
        id=table.identifier(),
        kind=kind,
        title=table.title(languages, required=not in_overlay),
        description=table.description(languages),
        paths=paths,
        captions=captions,
        poster=poster,
        variants=variants,
        narration=narration,
        accessibility=read_accessibility(table),
        educational_level=table.word("educationalLevel", default=""),
        languages=read_languages(table),
        time_required=table.duration("timeRequired"),
        learning_resource_type=table.word("learningResourceType", default=""),
        text={language: _searchable(words) for language, words in sorted(draft.plain.items())},
    )
    table.finish()
    return replace(resource, files=tuple(sorted(more - resource.opened - {poster})))


def _paths(table: Table, key: str, languages: Sequence[str]) -> list[tuple[str, str]]:
    found: Mapping[str, Any] | str = table.value(
        key, (str, dict), N_("this has to be a file, or files by language"), {}
    )
    by_language = {texts.NEUTRAL: found} if isinstance(found, str) else found
    for language, path in by_language.items():
        if language not in [*languages, texts.NEUTRAL]:
            raise table.refuse(f"{key}.{language}", N_("this language is not in the list inLanguage"))
        if not isinstance(path, str):
            raise table.refuse(f"{key}.{language}", N_("this has to be a text in quotation marks"))
    return sorted(by_language.items())


def _read_text(draft: _Draft, language: str, path: str) -> str:
    _expect_ending(draft, path, ".md")
    rendered = render_markdown(draft.files.tree.read_text(path, wanted_by=draft.table.where), path)
    draft.used |= rendered.used
    draft.say(language, rendered.plain)
    return draft.files.put(path.removesuffix(".md") + ".html", rendered.html, draft.table, made_of=path)


def _read_quiz(draft: _Draft, language: str, path: str) -> str:
    _expect_ending(draft, path, ".toml")
    languages = draft.languages if language == texts.NEUTRAL else [language]
    quiz = compile_quiz(draft.files.tree.read_text(path, wanted_by=draft.table.where), path, languages)
    draft.used |= quiz.used
    for one, words in quiz.plain.items():
        draft.say(one, words)
    return draft.files.put(path.removesuffix(".toml") + ".json", quiz.json, draft.table, made_of=path)


def _read_app(draft: _Draft, _language: str, path: str) -> str:
    _expect_ending(draft, path, ".html")
    draft.used |= check_page(draft.files.tree.read_text(path, wanted_by=draft.table.where), path)
    return draft.files.take(path, draft.table, "text/html")


def _read_cmi5(draft: _Draft, _language: str, path: str) -> str:
    """Take the file that says which unit of a course this is, and the course with it (docs/cmi5.md)."""
    _expect_ending(draft, path, ".json")
    tree = draft.files.tree
    name, no = cmi5.read_pointer(tree.read_text(path, wanted_by=draft.table.where).encode())
    course_path = join_path(path, name)
    about = _read_course(tree, course_path).unit(no).about
    for words in (*about.title.values(), *about.description.values()):
        draft.say(texts.NEUTRAL, words)
    draft.used.add(course_path)
    return draft.files.take(path, draft.table, "application/json")


@lru_cache(maxsize=1)
def _read_course(tree: SourceTree, path: str) -> cmi5.Course:
    """Return a course; all its units come one after the other, so it is read once."""
    return cmi5.read_course(tree.read_text(path, wanted_by=path).encode())


def _taker(family: str) -> Callable[[_Draft, str, str], str]:
    return lambda draft, _language, path: draft.files.take(path, draft.table, family)


_READERS: Mapping[str, Callable[[_Draft, str, str], str]] = {
    "text": _read_text,
    "quiz": _read_quiz,
    "app": _read_app,
    "cmi5": _read_cmi5,
    "image": _taker("image/"),
    "audio": _taker("audio/"),
    "video": _taker("video/"),
    "pdf": _taker("application/pdf"),
}


def _expect_ending(draft: _Draft, path: str, ending: str) -> None:
    if not path.endswith(ending):
        raise SourceInvalid(file=path, where=draft.table.where, reason=N_("this kind of file cannot stand here"))


def _captions(draft: _Draft, kind: str) -> dict[str, str]:
    captions: dict[str, str] = {}
    for language, path in _paths(draft.table, "captions", draft.languages):
        if kind not in {"audio", "video"} or language == texts.NEUTRAL:
            raise draft.table.refuse("captions", N_("only films and recordings have captions, each in one language"))
        draft.say(language, caption_words(draft.files.tree.read_text(path, wanted_by=draft.table.where), path))
        captions[language] = draft.files.take(path, draft.table, "text/vtt")
    return captions


def _narration(draft: _Draft, kind: str) -> dict[str, str]:
    narration: dict[str, str] = {}
    for language, path in _paths(draft.table, "narration", draft.languages):
        if kind not in _NARRATED or language == texts.NEUTRAL:
            raise draft.table.refuse(
                "narration", N_("only texts, pictures and PDFs are read aloud, each in one language")
            )
        narration[language] = draft.files.take(path, draft.table, "audio/")
    return narration


def _variants(draft: _Draft, kind: str) -> tuple[Variant, ...]:
    variants: list[Variant] = []
    for table in draft.table.tables("variant", most=VARIANTS_MAX):
        inner = replace(draft, table=table)
        if kind not in _VARIED:
            raise table.refuse("", N_("only films, recordings, pictures and PDFs come in several qualities"))
        paths = {
            language: _READERS[kind](inner, language, path) for language, path in _paths(table, "path", draft.languages)
        }
        quality = read_quality(table)
        if not paths or not quality or quality in {variant.quality for variant in variants}:
            raise table.refuse("", N_("a variant has a path and a quality of its own"))
        table.finish()
        variants.append(Variant(quality, paths))
    return tuple(variants)


def _listed(draft: _Draft) -> list[str]:
    """Return the further files the author listed, names and patterns."""
    paths: list[str] = []
    for name in draft.table.words("files", most=_LISTED_MAX):
        is_pattern = any(mark in name for mark in _GLOB_MARKS)
        paths += draft.files.tree.match(name, wanted_by=draft.table.where) if is_pattern else [name]
    return paths


def _searchable(words: Sequence[str]) -> str:
    return texts.shorten(texts.make_plain("\n".join(words)), texts.SEARCH_MAX_BYTES)
