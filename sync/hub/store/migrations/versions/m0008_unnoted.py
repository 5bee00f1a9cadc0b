"""Since when files are on the disk that nobody noted."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "unnoted_file",
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("school_no", "hash", name="pk_unnoted_file"),
    )
