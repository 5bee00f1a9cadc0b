"""`edgebox check`: read everything the box keeps, repair what can be repaired, and say what is wrong."""

import argparse
from typing import TYPE_CHECKING

from content_packs.base.starting import StoreDamaged
from edgebox.commands.answer import answer, operate
from edgebox.commands.options import add_common_options

if TYPE_CHECKING:
    from edgebox.commands import Subparsers


def register(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "check", help="verify packs and the learner database", epilog="example: edgebox check --json"
    )
    add_common_options(parser)
    parser.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    from edgebox.services.checking import DamageFound, RecordsLost

    result = operate(options, "check", {})
    lines = [f"{lost['pack']} version {lost['version']}: {lost['file']}" for lost in result["lost_files"]]
    lines += [f"{name}: unreadable" for name in result["unreadable_packs"]]
    lines.append(
        f"{result['checked_files']} files, {result['checked_bytes']} bytes read; {result['repaired_files']} repaired"
    )
    lines.append(
        f"{result['checked_statements']} statements read; {result['damaged_statements']} were damaged,"
        f" {result['missing_statements']} are missing"
    )
    answer(options, result, lines)
    if result["database_fault"]:
        raise StoreDamaged(file="box.db", reason=result["database_fault"])
    if lost := result["missing_statements"] + result["damaged_names"]:
        raise RecordsLost(count=lost)
    if not result["is_good"]:
        raise DamageFound(count=len(result["lost_files"]) + len(result["unreadable_packs"]))
    return 0
