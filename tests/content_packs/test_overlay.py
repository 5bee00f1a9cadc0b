"""Overlays: built of what they add alone, and merged over a pack by who signed them and by priority."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content_packs import builder
from content_packs.base.hashing import blake2b_256
from content_packs.format.errors import OverlayScript, SourceInvalid
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Overlay, Resource, Variant
from content_packs.format.merging import Layer, fitting, merge
from tests.support.course import PUBLISHER
from tests.support.overlay import OVERLAY, write_overlay
from tests.support.packs import small_manifest


def test_overlay_is_built_of_what_it_adds_alone(tmp_path: Path) -> None:
    manifest = builder.build(write_overlay(tmp_path / "a"), tmp_path / "b", PUBLISHER).manifest
    assert manifest.overlay == Overlay("org.example.water", 1, 3, 10, {"fr": "L'eau"}, {})
    assert manifest.features == ("overlay",)
    assert [lesson.resource_ids for lesson in manifest.lessons] == [()]
    read, film = manifest.resources
    assert (read.paths, film.paths, film.title) == ({"fr": "read.fr.html"}, {}, {})
    assert film.text == {"fr": "L'eau bout."}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('of = "org.example.water"', 'of = "Water"'),
        ("versions = [1, 3]", "versions = [3, 1]"),
        ("versions = [1, 3]", ""),
        ("priority = 10", "priority = 1001"),
        ("priority = 10", "weight = 10"),
    ],
)
def test_overlay_an_author_has_to_correct_is_refused(tmp_path: Path, before: str, after: str) -> None:
    with pytest.raises(SourceInvalid) as caught:
        builder.build(write_overlay(tmp_path / "a", OVERLAY.replace(before, after)), tmp_path / "b", PUBLISHER)
    assert "overlay" in caught.value.fields["where"]


def test_overlay_with_a_script_is_refused_when_it_is_built(tmp_path: Path) -> None:
    text = OVERLAY.replace('path.fr = "read.fr.md"', 'path.fr = "read.fr.md"\nfiles = ["run.js"]')
    source = write_overlay(tmp_path / "a", text)
    (source / "run.js").write_bytes(b"1")
    with pytest.raises(OverlayScript):
        builder.build(source, tmp_path / "b", PUBLISHER)


def test_sample_overlay_gives_every_title_and_film_of_the_sample_course_in_french(tmp_path: Path) -> None:
    samples = Path(builder.__file__).parents[1] / "samples"
    course, french = (
        builder.build(samples / name, tmp_path, PUBLISHER).manifest for name in ("fractions", "fractions-fr")
    )
    there = frozenset(entry.path for entry in course.files)
    layer = Layer(french, PUBLISHER.verify_key.key_id, frozenset(entry.path for entry in french.files))
    shown = merge(course, PUBLISHER.verify_key.key_id, there, [layer])
    assert all("fr" in one.title and "fr" in one.description for one in (shown, *shown.lessons, *shown.resources))
    assert all("fr" in resource.captions for resource in shown.resources if resource.kind == "video")


OWN, OTHER = b"o" * 16, b"s" * 16
BASE_PATHS = ("app/index.html", "film.jpg", "film.mp4", "read.en.html")


def entries(*paths: str) -> tuple[FileEntry, ...]:
    types = {"html": "text/html", "mp4": "video/mp4", "jpg": "image/jpeg", "vtt": "text/vtt", "opus": "audio/ogg"}
    return tuple(FileEntry(path, 1, blake2b_256(path.encode()), types[path.rsplit(".")[-1]]) for path in sorted(paths))


def base_pack(**changes: Any) -> Manifest:
    resources = (
        Resource("read", "text", {"en": "Read"}, {}, {"en": "read.en.html"}, text={"en": "ice"}),
        Resource("film", "video", {"en": "Film"}, {}, {"und": "film.mp4"}, poster="film.jpg"),
        Resource("lab", "app", {"en": "Lab"}, {}, {"und": "app/index.html"}),
    )
    lesson = Lesson("one", {"en": "One"}, {}, ("read", "film", "lab"))
    manifest = small_manifest(files=entries(*BASE_PATHS), lessons=(lesson,), resources=resources)
    return replace(manifest, **changes)


def over(
    *resources: Resource, pack: str = "org.example.over", priority: int = 5, paths: tuple[str, ...] = (), **changes: Any
) -> Manifest:
    overlay = Overlay("org.example.small", 1, 3, priority, {}, {})
    manifest = base_pack(pack=pack, version=1, files=entries(*paths), lessons=(), resources=resources, overlay=overlay)
    return replace(manifest, **({"languages": ("fr",)} | changes))


def layer(manifest: Manifest, signer: bytes = OTHER) -> Layer:
    return Layer(manifest, signer, frozenset(entry.path for entry in manifest.files))


def shown(*layers: Layer, base: Manifest | None = None) -> dict[str, Resource]:
    manifest = base or base_pack()
    there = frozenset(entry.path for entry in manifest.files)
    return {resource.id: resource for resource in merge(manifest, OWN, there, layers).resources}


def test_without_overlays_a_pack_is_shown_as_it_is() -> None:
    there = frozenset(BASE_PATHS)
    assert merge(base_pack(), OWN, there, []) == base_pack()


@pytest.mark.parametrize("signer", [OWN, OTHER])
def test_everybody_trusted_adds_languages(signer: bytes) -> None:
    read = Resource("read", "text", {"fr": "Lire"}, {"fr": "La glace"}, {"fr": "read.fr.html"}, text={"fr": "glace"})
    film = Resource("film", "video", {}, {}, {}, {"fr": "film.fr.vtt"}, narration={})
    found = shown(layer(over(read, film, paths=("film.fr.vtt", "read.fr.html")), signer))
    assert found["read"].title == {"en": "Read", "fr": "Lire"}
    assert found["read"].paths == {"en": "read.en.html", "fr": "org.example.over@1:read.fr.html"}
    assert found["read"].text == {"en": "ice", "fr": "glace"}
    assert found["film"].captions == {"fr": "org.example.over@1:film.fr.vtt"}
    assert found["film"].languages == ("en", "fr")
    assert found["lab"].languages == ("en",)


def test_only_the_publisher_of_the_pack_replaces_what_is_there() -> None:
    read = Resource("read", "text", {"en": "Corrected"}, {}, {"en": "read.html"}, poster=None, text={"en": "water"})
    film = Resource("film", "video", {}, {}, {"und": "film.mp4"}, poster="new.jpg")
    correction = over(read, film, paths=("film.mp4", "new.jpg", "read.html"))
    own, other = shown(layer(correction, OWN)), shown(layer(correction, OTHER))
    assert own["read"].paths == {"en": "org.example.over@1:read.html"}
    assert own["film"].paths == {"und": "org.example.over@1:film.mp4"}
    assert own["film"].poster == "org.example.over@1:new.jpg"
    assert (own["read"].title, own["read"].text) == ({"en": "Corrected"}, {"en": "water"})
    assert (other["read"].paths, other["read"].title) == (base_pack().resources[0].paths, {"en": "Read"})
    assert (other["film"].paths, other["film"].poster) == ({"und": "film.mp4"}, "film.jpg")


@pytest.mark.parametrize("language", ["und", "en", "fr"])
def test_an_app_is_never_anybody_elses(language: str) -> None:
    lab = Resource("lab", "app", {}, {}, {language: "lab.html"}, files=("more.html",))
    mine = over(lab, paths=("lab.html", "more.html"))
    assert shown(layer(mine, OTHER))["lab"].paths == {"und": "app/index.html"}
    assert shown(layer(mine, OTHER))["lab"].files == ()
    assert shown(layer(mine, OWN))["lab"].paths[language] == "org.example.over@1:lab.html"


def test_the_higher_priority_wins_and_of_the_same_the_later_id() -> None:
    def titled(pack: str, priority: int, signer: bytes = OTHER) -> Layer:
        return layer(over(Resource("read", "text", {"fr": pack}, {}, {}), pack=pack, priority=priority), signer)

    layers = [titled("org.a", 9), titled("org.b", 1), titled("org.c", 9)]
    for order in permutations(layers):
        assert shown(*order)["read"].title["fr"] == "org.c"
        assert shown(*order, titled("org.own", 0, OWN))["read"].title["fr"] == "org.own"


def test_only_the_newest_version_of_an_overlay_counts() -> None:
    old = over(Resource("read", "text", {"fr": "old", "sw": "old"}, {}, {}))
    new = over(Resource("read", "text", {"fr": "new"}, {}, {}), version=2)
    assert shown(layer(new), layer(old))["read"].title == {"en": "Read", "fr": "new"}


@pytest.mark.parametrize(
    "overlay",
    [Overlay("org.example.other", 1, 9, 0, {}, {}), Overlay("org.example.small", 4, 9, 0, {}, {}), None],
)
def test_overlay_of_something_else_changes_nothing(overlay: Overlay | None) -> None:
    wrong = over(Resource("read", "text", {"fr": "x"}, {}, {}), overlay=overlay)
    assert fitting(base_pack(), OWN, [layer(wrong)]) == []
    assert shown(layer(wrong))["read"].title == {"en": "Read"}


def test_overlay_does_not_lie_over_an_overlay() -> None:
    upper = over(Resource("read", "text", {"fr": "x"}, {}, {}), overlay=Overlay("org.example.over", 1, 1, 0, {}, {}))
    assert fitting(over(), OWN, [layer(upper)]) == []


def test_resource_of_another_kind_or_none_is_passed_over() -> None:
    stray = [Resource("read", "quiz", {"fr": "x"}, {}, {}), Resource("nowhere", "text", {"fr": "x"}, {}, {})]
    assert {key: one.title for key, one in shown(layer(over(*stray))).items()} == {
        "read": {"en": "Read"},
        "film": {"en": "Film"},
        "lab": {"en": "Lab"},
    }


def test_file_of_an_overlay_that_is_not_there_falls_back_to_the_pack() -> None:
    read = Resource("read", "text", {"fr": "Lire"}, {}, {"en": "read.html"})
    broken = Layer(over(read, paths=("read.html",)), OWN, frozenset())
    assert shown(broken)["read"].paths == {"en": "read.en.html"}
    assert shown(broken)["read"].title["fr"] == "Lire"


def test_variant_in_an_overlay_stands_in_for_its_own_file() -> None:
    film = Resource("film", "video", {}, {}, {"fr": "big.mp4"}, variants=(Variant("360p", {"fr": "small.mp4"}),))
    half = Layer(over(film, paths=("big.mp4", "small.mp4")), OTHER, frozenset({"small.mp4"}))
    assert shown(half)["film"].paths == {"und": "film.mp4", "fr": "org.example.over@1:small.mp4"}


def test_pack_and_lessons_are_called_in_the_languages_of_overlays() -> None:
    words = Overlay("org.example.small", 1, 3, 0, {"fr": "Petit", "en": "Stolen"}, {"fr": "Un petit cours"})
    over_all = over(overlay=words, lessons=(Lesson("one", {"fr": "Un", "en": "Stolen"}, {"fr": "Le premier"}, ()),))
    found = merge(base_pack(), OWN, frozenset(BASE_PATHS), [layer(over_all)])
    assert (found.title, found.description) == ({"en": "Small", "fr": "Petit"}, {"fr": "Un petit cours"})
    assert found.lessons[0].title == {"en": "One", "fr": "Un"}
    assert found.lessons[0].resource_ids == ("read", "film", "lab")
    assert found.languages == ("en", "fr")


maps = st.dictionaries(st.sampled_from(["en", "fr", "und"]), st.sampled_from(["a.html", "b.html"]), max_size=3)
any_resource = st.builds(
    lambda key, title, paths, captions: Resource(key[0], key[1], title, title, paths, captions, narration=captions),
    st.sampled_from([("read", "text"), ("film", "video"), ("lab", "app"), ("lab", "text"), ("gone", "text")]),
    maps,
    maps,
    maps,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(any_resource, max_size=3, unique_by=lambda one: one.id),
            st.sampled_from(["org.a", "org.b", "org.c"]),
            st.integers(0, 2),
            st.sampled_from([OWN, OTHER]),
        ),
        max_size=4,
        unique_by=lambda one: one[1],
    ),
    st.randoms(),
)
def test_whatever_lies_over_a_pack_its_own_words_ids_and_apps_stay_unless_its_publisher_says_otherwise(
    drawn: list[Any], random: Any
) -> None:
    layers = [
        layer(over(*resources, pack=pack, priority=priority, paths=("a.html", "b.html")), signer)
        for resources, pack, priority, signer in drawn
    ]
    found = shown(*layers)
    random.shuffle(layers)
    assert shown(*layers) == found
    assert list(found) == ["read", "film", "lab"]
    strangers = shown(*(one for one in layers if one.signer == OTHER))
    for below in base_pack().resources:
        for before, after in (
            (below.title, strangers[below.id].title),
            (below.paths, strangers[below.id].paths),
            (below.captions, strangers[below.id].captions),
        ):
            assert before.items() <= after.items()
    assert strangers["lab"].paths == base_pack().resources[2].paths
