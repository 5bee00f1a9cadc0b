"""`edgebox pack diff`: what turns one version of a pack into the next, as one small signed file."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgebox.commands.answer import answer
from edgebox.commands.options import add_common_options
from edgebox.commands.wording import size_text

if TYPE_CHECKING:
    from edgebox.commands import Subparsers

_MEBIBYTE = 1024**2


def register(actions: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the action to the parser."""
    diff = actions.add_parser(
        "diff",
        help="make the patch from one version to the next",
        epilog="example: edgebox pack diff packs/org.example.fractions/1 packs/org.example.fractions/2 -o /media/usb0",
    )
    diff.add_argument("old", type=Path, metavar="OLD", nargs="?", help="pack folder; without it, from no version")
    diff.add_argument("new", type=Path, metavar="NEW", help="pack folder of the later version")
    diff.add_argument("-o", "--out", type=Path, required=True, metavar="OUT", help="file .ebp, folder or stick")
    diff.add_argument("--key", type=Path, metavar="FILE", help="secret key [keys/publisher.key]")
    diff.add_argument("--publisher", metavar="NAME", help="name people see, for a key that is made now")
    diff.add_argument(
        "--memory",
        type=int,
        metavar="MIB",
        help="memory a box may use for it, beside the program [20, for a small box]",
    )
    add_common_options(diff)
    diff.set_defaults(run=_diff)


def _diff(options: argparse.Namespace) -> int:
    from content_packs.patch import MEMORY_BYTES
    from content_packs.patch.making import make_patch
    from edgebox.commands.publisher_key import publisher_key

    _, key = publisher_key(options)
    memory_bytes = options.memory * _MEBIBYTE if options.memory else MEMORY_BYTES
    made = make_patch(options.old, options.new, options.out, key, memory_bytes=memory_bytes)
    head = made.head
    result = {
        "path": str(made.path),
        "pack": head.pack,
        "from_version": head.from_version or None,
        "to_version": head.to_version,
        "size_bytes": made.size_bytes,
        "memory_bytes": head.memory_bytes,
    }
    start = f"version {head.from_version}" if head.from_version else "nothing"
    lines = [
        f"{head.pack} from {start} to version {head.to_version}: {made.size_bytes} bytes",
        f"Patch: {made.path}, takes {size_text(head.memory_bytes)} of memory to apply",
    ]
    return answer(options, result, lines)
