"""Boots: by how much the clocks of boxes were wrong."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "boot",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("offset_ms", sa.BigInteger(), nullable=False),
        sa.Column("quality", sa.SmallInteger(), nullable=False),
        sa.Column("stamp_epoch", sa.BigInteger(), nullable=False),
        sa.Column("stamp_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_boot_box_no"),
        sa.PrimaryKeyConstraint("no", name="pk_boot"),
        sa.UniqueConstraint("box_no", "start_ms", name="uq_boot_box_no_start_ms"),
    )
