"""The search index: scripts, quoting, weights, and its own file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebox.domain.search_text import QUERY_MAX_WORDS, fold, match_expression
from edgebox.store.cache import Cache
from edgebox.store.search import Entry, SearchIndex


def entry(resource: str, language: str, title: str, body: str = "", *, pack: str = "org.example") -> Entry:
    return Entry(pack, 1, "lesson", resource, language, fold(title), fold("Lesson"), "", fold(body))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[SearchIndex]:
    cache = Cache(tmp_path / "cache.db")
    cache.search.add(
        "org.example",
        1,
        [
            entry("equal", "en", "Equal parts", "cut the pizza"),
            entry("equal", "ar", "أجزاء متساوية", "نِصْف"),
            entry("sum", "zh-hans", "分数的加法", "把一个披萨分成四块"),
            entry("hindi", "hi", "हिन्दी पाठ"),
            entry("school", "fr", "Élève à l’école", "equal parts of a day"),
            entry("thai", "th", "เศษส่วน"),
        ],
    )
    yield cache.search
    cache.close()


def found(index: SearchIndex, query: str, language: str = "en") -> list[str]:
    expression = match_expression(query)
    return [hit.resource for hit in index.find(expression, language, 10)] if expression else []


@pytest.mark.parametrize(
    ("query", "resource"),
    [
        ("EQUAL", "equal"),
        ("eleve", "school"),
        ("ecole", "school"),
        ("اجزاء", "equal"),
        ("نصف", "equal"),
        ("分数", "sum"),
        ("披萨", "sum"),
        ("加", "sum"),
        ("हिन्दी", "hindi"),
        ("เศษ", "thai"),
        ("pizz", "equal"),
    ],
)
def test_words_are_found_in_their_script(index: SearchIndex, query: str, resource: str) -> None:
    assert found(index, query)[0] == resource


def test_letters_of_an_unspaced_script_must_stand_together(index: SearchIndex) -> None:
    assert found(index, "法数") == []


def test_every_word_must_be_there_unless_any_will_do(index: SearchIndex) -> None:
    assert found(index, "equal elephant") == []
    either = index.find(match_expression("equal elephant", every_word=False), "en", 10)
    assert [hit.resource for hit in either] == ["equal", "school"]


def test_a_title_weighs_more_than_a_text(index: SearchIndex) -> None:
    assert found(index, "equal parts") == ["equal", "school"]


@pytest.mark.parametrize("query", ['"', "NEAR(", "a* OR", "title:x", "-", "'; DROP TABLE entry", "\x00", "^", "{}"])
def test_nothing_typed_is_read_as_a_command(index: SearchIndex, query: str) -> None:
    found(index, query)
    assert found(index, "equal") == ["equal", "school"]


def test_a_long_query_is_cut() -> None:
    assert match_expression("a " * 500).count('"') == 2 * QUERY_MAX_WORDS


def test_a_query_without_words_asks_for_nothing() -> None:
    assert match_expression(" .,!? ") == ""


def test_a_removed_pack_is_not_found_any_more(index: SearchIndex) -> None:
    index.remove("org.example", 1)
    assert index.indexed() == set()
    assert found(index, "equal") == []
