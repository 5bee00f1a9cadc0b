"""`edgebox demo`: a box with a sample course and class, and a hub, to try in a browser; resumes where it stopped."""

import argparse
import asyncio
import json
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from content_packs.base import atomic, ids
from content_packs.base.address import EVERYWHERE, open_address
from content_packs.base.errors import N_, EdgeboxError
from edgebox.commands.options import add_common_options
from edgebox.commands.serve import stopped
from edgebox.settings import Settings

if TYPE_CHECKING:
    from edgebox.commands import Subparsers
    from edgebox.commands.demo_school import DemoSchool
    from edgebox.keys import Box

SCHOOL = "Demo school"
HUB_START_SECONDS = 30
STOP_SECONDS = 20
PASSWORD_WORDS = 5
_PR_SET_PDEATHSIG = 1
_WORDS = (
    "amber", "basil", "cedar", "delta", "ember", "fjord", "grove", "hazel",
    "ivory", "jade", "koala", "lemon", "maple", "north", "olive", "pearl",
)  # fmt: skip


class HubDidNotStart(EdgeboxError):
    """The hub's process ended before it answered."""

    code = "demo.hub_did_not_start"
    exit_code = 100
    retryable = True
    sentence = N_("The hub did not start: {reason}")
    remedy = N_("Is something else using its port? Choose another one with --hub-port.")


def register(subparsers: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser(
        "demo", help="a box with a sample class, and a hub, to try", epilog="example: edgebox demo --data /tmp/demo"
    )
    add_common_options(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1]")
    parser.add_argument("--port", type=int, default=8080, help="port of the box's pages [8080]")
    parser.add_argument("--content-port", type=int, default=8081, help="port of the box's pack content [8081]")
    parser.add_argument("--hub-port", type=int, default=8090, help="port of the hub [8090]")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run until SIGINT or SIGTERM."""
    data = options.data or Path("var/demo")
    settings = Settings(
        data=data / "box",
        host=options.host,
        port=options.port,
        content_port=options.content_port,
        stick_folders=(data / "sticks",),
        sync_minutes=1.0,
    )
    asyncio.run(_demo(settings, data, options))
    return 0


async def _demo(settings: Settings, data: Path, options: argparse.Namespace) -> None:
    # Imported here, so that the other commands do not wait for what only this one needs.
    from edgebox.app import running_box
    from edgebox.commands import demo_school

    with as_file(files("content_packs") / "samples") as samples:
        stick, key_path = data / "sticks" / "sample-stick", data / "publisher.key"
        folders, public_key = await asyncio.to_thread(demo_school.build_sample_stick, samples, stick, key_path)
    log_ins, unfinished = data / "log-ins.json", data / "box.unfinished"
    if unfinished.exists():
        # The power went while the school was made: nobody has seen a log-in of it yet.
        await asyncio.to_thread(shutil.rmtree, settings.data, ignore_errors=True)
    elif not log_ins.exists() and not settings.data.exists():
        await asyncio.to_thread(atomic.write_file, unfinished, b"")
    async with AsyncExitStack() as stack:
        stopping = stopped()
        # Kept by the box for years, so not an address that a network gives to this machine for today.
        hub_url = f"http://{'127.0.0.1' if options.host in EVERYWHERE else options.host}:{options.hub_port}/"
        await stack.enter_async_context(_running_hub(data / "hub", options))
        running = await stack.enter_async_context(running_box(settings))
        assert running.box is not None
        if not log_ins.exists():
            await _install(running.box, folders, public_key)
            demo_school.remember(log_ins, await demo_school.make_school(running.box, _draw_password()))
        unfinished.unlink(missing_ok=True)
        if (await running.box.syncing.status()).hub_url is None:
            made = await _ask_hub(data / "hub", "enroll", "--school", SCHOOL)
            await running.box.syncing.enroll(hub_url, made["code"])
        admin = await _ask_hub(data / "hub", "admin")
        school = demo_school.recall(log_ins)
        hub_address = open_address(options.host, options.hub_port)
        _print(school, running.address, f"{hub_address}?code={admin['code']}", as_json=options.json)
        await stopping.wait()


async def _install(box: "Box", folders: list[Path], public_key: bytes) -> None:
    await box.loading.trust(public_key)
    for folder in folders:
        async for _state in box.loading.watch(await box.loading.start(folder)):
            pass


@asynccontextmanager
async def _running_hub(data: Path, options: argparse.Namespace) -> AsyncIterator[None]:
    """Run the hub as a process of its own, as in a country it would be a machine of its own."""
    arguments = ["--data", str(data), "--host", options.host, "--port", str(options.hub_port)]
    # A group of its own: Ctrl-C reaches this process only, which then ends both in order.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edgebox", "hub", "serve", *arguments),
        stdout=PIPE,
        stderr=DEVNULL,
        start_new_session=True,
        preexec_fn=_ended_with_parent(),
    )
    try:
        await _first_line(process)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.communicate(), STOP_SECONDS)


def _ended_with_parent() -> Callable[[], None]:
    """Return what a child does first so that it ends at once with us: a demo that was killed leaves no port taken."""
    import ctypes

    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def _first_line(process: Process) -> None:
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), HUB_START_SECONDS)
    except TimeoutError as error:
        raise HubDidNotStart(reason="no answer") from error
    if not line:
        raise HubDidNotStart(reason=f"exit code {await process.wait()}")


async def _ask_hub(data: Path, *arguments: str) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edgebox", "hub", *arguments, "--data", str(data), "--json", stdout=PIPE
    )
    output, _ = await process.communicate()
    answer: dict[str, Any] = json.loads(output)
    return answer


def _draw_password() -> str:
    return "-".join(_WORDS[byte % len(_WORDS)] for byte in ids.random_bytes(PASSWORD_WORDS))


def _print(school: "DemoSchool", address: str, hub_address: str, *, as_json: bool) -> None:
    if as_json:
        people = {"teacher": vars(school.teacher), "learners": [vars(learner) for learner in school.learners]}
        print(json.dumps({"box": address, "hub": hub_address} | people), flush=True)
        return
    width = max(len(learner.name) for learner in school.learners)
    learners = "\n".join(f"    {learner.name.ljust(width)}  {learner.secret}" for learner in school.learners)
    print(
        f"""
Edgebox is ready. Ctrl-C stops it; the data stays for the next time.

  Learners   {address}
  Teacher    {address}staff    name: {school.teacher.name}   password: {school.teacher.secret}
  Hub        {hub_address}    (the code works once)

  Class 4, name and secret:
{learners}

Try this:
  1. Learner: choose Class 4, a name, then the pictures or the PIN above; open "Equal parts" and do the quiz.
  2. Set the browser to offline in the middle of the quiz: answers are kept, and sent when it is online again.
  3. Teacher: open Class 4 and watch the table; print log-in cards; look what is on the stick under "Packs".
  4. Teacher, Sync: "Sync now". Then look at the hub: learners and completions, but no names.
""",
        flush=True,
    )
