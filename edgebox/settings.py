"""What a box is told from outside: defaults, then environment, then the command line."""

import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from content_packs.base.budget import Window

DEFAULT_HOSTNAMES = ("localhost", "edgebox", "edgebox.local", "edgebox.lan", "raspberrypi.local")
MOUNT_ROOTS = (Path("/media"), Path("/run/media"), Path("/mnt"))


def default_hostnames() -> tuple[str, ...]:
    """Return the names a box answers to without being told: the usual ones, and those of its machine."""
    name = socket.gethostname().lower()
    own = (name, f"{name.partition('.')[0]}.local") if name else ()
    return tuple(dict.fromkeys((*DEFAULT_HOSTNAMES, *own)))


@dataclass(frozen=True)
class Settings:
    """Settings of one box.

    Attributes:
        data: folder that holds everything the box keeps.
        host: address to listen on; loopback unless told otherwise.
        port: pages, API and records.
        content_port: the second origin, which serves pack content only.
        hostnames: names by which tablets may ask; IP addresses are always accepted.
        stick_folders: below these, mounted sticks appear.
        sync_minutes: time between tries to reach the hub.
        hub_ca: certificate authorities to believe the hub's HTTPS by, PEM; the system's unless named.
        depots: addresses to fetch packs from, besides the hub's own depot.
        neighbours: addresses of the content of boxes nearby, in the same network.
        finds_neighbours: look for boxes nearby by mDNS, and be found by them.
        reserve_bytes: room kept free for repairs, in a file.
        line_is_metered: whether the line costs; this and the rest go before what staff chose, unless they are None.
        line_day_bytes: what may cross it in a day.
        line_month_bytes: likewise in a month.
        line_windows: hours for large packs; none for all day.
        line_rate_kbit: kilobits a second that the box may take of it.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8080
    content_port: int = 8081
    hostnames: tuple[str, ...] = field(default_factory=default_hostnames)
    stick_folders: tuple[Path, ...] = MOUNT_ROOTS
    sync_minutes: float = 5.0
    hub_ca: Path | None = None
    depots: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    finds_neighbours: bool = False
    reserve_bytes: int = 0
    line_is_metered: bool | None = None
    line_day_bytes: int | None = None
    line_month_bytes: int | None = None
    line_windows: tuple[Window, ...] | None = None
    line_rate_kbit: int | None = None

    @property
    def told_tariff(self) -> dict[str, Any]:
        """Return what was told about the line, by the names that a tariff has."""
        told = {
            "is_metered": self.line_is_metered,
            "day_bytes": self.line_day_bytes,
            "month_bytes": self.line_month_bytes,
            "windows": self.line_windows,
            "rate_kbit": self.line_rate_kbit,
        }
        return {name: value for name, value in told.items() if value is not None}

    @property
    def blobs(self) -> Path:
        """Folder of pack files by hash."""
        return self.data / "blobs"

    @property
    def attachments(self) -> Path:
        """Folder of files that came with statements, by hash."""
        return self.data / "attachments"

    @property
    def packs(self) -> Path:
        """Folder of installed manifests."""
        return self.data / "packs"

    @property
    def hand_ins(self) -> Path:
        """Folder of the files that learners handed in, by hash."""
        return self.data / "hand-ins"

    @property
    def spool(self) -> Path:
        """Folder of bundles out and in."""
        return self.data / "spool"

    @property
    def fetched(self) -> Path:
        """Folder of what is on its way from other places."""
        return self.data / "fetched"

    @property
    def staging(self) -> Path:
        """Folder where files people bring are unpacked; swept at start."""
        return self.data / "import"

    @property
    def keys(self) -> Path:
        """Folder of secret keys and trusted publishers."""
        return self.data / "keys"


def default_data() -> Path:
    """Return `$EDGEBOX_DATA`, or the platform's folder for data of a user's programs."""
    if named := os.environ.get("EDGEBOX_DATA"):
        return Path(named)
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "edgebox"


def prepare_folders(settings: Settings) -> None:
    """Create the folders of a box; safe to repeat. Names of children are in them, so a new one is for its user only."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.keys.mkdir(mode=0o700, exist_ok=True)
    for folder in (settings.blobs, settings.packs, settings.hand_ins, settings.attachments, settings.spool / "out"):
        folder.mkdir(parents=True, exist_ok=True)
