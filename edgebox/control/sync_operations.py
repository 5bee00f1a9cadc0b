"""What commands ask of a box about the way to the hub."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from content_packs.base.errors import N_
from edgebox.domain.recorded_error import error_of
from edgebox.keys import Box
from edgebox.services.sync_state import NotEnrolled
from sync.enrolment import EnrolmentRefused
from sync.introduction import fingerprint


async def now(box: Box, arguments: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Send what waits; with `hub` and `code`, enrol first.

    Raises:
        NotEnrolled: no hub is known; or what kept the last bundle from being sent.
    """
    if arguments.get("hub"):
        await box.syncing.enroll(arguments["hub"], arguments["code"])
    status = await box.syncing.sync_now(_told_to(progress))
    if status.hub_url is None:
        raise NotEnrolled
    if status.last_error is not None:
        raise error_of(status.last_error)
    return asdict(status)


async def status(box: Box, _arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """Tell what waits, how the last try went, and what the meter of the line says."""
    return asdict(await box.syncing.status()) | {"line": (await box.meter.read()).as_record()}


async def ticket(box: Box, arguments: dict[str, Any], _progress: Any) -> dict[str, Any]:
    """List the tickets in `folder`; with a `fingerprint`, connect the box to the hub of the one that has it.

    Raises:
        EnrolmentRefused: there is no ticket of that hub there, or it is not good.
    """
    found = (await box.syncing.introducing.list_tickets(Path(arguments["folder"]))).values()
    shown = [{"hub": one.url, "school": one.school, "fingerprint": fingerprint(one.hub)} for one in found]
    if not arguments.get("fingerprint"):
        return {"tickets": shown, "hub": None}
    for one in found:
        if fingerprint(one.hub) == arguments["fingerprint"].upper():
            await box.syncing.accept(one)
            return {"tickets": shown, "hub": one.url}
    raise EnrolmentRefused(reason=N_("there is no ticket with this fingerprint"))


async def export(box: Box, arguments: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Put what the hub does not have into `folder`."""
    bundles = await box.exchanging.export(Path(arguments["folder"]), _told_to(progress))
    return {"folder": arguments["folder"], "bundles": bundles}


async def import_acks(box: Box, arguments: dict[str, Any], progress: Any) -> dict[str, Any]:
    """Take the hub's receipts and bundles in `folder`."""
    acks = await box.exchanging.import_(Path(arguments["folder"]), _told_to(progress))
    return {"folder": arguments["folder"], "acks": acks}


def _told_to(progress: Any) -> Callable[[int, int], None]:
    return lambda done_bytes, total_bytes: progress({"done_bytes": done_bytes, "total_bytes": total_bytes})
