"""The manifest: one form for one meaning, and every rule of docs/pack-format.md held when reading."""

import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from content_packs.base import codec
from content_packs.base.errors import EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.format import manifest as manifests
from content_packs.format import texts
from content_packs.format.errors import FormatUnsupported, ManifestMalformed, OverlayScript, PathRefused
from content_packs.format.manifest import (
    Accessibility,
    Credits,
    FileEntry,
    Lesson,
    Manifest,
    Overlay,
    Part,
    Prerequisite,
    Resource,
    Variant,
)
from tests.support.packs import HASH, small_manifest


def record_of(manifest: Manifest) -> dict[str, Any]:
    record = codec.decode(manifests.serialise(manifest), max_bytes=10**6)
    assert isinstance(record, dict)
    return record


def parse_changed(**changes: Any) -> Manifest:
    return manifests.parse(codec.encode(record_of(small_manifest()) | changes))


plain_texts = st.text(st.characters(codec="utf-8", categories=["L", "Nd", "Zs"]), min_size=1, max_size=20).map(
    lambda text: unicodedata.normalize("NFC", text)
)
languages = st.sampled_from(["en", "ar", "fr", "zh-Hans", "und"])
by_language = st.dictionaries(languages, plain_texts, max_size=4)
titles = st.dictionaries(languages, plain_texts, min_size=1, max_size=4)
ids = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
terms = st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,9}", fullmatch=True), max_size=3, unique=True).map(tuple)
accessibility = st.builds(Accessibility, terms, terms, terms)
some_languages = st.lists(languages, max_size=2, unique=True).map(tuple)
parts = st.builds(
    Part,
    ids,
    titles,
    some_languages,
    st.just("") | ids,
    st.just("") | plain_texts,
)
prerequisites = st.builds(Prerequisite, titles, st.none() | st.just("org.example.before"))


@st.composite
def manifests_strategy(draw: st.DrawFn) -> Manifest:
    paths = sorted(f"{one}.png" for one in draw(st.sets(ids, min_size=1, max_size=8)))
    files = tuple(
        FileEntry(path, draw(st.integers(0, 2**36)), blake2b_256(path.encode()), "image/png") for path in paths
    )
    path = st.sampled_from([entry.path for entry in files])
    resource_ids = sorted(draw(st.sets(ids, min_size=1, max_size=5)))
    resources = tuple(
        Resource(
            id=one,
            kind=draw(st.sampled_from(sorted(manifests.KINDS))),
            title=draw(titles),
            description=draw(by_language),
            paths=draw(st.dictionaries(languages, path, min_size=1, max_size=3)),
            captions=draw(st.dictionaries(languages, path, max_size=2)),
            poster=draw(st.none() | path),
            files=tuple(draw(st.lists(path, max_size=3))),
            text=draw(by_language),
            variants=tuple(
                Variant(quality, draw(st.dictionaries(languages, path, min_size=1, max_size=2)))
                for quality in draw(st.sets(ids, max_size=2))
            ),
            narration=draw(st.dictionaries(languages, path, max_size=2)),
            accessibility=draw(accessibility),
            languages=draw(st.sampled_from([(), ("en",), ("ar", "fr")])),
        )
        for one in resource_ids
    )
    lesson = Lesson("only", draw(titles), draw(by_language), tuple(resource_ids), thumbnail=draw(st.none() | path))
    return Manifest(
        pack="org.example.any",
        version=draw(st.integers(1, 2**31 - 1)),
        title=draw(titles),
        description=draw(by_language),
        languages=("en", "ar"),
        license=draw(plain_texts),
        files=files,
        lessons=(lesson,),
        resources=resources,
        teaches=tuple(draw(st.lists(plain_texts, max_size=3))),
        released_ms=draw(st.none() | st.integers(0, 2**48 - 1)),
        accessibility=draw(accessibility),
        credits=draw(st.none() | st.builds(Credits, st.sampled_from(["1", "2.5", "0.25"]), plain_texts)),
        prerequisites=tuple(draw(st.lists(prerequisites, max_size=2))),
        educational_roles=draw(terms),
        age_range=draw(st.sampled_from(["", "8-10", "16-"])),
        **draw(st.sampled_from([{}, {"features": ("parts",), "parts": (draw(parts),)}])),
    )


@settings(max_examples=60, deadline=None)
@given(manifests_strategy())
def test_reading_what_was_written_gives_the_same_manifest(manifest: Manifest) -> None:
    data = manifests.serialise(manifest)
    assert manifests.parse(data) == manifest
    assert manifests.serialise(manifests.parse(data)) == data


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_a_code(data: bytes) -> None:
    with pytest.raises(EdgeboxError):
        manifests.parse(data)


@pytest.mark.parametrize("key", sorted(record_of(small_manifest())))
def test_missing_field_is_refused_and_named(key: str) -> None:
    record = record_of(small_manifest())
    del record[key]
    with pytest.raises(ManifestMalformed) as caught:
        manifests.parse(codec.encode(record))
    assert key in caught.value.fields["reason"]


@pytest.mark.parametrize("key", sorted(record_of(small_manifest())))
@pytest.mark.parametrize("value", [None, 1.5, -1, True, b"\0", [1], {"en": 1}, {"en": ["x"]}])
def test_field_of_another_type_is_refused(key: str, value: Any) -> None:
    with pytest.raises((ManifestMalformed, FormatUnsupported)):
        parse_changed(**{key: value})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pack", "Org.Example"),
        ("pack", "ab"),
        ("pack", "a..b"),
        ("pack", "-ab"),
        ("pack", "a/b"),
        ("pack", "a" * 81),
        ("version", 0),
        ("version", 2**31),
        ("title", {}),
        ("title", {"en": ""}),
        ("title", {"en": "x" * 201}),
        ("title", {"en": "a\u202eb"}),
        ("title", {"en": "a\u2066b"}),
        ("title", {"en": "a\0b"}),
        ("title", {"en": "cafe\u0301"}),
        ("title", {"EN!": "x"}),
        ("title", {f"aa-{number}": "x" for number in range(41)}),
        ("description", {"en": "x" * 4001}),
        ("inLanguage", []),
        ("inLanguage", ["en", "en"]),
        ("inLanguage", ["../en"]),
        ("teaches", ["x"] * 101),
        ("teaches", ["x" * 501]),
        ("timeRequired", "two hours"),
        ("timeRequired", "PT"),
        ("released_ms", -1),
        ("released_ms", 2**48),
        ("root", bytes(32)),
        ("root", bytes(31)),
        ("files", [["a.html", 1, HASH]]),
        ("files", [["a.html", -1, HASH, "text/html"]]),
        ("files", [["a.html", 64 * 1024**3 + 1, HASH, "text/html"]]),
        ("files", [["a.html", 1, HASH[:31], "text/html"]]),
        ("files", [["a.html", 1, HASH, "text/html; charset=x\r\n"]]),
        ("files", [["b.html", 1, HASH, "text/html"], ["a.html", 1, HASH, "text/html"]]),
        ("files", [["a.html", 1, HASH, "text/html"], ["b.html", 2, HASH, "text/html"]]),
        ("files", []),
        ("files", [["a.html", 1, HASH, "text/html", 1]]),
        ("files", [["a.html", 1, HASH, "text/html", 0]]),
        ("files", [["a.html", 1, HASH, "text/html", 1, 1]]),
        ("lessons", []),
        ("resources", []),
        ("accessMode", ["in one's head"]),
        ("accessMode", ["visual", "visual"]),
        ("accessibilityHazard", [""]),
        ("numberOfCredits", {"value": "1", "unitText": "x" * 81}),
        ("numberOfCredits", {"value": "1.234", "unitText": "h"}),
        ("numberOfCredits", {"value": "0.00", "unitText": "h"}),
        ("numberOfCredits", {"value": 1, "unitText": "h"}),
        ("coursePrerequisites", [{"title": {}}]),
        ("coursePrerequisites", [{"title": {"en": "x"}, "pack": "X"}]),
        ("coursePrerequisites", [{"title": {"en": "x"}}] * 101),
        ("educationalRole", ["any one"]),
        ("typicalAgeRange", "young"),
        ("typicalAgeRange", "12-11"),
        ("parts", []),
    ],
)
def test_value_over_a_limit_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ManifestMalformed):
        parse_changed(**{key: value})


PART = {"id": "films", "title": {"en": "Films"}}


@pytest.mark.parametrize(
    "parts",
    [
        [PART, PART],
        [PART] * 101,
        [{"id": "films", "title": {}}],
        [PART | {"id": "Films"}],
        [PART | {"quality": "very good"}],
        [PART | {"quality": ""}],
        [PART | {"inLanguage": ["english!"]}],
    ],
)
def test_part_that_breaks_a_rule_is_refused(parts: Any) -> None:
    with pytest.raises(ManifestMalformed):
        parse_changed(parts=parts, features=["parts"])


OVERLAY = {"of": "org.example.base", "versions": [1, 3], "priority": 0, "title": {}, "description": {}}


@pytest.mark.parametrize(
    "changes",
    [
        {"of": "Base"},
        {"versions": [3, 1]},
        {"versions": [0, 1]},
        {"versions": [1]},
        {"versions": [1, 2**31]},
        {"versions": [True, 2]},
        {"priority": -1},
        {"priority": 1001},
        {"title": None},
    ],
)
def test_overlay_that_breaks_a_rule_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ManifestMalformed, match="overlay"):
        parse_changed(overlay=OVERLAY | changes, features=["overlay"])


def test_resource_of_an_overlay_may_say_as_little_as_its_id_and_kind() -> None:
    resource = Resource("film", "video", {}, {}, {})
    over = Overlay("org.example.base", 1, 3, 0, {}, {})
    manifest = small_manifest(resources=(resource,), lessons=(), features=("overlay",), overlay=over)
    assert manifests.parse(manifests.serialise(manifest)) == manifest
    with pytest.raises(ManifestMalformed):
        manifests.parse(manifests.serialise(replace(manifest, features=(), overlay=None)))


@pytest.mark.parametrize("path", ["a.html", "run.js"])
@pytest.mark.parametrize("kind", sorted(manifests.KINDS - {"app"}))
def test_overlay_brings_no_script_into_what_is_no_app(kind: str, path: str) -> None:
    files = (FileEntry("a.html", 1, HASH, "text/html"), FileEntry("run.js", 1, HASH, "text/javascript"))
    over = Overlay("org.example.base", 1, 3, 0, {}, {})
    for resource in (
        Resource("film", kind, {}, {}, {}, files=(path,)),
        Resource("film", kind, {}, {}, {}, narration={"en": path}),
    ):
        manifest = small_manifest(files=files, resources=(resource,), lessons=(), features=("overlay",), overlay=over)
        with pytest.raises(OverlayScript):
            manifests.parse(manifests.serialise(manifest))


def test_what_a_main_file_needs_is_there_whenever_the_main_file_is() -> None:
    part = Part("pictures", {"en": "Pictures"})
    files = (replace(small_manifest().files[0]), replace(small_manifest().files[1], part=1))
    apart = small_manifest(files=files, features=("parts",), parts=(part,))
    with pytest.raises(ManifestMalformed, match="read files"):
        manifests.parse(manifests.serialise(apart))
    together = replace(apart, files=tuple(replace(entry, part=1) for entry in files))
    assert manifests.parse(manifests.serialise(together)) == together


def test_closed_isolates_around_a_formula_are_accepted() -> None:
    assert parse_changed(title={"ar": "إذن \u20662/3 = 4/6\u2069."}).title["ar"].count("\u2066") == 1


@pytest.mark.parametrize("path", ["../x", "a\\b", "CON", ".x"])
def test_unsafe_path_in_a_manifest_is_refused_by_name(path: str) -> None:
    with pytest.raises(PathRefused) as caught:
        parse_changed(files=[[path, 1, HASH, "text/html"]])
    assert caught.value.fields["file"] == path


def test_case_twins_in_a_manifest_are_refused() -> None:
    with pytest.raises(PathRefused):
        parse_changed(files=[["A.html", 1, HASH, "text/html"], ["a.html", 1, HASH, "text/html"]])


def test_more_files_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "FILES_MAX", 1)
    with pytest.raises(ManifestMalformed):
        manifests.parse(manifests.serialise(small_manifest()))


def test_manifest_over_the_size_limit_is_refused_before_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    data = manifests.serialise(small_manifest())
    with pytest.raises(ManifestMalformed, match="too large"):
        manifests.decode_canonical(data, max_bytes=len(data) - 1)


def test_search_text_is_limited_in_bytes_not_characters() -> None:
    resources = record_of(small_manifest())["resources"]
    resources[0]["text"] = {"ar": "ك" * 40_000}
    with pytest.raises(ManifestMalformed):
        parse_changed(resources=resources)


@pytest.mark.parametrize("changes", [{"format": 2}, {"features": ["holograms"]}])
def test_newer_format_is_called_newer_even_when_the_rest_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatUnsupported):
        parse_changed(**changes, files="something new", lessons=None)


def test_unknown_kind_of_resource_needs_a_newer_box() -> None:
    resources = record_of(small_manifest())["resources"]
    resources[0]["kind"] = "hologram"
    with pytest.raises(FormatUnsupported):
        parse_changed(resources=resources)


def test_unknown_keys_are_ignored_so_that_newer_packs_can_be_read() -> None:
    assert parse_changed(zz_new="x") == small_manifest()


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [
        ("resources", "paths", {"en": "nowhere.html"}),
        ("resources", "paths", {}),
        ("resources", "captions", {"en": "nowhere.vtt"}),
        ("resources", "poster", "nowhere.png"),
        ("resources", "narration", {"en": "nowhere.opus"}),
        ("resources", "variants", [{"quality": "360p", "paths": {"en": "nowhere.mp4"}}]),
        ("resources", "variants", [{"quality": "360p", "paths": {}}]),
        ("resources", "variants", [{"quality": "", "paths": {"en": "a.html"}}]),
        ("resources", "variants", [{"quality": "360p", "paths": {"en": "a.html"}}] * 2),
        ("resources", "files", ["nowhere.png"]),
        ("resources", "id", "Upper"),
        ("lessons", "thumbnail", "nowhere.png"),
        ("lessons", "resources", []),
        ("lessons", "resources", ["read", "read"]),
        ("lessons", "resources", ["other"]),
    ],
)
def test_reference_that_leads_nowhere_is_refused(place: str, key: str, value: Any) -> None:
    records = record_of(small_manifest())[place]
    records[0][key] = value
    with pytest.raises(ManifestMalformed):
        parse_changed(**{place: records})


def test_lesson_or_resource_listed_twice_is_refused() -> None:
    record = record_of(small_manifest())
    with pytest.raises(ManifestMalformed):
        parse_changed(resources=record["resources"] * 2)
    with pytest.raises(ManifestMalformed):
        parse_changed(lessons=record["lessons"] * 2)


def test_other_spelling_of_the_same_values_is_refused() -> None:
    data = manifests.serialise(small_manifest())
    at = data.index(b"\xa7version\x03")
    longer = data[: at + 8] + b"\xcc\x03" + data[at + 9 :]
    assert codec.decode(longer, max_bytes=10**6) == codec.decode(data, max_bytes=10**6)
    with pytest.raises(ManifestMalformed, match="not canonical"):
        manifests.parse(longer)


def test_root_changes_with_every_part_of_an_entry() -> None:
    entry = FileEntry("a", 1, HASH, "text/html")
    others = [
        replace(entry, path="b"),
        replace(entry, size_bytes=2),
        replace(entry, hash=bytes(32)),
        replace(entry, media_type="x/y"),
        replace(entry, part=1),
    ]
    assert len({manifests.files_root([one]) for one in [entry, *others]}) == 6


def test_files_with_the_same_content_count_once() -> None:
    twins = (FileEntry("a.html", 5, HASH, "text/html"), FileEntry("b.png", 5, HASH, "image/png"))
    assert small_manifest(files=twins).size_bytes == 5


@given(st.text(st.sampled_from("ab e\u0301\u2066\u2069\u202e\t\r\n\0ك"), max_size=12) | st.text(max_size=12))
def test_made_plain_text_is_plain_and_stays_as_it_is(text: str) -> None:
    plain = texts.make_plain(text)
    assert texts.is_plain(plain)
    assert texts.make_plain(plain) == plain
