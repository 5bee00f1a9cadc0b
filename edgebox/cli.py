"""The command line `edgebox`: finds the commands, runs one, and turns errors into one line and an exit code."""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

from content_packs.base.errors import EdgeboxError
from edgebox import __version__
from edgebox.commands import REGISTER
from edgebox.commands.wording import words_of

ENTRY_POINTS = "edgebox.commands"
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 only on success."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = make_parser(given[0] if given else None).parse_args(given)
    try:
        code: int = options.run(options)
    except EdgeboxError as error:
        print(_one_line(error, as_json=getattr(options, "json", False)), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return 0
    return code


def make_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser with every command; those of other packages are left out when `command` is one of ours.

    They bring their whole package with them, which takes longer than most of our commands.
    """
    parser = argparse.ArgumentParser(prog="edgebox", description="Offline-first classroom server.")
    parser.add_argument("--version", action="version", version=f"edgebox {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for register in REGISTER:
        register(subparsers)
    if command in (subparsers.choices or ()):
        return parser
    for entry_point in sorted(entry_points(group=ENTRY_POINTS), key=lambda found: found.name):
        entry_point.load()(subparsers)
    return parser


def _one_line(error: EdgeboxError, *, as_json: bool) -> str:
    sentence, remedy = words_of(error)
    if as_json:
        return json.dumps(error.as_record() | {"title": sentence, "remedy": remedy}, default=str)
    return f"edgebox: {error.code}: {sentence} {remedy}"


if __name__ == "__main__":
    sys.exit(main())
