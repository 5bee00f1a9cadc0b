-- What merges: one table per record kind from 11 on, with the columns of sync.records.kinds and the keys of
-- sync.records.merging. The tables that pages read (class, person, enrollment, assignment, setting, activity_state) follow
-- from these. `stamp` is a hybrid logical clock, `origin` the 16-byte id of the box or hub that wrote.

-- One field of one mutable row: the last writer's.
CREATE TABLE fact (
    no     INTEGER PRIMARY KEY,
    entity INTEGER NOT NULL,
    id     BLOB NOT NULL,
    field  INTEGER NOT NULL,
    value  TEXT NOT NULL,
    stamp  INTEGER NOT NULL,
    origin BLOB NOT NULL,                                 -- zeros: written before boxes kept facts
    UNIQUE (entity, id, field)
) STRICT;

-- One putting of a member into a set. Removed ones stay, so that a late copy does not come back.
CREATE TABLE member (
    no         INTEGER PRIMARY KEY,
    set_no     INTEGER NOT NULL,
    owner      BLOB NOT NULL,
    member     BLOB NOT NULL,
    stamp      INTEGER NOT NULL,
    origin     BLOB NOT NULL,
    is_removed INTEGER NOT NULL,
    UNIQUE (set_no, owner, member, stamp, origin)
) STRICT;

-- Every mark that was ever given; which of them hold follows from what each replaces.
CREATE TABLE mark (
    no         INTEGER PRIMARY KEY,
    assignment BLOB NOT NULL,
    learner    BLOB NOT NULL,
    value      TEXT NOT NULL,
    comment    TEXT NOT NULL,
    stamp      INTEGER NOT NULL,
    origin     BLOB NOT NULL,
    replaces   BLOB NOT NULL,
    UNIQUE (assignment, learner, stamp, origin)
) STRICT;

-- State documents small enough to travel, and those removed.
CREATE TABLE state (
    no           INTEGER PRIMARY KEY,
    learner      BLOB NOT NULL,
    activity     TEXT NOT NULL,
    state_id     TEXT NOT NULL,
    content_type TEXT NOT NULL,
    content      BLOB NOT NULL,
    stamp        INTEGER NOT NULL,
    registration BLOB NOT NULL,
    origin       BLOB NOT NULL,
    is_removed   INTEGER NOT NULL,
    UNIQUE (learner, activity, registration, state_id)
) STRICT;

CREATE TABLE message (
    no       INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE,
    text     TEXT NOT NULL,
    until_ms INTEGER NOT NULL,
    stamp    INTEGER NOT NULL
) STRICT;

CREATE TABLE offer (
    no           INTEGER PRIMARY KEY,
    pack         TEXT NOT NULL,
    version      INTEGER NOT NULL,
    root         BLOB NOT NULL,
    titles       TEXT NOT NULL,                           -- JSON, by language
    size_bytes   INTEGER NOT NULL,
    stamp        INTEGER NOT NULL,
    from_version INTEGER,
    patch_bytes  INTEGER,
    UNIQUE (pack, version)
) STRICT;

CREATE TABLE revocation (
    no           INTEGER PRIMARY KEY,
    subject_kind INTEGER NOT NULL,
    subject      TEXT NOT NULL,
    stamp        INTEGER NOT NULL,
    UNIQUE (subject_kind, subject)
) STRICT;

CREATE TABLE health (
    no             INTEGER PRIMARY KEY,
    version        TEXT NOT NULL,
    uptime_seconds INTEGER NOT NULL,
    free_bytes     INTEGER NOT NULL,
    total_bytes    INTEGER NOT NULL,
    classes        INTEGER NOT NULL,
    learners       INTEGER NOT NULL,
    packs          INTEGER NOT NULL,
    statements     INTEGER NOT NULL,
    stamp          INTEGER NOT NULL,
    origin         BLOB NOT NULL UNIQUE
) STRICT;

CREATE TABLE hand_in (
    no         INTEGER PRIMARY KEY,
    id         BLOB NOT NULL UNIQUE,
    assignment BLOB NOT NULL,
    learner    BLOB NOT NULL,
    media_type TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    stamp      INTEGER NOT NULL,
    origin     BLOB NOT NULL
) STRICT;

-- What the numbers in bundles of the hub mean here: (kind, no) of one epoch is the row `local_no`.
CREATE TABLE hub_number (
    origin   BLOB NOT NULL,
    epoch    INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    no       INTEGER NOT NULL,
    local_no INTEGER NOT NULL,
    PRIMARY KEY (origin, epoch, kind, no)
) STRICT, WITHOUT ROWID;

-- Classes, enrollments and assignments travel as facts and members from now on; the step writes those for all rows.
DELETE FROM change WHERE kind IN (3, 4, 9);
