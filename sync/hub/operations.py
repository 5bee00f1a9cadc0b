"""The table of what commands may ask of the hub, running or not; arguments and results are plain JSON values."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sync import introduction
from sync.hub.running import Hub
from sync.hub.sticks import exchange_stick
from sync.hub.sticks_down import fill_stick
from sync.transport import tickets

Operation = Callable[[Hub, dict[str, Any]], Awaitable[dict[str, Any]]]
_NAME_DIGITS = 8


async def make_code(hub: Hub, arguments: dict[str, Any]) -> dict[str, Any]:
    """Make an enrolment code for a box of `school`, or for one that `replaces` another."""
    return {"code": await hub.enrolling.make_code(arguments["school"], arguments.get("replaces"))}


async def make_ticket(hub: Hub, arguments: dict[str, Any]) -> dict[str, Any]:
    """Put a ticket for a box of `school`, with the hub's `address`, on the stick in `folder`."""
    made = await hub.enrolling.make_ticket(arguments["school"], arguments["address"], arguments.get("replaces"))
    name = introduction.about(made.content).hex()[:_NAME_DIGITS]
    path = await asyncio.to_thread(tickets.write_ticket, Path(arguments["folder"]), name, made.content)
    return {
        "file": str(path),
        "school": made.ticket.school,
        "fingerprint": introduction.fingerprint(made.ticket.hub),
        "expires_ms": made.ticket.expires_ms,
    }


async def make_admin_code(hub: Hub, _arguments: dict[str, Any]) -> dict[str, Any]:
    """Make a one-time code for the operator."""
    return {"code": await hub.admin.make_code()}


async def revoke(hub: Hub, arguments: dict[str, Any]) -> dict[str, Any]:
    """Take nothing from `box` any more, or, with `is_undone`, take from it again."""
    box_no, is_undone = arguments["box"], arguments["is_undone"]
    await hub.enrolling.revoke(box_no, is_undone=is_undone)
    if is_undone:
        hub.receiving.catching_up.go_on(box_no)
    return {"box": box_no, "is_revoked": not is_undone}


async def take_stick(hub: Hub, arguments: dict[str, Any]) -> dict[str, Any]:
    """Take what boxes put on the stick in `folder`, and leave the answers and what is due to them on it."""
    root = Path(arguments["folder"])
    return await exchange_stick(hub.receiving, root) | {"put": await fill_stick(hub.sending, root)}


async def send_letter(hub: Hub, arguments: dict[str, Any]) -> dict[str, Any]:
    """Write what an operator sends to a `school`, or to all."""
    return {"lines": await hub.posting.send(arguments["text"], arguments["school"])}


async def announce(hub: Hub, arguments: dict[str, Any]) -> dict[str, Any]:
    """Say something to the staff of a `school` for some `days`."""
    await hub.posting.send_message(arguments["text"], arguments["school"], arguments["days"])
    return {"school": arguments["school"]}


OPERATIONS: dict[str, Operation] = {
    "enroll": make_code,
    "ticket": make_ticket,
    "admin": make_admin_code,
    "revoke": revoke,
    "import": take_stick,
    "send": send_letter,
    "message": announce,
}
