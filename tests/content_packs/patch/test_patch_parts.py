"""An update of a pack that a box has in part brings what the box needs of it, and no more."""

import random
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from content_packs import installer
from content_packs.base import codec
from content_packs.base.hashing import blake2b_256
from content_packs.format import layout
from content_packs.format.errors import PackSpace
from content_packs.format.selection import EVERYTHING, Selection, selected_files
from content_packs.installer import DiskSpace, Installer, library
from content_packs.patch import PatchFile, PatchLimits, apply_patch, inspect_patch, plan
from content_packs.patch.errors import PatchBaseMissing, PatchMalformed, PatchResultDiffers
from content_packs.patch.making import make_patch
from tests.content_packs.patch.test_apply import LIMITS, PAGE
from tests.content_packs.test_install_power_cuts import cut_everywhere
from tests.support.course import PUBLISHER, TRUSTED
from tests.support.trees import PACK, write_tree

FILM = random.Random(1).randbytes(300_000)
OLD = {"a/page": PAGE, "a/page.ar": PAGE[:6000], "a/film": FILM, "b/film": FILM[:90_000], "same": b"same"}
NEW = {
    "a/page": PAGE + b"more",
    "a/page.ar": PAGE[:6000] + b"more",
    "a/film": FILM[:1000] + b"cut" + FILM[1000:],
    "b/film": FILM[:90_000],
    "c/film": FILM[::-1],
    "same": b"same",
}
OLD_PARTS = {"films": ["a/film", "b/film"], "arabic": ["a/page.ar"]}
NEW_PARTS = {"arabic": ["a/page.ar"], "films": ["a/film", "b/film", "c/film"]}
CHOICES = [Selection(frozenset(ids)) for ids in ((), ("films",), ("arabic",))] + [EVERYTHING]

Files = Mapping[str, bytes]
Parts = Mapping[str, Collection[str]]


def update(
    folder: Path,
    choice: Selection,
    old: tuple[Files, Parts] = (OLD, OLD_PARTS),
    new: tuple[Files, Parts] = (NEW, NEW_PARTS),
) -> tuple[Path, Path]:
    """Write both versions, install the old one in part and return the data folder and the patch."""
    first = write_tree(folder / "1", old[0], parts=old[1])
    second = write_tree(folder / "2", new[0], 2, parts=new[1])
    data = folder / "data"
    install_in_part(first, data, choice)
    return data, make_patch(first, second, folder / "out", PUBLISHER).path


def install_in_part(pack: Path, data: Path, choice: Selection) -> None:
    if choice != EVERYTHING:
        library.want_parts(data, PACK, 1, choice)
    Installer(pack, data, TRUSTED, measure=LIMITS.measure).run()


def there(data: Path, version: int) -> dict[str, bytes]:
    """Return the files of a version that should be there; all of them have to be."""
    pack = next(pack for pack in installer.installed(data) if pack.manifest.version == version)
    store = installer.blob_store(data)
    files = selected_files(pack.manifest, pack.selection)
    return {entry.path: store.path_of(entry.hash).read_bytes() for entry in files}


def wanted(choice: Selection, files: Files, parts: Parts) -> dict[str, bytes]:
    left = {path for part, paths in parts.items() if not choice.takes_id(part) for path in paths}
    return {path: content for path, content in files.items() if path not in left}


@pytest.mark.parametrize("choice", CHOICES)
def test_update_brings_what_was_chosen_and_writes_nothing_else(tmp_path: Path, choice: Selection) -> None:
    data, patch = update(tmp_path, choice)
    needed_bytes = inspect_patch(data, patch, TRUSTED, limits=LIMITS).needed_bytes
    told: list[tuple[int, int]] = []
    result = apply_patch(
        data, patch, TRUSTED, limits=LIMITS, on_progress=lambda done, total, _: told.append((done, total))
    )
    assert there(data, 2) == wanted(choice, NEW, NEW_PARTS)
    assert there(data, 1) == wanted(choice, OLD, OLD_PARTS)
    assert library.selection_of(data, PACK, 2) == choice
    kept = {blake2b_256(content) for tree in (there(data, 1), there(data, 2)) for content in tree.values()}
    assert set(installer.blob_store(data).hashes()) == kept
    assert result.bytes_copied == needed_bytes == told[-1][0] == told[-1][1]


@pytest.mark.parametrize("choice", CHOICES)
def test_full_patch_brings_what_was_asked_for_and_writes_nothing_else(tmp_path: Path, choice: Selection) -> None:
    full = make_patch(None, write_tree(tmp_path / "1", NEW, parts=NEW_PARTS), tmp_path / "out", PUBLISHER).path
    data = tmp_path / "data"
    if choice != EVERYTHING:
        library.want_parts(data, PACK, 1, choice)
    apply_patch(data, full, TRUSTED, limits=LIMITS)
    assert there(data, 1) == wanted(choice, NEW, NEW_PARTS)
    assert not list((data / "packs").glob("*.wanted"))
    assert set(installer.blob_store(data).hashes()) == set(map(blake2b_256, there(data, 1).values()))


def test_space_is_needed_only_for_what_is_written(tmp_path: Path) -> None:
    data, patch = update(tmp_path, Selection(frozenset()))
    tight = PatchLimits(measure=lambda _: DiskSpace(500_100_000, 10**9))
    assert inspect_patch(data, patch, TRUSTED, limits=tight).needed_bytes == len(NEW["a/page"])
    everything, _ = update(tmp_path / "other", EVERYTHING)
    with pytest.raises(PackSpace):
        inspect_patch(everything, patch, TRUSTED, limits=tight).check()


def test_what_everybody_needs_is_made_of_nothing_that_some_left_out(tmp_path: Path) -> None:
    """A new file resembles one that not every box has."""
    old = {"film": FILM, "page": PAGE}
    new = {"film": FILM + b"end", "trailer": FILM[:200_000] + b"!", "page": PAGE}
    choice = Selection(frozenset())
    data, patch = update(tmp_path, choice, (old, {"films": ["film"]}), (new, {"films": ["film"]}))
    apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert there(data, 2) == wanted(choice, new, {"films": ["film"]})


def test_content_of_a_part_that_everybody_needs_from_now_on_comes_with_the_full_patch(tmp_path: Path) -> None:
    parts = {"films": ["film"], "more": ["more"]}
    files = {"film": FILM, "page": PAGE, "more": b"more"}
    data, patch = update(tmp_path, Selection(frozenset()), (files, parts), (files, {"more": ["more"]}))
    with pytest.raises(PatchBaseMissing):
        apply_patch(data, patch, TRUSTED, limits=LIMITS)
    full = make_patch(None, tmp_path / "2", tmp_path / "out", PUBLISHER).path
    apply_patch(data, full, TRUSTED, limits=LIMITS)
    assert there(data, 2) == {"film": FILM, "page": PAGE}


def test_part_that_is_asked_for_as_well_needs_its_files_on_the_box(tmp_path: Path) -> None:
    data, patch = update(tmp_path, Selection(frozenset()))
    library.want_parts(data, PACK, 2, Selection(frozenset({"arabic"})))
    with pytest.raises(PatchBaseMissing):
        apply_patch(data, patch, TRUSTED, limits=LIMITS)


def test_second_time_with_more_parts_brings_these(tmp_path: Path) -> None:
    data, patch = update(tmp_path, Selection(frozenset()))
    apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert apply_patch(data, patch, TRUSTED, limits=LIMITS).bytes_copied == 0
    full = make_patch(None, tmp_path / "2", tmp_path / "out", PUBLISHER).path
    library.want_parts(data, PACK, 2, Selection(frozenset({"films"})))
    apply_patch(data, full, TRUSTED, limits=LIMITS)
    assert there(data, 2) == wanted(Selection(frozenset({"films"})), NEW, NEW_PARTS)


def test_manifest_that_comes_out_is_the_publishers_to_the_byte(tmp_path: Path) -> None:
    data, patch = update(tmp_path, Selection(frozenset()))
    apply_patch(data, patch, TRUSTED, limits=LIMITS)
    installed = data / "packs" / layout.installed_name(PACK, 2)
    assert installed.read_bytes() == (tmp_path / "2" / layout.MANIFEST_NAME).read_bytes()


def test_pack_without_parts_makes_a_patch_that_every_reader_knows(tmp_path: Path) -> None:
    _, patch = update(tmp_path, EVERYTHING, (OLD, {}), (NEW, {}))
    with PatchFile(patch, TRUSTED) as file:
        assert file.head.features == ()


@pytest.mark.parametrize("hashes", [[], [b""], [bytes(32)], [bytes(64), bytes(64)], ["no"]])
def test_plan_whose_hashes_do_not_fit_its_parts_is_refused(hashes: list[object]) -> None:
    steps = [["a", [1, -1], "text/plain", 1], ["b", [1, -1], "text/plain", 1]]
    data = codec.encode([{}, [], steps, [], False, [[9, 2]], *hashes])
    with pytest.raises(PatchMalformed):
        plan.read_plan(data, plan.known(None), bytes(16))


def test_hash_that_is_told_wrong_ends_in_a_coded_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("content_packs.patch.sources.Sources.told", lambda _: [bytes(32)] * 3)
    data, patch = update(tmp_path, Selection(frozenset()))
    with pytest.raises(PatchResultDiffers):
        apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert [pack.manifest.version for pack in installer.installed(data)] == [1]


def test_power_cut_leaves_the_old_version_or_the_new_with_its_choice(tmp_path: Path) -> None:
    choice = Selection(frozenset({"arabic"}))
    data, patch = update(tmp_path, choice)

    def check(data: Path, has_ended: bool) -> None:
        found = [pack.manifest.version for pack in installer.installed(data)]
        assert found in ([[1, 2]] if has_ended else [[1], [1, 2]])
        assert list(installer.lost_files(data)) == []
        apply_patch(data, patch, TRUSTED, limits=LIMITS)
        assert there(data, 2) == wanted(choice, NEW, NEW_PARTS)
        assert library.selection_of(data, PACK, 2) == choice

    assert cut_everywhere(data, lambda data: apply_patch(data, patch, TRUSTED, limits=LIMITS) and None, check) > 15


def test_parts_of_one_lesson_do_not_stand_between_each_other(tmp_path: Path) -> None:
    """Files of a part are compressed together, wherever their names would put them."""
    pages = {f"{lesson}/{language}": PAGE[lesson * 30 :] for lesson in range(40) for language in ("en", "fr")}
    parts = {"french": [path for path in pages if path.endswith("fr")]}
    in_parts = make_patch(None, write_tree(tmp_path / "1", pages, parts=parts), tmp_path / "1.ebp", PUBLISHER)
    plain = make_patch(None, write_tree(tmp_path / "2", pages), tmp_path / "2.ebp", PUBLISHER)
    assert in_parts.size_bytes < plain.size_bytes + 32 * 40 + 5_000
