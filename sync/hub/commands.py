"""`edgebox hub ...`: run the hub, enrol boxes, look at them, take what a courier brings."""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp

from content_packs.base.address import open_address
from content_packs.base.clock import SystemClock
from content_packs.base.errors import EdgeboxError, all_error_classes
from content_packs.base.memory import give_back_large_blocks
from sync.hub.app import make_tls, open_hub, running_hub
from sync.hub.control import SOCKET_NAME, short_address
from sync.hub.errors import HubBusy, HubFault, LetterMalformed
from sync.hub.letter import LETTER_MAX_BYTES
from sync.hub.operations import OPERATIONS
from sync.hub.pages import collect
from sync.hub.settings import DEFAULT_HOSTNAMES, HubSettings, default_data
from sync.hub.store.worker import open_reader

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_DEFAULT_SCHOOL = "School"
_LARGE_BYTES = 1 << 20


def register(subparsers: "Subparsers") -> None:
    """Add `hub` and its commands to the parser."""
    parser = subparsers.add_parser("hub", help="run the central platform and enrol boxes")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    example = "edgebox hub serve --host 0.0.0.0 --hostname hub.example.org"
    serve = _add(commands, "serve", run_serve, "run the hub", example)
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    serve.add_argument("--port", type=int, default=8090, help="port [8090]")
    serve.add_argument("--depot", type=Path, metavar="DIR", help="packs and patches for boxes [depot in the folder]")
    serve.add_argument("--hostname", action="append", default=[], help="a further name by which boxes and people ask")
    serve.add_argument("--certificate", type=Path, metavar="FILE", help="serve HTTPS with this certificate chain (PEM)")
    serve.add_argument("--certificate-key", type=Path, metavar="FILE", help="its secret key, if not in the same file")
    serve.set_defaults(refuse=serve.error)
    example = "edgebox hub enroll --school 'Hill School'"
    enroll = _add(commands, "enroll", run_enroll, "make a one-time code, or a ticket on a stick, for a box", example)
    enroll.add_argument("--school", default=_DEFAULT_SCHOOL, help="whose box it is")
    enroll.add_argument("--replaces", type=int, metavar="BOX", help="number of the box whose place it takes")
    enroll.add_argument("--stick", type=Path, metavar="DIR", help="put a ticket there instead of printing a code")
    enroll.add_argument("--address", metavar="URL", help="with --stick: where boxes reach this hub")
    enroll.set_defaults(refuse=enroll.error)
    _add(commands, "admin", run_admin, "make a one-time sign-in code for the operator", "edgebox hub admin")
    example = "edgebox hub revoke 7"
    revoke = _add(commands, "revoke", run_revoke, "take nothing from a lost or stolen box any more", example)
    revoke.add_argument("box", type=int, metavar="BOX", help="its number: edgebox hub boxes")
    revoke.add_argument("--undo", action="store_true", help="it was found: take from it again")
    _add(commands, "boxes", run_boxes, "list the boxes", "edgebox hub boxes --json")
    _add(commands, "report", run_report, "show progress per school, class and pack", "edgebox hub report")
    example = "edgebox hub message --school 'Hill School' 'Exams begin on Monday.'"
    message = _add(commands, "message", run_message, "say something to the staff of a school", example)
    message.add_argument("--school", default=_DEFAULT_SCHOOL, help="whose staff")
    message.add_argument("--days", type=int, default=7, help="how long it is shown [7]")
    message.add_argument("text", help="what to say")
    stick = _add(commands, "import", run_import, "take the bundles on a stick", "edgebox hub import /media/stick")
    stick.add_argument("folder", type=Path, help="where the stick is mounted")
    example = "edgebox hub send --school 'Hill School' roster.jsonl"
    send = _add(commands, "send", run_send, "send messages, roster, assignments and more to a school", example)
    to_whom = send.add_mutually_exclusive_group(required=True)
    to_whom.add_argument("--school", default=None, metavar="TITLE", help="to the boxes of this school")
    to_whom.add_argument("--all", action="store_true", help="to the boxes of every school")
    send.add_argument("file", type=Path, metavar="FILE", help="JSON lines; see the operator's guide")


def run_serve(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    # aiohttp writes a stack trace for every line that broke; our own faults are logged by the guard.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    # The steps of the database would bury the sign-in code.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    names = (*DEFAULT_HOSTNAMES, options.host, *(name.lower() for name in options.hostname))
    settings = HubSettings(
        _data(options),
        host=options.host,
        port=options.port,
        hostnames=names,
        depot=options.depot,
        certificate=options.certificate,
        certificate_key=options.certificate_key,
    )
    try:
        make_tls(settings)
    except OSError as error:
        options.refuse(f"--certificate: {error.strerror or error}")
    asyncio.run(serve(settings))
    return 0


async def serve(settings: HubSettings) -> None:
    """Run a hub until it is asked to stop."""
    give_back_large_blocks(_LARGE_BYTES)
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with running_hub(settings) as listening:
        address = open_address(settings.host, listening.port, settings.scheme)
        print(f"The hub is ready at {address}", flush=True)
        if listening.first_admin_code:
            print(f"Sign in once with {address}?code={listening.first_admin_code}", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await stopping.wait()


def run_enroll(options: argparse.Namespace) -> int:
    """Print a new enrolment code, or put a ticket on a stick."""
    if bool(options.stick) != bool(options.address):
        options.refuse("--stick and --address go together")
    arguments = {"school": options.school, "replaces": options.replaces}
    box = f"one box of {options.school}" if options.replaces is None else f"the box in place of {options.replaces}"
    if options.stick is None:
        made = _ask(options, "enroll", arguments)
        _print(options, made, [made["code"], f"Good for {box}, for seven days."])
        return 0
    made = _ask(options, "ticket", arguments | {"folder": str(options.stick.absolute()), "address": options.address})
    _print(options, made, [made["file"], f"Good for {box}, for seven days.", f"The box shows {made['fingerprint']}."])
    return 0


def run_revoke(options: argparse.Namespace) -> int:
    """Revoke a box, or take it back."""
    result = _ask(options, "revoke", {"box": options.box, "is_undone": options.undo})
    said = "is taken from again" if options.undo else "is revoked: what it sends is kept aside and does not count"
    _print(options, result, [f"Box {options.box} {said}."])
    return 0


def run_admin(options: argparse.Namespace) -> int:
    """Print a new one-time code for the operator; older ones are void."""
    made = _ask(options, "admin", {})
    _print(options, made, [made["code"]])
    return 0


def run_message(options: argparse.Namespace) -> int:
    """Say something to the staff of a school; their boxes bring it when they next take something from the hub."""
    asked = {"school": options.school, "text": options.text, "days": options.days}
    result = _ask(options, "message", asked)
    _print(options, result, [f"The boxes of {options.school} show it for {options.days} days."])
    return 0


def run_import(options: argparse.Namespace) -> int:
    """Take the bundles on a stick and leave the acks on it."""
    result = _ask(options, "import", {"folder": str(options.folder.absolute())})
    lines = [f"{result['taken']} bundles taken; carry the stick back, it brings the receipts."]
    if result["met"]:
        lines.append(f"{result['met']} boxes made known.")
    if not result["taken"] and not result["met"]:
        lines = ["No bundle was taken: is this the stick that a box wrote to?"]
    if result["put"]:
        lines.append(f"{result['put']} bundles for boxes are on the stick.")
    _print(options, result, lines + [f"refused {name}: {code}" for name, code in result["refused"].items()])
    return 0


def run_send(options: argparse.Namespace) -> int:
    """Send what is in a file down to the boxes of a school."""
    sent = _ask(options, "send", {"school": options.school, "text": _read_letter(options.file)})
    _print(options, sent, [f"{sent['lines']} lines are on their way: each box takes them when it is next in touch."])
    return 0


def run_boxes(options: argparse.Namespace) -> int:
    """List the boxes."""
    boxes = _collect(options)["boxes"]
    lines = [
        f"{box['no']:>4}  {box['key_id'][:12]}  {box['school']:<24} {box['bundles']:>6} bundles "
        f"{box['statements']:>8} statements  {_state(box)}".rstrip()
        for box in boxes
    ]
    _print(options, {"boxes": boxes}, lines or ["No box is enrolled yet: edgebox hub enroll"])
    return 0


def run_report(options: argparse.Namespace) -> int:
    """Show totals, and progress per school, class and pack."""
    found = _collect(options)
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in found["totals"].items()]
    lines += [
        f"{row['school']}  {row['class_code']}  {row['pack']}: {row['learners']} learners, "
        f"{row['completions']} completions, {row['statements']} statements"
        f"{', ~ some dates put right' if row['is_repaired'] else ''}"
        for row in found["progress"]
    ]
    _print(options, found, lines)
    return 0


def _state(box: dict[str, Any]) -> str:
    """Return what an operator should know of a box, in a few words."""
    if box["revoked_ms"]:
        return f"REVOKED, {box['refused']} bundles kept aside"
    if box["successors"]:
        return f"COPIED OR RESTORED, goes on as {', '.join(map(str, box['successors']))}"
    if box["replaced_by"]:
        return f"replaced by {box['replaced_by']}"
    return "COPIED, waits for its new key" if box["forked_ms"] else ""


def _add(commands: "Subparsers", name: str, run: Any, text: str, example: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, epilog=f"example: {example}")
    parser.add_argument("--data", type=Path, default=None, metavar="DIR", help="the hub's folder [$EDGEBOX_DATA/hub]")
    parser.add_argument("--json", action="store_true", help="machine-readable output")
    parser.set_defaults(run=run)
    return parser


def _data(options: argparse.Namespace) -> Path:
    return options.data or default_data()


def _print(options: argparse.Namespace, result: dict[str, Any], lines: list[str]) -> None:
    print(json.dumps(result, default=str) if options.json else "\n".join(lines))


def _read_letter(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LETTER_MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LetterMalformed(where=path.name, reason=getattr(error, "strerror", None) or "not UTF-8") from error
    if len(content) > LETTER_MAX_BYTES:
        raise LetterMalformed(where=path.name, reason=f"over {LETTER_MAX_BYTES >> 20} MiB")
    return text


def _collect(options: argparse.Namespace) -> dict[str, Any]:
    with open_reader(_data(options) / "hub.db") as connection:
        return collect(connection, SystemClock().now_ms())


def _ask(options: argparse.Namespace, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Let the hub that runs do it, or do it in one opened for the purpose when none is running."""
    return asyncio.run(_ask_running_or_own(HubSettings(_data(options)), name, arguments))


async def _ask_running_or_own(settings: HubSettings, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        async with open_hub(settings) as hub:
            return await OPERATIONS[name](hub, arguments)
    except HubBusy:
        return await _ask_running(settings, name, arguments)


async def _ask_running(settings: HubSettings, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    with short_address(settings.data) as address:
        connector = aiohttp.UnixConnector(address)
        try:
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.post(f"http://hub/control/{name}", json=arguments) as response,
            ):
                answer: dict[str, Any] = await response.json()
        except aiohttp.ClientConnectionError as error:
            raise HubBusy(folder=str(settings.data), socket=SOCKET_NAME) from error
    if response.status != 200:
        raise _remote_error(answer)
    return answer


def _remote_error(record: dict[str, Any]) -> EdgeboxError:
    for error_class in all_error_classes():
        if error_class.code == record.get("code"):
            return error_class(**record.get("fields", {}))
    return HubFault()
