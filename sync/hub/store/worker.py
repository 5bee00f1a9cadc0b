"""Runs database work of the event loop on one thread, one transaction a job."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DatabaseError

from content_packs.base.starting import StoreDamaged
from sync.hub.errors import HubEmpty
from sync.hub.store.database import open_engine, upgrade

T = TypeVar("T")
Transaction = Connection  # what a job works in


class Store:
    """The hub's database: `await store.run(job)` commits before it returns."""

    def __init__(self, url: str) -> None:
        """Open the database, made or upgraded if need be.

        Raises:
            StoreDamaged: the file is no database; it is left as it is.
        """
        self.engine: Engine = open_engine(url)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hub-store")
        try:
            with _damage_explained(self.engine.url.database):
                self._thread.submit(upgrade, self.engine).result()
        except BaseException:
            self.close()
            raise

    async def run(self, job: Callable[[Connection], T]) -> T:
        """Run `job` in a transaction of its own; whatever it raises rolls everything back and is raised here."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.run_now, job)

    def run_now(self, job: Callable[[Connection], T]) -> T:
        """Run `job` in this thread; for start-up and commands, while nobody else uses the store."""
        with self.engine.begin() as connection:
            return job(connection)

    def close(self) -> None:
        """Finish waiting jobs and close; safe to repeat."""
        self._thread.shutdown()
        self.engine.dispose()


@contextmanager
def open_reader(path: Path) -> Iterator[Transaction]:
    """Open an SQLite hub read-only, also while it runs: such a connection neither writes nor checkpoints.

    Raises:
        HubEmpty: there is no hub in the folder yet.
        StoreDamaged: the file is no database.
    """
    if not path.exists():
        raise HubEmpty(folder=str(path.parent))
    engine = create_engine(f"sqlite:///file:{quote(str(path.absolute()))}?mode=ro&uri=true")
    try:
        with _damage_explained(str(path)), engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _damage_explained(file: str | None) -> Iterator[None]:
    """Turn what SQLite says of a broken file into StoreDamaged: the base class itself, not one of its kinds."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        cause = error.orig if isinstance(error, DatabaseError) else error
        if type(cause) is not sqlite3.DatabaseError:
            raise
        raise StoreDamaged(file=Path(file or "").name, reason=str(cause)) from error
