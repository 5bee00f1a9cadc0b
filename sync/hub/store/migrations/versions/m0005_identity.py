"""Boxes that go on under another key, take the place of another box, or are revoked."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns."""
    op.add_column("box", sa.Column("succeeds_no", NO, nullable=True))
    op.add_column("box", sa.Column("own_no", sa.BigInteger(), nullable=True))
    op.add_column("bundle", sa.Column("logged_no", sa.BigInteger(), nullable=True))
    op.add_column("box", sa.Column("replaces_no", NO, nullable=True))
    op.add_column("box", sa.Column("revoked_ms", sa.BigInteger(), nullable=True))
    op.add_column("enrolment_code", sa.Column("replaces_no", NO, nullable=True))
