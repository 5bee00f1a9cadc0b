"""A patch makes exactly the new version of the old one, whatever was renamed, removed, copied or swapped."""

from content_packs import installer
from content_packs.installer import DiskSpace, Installer
from content_packs.patch import PatchLimits, apply_patch, make_patch
from tests.support.course import PUBLISHER, TRUSTED
from tests.support.trees import write_tree

LIMITS = PatchLimits(measure=lambda _: DiskSpace(10**12, 10**12))


def test_x(tmp_path):
    a = write_tree(tmp_path / "a", {"x": b"hello world " * 50, "y": b"abc" * 1000, "z": b""})
    b = write_tree(
        tmp_path / "b", {"x": b"hello world " * 50 + b"new", "y2": b"abc" * 1000, "z": b"", "q": b"k" * 77}, 2
    )
    data = tmp_path / "data"
    Installer(a, data, TRUSTED, measure=LIMITS.measure).run()
    r = make_patch(a, b, tmp_path / "out", PUBLISHER)
    print(r)
    res = apply_patch(data, r.path, TRUSTED, limits=LIMITS)
    print(res.bytes_copied)
    assert list(installer.lost_files(data)) == []
    f = make_patch(None, b, tmp_path / "out", PUBLISHER)
    print(f)
    res = apply_patch(tmp_path / "d2", f.path, TRUSTED, limits=LIMITS)
    assert list(installer.lost_files(tmp_path / "d2")) == []
