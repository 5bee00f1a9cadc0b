"""`edgebox usb`: what is on a stick, and loading it."""

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
    parser = subparsers.add_parser("usb", help="scan and load sticks", epilog="example: edgebox usb scan /media/usb0")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    scan = actions.add_parser("scan", help="list what a stick offers", epilog="example: edgebox usb scan /media/usb0")
    install = actions.add_parser(
        "install", help="load what is new on a stick", epilog="example: edgebox usb install /media/usb0"
    )
    for action, run in ((scan, _scan), (install, _install)):
        action.add_argument("path", type=Path, metavar="PATH", help="where the stick is")
        add_common_options(action)
        action.set_defaults(run=run)
    install.add_argument("pack", nargs="?", metavar="PACK", help="only this pack")


def _scan(options: argparse.Namespace) -> int:
    arguments = {"path": str(options.path.absolute())}
    result = operate(options, "usb.scan", arguments)
    lines = [line for offer in result["offers"] for line in _lines(offer)] or ["No packs here."]
    return answer(options, result, [*lines, f"Free for packs on this box: {size_text(result['free_bytes'])}"])


def _install(options: argparse.Namespace) -> int:
    arguments = {"path": str(options.path.absolute()), "pack": options.pack}
    result = operate(options, "usb.install", arguments)
    lines = [f"Installed {pack['pack']} version {pack['version']}" for pack in result["installed"]]
    lines += [
        f"Not loaded: {pack['pack']} version {pack['offered']}; version {pack['installed']} is or was on the box."
        for pack in result["older"]
    ]
    return answer(options, result, lines or ["Nothing new on this stick."])


def _lines(offer: dict[str, Any]) -> list[str]:
    """Return the title of an offer, what it is, and what is wrong with it if something is."""
    if offer["pack"] is None:
        return [offer["folder"], *_error_lines(offer)]
    titles = offer["title"]
    signer = f"signed by {offer['publisher']}" if offer["publisher"] else "unknown signer"
    facts = (f"{offer['pack']} version {offer['version']}", size_text(offer["size_bytes"]), signer, _change(offer))
    return [titles.get("en") or next(iter(titles.values())), "  " + " · ".join(facts), *_error_lines(offer)]


def _change(offer: dict[str, Any]) -> str:
    if offer["change"] not in ("new", "update"):
        return _CHANGES[offer["change"]]
    size = f"takes {size_text(offer['needed_bytes'])}" + ("" if offer["fits"] else ", too much for this box")
    return f"{_CHANGES[offer['change']].format(**offer)}, {size}"


def _error_lines(offer: dict[str, Any]) -> list[str]:
    if offer["error"] is None:
        return []
    # Imported here: it knows the errors of all parts, and `--help` needs none of them.
    from edgebox.domain.recorded_error import error_of

    error = error_of(offer["error"])
    return ["  " + " ".join((f"{error.code}:", *words_of(error)))]
