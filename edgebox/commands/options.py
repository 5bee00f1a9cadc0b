"""Options that every command has, the settings made of them, and the pack somebody means."""

import argparse
from pathlib import Path
from typing import Any

from content_packs.format.errors import PackNotFound
from edgebox.settings import Settings, default_data

_NAMES = (
    "host",
    "port",
    "content_port",
    "hostnames",
    "stick_folders",
    "hub_ca",
    "depots",
    "neighbours",
    "finds_neighbours",
    "line_is_metered",
    "line_day_bytes",
    "line_month_bytes",
    "line_windows",
    "line_rate_kbit",
)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add `--data` and `--json`."""
    parser.add_argument("--data", type=Path, default=None, metavar="DIR", help="the box's folder [$EDGEBOX_DATA]")
    parser.add_argument("--json", action="store_true", help="machine-readable output")


def settings_from(options: argparse.Namespace) -> Settings:
    """Return the settings that the options ask for."""
    chosen: dict[str, Any] = {}
    for name in _NAMES:
        if (value := getattr(options, name, None)) is not None:
            chosen[name] = value
    return Settings(data=options.data or default_data(), **chosen)


def only_pack(folder: Path) -> Path:
    """Return the pack folder or patch itself, or the only pack below: what `build` printed last works here as well.

    Raises:
        PackNotFound: there is none, or more than one.
    """
    from content_packs.format import layout
    from content_packs.usb.scanning import scan

    is_patch = folder.suffix == layout.PATCH_ENDING and folder.is_file()
    if is_patch or (folder / layout.MANIFEST_NAME).is_file():
        return folder.absolute()
    found = scan(folder) if folder.is_dir() else []
    if len(found) != 1:
        raise PackNotFound(place=str(folder))
    return found[0].folder.absolute()
