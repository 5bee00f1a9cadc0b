"""Bundles that go down to boxes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables of streams."""
    op.create_table(
        "stream",
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("made_seq", sa.BigInteger(), nullable=False),
        sa.Column("through_no", sa.BigInteger(), nullable=False),
        sa.Column("tail", sa.LargeBinary(length=8), nullable=False),
        sa.Column("said_ms", sa.BigInteger(), nullable=False),
        sa.Column("notice", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_stream_box_no"),
        sa.PrimaryKeyConstraint("box_no", name="pk_stream"),
    )
    op.create_table(
        "stream_bundle",
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.LargeBinary(length=16), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("settled_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_stream_bundle_box_no"),
        sa.PrimaryKeyConstraint("box_no", "seq", name="pk_stream_bundle"),
        sa.UniqueConstraint("name", name="uq_stream_bundle_name"),
    )
