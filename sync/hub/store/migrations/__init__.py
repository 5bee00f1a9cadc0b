"""Schema steps of the hub, forward only, run by Alembic inside one transaction."""
