"""Bytes from one version to the next of real contents, beside the best tools there are, and what applying takes.

Contents come from Debian's and npm's archives into `var/benchmarks/updates`; what cannot be had is named and left out.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from content_packs.base import atomic
from content_packs.installer import DiskSpace, Installer, blob_store, installed
from content_packs.patch import MEMORY_BYTES
from content_packs.patch.making import PatchReport, make_patch
from tests.benchmarks import update_peers
from tests.benchmarks.table import show, verdict
from tests.benchmarks.update_pairs import NAMES, NotHad, Pair, files_of, fresh_folder, pair
from tests.support.course import PUBLISHER, TRUSTED
from tests.support.trees import write_tree

BEST_GOAL = 1.05
PEER_GOALS = {"ostree": 4.5, "rsync": 6.0, "casync": 25.0}
DOCUMENTATION = ("pgdoc", "pydoc", "nodedoc", "linuxdoc")
BYTES_GOALS = {"pgdoc": 49_000, "pydoc": 20_000, "epub": 400, "pdf": 10_000}
SPEED_GOAL_MB = 100.0
MEMORY_GOAL_MB = 48.0
BIG_MEMORY_BYTES = 128 * 1024**2


def main() -> None:
    """Print one row per pair, as soon as it is there."""
    sizes: list[list[str]] = []
    applied: list[list[str]] = []
    missing: list[str] = []
    # Nothing is removed before the end: for minutes ext4 looks past the inodes of what was, at each new file.
    with fresh_folder("run") as folder:
        for name in NAMES:
            try:
                _measure(pair(name), folder / name, sizes, applied)
            except NotHad as reason:
                missing.append(f"{name}: {reason}")
    peers = [peer for peer in update_peers.PEERS if shutil.which(peer)]
    show("Updates: bytes, one request each", ["pair", "ours", "goal", "128 MiB", *peers, "of the best"], sizes)
    show("Updates: applying", ["pair", "files", "bytes", "MB/s", "plain write MB/s", "peak RSS", "goals"], applied)
    for line in missing:
        print(f"not measured: {line}")


def _measure(one: Pair, folder: Path, sizes: list[list[str]], applied: list[list[str]]) -> None:
    versions = [_pack(tree, folder / str(number), number, one.name) for number, tree in ((1, one.old), (2, one.new))]
    small = _make(versions, folder / "small.ebp", MEMORY_BYTES)
    applied.append(_apply(one.name, versions[0], small, folder / "data"))
    big = _make(versions, folder / "big.ebp", BIG_MEMORY_BYTES)
    peers = {peer: measure(one, folder) for peer, measure in update_peers.PEERS.items() if shutil.which(peer)}
    print(f"{one.name}: {small.size_bytes} bytes; " + ", ".join(f"{peer} {size}" for peer, size in peers.items()))
    best = min(peers.values(), default=0)
    ratios = f"{small.size_bytes / best:.2f} ({verdict(small.size_bytes <= BEST_GOAL * best)})" if best else "-"
    row = [one.name, f"{small.size_bytes:,}", _goal(one.name, small), f"{big.size_bytes:,}"]
    sizes.append([*row, *(_beside(one.name, peer, size, small) for peer, size in peers.items()), ratios])


def _pack(tree: Path, folder: Path, version: int, name: str) -> Path:
    files = {path.relative_to(tree).as_posix(): path.read_bytes() for path in files_of(tree)}
    return write_tree(folder, files, version, pack=f"org.example.{name}")


def _make(versions: list[Path], out: Path, memory_bytes: int) -> PatchReport:
    return make_patch(versions[0], versions[1], out, PUBLISHER, memory_bytes=memory_bytes)


def _goal(name: str, made: PatchReport) -> str:
    goal = BYTES_GOALS.get(name)
    return f"<= {goal:,} ({verdict(made.size_bytes <= goal)})" if goal else "-"


def _beside(name: str, peer: str, size_bytes: int, made: PatchReport) -> str:
    """Return what the tool took, and how many times ours that is, with the verdict where there is a goal."""
    times = size_bytes / made.size_bytes
    goal = PEER_GOALS.get(peer) if name in DOCUMENTATION else None
    judged = f", {verdict(times >= goal)}" if goal else ""
    return f"{size_bytes:,} ({times:.2f}x{judged})"


def _apply(name: str, old: Path, made: PatchReport, data: Path) -> list[str]:
    Installer(old, data, TRUSTED, measure=lambda _: DiskSpace(10**13, 10**13)).run()
    command = [sys.executable, "-m", "tests.benchmarks.update_applying", str(data), str(made.path)]
    key = PUBLISHER.verify_key.raw.hex()
    done = subprocess.run([*command, str(MEMORY_BYTES), key], check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    speed, peak = told["bytes"] / told["seconds"] / 1e6, told["peak_kib"] * 1024 / 1e6
    goals = f"{verdict(speed >= SPEED_GOAL_MB)}, {verdict(peak <= MEMORY_GOAL_MB)}"
    contents = _made(data)
    plain = told["bytes"] / _write_plainly(contents, data / "plain") / 1e6
    sizes = [f"{len(contents):,}", f"{told['bytes']:,}"]
    return [name, *sizes, f"{speed:.0f}", f"{plain:.0f}", f"{peak:.1f} MB", goals]


def _made(data: Path) -> dict[str, bytes]:
    """Return the contents that only the new version has."""
    packs = installed(data)
    old, new = (
        {entry.hash for entry in one.manifest.files} for one in sorted(packs, key=lambda one: one.manifest.version)
    )
    return {one.hex(): blob_store(data).path_of(one).read_bytes() for one in new - old}


def _write_plainly(contents: dict[str, bytes], folder: Path) -> float:
    """Write the same files into as many folders and flush them once; return the seconds: what the disk allows."""
    for first in {name[:2] for name in contents}:
        (folder / first).mkdir(parents=True)
    begin = time.perf_counter()
    for name, content in contents.items():
        (folder / name[:2] / name).write_bytes(content)
    atomic.sync_file_system(folder)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
