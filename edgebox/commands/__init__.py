"""One module per command of `edgebox`; each has `register(subparsers)`, and sets `run(options) -> exit code`."""

import argparse
from collections.abc import Callable

from edgebox.commands import check, demo, pack, serve, sync, usb, users

Subparsers = argparse._SubParsersAction  # the only name argparse gives it

REGISTER: tuple[Callable[["Subparsers[argparse.ArgumentParser]"], None], ...] = (
    serve.register,
    demo.register,
    check.register,
    pack.register,
    usb.register,
    users.register,
    sync.register,
)
