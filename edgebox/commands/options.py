"""Options that every command has, and the settings made of them."""

import argparse
from pathlib import Path
from typing import Any

from edgebox.settings import Settings, default_data


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add `--data` and `--json`."""
    parser.add_argument("--data", type=Path, default=None, metavar="DIR", help="the box's folder [$EDGEBOX_DATA]")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def settings_from(options: argparse.Namespace) -> Settings:
    """Return the settings that the options ask for."""
    chosen: dict[str, Any] = {}
    for name in ("host", "port", "content_port", "hostnames", "stick_folders"):
        if (value := getattr(options, name, None)) is not None:
            chosen[name] = value
    return Settings(data=options.data or default_data(), **chosen)
