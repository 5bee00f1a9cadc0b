"""Parts of a pack: what an author puts into one, what a box takes, and that everything else works without the rest."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from content_packs import builder, installer
from content_packs.base.hashing import blake2b_256
from content_packs.builder import BuildResult
from content_packs.format import layout, selection
from content_packs.format.errors import BlobMissing, ManifestMalformed, PartUnknown, SourceInvalid
from content_packs.format.manifest import FileEntry, Manifest, Part, Resource, Variant
from content_packs.format.selection import EVERYTHING, Selection, choose_parts, name_parts
from content_packs.installer import library
from tests.content_packs.test_install_power_cuts import cut_everywhere, install
from tests.support.course import PACK, PUBLISHER, TRUSTED, tree_bytes, write_course
from tests.support.packs import installer_of, small_manifest

PARTS = """
[[part]]
id = "films"
title.en = "Films"
title.ar = "أفلام"
quality = "720p"
files = ["**/*.mp4"]

[[part]]
id = "arabic"
title = "Texts in Arabic"
inLanguage = ["ar"]
files = ["states/read.ar.md"]
"""


def build_parts(folder: Path, *, version: int = 1, parts: str = PARTS, film_bytes: int = 3000) -> BuildResult:
    source = write_course(folder / f"source-{version}", version=version, more_resources=parts, film_bytes=film_bytes)
    return builder.build(source, folder / "stick", PUBLISHER)


def refusal(folder: Path, more: str, files: dict[str, bytes] | None = None) -> dict[str, Any]:
    with pytest.raises(SourceInvalid) as caught:
        builder.build(write_course(folder / "source", more_resources=more, files=files), folder / "out", PUBLISHER)
    return dict(caught.value.fields)


def parts_of(*parts: Part, sizes: Mapping[int, int]) -> Manifest:
    """Return a manifest with one file for each part, and one that is always needed, of these sizes."""
    files = tuple(
        FileEntry(f"{number}.png", size, blake2b_256(bytes([number])), "image/png", number)
        for number, size in sorted(sizes.items())
    )
    return small_manifest(files=files, parts=parts, features=("parts",))


def has(data: Path, path: str, manifest: Manifest) -> bool:
    entry = next(entry for entry in manifest.files if entry.path == path)
    return library.blob_store(data).has(entry.hash, entry.size_bytes)


def test_files_are_put_into_parts_by_their_names_in_the_source(tmp_path: Path) -> None:
    manifest = build_parts(tmp_path).manifest
    in_part = {entry.path: entry.part for entry in manifest.files if entry.part}
    assert in_part == {"states/film.mp4": 1, "states/read.ar.html": 2}
    assert manifest.features == ("parts",)
    assert [(part.id, part.quality, part.languages) for part in manifest.parts] == [
        ("films", "720p", ()),
        ("arabic", "", ("ar",)),
    ]


def test_building_parts_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = build_parts(tmp_path / "a"), build_parts(tmp_path / "b")
    assert tree_bytes(first.folder) == tree_bytes(second.folder)


@pytest.mark.parametrize(
    ("more", "named", "reason"),
    [
        ('[[part]]\nid = "x"\ntitle = "X"\nfiles = ["*.webm"]', "*.webm", "no file"),
        ('[[part]]\nid = "x"\ntitle = "X"\nfiles = ["pack.toml"]', "pack.toml", "no resource needs"),
        ('[[part]]\nid = "x"\ntitle = "X"', "pack.toml", "missing"),
        ('[[part]]\nid = "x"\ntitle = "X"\nquality = "very good"\nfiles = ["*.pdf"]', "pack.toml", "an id has only"),
        ('[[part]]\nid = "x"\ntitle = "X"\nfiles = ["states/poster.png"]', "states/poster.png", "posters"),
        ('[[part]]\nid = "x"\ntitle = "X"\nfiles = ["kettle/app.js"]', "kettle/app.js", "nothing it opens"),
        (PARTS + '[[part]]\nid = "x"\ntitle = "X"\nfiles = ["states/film.mp4"]', "states/film.mp4", "one part only"),
        (PARTS + '[[part]]\nid = "films"\ntitle = "X"\nfiles = ["sheet.pdf"]', "pack.toml", "twice"),
    ],
)
def test_part_an_author_has_to_correct_is_named(tmp_path: Path, more: str, named: str, reason: str) -> None:
    fields = refusal(tmp_path, more)
    assert fields["file"] == named
    assert reason in fields["reason"]


def test_no_wish_takes_every_part() -> None:
    manifest = parts_of(Part("a", {"en": "A"}), Part("b", {"en": "B"}), sizes={0: 1, 1: 1, 2: 1})
    assert choose_parts(manifest) == Selection(frozenset({"a", "b"}))


@pytest.mark.parametrize(
    ("wishes", "taken"),
    [
        ({"languages": ["fr"]}, {"plain", "fr", "hd"}),
        ({"languages": ["fr-CA"]}, {"plain", "fr", "hd"}),
        ({"languages": ["zh"]}, {"plain", "hans", "hd"}),
        ({"languages": []}, {"plain", "hd"}),
        ({"languages": ["fr", "zh-Hans"], "qualities": []}, {"plain", "fr", "hans"}),
        ({"levels": ["Primary 5"]}, {"plain", "fr", "hans", "hd"}),
        ({"levels": ["Primary 6"]}, {"plain", "fr", "hd"}),
        ({"qualities": ["360p"]}, {"plain", "fr", "hans"}),
    ],
)
def test_part_is_taken_unless_a_wish_speaks_against_it(wishes: dict[str, Any], taken: set[str]) -> None:
    manifest = parts_of(
        Part("plain", {"en": "P"}),
        Part("fr", {"en": "F"}, languages=("fr",)),
        Part("hans", {"en": "H"}, languages=("zh-Hans",), educational_level="Primary 5"),
        Part("hd", {"en": "HD"}, quality="720p"),
        sizes={0: 1},
    )
    assert choose_parts(manifest, **wishes).parts == taken


def test_parts_that_do_not_fit_are_passed_over_in_the_order_of_the_pack() -> None:
    parts = (Part("large", {"en": "L"}), Part("small", {"en": "S"}), Part("last", {"en": "L"}))
    manifest = parts_of(*parts, sizes={0: 10, 1: 100, 2: 20, 3: 20})
    assert choose_parts(manifest, max_bytes=35).parts == {"small"}
    assert choose_parts(manifest, max_bytes=150).parts == {"large", "small", "last"}
    assert choose_parts(manifest, max_bytes=5).parts == set()


def test_part_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(PartUnknown) as caught:
        name_parts(parts_of(Part("a", {"en": "A"}), sizes={0: 1}), ["a", "b"])
    assert caught.value.fields["part"] == "b"


def test_selection_file_is_read_back_and_hostile_ones_are_refused() -> None:
    chosen = Selection(frozenset({"b", "a"}))
    data = selection.serialise_selection(chosen)
    assert selection.parse_selection(data) == chosen
    for damaged in (b"", data[:-1], data + b"\0", data.replace(b"\xa1a\xa1b", b"\xa1b\xa1a"), b"\xc1" * 20_000):
        with pytest.raises(ManifestMalformed):
            selection.parse_selection(damaged)


def test_the_best_file_that_is_there_is_opened_in_every_language() -> None:
    film = Resource(
        "film",
        "video",
        {"en": "Film"},
        {},
        {"en": "en.720.mp4", "ar": "ar.720.mp4"},
        {"en": "en.vtt", "ar": "ar.vtt"},
        variants=(Variant("480p", {"en": "en.480.mp4"}), Variant("360p", {"en": "en.360.mp4", "ar": "ar.360.mp4"})),
    )
    shown = selection.without_left_out(film, frozenset({"ar.720.mp4", "en.480.mp4", "en.360.mp4", "ar.vtt"}))
    assert shown.paths == {"en": "en.480.mp4", "ar": "ar.720.mp4"}
    assert shown.captions == {"ar": "ar.vtt"}
    assert selection.without_left_out(film, frozenset()).paths == {}


def test_install_takes_all_parts_unless_some_were_asked_for(tmp_path: Path) -> None:
    result = build_parts(tmp_path)
    installer_of(result, tmp_path / "data").run()
    assert [pack.selection for pack in installer.installed(tmp_path / "data")] == [EVERYTHING]
    assert has(tmp_path / "data", "states/film.mp4", result.manifest)


def test_install_of_some_parts_copies_only_their_files(tmp_path: Path) -> None:
    result, data = build_parts(tmp_path), tmp_path / "data"
    library.want_parts(data, PACK, 1, Selection(frozenset({"arabic"})))
    installer_of(result, data).run()
    assert not has(data, "states/film.mp4", result.manifest)
    assert has(data, "states/read.ar.html", result.manifest)
    assert [pack.selection.parts for pack in installer.installed(data)] == [{"arabic"}]
    assert list(installer.lost_files(data)) == []


def test_adding_a_part_later_copies_only_what_is_missing(tmp_path: Path) -> None:
    result, data = build_parts(tmp_path), tmp_path / "data"
    library.want_parts(data, PACK, 1, Selection(frozenset()))
    installer_of(result, data).run()
    library.want_parts(data, PACK, 1, Selection(frozenset({"films"})))
    film = next(entry for entry in result.manifest.files if entry.path == "states/film.mp4")
    assert installer_of(result, data).run().bytes_copied == film.size_bytes
    assert library.selection_of(data, PACK, 1).parts == {"films"}
    library.want_parts(data, PACK, 1, Selection(frozenset({"arabic"})))
    installer_of(result, data).run()
    assert library.selection_of(data, PACK, 1) == EVERYTHING


def test_repairing_a_pack_keeps_its_parts(tmp_path: Path) -> None:
    result, data = build_parts(tmp_path), tmp_path / "data"
    library.want_parts(data, PACK, 1, Selection(frozenset({"arabic"})))
    installer_of(result, data).run()
    assert installer_of(result, data).run().bytes_copied == 0
    assert library.selection_of(data, PACK, 1).parts == {"arabic"}


def test_an_update_takes_the_parts_of_the_version_before(tmp_path: Path) -> None:
    data = tmp_path / "data"
    library.want_parts(data, PACK, 1, Selection(frozenset({"arabic"})))
    installer_of(build_parts(tmp_path), data).run()
    second = build_parts(tmp_path, version=2, film_bytes=2000)
    installer_of(second, data).run()
    assert library.selection_of(data, PACK, 2).parts == {"arabic"}
    assert not has(data, "states/film.mp4", second.manifest)


def test_damaged_selection_stands_for_no_part_and_is_mended_by_asking_again(tmp_path: Path) -> None:
    result, data = build_parts(tmp_path), tmp_path / "data"
    library.want_parts(data, PACK, 1, Selection(frozenset({"arabic"})))
    installer_of(result, data).run()
    (data / "packs" / layout.selection_name(PACK, 1)).write_bytes(b"torn")
    assert library.selection_of(data, PACK, 1).parts == set()
    library.want_parts(data, PACK, 1, Selection(frozenset({"arabic"})))
    installer_of(result, data).run()
    assert library.selection_of(data, PACK, 1).parts == {"arabic"}


def test_removing_a_pack_forgets_its_parts(tmp_path: Path) -> None:
    result, data = build_parts(tmp_path), tmp_path / "data"
    library.want_parts(data, PACK, 1, Selection(frozenset()))
    installer_of(result, data).run()
    installer.remove(data, PACK)
    installer_of(result, data).run()
    assert library.selection_of(data, PACK, 1) == EVERYTHING


def test_folder_that_holds_some_parts_is_good_and_installs_as_such(tmp_path: Path) -> None:
    result, data = build_parts(tmp_path), tmp_path / "data"
    film = next(entry for entry in result.manifest.files if entry.path == "states/film.mp4")
    (result.folder / layout.blob_name(film.hash)).unlink()
    assert not installer.verify(result.folder, TRUSTED).is_good
    only_arabic = selection.serialise_selection(Selection(frozenset({"arabic"})))
    (result.folder / layout.SELECTION_NAME).write_bytes(only_arabic)
    assert installer.verify(result.folder, TRUSTED).is_good
    installer_of(result, data).run()
    assert library.selection_of(data, PACK, 1).parts == {"arabic"}
    library.want_parts(data, PACK, 1, Selection(frozenset({"films"})))
    with pytest.raises(BlobMissing):
        installer_of(result, data).run()
    assert library.selection_of(data, PACK, 1).parts == {"arabic"}


@pytest.mark.parametrize("content", [b"torn", bytes(20_000)])
def test_folder_with_a_damaged_list_of_parts_is_refused(tmp_path: Path, content: bytes) -> None:
    result = build_parts(tmp_path)
    (result.folder / layout.SELECTION_NAME).write_bytes(content)
    with pytest.raises(ManifestMalformed):
        installer_of(result, tmp_path / "data").run()


def test_power_cut_while_adding_a_part_leaves_the_pack_whole_without_it(tmp_path: Path) -> None:
    result, data = build_parts(tmp_path), tmp_path / "data"
    library.want_parts(data, PACK, 1, Selection(frozenset()))
    install(result, data)
    library.want_parts(data, PACK, 1, Selection(frozenset({"films"})))

    def check(cut: Path, has_ended: bool) -> None:
        assert library.selection_of(cut, PACK, 1).parts in ([{"films"}] if has_ended else [set(), {"films"}])
        assert list(installer.lost_files(cut)) == []
        install(result, cut)
        assert library.selection_of(cut, PACK, 1).parts in ({"films"}, set())

    assert cut_everywhere(data, lambda cut: install(result, cut), check) > 3


def test_power_cut_in_the_first_install_of_some_parts_never_promises_the_others(tmp_path: Path) -> None:
    result, data = build_parts(tmp_path), tmp_path / "data"
    library.want_parts(data, PACK, 1, Selection(frozenset({"arabic"})))

    def check(cut: Path, _has_ended: bool) -> None:
        assert all(pack.selection.parts == {"arabic"} for pack in installer.installed(cut))
        assert list(installer.lost_files(cut)) == []

    assert cut_everywhere(data, lambda cut: install(result, cut), check) > 10


def test_root_stays_that_of_all_files(tmp_path: Path) -> None:
    manifest = build_parts(tmp_path).manifest
    there = replace(manifest, files=selection.selected_files(manifest, Selection(frozenset())))
    assert there.root != manifest.root
    assert len(there.files) == len(manifest.files) - 2
