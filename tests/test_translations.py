"""Every sentence a person may read is there in every language, with the same fields."""

import re
from collections import Counter
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

from content_packs.base.wording import LANGUAGES

ROOT = Path(__file__).resolve().parents[1]
PARTS = {"edgebox": ROOT / "edgebox" / "web", "hub": ROOT / "sync" / "hub"}
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}
_FIELD = re.compile(r"%\([a-z_]+\)s|\{[a-z_]+\}")


@pytest.fixture(scope="module", params=PARTS)
def part(request: pytest.FixtureRequest) -> str:
    """Return which of the catalogues is looked at: the box's or the hub's."""
    return str(request.param)


@pytest.fixture(scope="module")
def messages(part: str) -> set[str | tuple[str, ...]]:
    """Return every message of the sources."""
    with (PARTS[part] / "babel.cfg").open(encoding="utf-8") as lines:
        methods, options = parse_mapping_cfg(lines)
    found = extract_from_dir(ROOT, methods, options, KEYWORDS, directory_filter=_is_ours)
    return {message for _, _, message, _, _ in found if message}


def _is_ours(folder: str) -> bool:
    path = Path(folder)
    if path.parent == ROOT:
        return path.name in ("edgebox", "sync", "content_packs")
    return path.name not in ("node_modules", "static", "__pycache__")


def catalogue(part: str, language: str) -> Catalog:
    folder = PARTS[part] / "locales" / language.replace("-", "_") / "LC_MESSAGES"
    with (folder / f"{part}.po").open("rb") as lines:
        return read_po(lines, locale=language.replace("-", "_"))


LANGUAGES_TRANSLATED = [language for language in LANGUAGES if language != "en"]


@pytest.mark.parametrize("language", LANGUAGES_TRANSLATED)
def test_every_message_is_translated(part: str, messages: set[str | tuple[str, ...]], language: str) -> None:
    known = catalogue(part, language)
    missing = []
    for message in messages:
        entry = known.get(message[0] if isinstance(message, tuple) else message)
        forms = entry.string if entry and isinstance(entry.string, tuple) else (entry.string if entry else "",)
        if not all(forms) or (entry and entry.fuzzy):
            missing.append(message)
    assert sorted(map(str, missing)) == []


@pytest.mark.parametrize("language", LANGUAGES_TRANSLATED)
def test_nothing_is_translated_that_nobody_says(part: str, messages: set[str | tuple[str, ...]], language: str) -> None:
    said = {message[0] if isinstance(message, tuple) else message for message in messages}
    known = [entry.id[0] if isinstance(entry.id, tuple) else entry.id for entry in catalogue(part, language)]
    assert sorted(set(known) - said - {""}) == []


@pytest.mark.parametrize("language", LANGUAGES_TRANSLATED)
def test_translations_have_the_fields_of_the_message(part: str, language: str) -> None:
    wrong = []
    for entry in catalogue(part, language):
        if not entry.id:
            continue
        ids = entry.id if isinstance(entry.id, tuple) else (entry.id,)
        forms = entry.string if isinstance(entry.string, tuple) else (entry.string,)
        wanted = Counter(_FIELD.findall(ids[-1]))
        exact = not isinstance(entry.id, tuple)
        for form in forms:
            fields = Counter(_FIELD.findall(form))
            # A plural form may say "one" or "two" in words.
            if (exact and fields != wanted) or fields - wanted:
                wrong.append((ids[0], form))
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES_TRANSLATED)
def test_plural_forms_are_those_of_the_language(part: str, language: str) -> None:
    known = catalogue(part, language)
    plurals = [entry for entry in known if isinstance(entry.id, tuple)]
    assert plurals
    assert all(len(entry.string) == known.num_plurals for entry in plurals)
