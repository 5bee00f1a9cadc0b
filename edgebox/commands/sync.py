"""`edgebox sync`: exchange with the hub by line or stick."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgebox.commands.answer import answer, operate
from edgebox.commands.options import add_common_options
from edgebox.commands.wording import size_text, time_of

if TYPE_CHECKING:
    from edgebox.commands import Subparsers


def register(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser("sync", help="exchange with the hub", epilog="example: edgebox sync status")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    now = actions.add_parser(
        "now",
        help="send what waits",
        epilog="example: edgebox sync now --hub http://hub.example:8090 --code K7QF-2M5X-TB4R-XW3D-GH6P-ZL2S",
    )
    now.add_argument("--hub", metavar="URL", help="enrol with this hub first")
    now.add_argument("--code", metavar="CODE", help="one-time code from the hub's operator, with --hub")
    now.add_argument("--hub-ca", type=Path, metavar="FILE", help="certificate authorities (PEM), if no box is running")
    status = actions.add_parser("status", help="what waits, and the last try", epilog="example: edgebox sync status")
    export = actions.add_parser("export", help="put what waits on a stick", epilog="example: edgebox sync export DIR")
    taken = actions.add_parser("import", help="take receipts off a stick", epilog="example: edgebox sync import DIR")
    ticket = actions.add_parser(
        "ticket",
        help="look at the hubs' tickets on a stick, or connect with one",
        epilog="example: edgebox sync ticket /media/stick --accept K7QF-2M5X-TB4R-XW3D",
    )
    ticket.add_argument("--accept", metavar="FINGERPRINT", help="connect to the hub with this fingerprint")
    for action in (ticket, export, taken):
        action.add_argument("folder", type=Path, metavar="DIR", help="the stick")
    for action, run in ((now, _now), (status, _status), (ticket, _ticket), (export, _export), (taken, _import)):
        add_common_options(action)
        action.set_defaults(run=run)
    now.set_defaults(refuse=now.error)


def _now(options: argparse.Namespace) -> int:
    if bool(options.hub) != bool(options.code):
        options.refuse("--hub and --code go together")
    result = operate(options, "sync.now", {"hub": options.hub, "code": options.code})
    return answer(options, result, _status_lines(result))


def _status(options: argparse.Namespace) -> int:
    result = operate(options, "sync.status", {})
    return answer(options, result, [*_status_lines(result), *_line_lines(result["line"])])


def _ticket(options: argparse.Namespace) -> int:
    arguments = {"folder": str(options.folder.absolute()), "fingerprint": options.accept}
    result = operate(options, "sync.ticket", arguments)
    lines = [f"{one['fingerprint']}  {one['hub']}  {one['school']}" for one in result["tickets"]]
    if result["hub"]:
        lines = [f"connected to {result['hub']}"]
    return answer(options, result, lines or [f"There is no ticket in {options.folder}."])


def _export(options: argparse.Namespace) -> int:
    result = operate(options, "sync.export", {"folder": str(options.folder.absolute())})
    lines = [f"bundles for the hub: {result['bundles']}, in {result['folder']}"]
    return answer(options, result, lines if result["bundles"] else ["Nothing waits: the hub has everything."])


def _import(options: argparse.Namespace) -> int:
    result = operate(options, "sync.import", {"folder": str(options.folder.absolute())})
    lines = [f"receipts of the hub: {result['acks']}, from {result['folder']}"]
    return answer(options, result, lines if result["acks"] else [f"No receipts for this box in {result['folder']}."])


def _status_lines(status: dict[str, Any]) -> list[str]:
    error = status["last_error"]
    return [
        f"hub: {status['hub_url'] or 'none'}",
        f"key: {status['renewed_reason'] or 'first'}",
        f"waiting: {status['waiting_changes']} changes, {status['waiting_bundles']} bundles",
        f"last error: {error['code'] if error else 'none'}",
    ]


def _line_lines(line: dict[str, Any]) -> list[str]:
    """Return what the meter says, as a person reads it."""
    spent = [_spent_line(line, period) for period in ("today", "month")]
    lanes = [f"  {lane['name']}: {size_text(lane['spent_today_bytes'])} today" for lane in line["lanes"]]
    return [*spent, *lanes, *[f"next: {_step_text(line, step)}" for step in line["next"]]]


def _spent_line(line: dict[str, Any], period: str) -> str:
    left = line[f"left_{period}_bytes"]
    text = f"line, {period}: {size_text(line[f'spent_{period}_bytes'])}"
    text += f", {size_text(left)} left" if line["is_metered"] and left is not None else ""
    return text + _cost(line, line[f"cost_{period}_micros"])


def _step_text(line: dict[str, Any], step: dict[str, Any]) -> str:
    name = line["lanes"][step["lane"]]["name"]
    when = "when the time is known" if step["at_ms"] is None else time_of(step["at_ms"])
    return f"{name}, {size_text(step['size_bytes'])}, {when}{_cost(line, step['cost_micros'])}"


def _cost(line: dict[str, Any], micros: int) -> str:
    return f", {micros / 1_000_000:.2f} {line['currency']}".rstrip() if line["price_micros"] else ""
