"""Installing a pack from a stick beside a plain copy of the same files on the same disk, both flushed to the end."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from content_packs.base.hashing import blake2b_256
from content_packs.base.signing import SigningKey
from content_packs.format import layout
from content_packs.format.envelope import seal_envelope
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Resource
from content_packs.installer import DiskSpace, Installer
from content_packs.usb.writing import PackWriter
from tests.benchmarks.table import show, verdict

GOAL = 0.7
ROUNDS = 3
SETS = {"4 files of 96 MB": (4, 96_000_000), "10,000 files of 8 kB": (10_000, 8_000)}
KEY = SigningKey(b"publisher of the benchmark".ljust(32, b"."))
TRUSTED = {KEY.verify_key.key_id: KEY.verify_key}
PLENTY = DiskSpace(10**13, 10**13)


def main() -> None:
    """Print the table."""
    rows: list[list[str]] = []
    for name, (count, size_bytes) in SETS.items():
        with tempfile.TemporaryDirectory(dir=os.environ.get("EDGEBOX_BENCH_DISK")) as folder:
            rows += _rows(
                name, Path(folder), _write_pack(Path(folder) / "stick", count, size_bytes), count * size_bytes
            )
    header = ["files", "how", "s", "MB/s", "of the plain copy", "goal"]
    show(f"Installing from a stick, median of {ROUNDS}, stick and box on one disk, nothing cached", header, rows)


def _rows(name: str, folder: Path, pack: Path, total_bytes: int) -> list[list[str]]:
    ways: dict[str, Callable[[Path], object]] = {
        "cp, then one sync": lambda to: _copy(pack, to),
        "cp, then fsync of each file": lambda to: _copy_flushing_each(pack, to),
        "edgebox install": lambda to: _install(pack, to),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(ROUNDS):
        for way, work in ways.items():
            # Nothing is removed in between: for minutes ext4 looks past the inodes of what was, at each new file.
            seconds[way].append(_timed(work, pack, folder / f"{way}-{number}"))
    ours = seconds["edgebox install"]
    return [
        [name, way, f"{median(took):.2f}", f"{total_bytes / median(took) / 1e6:.0f}", *_cells(way, took, ours)]
        for way, took in seconds.items()
    ]


def _cells(way: str, took: list[float], ours: list[float]) -> list[str]:
    """Compare within each round, since the machine's speed drifts between rounds."""
    if took is ours:
        return ["", ""]
    ratio = median(theirs / mine for theirs, mine in zip(took, ours, strict=True))
    return [f"install reaches {ratio:.2f}", f"{GOAL} ({verdict(ratio >= GOAL)})"]


def _timed(work: Callable[[Path], object], pack: Path, to: Path) -> float:
    _forget(pack)
    os.sync()
    began = time.perf_counter()
    work(to)
    return time.perf_counter() - began


def _forget(folder: Path) -> None:
    """Let the kernel drop what it holds of the files, as for a stick that was just put in."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def _copy(pack: Path, to: Path) -> None:
    subprocess.run(["cp", "-r", pack, to], check=True)
    subprocess.run(["sync", "-f", to], check=True)


def _copy_flushing_each(pack: Path, to: Path) -> None:
    subprocess.run(["cp", "-r", pack, to], check=True)
    for path in to.rglob("*"):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def _install(pack: Path, to: Path) -> None:
    Installer(pack, to, TRUSTED, measure=lambda _: PLENTY).run()


def _write_pack(stick: Path, count: int, size_bytes: int) -> Path:
    """Write a pack of so many random files and return its folder."""
    seed = os.urandom(size_bytes)
    contents = ((number, number.to_bytes(8, "big") + seed[8:]) for number in range(count))
    folder = stick / layout.pack_folder("org.edgebox.bench", 1)
    writer = PackWriter(folder)
    entries = []
    for number, content in contents:
        entry = FileEntry(f"f{number:06d}.bin", size_bytes, blake2b_256(content), "application/octet-stream")
        writer.write_blob(entry, iter([content]))
        entries.append(entry)
    manifest = _manifest(tuple(entries))
    writer.finish(manifest, seal_envelope(manifest, [KEY]))
    return folder


def _manifest(files: tuple[FileEntry, ...]) -> Manifest:
    return Manifest(
        pack="org.edgebox.bench",
        version=1,
        title={"en": "Bench"},
        description={},
        languages=("en",),
        license="CC0-1.0",
        files=files,
        lessons=(Lesson("one", {"en": "One"}, {}, ("first",)),),
        resources=(Resource("first", "image", {"en": "First"}, {}, {"und": files[0].path}),),
    )


if __name__ == "__main__":
    main()
