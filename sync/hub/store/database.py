"""Open the hub's database and bring it to the current schema.

The embedded default is SQLite with one connection, used by one thread: two connections of an SQLite older than 3.51.3
can damage a database when both write or checkpoint. Another database takes SQLAlchemy's usual pool.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, StaticPool, Table, create_engine, event, insert

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "mmap_size = 0",
    "busy_timeout = 5000",
)
MIGRATIONS = Path(__file__).parent / "migrations"


def sqlite_url(path: Path) -> str:
    """Return the address of an SQLite file."""
    return f"sqlite:///{path}"


def open_engine(url: str) -> Engine:
    """Return an engine; nothing is written yet."""
    if not url.startswith("sqlite"):
        return create_engine(url)
    engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def add_row(connection: Connection, table: Table, values: dict[str, Any]) -> int:
    """Insert a row into a table that numbers its rows, and return the number."""
    key = connection.execute(insert(table).values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def add_rows(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows of plain values, in the order of `names`.

    A driver that takes values by their place gets them as they are: bringing every value of a large bundle into the
    form of its column costs more than the insert, and none of ours needs it.
    """
    if not rows:
        return
    compiled = insert(table).compile(dialect=connection.dialect, column_keys=list(names))
    if compiled.positiontup is None:
        connection.execute(insert(table), [dict(zip(names, row, strict=True)) for row in rows])
        return
    places = [names.index(name) for name in compiled.positiontup]
    in_order = rows if places == list(range(len(names))) else [tuple(row[place] for place in places) for row in rows]
    connection.exec_driver_sql(compiled.string, list(in_order))


def upgrade(engine: Engine) -> None:
    """Create or upgrade the tables; safe to repeat."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not open transactions of its own: `begin` below does, so schema steps and savepoints are inside.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
