"""Which packs a list shows."""

from typing import Any

import pytest

from edgebox.domain.catalogue import Shelved, Wanted, offered, page_of


def shelved(name: str, **changes: Any) -> Shelved:
    values: dict[str, Any] = {
        "version": 1,
        "signer": b"s",
        "title": {"en": name.capitalize()},
        "languages": ("en",),
        "educational_level": "Primary 1",
        "about": "Science",
        "lessons": 1,
        "resources": 1,
        "size_bytes": 1,
        "stamp": "",
        "installed_ms": 0,
    }
    return Shelved(pack=f"org.example.{name}", **(values | changes))


PACKS = [
    shelved("water", title={"en": "Water", "fr": "Eau"}, languages=("en", "fr")),
    shelved("sums", about="Mathematics"),
    shelved("air", educational_level="Primary 2"),
    shelved("zoo", about=""),
]


def names(wanted: Wanted, **options: Any) -> list[str]:
    found = page_of(PACKS, wanted, options.pop("languages", ["en"]), limit=options.pop("limit", 10), **options)
    return [pack.pack.rpartition(".")[2] for pack in found.packs]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), ["air", "sums", "water", "zoo"]),
        (Wanted(subject="Science"), ["air", "water"]),
        (Wanted(level="Primary 1", language="fr"), ["water"]),
        (Wanted(words="EAU"), ["water"]),
        (Wanted(words="eau fire"), []),
    ],
)
def test_a_list_is_narrowed_by_every_wish(wanted: Wanted, expected: list[str]) -> None:
    assert names(wanted) == expected


def test_the_order_is_that_of_titles_in_the_language_of_the_page() -> None:
    assert names(Wanted(), languages=["fr"]) == ["air", "water", "sums", "zoo"]


def test_pages_follow_each_other_without_gap_or_repetition() -> None:
    seen: list[str] = []
    after = ""
    while True:
        found = page_of(PACKS, Wanted(), ["en"], after=after, limit=3)
        seen += [pack.pack for pack in found.packs]
        after = found.after
        if not after:
            break
    assert seen == [f"org.example.{name}" for name in ("air", "sums", "water", "zoo")]
    assert found.total == 4


def test_after_a_pack_that_has_gone_comes_the_first_page() -> None:
    assert names(Wanted(), after="org.example.gone", limit=2) == ["air", "sums"]


def test_what_may_be_chosen_is_listed_once_and_in_order() -> None:
    offer = offered(PACKS)
    assert (offer.subjects, offer.levels) == (("Mathematics", "Science"), ("Primary 1", "Primary 2"))
    assert offer.languages == ("en", "fr")
