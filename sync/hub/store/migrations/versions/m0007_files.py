"""Files that learners handed in, and lessons that teachers made."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the tables and the index."""
    op.create_table(
        "school_file",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_school_file_school_no"),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_school_file_box_no"),
        sa.PrimaryKeyConstraint("no", name="pk_school_file"),
        sa.UniqueConstraint("school_no", "hash", name="uq_school_file_school_no_hash"),
    )
    op.create_table(
        "own_lesson",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(16), nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("resources", sa.Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_own_lesson_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_own_lesson"),
        sa.UniqueConstraint("school_no", "id", name="uq_own_lesson_school_no_id"),
    )
    op.create_index("ix_hand_in_hash", "hand_in", ["school_no", "hash"])
