"""What commands that ask a box have in common: do the operation, print what it gave."""

import argparse
import logging
from typing import Any

from edgebox.commands.options import settings_from


def operate(options: argparse.Namespace, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Let the box that runs on the folder do the operation, or one opened for it."""
    # Imported here: the whole box takes long to import, and `--help` needs none of it.
    from edgebox.commands.operation import run_operation

    # What the box would log is in the error, which is one line.
    logging.getLogger().addHandler(logging.NullHandler())
    return run_operation(settings_from(options), name, arguments)


def answer(options: argparse.Namespace, result: dict[str, Any], lines: list[str]) -> int:
    """Print the result for people or, with `--json`, for programs; return the exit code of success."""
    from edgebox.commands.operation import print_result

    print_result(result, lines, as_json=options.json)
    return 0
