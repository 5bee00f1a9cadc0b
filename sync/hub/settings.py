"""What a hub is told from outside."""

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOSTNAMES = ("localhost",)


@dataclass(frozen=True)
class HubSettings:
    """Settings of one hub.

    Attributes:
        data: folder of the hub's own files.
        host: address to listen on; loopback unless told otherwise.
        port: pages and API.
        hostnames: names by which it may be asked; IP addresses are always accepted.
        day_quota_bytes: what one box may send in a day, files apart.
        files_day_quota_bytes: what may come of files of one box in a day that are new here.
        uploads_max: bundles over 1 MiB taken in at the same time.
        depot: folder with packs and patches for boxes, laid out as in docs/depot.md; `depot` in `data` unless named.
        certificate: chain of the hub's name, PEM; the hub serves HTTPS then, and plain HTTP no more.
        certificate_key: its secret key, PEM; in the same file unless named.
        database_url: an SQLAlchemy address; empty for the SQLite file in `data`.
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8090
    hostnames: tuple[str, ...] = DEFAULT_HOSTNAMES
    day_quota_bytes: int = 1 << 30
    files_day_quota_bytes: int = 1 << 30
    uploads_max: int = 8
    depot: Path | None = None
    certificate: Path | None = None
    certificate_key: Path | None = None
    database_url: str = ""

    @property
    def scheme(self) -> str:
        """Return what the hub's addresses begin with."""
        return "http" if self.certificate is None else "https"

    @property
    def bundles(self) -> Path:
        """Folder of received bundles, which never change."""
        return self.data / "bundles"

    @property
    def outgoing(self) -> Path:
        """Folder of bundles on their way down to boxes, which never change."""
        return self.data / "outgoing"

    @property
    def uploads(self) -> Path:
        """Folder of bundles that have not arrived as a whole."""
        return self.data / "uploads"

    @property
    def files(self) -> Path:
        """Folder of what learners handed in, by school and hash."""
        return self.data / "files"

    @property
    def depot_folder(self) -> Path:
        """Folder of what boxes may fetch."""
        return self.depot or self.data / "depot"

    @property
    def keys(self) -> Path:
        """Folder of the hub's two secret keys."""
        return self.data / "keys"


def default_data() -> Path:
    """Return `$EDGEBOX_DATA/hub`, or the same in the platform's folder for data of a user's programs."""
    if named := os.environ.get("EDGEBOX_DATA"):
        return Path(named) / "hub"
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "edgebox" / "hub"


def prepare_folders(settings: HubSettings) -> None:
    """Create the hub's folders; safe to repeat."""
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.keys.mkdir(mode=0o700, exist_ok=True)
    settings.bundles.mkdir(exist_ok=True)
    settings.outgoing.mkdir(exist_ok=True)
    settings.uploads.mkdir(mode=0o700, exist_ok=True)
    settings.files.mkdir(mode=0o700, exist_ok=True)
    if settings.depot is None:
        settings.depot_folder.mkdir(exist_ok=True)
