"""`edgebox serve`: run the box until it is told to stop."""

import argparse
import asyncio
import logging
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from content_packs.base.starting import StoreDamaged
from edgebox.commands.options import add_common_options, settings_from
from edgebox.settings import Settings, default_hostnames

if TYPE_CHECKING:
    from content_packs.base.budget import Window
    from edgebox.app import Running
    from edgebox.commands import Subparsers

REPAIRS_MAX = 3
MEGABYTES_MAX = 1_000_000_000
KILOBITS_MAX = 1_000_000_000
ALL_DAY = "00:00-24:00"


def register(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "serve", help="run the box", epilog="example: edgebox serve --data /srv/edgebox --host 0.0.0.0"
    )
    add_common_options(parser)
    parser.add_argument("--host", help="address to listen on [127.0.0.1]")
    parser.add_argument("--port", type=int, help="port of the pages [8080]")
    parser.add_argument("--content-port", type=int, help="port of the pack content [8081]")
    parser.add_argument(
        "--hostname", dest="more_hostnames", action="append", default=[], help="a further name of the box"
    )
    parser.add_argument(
        "--sticks", dest="stick_folders", type=_folders, metavar="DIR[,DIR]", help="where sticks appear"
    )
    parser.add_argument("--hub-ca", type=Path, metavar="FILE", help="certificate authorities (PEM) of the hub")
    parser.add_argument("--depot", dest="depots", action="append", metavar="URL", help="a further place with packs")
    parser.add_argument(
        "--neighbour", dest="neighbours", action="append", metavar="URL", help="the depot of a box nearby"
    )
    parser.add_argument(
        "--find-neighbours", dest="finds_neighbours", action="store_true", help="find boxes nearby, and be found"
    )
    parser.add_argument(
        "--reserve-mb", dest="reserve_bytes", type=_megabytes, default="64", metavar="MB", help="room for repairs [64]"
    )
    _add_line_options(parser)
    parser.add_argument(
        "--role", choices=("all", "app", "content"), default="all", help="which origins this process serves [all]"
    )
    parser.set_defaults(run=run)


def _add_line_options(parser: argparse.ArgumentParser) -> None:
    """Add what goes before the choices that staff make on the page about the line."""
    line = parser.add_argument_group("the line", "these go before what staff chose on the page")
    line.add_argument(
        "--unmetered", dest="line_is_metered", action="store_false", default=None, help="it costs nothing"
    )
    line.add_argument(
        "--fetch-mb", dest="line_day_bytes", type=_megabytes, metavar="MB", help="what may cross it in a day [20]"
    )
    line.add_argument(
        "--month-mb", dest="line_month_bytes", type=_megabytes, metavar="MB", help="likewise in a month [no limit]"
    )
    line.add_argument(
        "--fetch-hours",
        dest="line_windows",
        type=_windows,
        metavar="FROM-TO[,FROM-TO]",
        help="when large packs come, 00:00-24:00 for always [22:00-06:00]",
    )
    line.add_argument(
        "--line-kbit",
        dest="line_rate_kbit",
        type=_kilobits,
        metavar="KBIT",
        help="kilobits a second to take [all]",
    )


def run(options: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    # aiohttp writes a stack trace for every malformed request; our own faults are logged by the guard.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    # What the scheduler does would bury the set-up code.
    logging.getLogger("apscheduler").setLevel(logging.WARNING)
    options.hostnames = (*default_hostnames(), *(name.lower() for name in options.more_hostnames))
    for name in ("depots", "neighbours"):
        setattr(options, name, tuple(getattr(options, name) or ()))
    _allow_many_connections()
    asyncio.run(serve(settings_from(options), options.role))
    return 0


async def serve(settings: Settings, part: str) -> None:
    """Open the box, listen, and close everything in order when asked to stop."""
    from edgebox.app import Part, running_box

    stopping = stopped()
    for _ in range(1 + REPAIRS_MAX):
        async with running_box(settings, Part(part)) as running:
            print(_greeting(running), flush=True)
            if running.box is not None and (code := running.box.signing_in.set_up_code):
                print(f"No teacher yet: open {running.address}staff/set-up and enter the code {code}", flush=True)
            is_damaged = await _wait(stopping, running)
        if not is_damaged:
            return
    raise StoreDamaged(file="box.db", reason="it is damaged again and again")


async def _wait(stopping: asyncio.Event, running: "Running") -> bool:
    """Return False when asked to stop, and True when the database is damaged: opened again, the box repairs it."""
    damaged, loop = asyncio.Event(), asyncio.get_running_loop()
    if running.box is not None:
        running.box.database.on_damage = lambda: loop.call_soon_threadsafe(damaged.set)
    waits = [loop.create_task(event.wait()) for event in (stopping, damaged)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return not stopping.is_set()


def _greeting(running: "Running") -> str:
    if running.box is not None:
        return f"Edgebox is ready at {running.address}"
    return f"The content of packs is ready below {running.address}c/, for the pages of: edgebox serve --role app"


def stopped() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set, instead of ending the program in the middle of something."""
    event = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


def _allow_many_connections() -> None:
    """Use as many open files as the system grants: the usual 1,024 are too few for two hundred tablets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _folders(text: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in text.split(",") if part)


def _megabytes(text: str) -> int:
    megabytes = float(text)
    if not 0 <= megabytes <= MEGABYTES_MAX:
        raise ValueError(text)
    return int(megabytes * 1_000_000)


def _kilobits(text: str) -> int:
    kilobits = int(text)
    if not 1 <= kilobits <= KILOBITS_MAX:
        raise ValueError(text)
    return kilobits


def _windows(text: str) -> tuple["Window", ...]:
    from content_packs.base.budget import parse_window

    if text == ALL_DAY:
        return ()
    return tuple(parse_window(part) for part in text.split(","))
