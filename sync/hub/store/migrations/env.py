"""Runs the steps on the connection that `sync.hub.store.database.upgrade` hands over."""

from alembic import context

from sync.hub.store import merged_tables  # noqa: F401 - its tables belong to the metadata
from sync.hub.store.schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
