"""What merges both ways, the clock of each school, and the log of what its boxes are to be told."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# What is at the hub already is due to boxes that come later: numbers first, then what names them.
_LOG_NUMBERS = """
INSERT INTO school_change (school_no, box_no, kind, row_no)
SELECT box.school_no, registry.box_no, registry.kind, registry.hub_no FROM registry JOIN box ON box.no = registry.box_no
WHERE registry.kind <> 3 ORDER BY registry.box_no, registry.epoch
"""
_LOG_STATEMENTS = """
INSERT INTO school_change (school_no, box_no, kind, row_id)
SELECT school_no, box_no, 1, id FROM statement ORDER BY school_no, timestamp_ms
"""


def upgrade() -> None:
    """Create the tables, and log what is known."""
    _create_school_clock()
    _create_school_change()
    _create_fact()
    _create_member()
    _create_mark()
    _create_state()
    _create_message()
    _create_offer()
    _create_revocation()
    _create_health()
    _create_hand_in()
    op.execute(_LOG_NUMBERS)
    op.execute(_LOG_STATEMENTS)


def _create_school_clock() -> None:
    op.create_table(
        "school_clock",
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_school_clock_school_no"),
        sa.PrimaryKeyConstraint("school_no", name="pk_school_clock"),
    )


def _create_school_change() -> None:
    op.create_table(
        "school_change",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("box_no", NO, autoincrement=False, nullable=True),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("row_no", sa.BigInteger(), nullable=True),
        sa.Column("row_id", sa.LargeBinary(length=16), nullable=True),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_school_change_school_no"),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_school_change_box_no"),
        sa.PrimaryKeyConstraint("no", name="pk_school_change"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_school_change_school", "school_change", ["school_no", "no"], unique=False)


def _create_fact() -> None:
    op.create_table(
        "fact",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("entity", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("field", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_fact_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_fact"),
        sa.UniqueConstraint("school_no", "entity", "id", "field", name="uq_fact_key"),
    )


def _create_member() -> None:
    op.create_table(
        "member",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("set_no", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.LargeBinary(), nullable=False),
        sa.Column("member", sa.LargeBinary(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.Column("is_removed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_member_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_member"),
        sa.UniqueConstraint("school_no", "set_no", "owner", "member", "stamp", "origin", name="uq_member_key"),
    )


def _create_mark() -> None:
    op.create_table(
        "mark",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("assignment", sa.LargeBinary(), nullable=False),
        sa.Column("learner", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.Column("replaces", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_mark_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_mark"),
        sa.UniqueConstraint("school_no", "assignment", "learner", "stamp", "origin", name="uq_mark_key"),
    )


def _create_state() -> None:
    op.create_table(
        "state",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("learner", sa.LargeBinary(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("state_id", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("registration", sa.LargeBinary(), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.Column("is_removed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_state_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_state"),
        sa.UniqueConstraint("school_no", "learner", "activity", "registration", "state_id", name="uq_state_key"),
    )


def _create_message() -> None:
    op.create_table(
        "message",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_message_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_message"),
        sa.UniqueConstraint("school_no", "id", name="uq_message_key"),
    )


def _create_offer() -> None:
    op.create_table(
        "offer",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("pack", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("titles", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("from_version", sa.BigInteger(), nullable=True),
        sa.Column("patch_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_offer_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_offer"),
        sa.UniqueConstraint("school_no", "pack", "version", name="uq_offer_key"),
    )


def _create_revocation() -> None:
    op.create_table(
        "revocation",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("subject_kind", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_revocation_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_revocation"),
        sa.UniqueConstraint("school_no", "subject_kind", "subject", name="uq_revocation_key"),
    )


def _create_health() -> None:
    op.create_table(
        "health",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("uptime_seconds", sa.BigInteger(), nullable=False),
        sa.Column("free_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_bytes", sa.BigInteger(), nullable=False),
        sa.Column("classes", sa.BigInteger(), nullable=False),
        sa.Column("learners", sa.BigInteger(), nullable=False),
        sa.Column("packs", sa.BigInteger(), nullable=False),
        sa.Column("statements", sa.BigInteger(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_health_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_health"),
        sa.UniqueConstraint("school_no", "origin", name="uq_health_key"),
    )


def _create_hand_in() -> None:
    op.create_table(
        "hand_in",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("assignment", sa.LargeBinary(), nullable=False),
        sa.Column("learner", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("stamp", sa.BigInteger(), nullable=False),
        sa.Column("origin", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_hand_in_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_hand_in"),
        sa.UniqueConstraint("school_no", "id", name="uq_hand_in_key"),
    )
