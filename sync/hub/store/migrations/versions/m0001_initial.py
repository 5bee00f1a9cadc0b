"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

NO = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    _create_activity_admin_session_enrolment_code()
    _create_school_setting_verb()
    _create_box_class()
    _create_device_learner()
    _create_assignment_box_day()
    _create_bundle()
    _create_cursor_enrollment()
    _create_pack_install_registry()
    _create_statement()
    _create_statement_conflict()


def _create_activity_admin_session_enrolment_code() -> None:
    op.create_table(
        "activity",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("iri", sa.Text(), nullable=False),
        sa.Column("pack", sa.String(length=80), nullable=True),
        sa.Column("resource", sa.String(length=200), nullable=True),
        sa.Column("item", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("no", name="pk_activity"),
        sa.UniqueConstraint("iri", name="uq_activity_iri"),
    )
    op.create_index("ix_activity_pack", "activity", ["pack"], unique=False)
    op.create_table(
        "admin_session",
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_admin_session"),
    )
    op.create_table(
        "enrolment_code",
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("school", sa.String(length=200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.Column("used_by", sa.LargeBinary(length=16), nullable=True),
        sa.PrimaryKeyConstraint("hash", name="pk_enrolment_code"),
    )


def _create_school_setting_verb() -> None:
    op.create_table(
        "school",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("no", name="pk_school"),
        sa.UniqueConstraint("title", name="uq_school_title"),
    )
    op.create_table(
        "setting",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_setting"),
    )
    op.create_table(
        "verb",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("iri", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("no", name="pk_verb"),
        sa.UniqueConstraint("iri", name="uq_verb_iri"),
    )


def _create_box_class() -> None:
    op.create_table(
        "box",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("key_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("verify_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("enrolled_ms", sa.BigInteger(), nullable=False),
        sa.Column("contact_ms", sa.BigInteger(), nullable=True),
        sa.Column("forked_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_box_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_box"),
        sa.UniqueConstraint("key_id", name="uq_box_key_id"),
    )
    op.create_table(
        "class",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("pseudonym", sa.LargeBinary(length=16), nullable=False),
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("stamp_epoch", sa.BigInteger(), nullable=False),
        sa.Column("stamp_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_class_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_class"),
        sa.UniqueConstraint("school_no", "pseudonym", name="uq_class_school_no_pseudonym"),
    )


def _create_device_learner() -> None:
    op.create_table(
        "device",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_device_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_device"),
        sa.UniqueConstraint("school_no", "id", name="uq_device_school_no_id"),
    )
    op.create_table(
        "learner",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("pseudonym", sa.LargeBinary(length=16), nullable=False),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_learner_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_learner"),
        sa.UniqueConstraint("school_no", "pseudonym", name="uq_learner_school_no_pseudonym"),
    )


def _create_assignment_box_day() -> None:
    op.create_table(
        "assignment",
        sa.Column("class_no", NO, autoincrement=False, nullable=False),
        sa.Column("pack", sa.String(length=80), nullable=False),
        sa.Column("lesson", sa.String(length=200), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("stamp_epoch", sa.BigInteger(), nullable=False),
        sa.Column("stamp_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["class_no"], ["class.no"], name="fk_assignment_class_no"),
        sa.PrimaryKeyConstraint("class_no", "pack", "lesson", name="pk_assignment"),
    )
    op.create_table(
        "box_day",
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_box_day_box_no"),
        sa.PrimaryKeyConstraint("box_no", "day", name="pk_box_day"),
    )


def _create_bundle() -> None:
    op.create_table(
        "bundle",
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("from_change", sa.BigInteger(), nullable=False),
        sa.Column("through_change", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("clock_quality", sa.SmallInteger(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=80), nullable=True),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_bundle_box_no"),
        sa.PrimaryKeyConstraint("box_no", "epoch", "seq", "hash", name="pk_bundle"),
    )
    op.create_index("ix_bundle_state", "bundle", ["box_no", "epoch", "state"], unique=False)


def _create_cursor_enrollment() -> None:
    op.create_table(
        "cursor",
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("through_seq", sa.BigInteger(), nullable=False),
        sa.Column("through_change", sa.BigInteger(), nullable=False),
        sa.Column("tail", sa.LargeBinary(length=8), nullable=False),
        sa.Column("is_forked", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_cursor_box_no"),
        sa.PrimaryKeyConstraint("box_no", "epoch", name="pk_cursor"),
    )
    op.create_table(
        "enrollment",
        sa.Column("class_no", NO, autoincrement=False, nullable=False),
        sa.Column("learner_no", NO, autoincrement=False, nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("stamp_epoch", sa.BigInteger(), nullable=False),
        sa.Column("stamp_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["class_no"], ["class.no"], name="fk_enrollment_class_no"),
        sa.ForeignKeyConstraint(["learner_no"], ["learner.no"], name="fk_enrollment_learner_no"),
        sa.PrimaryKeyConstraint("class_no", "learner_no", name="pk_enrollment"),
    )


def _create_pack_install_registry() -> None:
    op.create_table(
        "pack_install",
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("pack", sa.String(length=80), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("is_installed", sa.Boolean(), nullable=False),
        sa.Column("stamp_epoch", sa.BigInteger(), nullable=False),
        sa.Column("stamp_seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_pack_install_box_no"),
        sa.PrimaryKeyConstraint("box_no", "pack", "version", name="pk_pack_install"),
    )
    op.create_table(
        "registry",
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hub_no", NO, nullable=False),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_registry_box_no"),
        sa.PrimaryKeyConstraint("box_no", "epoch", "kind", "no", name="pk_registry"),
    )


def _create_statement() -> None:
    op.create_table(
        "statement",
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("learner_no", NO, autoincrement=False, nullable=True),
        sa.Column("verb_no", NO, autoincrement=False, nullable=False),
        sa.Column("activity_no", NO, autoincrement=False, nullable=False),
        sa.Column("device_no", NO, autoincrement=False, nullable=True),
        sa.Column("device_seq", sa.BigInteger(), nullable=True),
        sa.Column("registration", sa.LargeBinary(length=16), nullable=True),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("stored_ms", sa.BigInteger(), nullable=False),
        sa.Column("success", sa.Boolean(), nullable=True),
        sa.Column("completion", sa.Boolean(), nullable=True),
        sa.Column("score_raw", sa.Float(), nullable=True),
        sa.Column("score_max", sa.Float(), nullable=True),
        sa.Column("score_scaled", sa.Float(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("progress", sa.Float(), nullable=True),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(length=8), nullable=False),
        sa.ForeignKeyConstraint(["activity_no"], ["activity.no"], name="fk_statement_activity_no"),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_statement_box_no"),
        sa.ForeignKeyConstraint(["device_no"], ["device.no"], name="fk_statement_device_no"),
        sa.ForeignKeyConstraint(["learner_no"], ["learner.no"], name="fk_statement_learner_no"),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_statement_school_no"),
        sa.ForeignKeyConstraint(["verb_no"], ["verb.no"], name="fk_statement_verb_no"),
        sa.PrimaryKeyConstraint("school_no", "id", name="pk_statement"),
    )


def _create_statement_conflict() -> None:
    op.create_index("ix_statement_learner", "statement", ["learner_no", "activity_no"], unique=False)
    op.create_index("ix_statement_time", "statement", ["box_no", "timestamp_ms"], unique=False)
    op.create_table(
        "statement_conflict",
        sa.Column("no", NO, autoincrement=True, nullable=False),
        sa.Column("school_no", NO, autoincrement=False, nullable=False),
        sa.Column("box_no", NO, autoincrement=False, nullable=False),
        sa.Column("id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=8), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["box_no"], ["box.no"], name="fk_statement_conflict_box_no"),
        sa.ForeignKeyConstraint(["school_no"], ["school.no"], name="fk_statement_conflict_school_no"),
        sa.PrimaryKeyConstraint("no", name="pk_statement_conflict"),
        sa.UniqueConstraint("school_no", "id", "digest", name="uq_statement_conflict_school_no_id_digest"),
    )
