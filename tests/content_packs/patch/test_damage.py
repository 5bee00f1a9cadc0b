"""A damaged or unfinished update is refused with a code, or finishes at the second try; old or new, never between."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from content_packs import installer
from content_packs.base.errors import EdgeboxError
from content_packs.base.hashing import blake2b_256
from content_packs.patch import apply_patch
from content_packs.patch.errors import PatchBaseMissing, PatchMalformed
from content_packs.patch.making import make_patch
from tests.content_packs.patch.test_apply import LIMITS, PAGE, contents, update
from tests.content_packs.patch.test_containers import epub
from tests.content_packs.test_install_power_cuts import cut_everywhere
from tests.support.course import PUBLISHER, TRUSTED
from tests.support.trees import write_tree

OLD = {"a.html": PAGE, "b.html": PAGE[:3000], "gone": b"x", "book.epub": epub(b"one")}
NEW = {"a.html": PAGE + b"more", "c/b.html": PAGE[:3000] + b"new", "copy.html": PAGE, "book.epub": epub(b"two")}


def versions(data: Path) -> list[int]:
    return [pack.manifest.version for pack in installer.installed(data)]


def after(steps: int) -> Callable[[], bool]:
    """Return what says yes when it was asked so often."""
    asked = iter(range(steps))
    return lambda: next(asked, None) is None


def test_bit_flipped_anywhere_is_refused_and_shows_nothing(tmp_path: Path) -> None:
    data, patch = update(tmp_path, OLD, NEW)
    good = patch.read_bytes()
    for at in range(0, len(good), 7):
        patch.write_bytes(good[:at] + bytes([good[at] ^ 1 << at % 8]) + good[at + 1 :])
        with pytest.raises(EdgeboxError) as caught:
            apply_patch(data, patch, TRUSTED, limits=LIMITS)
        assert caught.value.code.startswith(("patch.", "pack.signer_unknown"))
        assert versions(data) == [1]


def test_file_cut_short_or_longer_is_refused_and_shows_nothing(tmp_path: Path) -> None:
    data, patch = update(tmp_path, OLD, NEW)
    good = patch.read_bytes()
    for length in range(0, len(good), 11):
        patch.write_bytes(good[:length])
        with pytest.raises(PatchMalformed):
            apply_patch(data, patch, TRUSTED, limits=LIMITS)
    patch.write_bytes(good + b"x")
    with pytest.raises(PatchMalformed):
        apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert versions(data) == [1]


def test_power_cut_while_applying_leaves_the_old_version_or_the_new(tmp_path: Path) -> None:
    old, new = ({path: one for path, one in tree.items() if path != "book.epub"} for tree in (OLD, NEW))
    data, patch = update(tmp_path, old, new)

    def check(data: Path, has_ended: bool) -> None:
        assert versions(data) in ([[1, 2]] if has_ended else [[1], [1, 2]])
        assert installer.damaged(data) == []
        assert list(installer.lost_files(data)) == []
        apply_patch(data, patch, TRUSTED, limits=LIMITS)
        assert contents(data, 2) == new
        assert contents(data, 1) == old

    assert cut_everywhere(data, lambda data: apply_patch(data, patch, TRUSTED, limits=LIMITS) and None, check) > 15


def test_power_cut_while_making_leaves_no_patch_or_a_whole_one(tmp_path: Path) -> None:
    first, second = write_tree(tmp_path / "1", {"a": b"one"}), write_tree(tmp_path / "2", {"a": b"two"}, 2)
    (tmp_path / "depot").mkdir()
    whole = make_patch(first, second, tmp_path / "whole.ebp", PUBLISHER).path.read_bytes()

    def check(depot: Path, has_ended: bool) -> None:
        found = [path.read_bytes() for path in depot.rglob("*.ebp")]
        assert found == [whole] if has_ended else found in ([], [whole])

    def make(depot: Path) -> None:
        make_patch(first, second, depot, PUBLISHER)

    assert cut_everywhere(tmp_path / "depot", make, check) > 5


def test_update_of_several_groups_cut_anywhere_finishes_at_the_second_try(tmp_path: Path) -> None:
    old = {f"{number}.bin": random.Random(number).randbytes(2_200_000) for number in range(3)}
    new = {path: content[:-9] for path, content in old.items()}
    first, second = write_tree(tmp_path / "1", old), write_tree(tmp_path / "2", new, 2)
    data = tmp_path / "data"
    installer.Installer(first, data, TRUSTED, measure=LIMITS.measure).run()
    patch = make_patch(first, second, tmp_path / "p.ebp", PUBLISHER, memory_bytes=5 * 1024**2).path
    steps = 0
    while 2 not in versions(data):
        steps += 1
        copied = tmp_path / "copied"
        shutil.copytree(data, copied, dirs_exist_ok=True)
        apply_patch(copied, patch, TRUSTED, limits=LIMITS)
        assert contents(copied, 2) == new
        shutil.rmtree(copied)
        try:
            apply_patch(data, patch, TRUSTED, limits=LIMITS, cancelled=after(steps * 20))
        except EdgeboxError as error:
            assert error.retryable
    assert contents(data, 2) == new


@pytest.mark.parametrize("spoil", [lambda content: content[:100], lambda content: content[::-1]])
def test_base_container_that_the_disk_spoiled_is_told_as_missing(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    data, patch = update(tmp_path, OLD, NEW)
    store = installer.blob_store(data)
    place = store.path_of(blake2b_256(OLD["book.epub"]))
    place.write_bytes(spoil(OLD["book.epub"]))
    with pytest.raises(PatchBaseMissing):
        apply_patch(data, patch, TRUSTED, limits=LIMITS)
    assert versions(data) == [1]
    assert list((store.root / "incoming").glob("*")) == []
