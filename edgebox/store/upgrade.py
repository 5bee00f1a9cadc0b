"""Bring a database file to the current schema: forward only, copied first, one recorded step at a time."""

import sqlite3
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from content_packs.base import atomic
from content_packs.base.errors import N_, EdgeboxError
from edgebox.store import outside, stretches
from edgebox.store.row_seals import seal_rest
from edgebox.store.seals import seal_all
from edgebox.store.telling import tell_all

if TYPE_CHECKING:
    from sqlite_utils import Database

FollowUp = Callable[[sqlite3.Connection], None]


def _fill_and_seal(connection: sqlite3.Connection) -> None:
    outside.fill(connection)  # of what is from before it was kept
    seal_rest(connection)


# The steps in their order, each with what is to be worked out from the rows that are there.
_STEPS: tuple[tuple[str, FollowUp | None], ...] = (
    ("0001_initial", None),
    ("0002_versions", None),
    ("0003_records", tell_all),
    ("0004_inbox", None),
    ("0005_boots", None),
    ("0006_sticks", None),
    ("0007_identity", None),
    ("0008_line", None),
    ("0009_express", None),
    ("0010_files", None),
    ("0011_xapi", None),
    ("0012_seals", seal_all),
    ("0013_launches", None),
    ("0014_forwards", None),
    ("0015_retention", None),
    ("0016_row_seals", _fill_and_seal),
    ("0017_stretches", stretches.make_all),
    ("0018_signed_out", None),
)
SCHEMA_VERSION = int(_STEPS[-1][0][:4])


class SchemaTooNew(EdgeboxError):
    """The database was written by a newer Edgebox."""

    code = "store.schema_too_new"
    status = 503
    exit_code = 50
    sentence = N_("The learner database was written by a newer Edgebox (step {found}, this one knows {known}).")
    remedy = N_("Install the newer Edgebox again. Nothing was changed.")


def upgrade(path: Path, version: int = SCHEMA_VERSION, *, keeps_copy: bool = True) -> None:
    """Create or upgrade the database at `path`, to the newest schema unless told another; safe to repeat.

    Raises:
        SchemaTooNew: the file has steps this program does not know; it is left as it is.
    """
    found = find_version(path)
    if found > SCHEMA_VERSION:
        raise SchemaTooNew(found=found, known=SCHEMA_VERSION)
    if found == SCHEMA_VERSION:
        return
    if found and keeps_copy:
        _copy(path, path.with_name(f"{path.name}.before-{SCHEMA_VERSION}"))
    _apply(path, version)


def find_version(path: Path) -> int:
    """Return the schema of a database, 0 when there is none."""
    if not path.exists():
        return 0
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    finally:
        connection.close()


def _copy(path: Path, copy: Path) -> None:
    atomic.make_private(copy)
    source, target = sqlite3.connect(path), sqlite3.connect(copy)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()


def _apply(path: Path, version: int) -> None:
    # Imported here: the library costs a tenth of a second, and most starts have nothing to upgrade.
    from sqlite_utils import Database
    from sqlite_utils.migrations import Migrations

    steps = Migrations("edgebox.box")

    for name, follow_up in [step for step in _STEPS if int(step[0][:4]) <= version]:
        steps(name=f"m{name}")(_step(name, follow_up))

    atomic.make_private(path)
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        steps.apply(Database(connection))
        connection.execute(f"PRAGMA user_version = {version}")
    finally:
        connection.close()


def _step(name: str, follow_up: FollowUp | None) -> Callable[["Database"], None]:
    def step(db: "Database") -> None:
        _run(db, f"{name}.sql")
        if follow_up is not None:
            follow_up(db.conn)

    return step


def _run(db: "Database", name: str) -> None:
    """Run one schema file statement by statement, inside the step's transaction."""
    text = files("edgebox.store").joinpath("schema", name).read_text()
    pending = ""
    for line in text.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            db.execute(pending)
            pending = ""
