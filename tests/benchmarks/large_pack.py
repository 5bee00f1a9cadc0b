"""A very large pack: memory and speed of installing and verifying it, beside what the disk and the hash can do.

The size is 2 GB unless LARGE_PACK_GB says otherwise; twice as much must be free.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from content_packs.base.hashing import Hasher
from content_packs.base.signing import SigningKey
from content_packs.format import envelope, layout
from content_packs.format.manifest import FileEntry, Lesson, Manifest, Resource
from tests.benchmarks.table import show, verdict

SIZE_BYTES = int(float(os.environ.get("LARGE_PACK_GB", "2")) * 1e9)
FILE_BYTES = 256 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
MEMORY_GOAL_MB = 60.0
COPY_GOAL = 0.7
VERIFY_GOAL = 0.7
KEY = SigningKey(b"a publisher of films".ljust(32, b"."))
_CHILD = """
import sys
from pathlib import Path
from content_packs.installer import DiskSpace, Installer, verify
from tests.benchmarks.large_pack import KEY
trusted = {KEY.verify_key.key_id: KEY.verify_key}
if sys.argv[1] == "install":
    Installer(Path(sys.argv[2]), Path(sys.argv[3]), trusted, measure=lambda _: DiskSpace(10**14, 10**14)).run()
else:
    assert verify(Path(sys.argv[2]), trusted).is_good
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        pack, data, copied = Path(folder) / "pack", Path(folder) / "data", Path(folder) / "copy"
        _make(pack)
        read_seconds = _cold(pack, lambda: _run("sh", "-c", f"cat {pack}/blobs/*/* > /dev/null"))
        verify_seconds, verify_mb = _cold(pack, lambda: _child("verify", pack))
        copy_seconds = _cold(pack, lambda: _run("sh", "-c", f"cp -r {pack} {copied} && sync -f {copied}"))
        _run("rm", "-r", str(copied))
        install_seconds, install_mb = _cold(pack, lambda: _child("install", pack, data))
    hash_rate = _hash_rate()
    fastest = min(_rate(read_seconds[0]), hash_rate)
    rows = [
        ["cat > /dev/null", f"{_rate(read_seconds[0]):.0f}", "", ""],
        ["BLAKE2b-256 of memory, one thread", f"{hash_rate:.0f}", "", ""],
        _row("pack verify", _rate(verify_seconds), verify_mb, fastest, VERIFY_GOAL),
        ["cp -r, sync", f"{_rate(copy_seconds[0]):.0f}", "", ""],
        _row("pack install", _rate(install_seconds), install_mb, _rate(copy_seconds[0]), COPY_GOAL),
    ]
    show(f"A pack of {SIZE_BYTES / 1e9:g} GB, read from a cold cache", ["what", "MB/s", "peak RSS MB", "goal"], rows)


def _make(pack: Path) -> None:
    noise = os.urandom(CHUNK_BYTES)
    entries = []
    for number in range(max(1, SIZE_BYTES // FILE_BYTES)):
        beside = pack / "beside"
        pack.mkdir(parents=True, exist_ok=True)
        hasher = Hasher()
        with beside.open("wb") as file:
            for chunk in range(FILE_BYTES // CHUNK_BYTES):
                content = f"{number:08}{chunk:08}".encode() + noise[16:]
                hasher.update(content)
                file.write(content)
            os.fsync(file.fileno())
        entry = FileEntry(f"film-{number:04}.mp4", FILE_BYTES, hasher.digest(), "video/mp4")
        (pack / layout.blob_name(entry.hash)).parent.mkdir(parents=True, exist_ok=True)
        beside.rename(pack / layout.blob_name(entry.hash))
        entries.append(entry)
    resources = tuple(
        Resource(f"film-{number:04}", "video", {"en": f"Film {number}"}, {}, {"en": entry.path})
        for number, entry in enumerate(entries)
    )
    manifest = Manifest(
        pack="org.example.films",
        version=1,
        title={"en": "Films"},
        description={},
        languages=("en",),
        license="https://creativecommons.org/licenses/by/4.0/",
        files=tuple(entries),
        lessons=(Lesson("films", {"en": "Films"}, {}, tuple(resource.id for resource in resources)),),
        resources=resources,
    )
    (pack / layout.MANIFEST_NAME).write_bytes(envelope.seal_envelope(manifest, [KEY]))


def _cold(pack: Path, work: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """Do `work` with nothing of the pack in memory."""
    for path in pack.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return work()


def _run(*command: str) -> tuple[float, float]:
    """Run a program, and return how long it took."""
    begin = time.perf_counter()
    subprocess.run(command, check=True)
    return time.perf_counter() - begin, 0.0


def _child(*arguments: object) -> tuple[float, float]:
    """Install or verify in a process of its own, and return seconds and the most memory it had."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", _CHILD, *map(str, arguments)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return time.perf_counter() - begin, int(output) / 1024


def _hash_rate() -> float:
    hasher, chunk = Hasher(), bytes(CHUNK_BYTES)
    begin = time.perf_counter()
    for _ in range(500):
        hasher.update(chunk)
    return 500 * CHUNK_BYTES / 1e6 / (time.perf_counter() - begin)


def _rate(seconds: float) -> float:
    return SIZE_BYTES / 1e6 / seconds


def _row(what: str, rate: float, memory_mb: float, peer_rate: float, share_goal: float) -> list[str]:
    share = rate / peer_rate
    is_met = share >= share_goal and memory_mb <= MEMORY_GOAL_MB
    goal = f"{share:.2f} of the row above >= {share_goal:g}, <= {MEMORY_GOAL_MB:g} MB ({verdict(is_met)})"
    return [what, f"{rate:.0f}", f"{memory_mb:.0f}", goal]


if __name__ == "__main__":
    main()
