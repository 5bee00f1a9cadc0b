"""Express bundles that came, and what other boxes were told because of them."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "express",
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_express_box_no"),
        sa.PrimaryKeyConstraint("box_no", "epoch", "seq", "hash", name="pk_express"),
    )
    op.create_table(
        "told_early",
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("hub_no", NO, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_told_early_box_no"),
        sa.PrimaryKeyConstraint("box_no", "kind", "hub_no", name="pk_told_early"),
    )
