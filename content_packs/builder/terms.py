"""What an author says of accessibility, age, credits and prerequisites, in the terms of schema.org and LRMI."""

from collections.abc import Sequence

from content_packs.base.errors import N_
from content_packs.builder.tables import Table
from content_packs.format import terms, texts
from content_packs.format.fields import LIST_MAX
from content_packs.format.terms import Accessibility, Credits, Prerequisite

# The W3C's Schema.org Accessibility Properties for Discoverability Vocabulary. Features are many and grow: they are
# checked for their form only.
MODES = frozenset(
    {
        "auditory", "chartOnVisual", "chemOnVisual", "colorDependent", "diagramOnVisual", "mathOnVisual",
        "musicOnVisual", "tactile", "textOnVisual", "textual", "visual",
    }
)  # fmt: skip
HAZARDS = frozenset(
    {
        "flashing", "motionSimulation", "noFlashingHazard", "noMotionSimulationHazard", "noSoundHazard", "none",
        "sound", "unknown", "unknownFlashingHazard", "unknownMotionSimulationHazard", "unknownSoundHazard",
    }
)  # fmt: skip


def read_accessibility(table: Table) -> Accessibility:
    """Return what the table says of accessibility.

    Raises:
        SourceInvalid: a word that is not in the vocabulary.
    """
    return Accessibility(
        modes=_words_of(table, "accessMode", MODES),
        features=_words_of(table, "accessibilityFeature"),
        hazards=_words_of(table, "accessibilityHazard", HAZARDS),
    )


def read_roles(table: Table) -> tuple[str, ...]:
    """Return for whom it is, such as `student` or `teacher`.

    Raises:
        SourceInvalid: no word of a vocabulary.
    """
    return _words_of(table, "educationalRole")


def read_age_range(table: Table) -> str:
    """Return the range of ages, empty when left out.

    Raises:
        SourceInvalid: it is none.
    """
    found = table.word("typicalAgeRange", default="")
    if found and not terms.is_age_range(found):
        raise table.refuse("typicalAgeRange", N_('ages in years are written like "8-10" or "16-"'))
    return found


def read_credits(table: Table) -> Credits | None:
    """Return what completing counts for, or nothing.

    Raises:
        SourceInvalid: no number above nothing, or no unit.
    """
    if (inner := table.table("numberOfCredits")) is None:
        return None
    reason = N_("credits are a number above 0 with at most two decimals")
    value = str(inner.value("value", (int, float, str), reason)).removesuffix(".0")
    if not terms.is_credit_value(value):
        raise inner.refuse("value", reason)
    found = Credits(value, inner.word("unitText", longest=terms.UNIT_MAX))
    inner.finish()
    return found


def read_prerequisites(table: Table, languages: Sequence[str]) -> tuple[Prerequisite, ...]:
    """Return what should be known before.

    Raises:
        SourceInvalid: one without a title, or with what cannot be the id of a pack.
    """
    return tuple(_read_prerequisite(inner, languages) for inner in table.tables("coursePrerequisites", most=LIST_MAX))


def read_languages(table: Table) -> tuple[str, ...]:
    """Return `inLanguage` where it may be left out.

    Raises:
        SourceInvalid: no language tags, or one twice.
    """
    languages = table.words("inLanguage", most=texts.LANGUAGES_MAX)
    if len(set(languages)) < len(languages) or not all(map(texts.is_language, languages)):
        raise table.refuse("inLanguage", N_('a language is written like "en", "ar" or "zh-Hans"'))
    return languages


def _read_prerequisite(table: Table, languages: Sequence[str]) -> Prerequisite:
    found = Prerequisite(table.title(languages), table.pack_id("pack") if table.has("pack") else None)
    table.finish()
    return found


def _words_of(table: Table, key: str, allowed: frozenset[str] | None = None) -> tuple[str, ...]:
    words = table.words(key)
    if len(set(words)) < len(words) or not all(map(terms.is_term, words)):
        raise table.refuse(key, N_("this has to be a list of single words, each once"))
    if allowed is not None and not allowed.issuperset(words):
        raise table.refuse(key, N_("this word is not one of those that are possible here"))
    return words
