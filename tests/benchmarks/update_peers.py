"""What other tools send from one version to the next: bytes both ways, with what they need to know the new version."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.benchmarks.update_pairs import Pair

_ARCHIVE: Final = ("tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0")


def _rsync(one: Pair, folder: Path) -> int:
    target = folder / "rsync"
    shutil.copytree(one.old, target)
    options = ["-rc", "--no-whole-file", "-z", "--zc=zstd", "--zl=19", "--delete", "--stats"]
    told = _run(["rsync", *options, f"{one.new}/", f"{target}/"])
    shutil.rmtree(target)
    return sum(int(size.replace(",", "")) for size in re.findall(r"Total bytes (?:sent|received): ([\d,]+)", told))


def _casync(one: Pair, folder: Path) -> int:
    chunks: list[dict[str, int]] = []
    for tree in (one.old, one.new):
        store, index = folder / f"{tree.name}.castr", folder / f"{tree.name}.caidx"
        options = ["--without=all", "--chunk-size=16384:65536:262144"]
        _run(["casync", "make", f"--store={store}", str(index), str(tree), *options])
        chunks.append({path.name: path.stat().st_size for path in store.rglob("*.cacnk")})
        shutil.rmtree(store)
    had, wanted = chunks
    return sum(size for name, size in wanted.items() if name not in had) + (folder / "new.caidx").stat().st_size


def _ostree(one: Pair, folder: Path) -> int:
    repository = folder / "ostree"
    command = ["ostree", f"--repo={repository}"]
    _run([*command, "init", "--mode=archive"])
    commits = [_run([*command, "commit", "-b", "x", str(tree)]).strip() for tree in (one.old, one.new)]
    _run([*command, "static-delta", "generate", f"--from={commits[0]}", "x", "--inline"])
    size_bytes = sum(path.stat().st_size for path in (repository / "deltas").rglob("*") if path.is_file())
    shutil.rmtree(repository)
    return size_bytes


def _xdelta3(one: Pair, folder: Path) -> int:
    old, new = _archives(one, folder)
    out = folder / "xdelta3.out"
    _run(
        [
            "xdelta3",
            "-e",
            "-9",
            "-S",
            "lzma",
            "-B",
            "536870912",
            "-W",
            "16777216",
            "-I",
            "0",
            "-f",
            "-s",
            old,
            new,
            str(out),
        ]
    )
    return out.stat().st_size


def _zstd(one: Pair, folder: Path) -> int:
    old, new = _archives(one, folder)
    out = folder / "zstd.out"
    _run(["zstd", "-q", "-f", "-19", "--long=31", f"--patch-from={old}", new, "-o", str(out)])
    return out.stat().st_size


def _archives(one: Pair, folder: Path) -> tuple[str, str]:
    for tree in (one.old, one.new):
        if not (folder / f"{tree.name}.tar").exists():
            _run([*_ARCHIVE, "-C", str(tree), "-cf", str(folder / f"{tree.name}.tar"), "."])
    return str(folder / "old.tar"), str(folder / "new.tar")


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


PEERS: Final[dict[str, Callable[[Pair, Path], int]]] = {
    "rsync": _rsync,
    "casync": _casync,
    "ostree": _ostree,
    "xdelta3": _xdelta3,
    "zstd": _zstd,
}
