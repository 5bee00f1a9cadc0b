"""Which of several languages is shown."""

import pytest

from content_packs.base.language import choose, direction_of

OFFERED = {"fr": "oui", "en": "yes", "zh-Hans": "是", "pt-BR": "sim"}


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        (["fr"], "fr"),
        (["FR-ca"], "fr"),
        (["zh_Hans"], "zh-Hans"),
        (["zh-Hans-CN"], "zh-Hans"),
        (["zh"], "zh-Hans"),
        (["pt-PT"], "pt-BR"),
        (["sw", "fr"], "fr"),
        (["sw"], "en"),
        ([], "en"),
    ],
)
def test_the_first_wish_that_can_be_met_decides(wanted: list[str], language: str) -> None:
    chosen = choose(OFFERED, wanted)
    assert (chosen.language, chosen.value) == (language, OFFERED[language])


def test_text_without_language_comes_before_a_language_nobody_asked_for() -> None:
    assert choose({"sw": "a", "und": "b"}, ["fr"]).value == "b"


def test_something_is_shown_even_when_no_wish_fits() -> None:
    assert choose({"sw": "ndiyo"}, ["fr"]).value == "ndiyo"


def test_nothing_offered_is_an_error() -> None:
    with pytest.raises(KeyError):
        choose({}, ["fr"])


@pytest.mark.parametrize(
    ("language", "direction"),
    [("ar", "rtl"), ("ur-PK", "rtl"), ("az-Arab", "rtl"), ("ar-Latn", "ltr"), ("zh-Hans", "ltr"), ("und", "ltr")],
)
def test_direction_follows_the_script(language: str, direction: str) -> None:
    assert direction_of(language) == direction
