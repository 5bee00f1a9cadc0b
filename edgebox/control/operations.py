"""The table of what a command may ask of a box, running or not; arguments and results are plain JSON values."""

from collections.abc import Awaitable, Callable
from typing import Any

from edgebox.control import (
    check_operations,
    export_operations,
    fetch_operations,
    pack_operations,
    sync_operations,
    user_operations,
)
from edgebox.keys import Box

Progress = Callable[[dict[str, Any]], None]
Operation = Callable[[Box, dict[str, Any], Progress], Awaitable[dict[str, Any]]]

OPERATIONS: dict[str, Operation] = {
    "check": check_operations.check,
    "pack.install": pack_operations.install,
    "pack.fetch": fetch_operations.fetch,
    "pack.updates": fetch_operations.updates,
    "pack.list": pack_operations.list_packs,
    "pack.remove": pack_operations.remove,
    "usb.scan": pack_operations.scan,
    "usb.install": pack_operations.install_from_stick,
    "usb.export": export_operations.export,
    "users.add_learners": user_operations.add_learners,
    "users.add_teacher": user_operations.add_teacher,
    "users.set_password": user_operations.set_password,
    "users.list": user_operations.list_users,
    "sync.now": sync_operations.now,
    "sync.status": sync_operations.status,
    "sync.ticket": sync_operations.ticket,
    "sync.export": sync_operations.export,
    "sync.import": sync_operations.import_acks,
}
