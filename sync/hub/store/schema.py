"""The hub's tables. Times are integer milliseconds UTC; numbers named `no` are the hub's own.

Rows of different schools never meet: everything that a box can write is keyed by its school or by the box.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)
# SQLite numbers rows by itself only for a column declared INTEGER.
NO = BigInteger().with_variant(Integer(), "sqlite")
KEY_BYTES = 16


def row_no() -> Column[int]:
    """Return the column of the hub's own number."""
    return Column("no", NO, primary_key=True, autoincrement=True)


def row_ref(name: str, target: str, *, is_optional: bool = False, is_key: bool = False) -> Column[int]:
    """Return a column that names a row of another table."""
    return Column(name, NO, ForeignKey(target), nullable=is_optional, primary_key=is_key, autoincrement=False)


setting = Table(
    "setting", METADATA, Column("name", String(64), primary_key=True), Column("value", Text, nullable=False)
)

school = Table("school", METADATA, row_no(), Column("title", String(200), nullable=False, unique=True))

box = Table(
    "box",
    METADATA,
    row_no(),
    row_ref("school_no", "school.no"),
    Column("key_id", LargeBinary(KEY_BYTES), nullable=False, unique=True),
    Column("verify_key", LargeBinary(32), nullable=False),
    Column("enrolled_ms", BigInteger, nullable=False),
    Column("contact_ms", BigInteger),
    Column("forked_ms", BigInteger),
    # The box row under whose key it was before: a box that was copied or restored has a row for each of its keys.
    Column("succeeds_no", NO),
    # It has what that one brought up to this place of the school's log; null when it is not known what it has.
    Column("own_no", BigInteger),
    # The box whose place it took, as the operator said.
    Column("replaces_no", NO),
    Column("revoked_ms", BigInteger),
)

enrolment_code = Table(
    "enrolment_code",
    METADATA,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("school", String(200), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("used_ms", BigInteger),
    Column("used_by", LargeBinary(KEY_BYTES)),
    Column("replaces_no", NO),
)

admin_session = Table(
    "admin_session",
    METADATA,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("expires_ms", BigInteger, nullable=False),
)

# What one box sent on one day, for the quota.
box_day = Table(
    "box_day",
    METADATA,
    row_ref("box_no", "box.no", is_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("received_bytes", BigInteger, nullable=False),
)

# How far each (box, epoch) is applied.
cursor = Table(
    "cursor",
    METADATA,
    row_ref("box_no", "box.no", is_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("through_seq", BigInteger, nullable=False),
    Column("through_change", BigInteger, nullable=False),
    Column("tail", LargeBinary(8), nullable=False),
    Column("is_forked", Boolean, nullable=False),
)

bundle = Table(
    "bundle",
    METADATA,
    row_ref("box_no", "box.no", is_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("from_change", BigInteger, nullable=False),
    Column("through_change", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("records", Integer, nullable=False),
    Column("clock_quality", SmallInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    Column("reason", String(80)),
    # Last place of the school's log when it was applied.
    Column("logged_no", BigInteger),
)
Index("ix_bundle_state", bundle.c.box_no, bundle.c.epoch, bundle.c.state)

# Express bundles that came; their content comes again with the bundles of the chain.
express = Table(
    "express",
    METADATA,
    row_ref("box_no", "box.no", is_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("records", Integer, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
)

# Rows that an express bundle had other boxes told of, until the chain explains the box's number for them.
told_early = Table(
    "told_early",
    METADATA,
    row_ref("box_no", "box.no", is_key=True),
    Column("kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("hub_no", NO, primary_key=True, autoincrement=False),
)

# What a box's small numbers mean: (kind, no) of one epoch is the hub's row `hub_no`.
registry = Table(
    "registry",
    METADATA,
    row_ref("box_no", "box.no", is_key=True),
    Column("epoch", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("no", BigInteger, primary_key=True, autoincrement=False),
    Column("hub_no", NO, nullable=False),
)

learner = Table(
    "learner",
    METADATA,
    row_no(),
    row_ref("school_no", "school.no"),
    Column("pseudonym", LargeBinary(KEY_BYTES), nullable=False),
    UniqueConstraint("school_no", "pseudonym"),
)

verb = Table("verb", METADATA, row_no(), Column("iri", Text, nullable=False, unique=True))

activity = Table(
    "activity",
    METADATA,
    row_no(),
    Column("iri", Text, nullable=False, unique=True),
    Column("pack", String(80)),
    Column("resource", String(200)),
    Column("item", Text),
)
Index("ix_activity_pack", activity.c.pack)

device = Table(
    "device",
    METADATA,
    row_no(),
    row_ref("school_no", "school.no"),
    Column("id", LargeBinary(KEY_BYTES), nullable=False),
    UniqueConstraint("school_no", "id"),
)

# Rows that their box owns carry the (epoch, seq) of the bundle that wrote them last; an older one never replaces them.
class_ = Table(
    "class",
    METADATA,
    row_no(),
    row_ref("school_no", "school.no"),
    Column("pseudonym", LargeBinary(KEY_BYTES), nullable=False),
    Column("code", String(16), nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("stamp_epoch", BigInteger, nullable=False),
    Column("stamp_seq", BigInteger, nullable=False),
    UniqueConstraint("school_no", "pseudonym"),
)

enrollment = Table(
    "enrollment",
    METADATA,
    row_ref("class_no", "class.no", is_key=True),
    row_ref("learner_no", "learner.no", is_key=True),
    Column("is_active", Boolean, nullable=False),
    Column("stamp_epoch", BigInteger, nullable=False),
    Column("stamp_seq", BigInteger, nullable=False),
)

pack_install = Table(
    "pack_install",
    METADATA,
    row_ref("box_no", "box.no", is_key=True),
    Column("pack", String(80), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("is_installed", Boolean, nullable=False),
    Column("stamp_epoch", BigInteger, nullable=False),
    Column("stamp_seq", BigInteger, nullable=False),
)

assignment = Table(
    "assignment",
    METADATA,
    row_ref("class_no", "class.no", is_key=True),
    Column("pack", String(80), primary_key=True),
    Column("lesson", String(200), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("stamp_epoch", BigInteger, nullable=False),
    Column("stamp_seq", BigInteger, nullable=False),
)

statement = Table(
    "statement",
    METADATA,
    row_ref("school_no", "school.no", is_key=True),
    Column("id", LargeBinary(KEY_BYTES), primary_key=True),
    row_ref("box_no", "box.no"),
    row_ref("learner_no", "learner.no", is_optional=True),
    row_ref("verb_no", "verb.no"),
    row_ref("activity_no", "activity.no"),
    row_ref("device_no", "device.no", is_optional=True),
    Column("device_seq", BigInteger),
    Column("registration", LargeBinary(KEY_BYTES)),
    Column("timestamp_ms", BigInteger, nullable=False),
    Column("stored_ms", BigInteger, nullable=False),
    Column("success", Boolean),
    Column("completion", Boolean),
    Column("score_raw", Float),
    Column("score_max", Float),
    Column("score_scaled", Float),
    Column("duration_ms", BigInteger),
    Column("progress", Float),
    Column("response", Text),
    Column("body", LargeBinary),
    Column("digest", LargeBinary(8), nullable=False),
)
Index("ix_statement_learner", statement.c.learner_no, statement.c.activity_no)
Index("ix_statement_time", statement.c.box_no, statement.c.timestamp_ms)

# Stretches of a box's clock, and what is to be added to the times told in them. A time belongs to the last boot that
# began before it.
boot = Table(
    "boot",
    METADATA,
    row_no(),
    row_ref("box_no", "box.no"),
    Column("start_ms", BigInteger, nullable=False),
    Column("offset_ms", BigInteger, nullable=False),
    Column("quality", SmallInteger, nullable=False),
    Column("stamp_epoch", BigInteger, nullable=False),
    Column("stamp_seq", BigInteger, nullable=False),
    UniqueConstraint("box_no", "start_ms"),
)

# The same id with another content: kept and shown, never dropped.
statement_conflict = Table(
    "statement_conflict",
    METADATA,
    row_no(),
    row_ref("school_no", "school.no"),
    row_ref("box_no", "box.no"),
    Column("id", LargeBinary(KEY_BYTES), nullable=False),
    Column("digest", LargeBinary(8), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("received_ms", BigInteger, nullable=False),
    UniqueConstraint("school_no", "id", "digest"),
)

# What goes down to a box: bundles with numbers of their own, and how far the log of its school is in them.
stream = Table(
    "stream",
    METADATA,
    row_ref("box_no", "box.no", is_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("made_seq", BigInteger, nullable=False),
    Column("through_no", BigInteger, nullable=False),
    Column("tail", LargeBinary(8), nullable=False),
    Column("said_ms", BigInteger, nullable=False),
    Column("notice", SmallInteger, nullable=False),
)

# Bundles of the present epoch that wait, or were confirmed lately; their files are in the folder `outgoing`.
stream_bundle = Table(
    "stream_bundle",
    METADATA,
    row_ref("box_no", "box.no", is_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("name", LargeBinary(16), nullable=False, unique=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("settled_ms", BigInteger),
)

# The highest stamp made or seen for each school.
school_clock = Table(
    "school_clock",
    METADATA,
    row_ref("school_no", "school.no", is_key=True),
    Column("stamp", BigInteger, nullable=False),
)

# What the boxes of a school are to be told: every row that the hub wrote (no box) or that a box brought. Statements are
# named by `row_id`, all others by `row_no`.
school_change = Table(
    "school_change",
    METADATA,
    row_no(),
    row_ref("school_no", "school.no"),
    row_ref("box_no", "box.no", is_optional=True),
    Column("kind", SmallInteger, nullable=False),
    Column("row_no", BigInteger),
    Column("row_id", LargeBinary(KEY_BYTES)),
    sqlite_autoincrement=True,
)
Index("ix_school_change_school", school_change.c.school_no, school_change.c.no)

# Files that learners handed in, by the hash of their content; each is in the folder `files`, once in a school.
school_file = Table(
    "school_file",
    METADATA,
    row_no(),
    row_ref("school_no", "school.no"),
    Column("hash", LargeBinary(32), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    row_ref("box_no", "box.no"),
    Column("received_ms", BigInteger, nullable=False),
    UniqueConstraint("school_no", "hash"),
)

# Files on the disk that are not noted, and when the hub saw that first; their school may not be known.
unnoted_file = Table(
    "unnoted_file",
    METADATA,
    Column("school_no", NO, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary(32), primary_key=True),
    Column("seen_ms", BigInteger, nullable=False),
)

# Lessons that teachers made of resources of packs, which are told as pack/resource, one a line, in order.
own_lesson = Table(
    "own_lesson",
    METADATA,
    row_no(),
    row_ref("school_no", "school.no"),
    Column("id", LargeBinary(KEY_BYTES), nullable=False),
    Column("title", String(200), nullable=False),
    Column("resources", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    UniqueConstraint("school_no", "id"),
)
