"""A patch makes exactly the new version of the old one, whatever was renamed, removed, copied or swapped."""

import os
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from content_packs import installer
from content_packs.base import compress
from content_packs.base.hashing import blake2b_256
from content_packs.format import layout
from content_packs.format.errors import (
    InstallCancelled,
    PackDiffers,
    PackRollback,
    PackSpace,
    SignerUnknown,
)
from content_packs.format.selection import EVERYTHING, Selection, serialise_selection
from content_packs.installer import DiskSpace, Installer
from content_packs.installer.library import selection_of
from content_packs.patch import MEMORY_BYTES, PatchFile, PatchLimits, apply_patch, inspect_patch
from content_packs.patch.containers import ZIP, closing
from content_packs.patch.errors import PatchBaseMissing, PatchMalformed, PatchMemory, PatchResultDiffers
from content_packs.patch.journal import Journal
from content_packs.patch.making import make_patch
from content_packs.patch.plan import _read_container
from tests.content_packs.patch.test_containers import epub
from tests.support.course import PUBLISHER, STRANGER, TRUSTED
from tests.support.trees import PACK, write_tree

Files = Mapping[str, bytes]
LIMITS = PatchLimits(measure=lambda _: DiskSpace(10**13, 10**13))
PAGE = b"".join(b"<p>Sentence %d of the page.</p>\n" % number for number in range(400))
PATHS = ("a.html", "b.html", "deep/a.html", "deep/b.html", "c.bin", "zz/empty")


def update(folder: Path, old: Files, new: Files, memory_bytes: int = MEMORY_BYTES) -> tuple[Path, Path]:
    """Write both versions, install the old one and return the data folder and the patch."""
    first, second = write_tree(folder / "1", old, 1), write_tree(folder / "2", new, 2, title="Another")
    data = folder / "data"
    Installer(first, data, TRUSTED, measure=LIMITS.measure).run()
    return data, make_patch(first, second, folder / "out", PUBLISHER, memory_bytes=memory_bytes).path


def contents(data: Path, version: int) -> dict[str, bytes]:
    pack = next(pack for pack in installer.installed(data) if pack.manifest.version == version)
    store = installer.blob_store(data)
    return {entry.path: store.path_of(entry.hash).read_bytes() for entry in pack.manifest.files}


@st.composite
def trees(draw: st.DrawFn) -> tuple[Files, Files]:
    bodies = st.sampled_from([b"", b"x", PAGE, PAGE[:5000] + b"changed" + PAGE[5000:], PAGE[::-1], os.urandom(9)])
    tree = st.dictionaries(st.sampled_from(PATHS), bodies, max_size=len(PATHS))
    return draw(tree), draw(tree)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees())
def test_any_tree_becomes_any_other(pair: tuple[Files, Files]) -> None:
    with TemporaryDirectory() as folder:
        data, patch = update(Path(folder), *pair)
        apply_patch(data, patch, TRUSTED, limits=LIMITS)
        assert contents(data, 1) == pair[0]
        assert contents(data, 2) == pair[1]


def test_full_patch_needs_no_version_before(tmp_path: Path) -> None:
    files = {"a.html": PAGE, "b.html": PAGE, "c.bin": os.urandom(300_000), "empty": b""}
    made = make_patch(None, write_tree(tmp_path / "1", files), tmp_path / "out", PUBLISHER)
    assert made.path == tmp_path / "out" / layout.STICK_NAME / f"patches/{PACK}/full.ebp"
    apply_patch(tmp_path / "data", made.path, TRUSTED, limits=LIMITS)
    assert contents(tmp_path / "data", 1) == files


def test_installed_manifest_is_the_publishers_to_the_byte(tmp_path: Path) -> None:
    data, patch = update(tmp_path, {"a.html": PAGE}, {"a.html": PAGE + b"more", "b.html": b"new"})
    apply_patch(data, patch, TRUSTED, limits=LIMITS)
    installed = data / "packs" / layout.installed_name(PACK, 2)
    assert installed.read_bytes() == (tmp_path / "2" / layout.MANIFEST_NAME).read_bytes()


def test_renamed_and_copied_files_cost_nothing_but_their_names(tmp_path: Path) -> None:
    film = random.Random(1).randbytes(200_000)
    data, patch = update(tmp_path, {"old.bin": film, "a": b"1"}, {"copy/new.bin": film, "new.bin": film, "a": b"1"})
    assert patch.stat().st_size < 500
    assert apply_patch(data, patch, TRUSTED, limits=LIMITS).bytes_copied == 0


def test_renamed_and_changed_file_is_made_from_what_it_was(tmp_path: Path) -> None:
    book = random.Random(2).randbytes(50_000)
    data, patch = update(tmp_path, {"script.a1b2.js": book}, {"other/script.c3d4.js": book[:999] + b"x" + book[999:]})
    assert patch.stat().st_size < 1_000
    apply_patch(data, patch, TRUSTED, limits=LIMITS)


@pytest.mark.parametrize("moved_bytes", [0, 700_000])
def test_large_file_is_made_in_parts_within_the_memory(tmp_path: Path, moved_bytes: int) -> None:
    film = random.Random(3).randbytes(5_000_000)
    changed = film[moved_bytes : 2 * moved_bytes] + film[:2_000_000] + b"subtitle" * 1000 + film[2_000_000:] + b"end"
    first, second = write_tree(tmp_path / "1", {"film": film}), write_tree(tmp_path / "2", {"film": changed}, 2)
    made = make_patch(first, second, tmp_path / "p.ebp", PUBLISHER, memory_bytes=4 * 1024**2)
    assert made.size_bytes < 5_000
    Installer(first, tmp_path / "data", TRUSTED, measure=LIMITS.measure).run()
    limits = replace(LIMITS, memory_bytes=4 * 1024**2)
    assert apply_patch(tmp_path / "data", made.path, TRUSTED, limits=limits).bytes_copied == len(changed)


def test_second_time_does_nothing(tmp_path: Path) -> None:
    data, patch = update(tmp_path, {"a.html": PAGE}, {"a.html": PAGE + b"more"})
    apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert apply_patch(data, patch, TRUSTED, limits=LIMITS).bytes_copied == 0


def test_base_that_is_not_there_is_named(tmp_path: Path) -> None:
    _, patch = update(tmp_path, {"a.html": PAGE}, {"a.html": PAGE + b"more"})
    with pytest.raises(PatchBaseMissing) as caught:
        apply_patch(tmp_path / "other", patch, TRUSTED, limits=LIMITS)
    assert caught.value.fields["root"] == patch.stem
    assert caught.value.fields["version"] == 1


def test_base_with_a_damaged_file_shows_nothing_and_says_so(tmp_path: Path) -> None:
    data, patch = update(tmp_path, {"a.html": PAGE}, {"a.html": PAGE + b"more"})
    blob = next((data / "blobs").glob("??/*"))
    blob.write_bytes(PAGE[:-1] + b"?")
    with pytest.raises(PatchBaseMissing):
        apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert [pack.manifest.version for pack in installer.installed(data)] == [1]


def test_publisher_nobody_trusts_is_refused(tmp_path: Path) -> None:
    data, patch = update(tmp_path, {"a": b"1"}, {"a": b"2"})
    with pytest.raises(SignerUnknown):
        apply_patch(data, patch, {STRANGER.verify_key.key_id: STRANGER.verify_key}, limits=LIMITS)


def test_too_little_memory_or_space_is_found_before_anything_is_made(tmp_path: Path) -> None:
    data, patch = update(tmp_path, {"a.html": PAGE}, {"a.html": PAGE + b"more"})
    with pytest.raises(PatchMemory):
        apply_patch(data, patch, TRUSTED, limits=replace(LIMITS, memory_bytes=0))
    with pytest.raises(PackSpace):
        inspect_patch(data, patch, TRUSTED, limits=PatchLimits(measure=lambda _: DiskSpace(0, 10**9))).check()
    assert len(list((data / "blobs").glob("??/*"))) == 1


def test_lower_version_than_the_box_had_is_refused(tmp_path: Path) -> None:
    data, patch = update(tmp_path, {"a": b"1"}, {"a": b"2"})
    Installer(write_tree(tmp_path / "3", {"a": b"3"}, 3), data, TRUSTED, measure=LIMITS.measure).run()
    with pytest.raises(PackRollback):
        apply_patch(data, patch, TRUSTED, limits=LIMITS)


def test_patch_goes_forward_within_one_pack_only(tmp_path: Path) -> None:
    first, second = write_tree(tmp_path / "1", {"a": b"1"}), write_tree(tmp_path / "2", {"a": b"2"}, 2)
    other = write_tree(tmp_path / "other", {"a": b"2"}, 2, pack="org.example.other")
    with pytest.raises(PackRollback):
        make_patch(second, first, tmp_path / "out", PUBLISHER)
    with pytest.raises(PackDiffers):
        make_patch(first, other, tmp_path / "out", PUBLISHER)


def test_cancelled_update_goes_on_where_it_stopped(tmp_path: Path) -> None:
    old = {f"{number}.bin": random.Random(number).randbytes(1_300_000) for number in range(4)}
    new = {path: content + b"more" for path, content in old.items()}
    data, patch = update(tmp_path, old, new, 4 * 1024**2)
    done: list[int] = []
    with pytest.raises(InstallCancelled):
        apply_patch(
            data,
            patch,
            TRUSTED,
            limits=LIMITS,
            on_progress=lambda *told: done.append(told[0]),
            cancelled=lambda: len(done) > 1,
        )
    made = {path for path in (data / "blobs").glob("??/*") if path.stat().st_size == 1_300_004}
    inodes = {path.stat().st_ino for path in made}
    assert 0 < len(made) < 4
    apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert {path.stat().st_ino for path in made} == inodes
    assert contents(data, 2) == new
    assert not list((data / "packs").glob("*.making"))


def test_record_of_earlier_work_that_is_wrong_is_thrown_away(tmp_path: Path) -> None:
    old = {"a.bin": os.urandom(9_000), "b.bin": os.urandom(9_000)}
    data, patch = update(tmp_path, old, {path: content[::-1] for path, content in old.items()})
    with PatchFile(patch, TRUSTED) as file:
        name = blake2b_256(file.head.blocks + file.head.from_root)
    Journal(data / "packs", name).take_over({0: blake2b_256(old["a.bin"])})
    apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert contents(data, 2) == {path: content[::-1] for path, content in old.items()}


def test_compressor_that_gives_other_bytes_ends_in_a_coded_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, patch = update(tmp_path, {"book.epub": epub(b"one")}, {"book.epub": epub(b"two")})
    real = closing.compressed
    monkeypatch.setattr(closing, "compressed", lambda content, parameter, **how: real(content, 1, **how))
    blobs = set((data / "blobs").rglob("*"))
    with pytest.raises(PatchResultDiffers):
        apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert {path for path in (data / "blobs").rglob("*") if path.is_file()} <= blobs
    assert [pack.manifest.version for pack in installer.installed(data)] == [1]


def test_publisher_without_the_compressor_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(compress, "import_module", fail)
    with pytest.raises(compress.CompressorMissing):
        make_patch(None, write_tree(tmp_path / "1", {"a": b"1"}), tmp_path / "out", PUBLISHER)


def test_parts_that_an_unfinished_installation_noted_do_not_hide_what_a_patch_made(tmp_path: Path) -> None:
    data, patch = update(tmp_path, {"a.html": PAGE}, {"a.html": PAGE, "b.html": PAGE[:900]})
    note = data / "packs" / layout.selection_name(PACK, 2)
    note.write_bytes(serialise_selection(Selection(frozenset({"some"}))))
    apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert selection_of(data, PACK, 2) == EVERYTHING


def test_streams_without_number_are_refused_before_they_fill_the_memory() -> None:
    with pytest.raises(PatchMalformed):
        _read_container([0, ZIP, 10**15, [], [10**14, 6]], 1)
