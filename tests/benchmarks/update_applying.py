"""Applies one patch in a process of its own and prints seconds, bytes made and the most memory that was in use.

Run as `python -m tests.benchmarks.update_applying DATA PATCH MEMORY KEY`: nothing but applying is imported.
"""

import json
import sys
import time
from pathlib import Path

from content_packs.base.signing import VerifyKey
from content_packs.installer import DiskSpace
from content_packs.patch.applying import PatchLimits, apply_patch


def main() -> None:
    """Apply and print."""
    data, patch, memory_bytes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    key = VerifyKey(bytes.fromhex(sys.argv[4]))
    limits = PatchLimits(memory_bytes, lambda _: DiskSpace(10**13, 10**13))
    begin = time.perf_counter()
    result = apply_patch(data, patch, {key.key_id: key}, limits=limits)
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "bytes": result.bytes_copied, "peak_kib": _peak_kib()}))


def _peak_kib() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
