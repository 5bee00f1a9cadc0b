"""`edgebox usb`: what is on a stick, loading it, and filling one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebox.commands.answer import answer, operate
from edgebox.commands.options import add_common_options
from edgebox.commands.wording import size_text, words_of

if TYPE_CHECKING:
    from edgebox.commands import Subparsers

_CHANGES = {
    "new": "new",
    "update": "update from version {installed_version}",
    "here": "already on the box",
    "older": "older than one the box has or had",
    "unusable": "cannot be loaded",
}


def register(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "usb", help="scan, load and fill sticks", epilog="example: edgebox usb scan /media/usb0"
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    scan = actions.add_parser("scan", help="list what a stick offers", epilog="example: edgebox usb scan /media/usb0")
    install = actions.add_parser(
        "install", help="load what is new on a stick", epilog="example: edgebox usb install /media/usb0"
    )
    for action, run in ((scan, _scan), (install, _install)):
        action.add_argument("path", type=Path, metavar="PATH", help="where the stick is")
        add_common_options(action)
        action.set_defaults(run=run)
    _register_export(actions)
    install.add_argument("pack", nargs="?", metavar="PACK", help="only this pack")
    install.add_argument(
        "--parts", metavar="IDS", help="of PACK only these parts, with commas between, besides those the box has [all]"
    )
    install.set_defaults(refuse=install.error)


def _register_export(actions: "Subparsers[argparse.ArgumentParser]") -> None:
    export = actions.add_parser(
        "export",
        help="put packs of this box on a stick",
        epilog="example: edgebox usb export /media/usb0 --language fr --fit",
    )
    export.add_argument("path", type=Path, metavar="PATH", help="where the stick is")
    export.add_argument("packs", nargs="*", metavar="PACK", help="only these packs")
    export.add_argument("--language", action="append", default=[], metavar="TAG", help="only packs in this language")
    export.add_argument("--level", action="append", default=[], metavar="LEVEL", help="only packs of this level")
    export.add_argument("--fit", action="store_true", help="as many packs as fit on the stick, the smallest first")
    export.add_argument("--max-mb", type=int, metavar="MB", help="at most so many megabytes, as with --fit")
    add_common_options(export)
    export.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> int:
    arguments = {
        "path": str(options.path.absolute()),
        "packs": options.packs,
        "languages": options.language,
        "levels": options.level,
        "fit": options.fit,
        "max_bytes": None if options.max_mb is None else options.max_mb * 1_000_000,
    }
    result = operate(options, "usb.export", arguments)
    lines = [f"On the stick: {pack['pack']} version {pack['version']}" for pack in result["exported"]]
    lines += [f"Left out, no room: {pack}" for pack in result["left_out"]]
    lines += [" ".join((f"Not on the stick: {pack['pack']}.", *_words(pack["error"]))) for pack in result["failed"]]
    answer(options, result, lines)
    return _exit_code(result["failed"])


def _scan(options: argparse.Namespace) -> int:
    arguments = {"path": str(options.path.absolute())}
    result = operate(options, "usb.scan", arguments)
    lines = [line for offer in result["offers"] for line in _lines(offer)] or ["No packs here."]
    return answer(options, result, [*lines, f"Free for packs on this box: {size_text(result['free_bytes'])}"])


def _install(options: argparse.Namespace) -> int:
    if options.parts is not None and options.pack is None:
        options.refuse("--parts needs PACK")
    parts = None if options.parts is None else [part for part in options.parts.split(",") if part]
    arguments = {"path": str(options.path.absolute()), "pack": options.pack, "parts": parts}
    result = operate(options, "usb.install", arguments)
    lines = [f"Installed {pack['pack']} version {pack['version']}" for pack in result["installed"]]
    lines += [
        f"Not loaded: {pack['pack']} version {pack['offered']}; version {pack['installed']} is or was on the box."
        for pack in result["older"]
    ]
    lines += [" ".join((f"Not loaded: {pack['pack']}.", *_words(pack["error"]))) for pack in result["failed"]]
    answer(options, result, lines or ["Nothing new on this stick."])
    return _exit_code(result["failed"])


def _lines(offer: dict[str, Any]) -> list[str]:
    """Return the title of an offer, what it is, and what is wrong with it if something is."""
    if offer["pack"] is None:
        return [offer["folder"], *_error_lines(offer)]
    titles = offer["title"]
    signer = f"signed by {offer['publisher']}" if offer["publisher"] else "unknown signer"
    facts = (f"{offer['pack']} version {offer['version']}", size_text(offer["size_bytes"]), signer, _change(offer))
    return [
        titles.get("en") or next(iter(titles.values()), offer["pack"]),
        "  " + " · ".join(facts),
        *_error_lines(offer),
    ]


def _change(offer: dict[str, Any]) -> str:
    if offer["change"] not in ("new", "update"):
        return _CHANGES[offer["change"]]
    size = f"takes {size_text(offer['needed_bytes'])}" + ("" if offer["fits"] else ", too much for this box")
    return f"{_CHANGES[offer['change']].format(**offer)}, {size}"


def _error_lines(offer: dict[str, Any]) -> list[str]:
    return [] if offer["error"] is None else ["  " + " ".join(_words(offer["error"]))]


def _exit_code(failed: list[dict[str, Any]]) -> int:
    """Return that of the first error: 0 only when nothing failed."""
    from edgebox.domain.recorded_error import error_of

    return error_of(failed[0]["error"]).exit_code if failed else 0


def _words(record: dict[str, Any]) -> tuple[str, ...]:
    # Imported here: it knows the errors of all parts, and `--help` needs none of them.
    from edgebox.domain.recorded_error import error_of

    error = error_of(record)
    return (f"{error.code}:", *words_of(error))
